"""Which fields can sstat show of a running step? Each with its width and how its text is made."""

from __future__ import annotations

from corral.cli.fields import Field
from corral.cli.usage_columns import amount, cpu_time, disk, size_of, tres_places, tres_sizes

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from typing import Any


def _frequency(row: dict[str, Any]) -> str:
    """None is ever asked for; of the script it is not even unknown."""
    return "0" if row["text"].endswith(".batch") else "Unknown"


FIELDS = (
    Field("AveCPU", 10, "", cpu_time("ave")),
    Field("AveCPUFreq", 10, "", lambda row: "0"),
    Field("AveDiskRead", 12, "", disk("read", "ave", in_bytes=True), sized=True),
    Field("AveDiskWrite", 12, "", disk("written", "ave", in_bytes=True), sized=True),
    Field("AvePages", 10, "", size_of("pages", "ave"), sized=True),
    Field("AveRSS", 10, "", size_of("mem", "ave"), sized=True),
    Field("AveVMSize", 10, "", size_of("vmem", "ave"), sized=True),
    Field("ConsumedEnergy", 14, "", lambda row: "0"),
    Field("ConsumedEnergyRaw", 17, "", lambda row: "0"),
    Field("JobID", 12, "", lambda row: row["text"], left=True),
    Field("MaxDiskRead", 12, "", disk("read", "max", in_bytes=True), sized=True),
    Field("MaxDiskReadNode", 15, "", amount("read", "max_node")),
    Field("MaxDiskReadTask", 15, "", amount("read", "max_task")),
    Field("MaxDiskWrite", 12, "", disk("written", "max", in_bytes=True), sized=True),
    Field("MaxDiskWriteNode", 16, "", amount("written", "max_node")),
    Field("MaxDiskWriteTask", 16, "", amount("written", "max_task")),
    Field("MaxPages", 8, "", size_of("pages", "max"), sized=True),
    Field("MaxPagesNode", 12, "", amount("pages", "max_node")),
    Field("MaxPagesTask", 14, "", amount("pages", "max_task")),
    Field("MaxRSS", 10, "", size_of("mem", "max"), sized=True),
    Field("MaxRSSNode", 10, "", amount("mem", "max_node")),
    Field("MaxRSSTask", 10, "", amount("mem", "max_task")),
    Field("MaxVMSize", 10, "", size_of("vmem", "max"), sized=True),
    Field("MaxVMSizeNode", 14, "", amount("vmem", "max_node")),
    Field("MaxVMSizeTask", 14, "", amount("vmem", "max_task")),
    Field("MinCPU", 10, "", cpu_time("min")),
    Field("MinCPUNode", 10, "", amount("cpu", "min_node")),
    Field("MinCPUTask", 10, "", amount("cpu", "min_task")),
    Field("Nodelist", 20, "", lambda row: row["nodes"]),
    Field("NTasks", 8, "", lambda row: row["ntasks"]),
    Field("Pids", 20, "", lambda row: ",".join(map(str, row["all_pids"]))),
    Field("ReqCPUFreq", 10, "", _frequency),
    Field("ReqCPUFreqMin", 13, "", _frequency),
    Field("ReqCPUFreqMax", 13, "", _frequency),
    Field("ReqCPUFreqGov", 13, "", _frequency),
    Field("TRESUsageInAve", 14, "", tres_sizes(False, "ave"), sized=True),
    Field("TRESUsageInMax", 14, "", tres_sizes(False, "max"), sized=True),
    Field("TRESUsageInMaxNode", 18, "", tres_places(False, "max_node")),
    Field("TRESUsageInMaxTask", 18, "", tres_places(False, "max_task", cpu_as_time=True)),
    Field("TRESUsageInMin", 14, "", tres_sizes(False, "min"), sized=True),
    Field("TRESUsageInMinNode", 18, "", tres_places(False, "min_node")),
    Field("TRESUsageInMinTask", 18, "", tres_places(False, "min_task", cpu_as_time=True)),
    Field("TRESUsageInTot", 14, "", tres_sizes(False, "total"), sized=True),
    Field("TRESUsageOutAve", 15, "", tres_sizes(True, "ave"), sized=True),
    Field("TRESUsageOutMax", 15, "", tres_sizes(True, "max"), sized=True),
    Field("TRESUsageOutMaxNode", 19, "", tres_places(True, "max_node")),
    Field("TRESUsageOutMaxTask", 19, "", tres_places(True, "max_task")),
    Field("TRESUsageOutMin", 15, "", tres_sizes(True, "min"), sized=True),
    Field("TRESUsageOutMinNode", 19, "", tres_places(True, "min_node")),
    Field("TRESUsageOutMinTask", 19, "", tres_places(True, "min_task")),
    Field("TRESUsageOutTot", 15, "", tres_sizes(True, "total"), sized=True),
)
