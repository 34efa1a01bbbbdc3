"""Which columns can sacctmgr show? Each with the letters that are enough, its header, its width, and how rows are written."""

from __future__ import annotations

import sys

from corral.cli.run import Exit
from corral.cli.sacctmgr.words import is_short_for

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

    from corral.cli.sacctmgr.session import Session

    Row = Mapping[str, Any]

#: keyword, letters that are enough, header, width (negative: to the left). The first that fits is meant; headers are the keys of getters.
FIELDS = (
    ("Account", 3, "Account", 10), ("Acct", 4, "Account", 10), ("ActionRaw", 7, "ActionRaw", 10), ("Action", 4, "Action", 20),
    ("Actor", 4, "Actor", 10), ("AdminLevel", 2, "Admin", 9), ("Allowed", 2, "% Allowed", 10), ("Allocated", 7, "% Allocated", 11),
    ("Associations", 2, "Assocs", 10), ("Clusters", 2, "Cluster", 10), ("Classification", 3, "Class", 9),
    ("ClusterNodes", 8, "Cluster Nodes", 20), ("Coordinators", 2, "Coord Accounts", 20), ("ControlHost", 8, "ControlHost", 15),
    ("ControlPort", 8, "ControlPort", 12), ("Count", 3, "Count", 6), ("CountAllowed", 6, "# Allowed", 10),
    ("CountUsed", 6, "# Used", 10), ("CPUCount", 2, "CPU Cnt", 7), ("DefaultAccount", 8, "Def Acct", 10),
    ("DefaultQOS", 8, "Def QOS", 9), ("DefaultWCKey", 8, "Def WCKey", 10), ("Description", 3, "Descr", 20),
    ("Duration", 2, "Duration", 13), ("Event", 2, "Event", 7), ("EventRaw", 6, "EventRaw", 8), ("Features", 3, "Features", 20),
    ("Federation", 3, "Federation", 10), ("FedState", 4, "FedState", 12), ("FedStateRaw", 9, "FedStateRaw", 11),
    ("Flags", 2, "Flags", 20), ("GraceTime", 3, "GraceTime", 10), ("GrpCPUs", 6, "GrpCPUs", 8), ("GrpCPUMins", 7, "GrpCPUMins", 11),
    ("GrpCPURunMins", 7, "GrpCPURunMins", 13), ("GrpTRES", 7, "GrpTRES", 13), ("GrpTRESMins", 8, "GrpTRESMins", 13),
    ("GrpTRESRunMins", 8, "GrpTRESRunMins", 13), ("GrpJobs", 4, "GrpJobs", 7), ("GrpJobsAccrue", 8, "GrpJobsAccrue", 13),
    ("GrpMemory", 4, "GrpMem", 7), ("GrpNodes", 4, "GrpNodes", 8), ("GrpSubmitJobs", 4, "GrpSubmit", 9), ("GrpWall", 4, "GrpWall", 11),
    ("ID", 2, "ID", 6), ("Info", 2, "Info", 20), ("LFT", 1, "LFT", 6), ("LimitFactor", 6, "LimitFactor", 11),
    ("MaxCPUMinsPerJob", 7, "MaxCPUMins", 11), ("MaxCPURunMinsPerUser", 7, "MaxCPURunMinsPU", 15),
    ("MaxCPURunMinsPU", 7, "MaxCPURunMinsPU", 15), ("MaxCPUsPerJob", 7, "MaxCPUs", 8), ("MaxCPUsPerUser", 11, "MaxCPUsPU", 9),
    ("MaxCPUsPU", 9, "MaxCPUsPU", 9), ("MaxTRES", 7, "MaxTRES", 13), ("MaxTRESPerJob", 11, "MaxTRES", 13),
    ("MaxTRESPerNode", 11, "MaxTRESPerNode", 14), ("MaxTRESMinsPerJob", 8, "MaxTRESMins", 13),
    ("MaxTRESRunMinsPerAccount", 18, "MaxTRESRunMinsPA", 15), ("MaxTRESRunMinsPerAcct", 18, "MaxTRESRunMinsPA", 15),
    ("MaxTRESRunMinsPA", 15, "MaxTRESRunMinsPA", 15), ("MaxTRESRunMinsPerUser", 8, "MaxTRESRunMinsPU", 15),
    ("MaxTRESRunMinsPU", 8, "MaxTRESRunMinsPU", 15), ("MaxTRESPerAccount", 11, "MaxTRESPA", 13),
    ("MaxTRESPerAcct", 11, "MaxTRESPA", 13), ("MaxTRESPA", 9, "MaxTRESPA", 13), ("MaxTRESPerUser", 11, "MaxTRESPU", 13),
    ("MaxTRESPU", 9, "MaxTRESPU", 13), ("MaxJobs", 4, "MaxJobs", 7), ("MaxJobsAccrue", 8, "MaxJobsAccrue", 13),
    ("MaxJobsAccruePerAccount", 17, "MaxJobsAccruePA", 15), ("MaxJobsAccruePerAcct", 17, "MaxJobsAccruePA", 15),
    ("MaxJobsAccruePA", 15, "MaxJobsAccruePA", 15), ("MaxJobsAccruePerUser", 17, "MaxJobsAccruePU", 15),
    ("MaxJobsAccruePU", 15, "MaxJobsAccruePU", 15), ("MaxJobsPerAccount", 11, "MaxJobsPA", 9), ("MaxJobsPerAcct", 11, "MaxJobsPA", 9),
    ("MaxJobsPA", 9, "MaxJobsPA", 9), ("MaxJobsPerUser", 11, "MaxJobsPU", 9), ("MaxJobsPU", 9, "MaxJobsPU", 9),
    ("MaxNodesPerJob", 4, "MaxNodes", 8), ("MaxNodesPerUser", 12, "MaxNodesPU", 10), ("MaxNodesPU", 10, "MaxNodesPU", 10),
    ("MaxSubmitJobs", 4, "MaxSubmit", 9), ("MaxSubmitJobsPerAccount", 17, "MaxSubmitPA", 11),
    ("MaxSubmitJobsPerAcct", 17, "MaxSubmitPA", 11), ("MaxSubmitJobsPA", 15, "MaxSubmitPA", 11), ("MaxSubmitPA", 11, "MaxSubmitPA", 11),
    ("MaxSubmitJobsPerUser", 10, "MaxSubmitPU", 11), ("MaxSubmitJobsPU", 10, "MaxSubmitPU", 11), ("MaxSubmitPU", 10, "MaxSubmitPU", 11),
    ("MaxWallDurationPerJob", 4, "MaxWall", 11), ("MinCPUsPerJob", 7, "MinCPUs", 8), ("MinPrioThreshold", 4, "MinPrioThres", 12),
    ("MinTRESPerJob", 7, "MinTRES", 13), ("Name", 2, "Name", 10), ("NodeCount", 5, "NodeCount", 9), ("NodeNames", 5, "NodeName", -15),
    ("Organization", 1, "Org", 20), ("ParentID", 7, "ParentID", 8), ("ParentName", 7, "ParentName", 10), ("Partition", 4, "Partition", 10),
    ("PluginIDSelect", 2, "PluginIDSelect", 14), ("PreemptMode", 8, "PreemptMode", 11),
    ("PreemptExemptTime", 8, "PreemptExemptTime", 19), ("Preempt", 7, "Preempt", 10), ("Priority", 3, "Priority", 10),
    ("Problem", 1, "Problem", 40), ("QOSLevel", 3, "QOS", 20), ("QOSRAWLevel", 4, "QOS_RAW", 10), ("Reason", 1, "Reason", 30),
    ("RGT", 2, "RGT", 6), ("RPC", 2, "RPC", 5), ("ServerType", 10, "ServerType", 10), ("Share", 1, "Share", 9),
    ("FairShare", 2, "Share", 9), ("Server", 3, "Server", 10), ("StateRaw", 6, "StateRaw", 8), ("State", 2, "State", 6),
    ("TimeStamp", 2, "Time", 19), ("TimeStart", 8, "TimeStart", 19), ("Start", 4, "TimeStart", 19), ("TimeEnd", 6, "TimeEnd", 19),
    ("End", 2, "TimeEnd", 19), ("TimeSubmit", 6, "TimeSubmit", 19), ("Submit", 2, "TimeSubmit", 19), ("TRES", 2, "TRES", 20),
    ("Type", 2, "Type", 8), ("UnusedWall", 2, "UnusedWall", 10), ("UsageFactor", 6, "UsageFactor", 11),
    ("UsageThreshold", 6, "UsageThres", 10), ("User", 1, "User", 10), ("WCKeys", 2, "WCKeys", 20), ("Where", 2, "Where", 20),
)  # fmt: skip


