"""Which fields of sacct and of sstat say what a step's tasks have used?"""

from __future__ import annotations

from corral.cli.fields import Field
from corral.cli.usage_columns import amount, cpu_time, disk, size_of, tres_places, tres_sizes

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


def usage_fields(*, live: bool = False) -> list[Field]:
    """As sacct writes them; `live`: as sstat does, with bytes on disk, and times of CPUs with their tasks."""
    return [
        Field("AveCPU", 10, "usage", cpu_time("ave")),
        Field("AveDiskRead", 12 if live else 14, "usage", disk("read", "ave", in_bytes=live), sized=True),
        Field("AveDiskWrite", 12 if live else 14, "usage", disk("written", "ave", in_bytes=live), sized=True),
        Field("AvePages", 10, "usage", size_of("pages", "ave"), sized=True),
        Field("AveRSS", 10, "usage", size_of("mem", "ave"), sized=True),
        Field("AveVMSize", 10, "usage", size_of("vmem", "ave"), sized=True),
        Field("MaxDiskRead", 12, "usage", disk("read", "max", in_bytes=live), sized=True),
        Field("MaxDiskReadNode", 15, "usage", amount("read", "max_node")),
        Field("MaxDiskReadTask", 15, "usage", amount("read", "max_task")),
        Field("MaxDiskWrite", 12, "usage", disk("written", "max", in_bytes=live), sized=True),
        Field("MaxDiskWriteNode", 16, "usage", amount("written", "max_node")),
        Field("MaxDiskWriteTask", 16, "usage", amount("written", "max_task")),
        Field("MaxPages", 8, "usage", size_of("pages", "max"), sized=True),
        Field("MaxPagesNode", 12, "usage", amount("pages", "max_node")),
        Field("MaxPagesTask", 14, "usage", amount("pages", "max_task")),
        Field("MaxRSS", 10, "usage", size_of("mem", "max"), sized=True),
        Field("MaxRSSNode", 10, "usage", amount("mem", "max_node")),
        Field("MaxRSSTask", 10, "usage", amount("mem", "max_task")),
        Field("MaxVMSize", 10, "usage", size_of("vmem", "max"), sized=True),
        Field("MaxVMSizeNode", 14, "usage", amount("vmem", "max_node")),
        Field("MaxVMSizeTask", 14, "usage", amount("vmem", "max_task")),
        Field("MinCPU", 10, "usage", cpu_time("min")),
        Field("MinCPUNode", 10, "usage", amount("cpu", "min_node")),
        Field("MinCPUTask", 10, "usage", amount("cpu", "min_task")),
        Field("TRESUsageInAve", 14, "usage", tres_sizes(False, "ave"), sized=True),
        Field("TRESUsageInMax", 14, "usage", tres_sizes(False, "max"), sized=True),
        Field("TRESUsageInMaxNode", 18, "usage", tres_places(False, "max_node")),
        Field("TRESUsageInMaxTask", 18, "usage", tres_places(False, "max_task", cpu_as_time=live)),
        Field("TRESUsageInMin", 14, "usage", tres_sizes(False, "min"), sized=True),
        Field("TRESUsageInMinNode", 18, "usage", tres_places(False, "min_node")),
        Field("TRESUsageInMinTask", 18, "usage", tres_places(False, "min_task", cpu_as_time=live)),
        Field("TRESUsageInTot", 14, "usage", tres_sizes(False, "total"), sized=True),
        Field("TRESUsageOutAve", 15, "usage", tres_sizes(True, "ave"), sized=True),
        Field("TRESUsageOutMax", 15, "usage", tres_sizes(True, "max"), sized=True),
        Field("TRESUsageOutMaxNode", 19, "usage", tres_places(True, "max_node")),
        Field("TRESUsageOutMaxTask", 19, "usage", tres_places(True, "max_task")),
        Field("TRESUsageOutMin", 15, "usage", tres_sizes(True, "min"), sized=True),
        Field("TRESUsageOutMinNode", 19, "usage", tres_places(True, "min_node")),
        Field("TRESUsageOutMinTask", 19, "usage", tres_places(True, "min_task")),
        Field("TRESUsageOutTot", 15, "usage", tres_sizes(True, "total"), sized=True),
    ]


def in_order(fields: Iterable[Field], earlier: Mapping[str, str] = {}) -> tuple[Field, ...]:
    """By the alphabet; `earlier`: as if these were called otherwise."""
    return tuple(sorted(fields, key=lambda field: earlier.get(field.name, field.name.lower())))
