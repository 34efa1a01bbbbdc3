"""Which fields can sstat show of a running step? Each with its width and how its text is made."""

from __future__ import annotations

from corral.cli.fields import Field
from corral.cli.usage_fields import in_order, usage_fields

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from typing import Any


def _frequency(row: dict[str, Any]) -> str:
    """None is ever asked for; of the script it is not even unknown."""
    return "0" if row["text"].endswith(".batch") else "Unknown"


_OWN = (
    Field("AveCPUFreq", 10, "", lambda row: "0"),
    Field("ConsumedEnergy", 14, "", lambda row: "0"),
    Field("ConsumedEnergyRaw", 17, "", lambda row: "0"),
    Field("JobID", 12, "", lambda row: row["text"], left=True),
    Field("Nodelist", 20, "", lambda row: row["nodes"]),
    Field("NTasks", 8, "", lambda row: row["ntasks"]),
    Field("Pids", 20, "", lambda row: ",".join(map(str, row["all_pids"]))),
    Field("ReqCPUFreq", 10, "", _frequency),
    Field("ReqCPUFreqMin", 13, "", _frequency),
    Field("ReqCPUFreqMax", 13, "", _frequency),
    Field("ReqCPUFreqGov", 13, "", _frequency),
)

#: The real one has these before those that come first by the alphabet.
_EARLIER = {"ReqCPUFreqMin": "reqcpufreqa", "ReqCPUFreqMax": "reqcpufreqb"}
FIELDS = in_order((*_OWN, *usage_fields(live=True)), _EARLIER)