def names() -> dict[str, int]:
    """All keywords, with their widths."""
    return {keyword: width for keyword, _, _, width in FIELDS}


class Chosen:
    """A column as one format wants it."""

    __slots__ = ("header", "left", "width")

    def __init__(self, header: str, width: int) -> None:
        self.header = header
        self.left = width < 0
        self.width = abs(width)

    def cell(self, text: str) -> str:
        if len(text) > self.width:
            return text[: self.width - 1] + "+"
        return text.ljust(self.width) if self.left else text.rjust(self.width)


def chosen(text: str, tree: bool = False) -> list[Chosen]:
    """The columns of a format."""
    return [_chosen(word.strip(), tree) for word in text.split(",") if word.strip()]


def _chosen(word: str, tree: bool) -> Chosen:
    name, mark, digits = word.partition("%")
    for keyword, least, header, width in FIELDS:
        if is_short_for(name, keyword, least):
            if header == "Account" and tree:
                width = -20
            given = _number(digits) if mark else 0
            return Chosen(header, given or width)
    raise Exit(1, f"Unknown field '{name}'")


def _number(text: str) -> int:
    """As atoi."""
    sign = -1 if text[:1] == "-" else 1
    digits = text[1:] if text[:1] in "+-" else text
    count = 0
    while count < len(digits) and digits[count] in "0123456789":
        count += 1
    return sign * int(digits[: min(count, 6)] or 0)


def write(
    session: Session, columns: list[Chosen], rows: Iterable[Row], getters: Mapping[str, Callable[[Any], str]]
) -> None:
    """A header, unless it is not wanted, and a line for each row. A column that means nothing here is empty."""
    lines = []
    end = "|" if session.parsable == "p" else ""
    if session.header:
        if session.parsable:
            lines.append("|".join(one.header for one in columns) + end)
        else:
            heads = [
                one.header[: one.width].ljust(one.width) if one.left else one.header[: one.width].rjust(one.width)
                for one in columns
            ]
            lines.append(" ".join(heads) + " ")
            lines.append(" ".join("-" * one.width for one in columns) + " ")
    getting = [getters.get(one.header, _nothing) for one in columns]
    if session.parsable:
        lines += ["|".join([get(row) for get in getting]) + end for row in rows]
    else:
        cells = [one.cell for one in columns]
        lines += [" ".join([cell(get(row)) for cell, get in zip(cells, getting, strict=True)]) + " " for row in rows]
    if lines:
        sys.stdout.write("\n".join(lines) + "\n")


def _nothing(row: Row) -> str:
    return ""
