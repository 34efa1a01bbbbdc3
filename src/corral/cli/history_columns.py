"""Which fields can sacct show of a job and of a step? Each with its width and how its text is made.

A getter that says "job only" leaves the field of a step blank, as Slurm does.
"""

from __future__ import annotations

from corral.cli import fields
from corral.cli.fields import Chosen, Field
from corral.cli.times import UNLIMITED, or_unknown, padded
from corral.cli.usage_columns import EXACT, Units
from corral.cli.usage_fields import in_order, usage_fields
from corral.syntax.size import parse_printed

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from corral.cli.usage_columns import Sized

    Row = dict[str, Any]
    Getter = Callable[[Row], Any]


def _value(name: str) -> Getter:
    return lambda row: row[name]


def _of_job(name: str) -> Getter:
    return lambda row: row[name] if row["step"] is None else ""


def _of_step(name: str) -> Getter:
    return lambda row: "" if row["step"] is None else row[name]


def _time(name: str) -> Getter:
    return lambda row: or_unknown(row[name])


#: Ended from outside: sacct shows no exit code of the job then (scontrol does, and sacct of the steps).
_FROM_OUTSIDE = frozenset(("CANCELLED", "TIMEOUT", "NODE_FAIL", "PREEMPTED", "DEADLINE"))


def _code(row: Row) -> str:
    if row["step"] is None and row["state"] in _FROM_OUTSIDE and not row["exit_code"][0]:
        return "0:0"
    return f"{row['exit_code'][0]}:{row['exit_code'][1]}"


def _cpus(row: Row) -> int:
    """Before it has any, those it asks for."""
    return int(row["cpus"] or row["req_cpus"] or 0)


def _derived(row: Row) -> str:
    return f"{row['derived_exit_code'][0]}:{row['derived_exit_code'][1]}" if row["step"] is None else ""


def _state(row: Row) -> str:
    if row["state"] == "CANCELLED" and row["cancelled_by"] is not None:
        return f"CANCELLED by {row['cancelled_by']}"
    return str(row["state"])


def tres(text: str) -> str:
    """sacct orders them by name."""
    return ",".join(sorted(text.split(","))) if text else ""


def _raw_id(row: Row) -> str:
    _, dot, step = row["jobid"].partition(".")
    return f"{row['job_id']}{dot}{step}"


def _cpu_seconds(row: Row) -> int:
    return int(row["elapsed"]) * int(row["cpus"] or 0)


def _limit(row: Row) -> str:
    return padded(row["time_limit"]) if row["step"] is None else ""


def _limit_minutes(row: Row) -> str:
    if row["step"] is not None:
        return ""
    return "UNLIMITED" if row["time_limit"] >= UNLIMITED else str(int(row["time_limit"]) // 60)


def _reserved(row: Row) -> int:
    return max(0, int(row["start"]) - int(row["eligible"])) if row["start"] and row["eligible"] else 0


def precise(seconds: float) -> str:
    """00:00.036 below an hour, 01:00:00 from there on, 00:00:00 for nothing."""
    thousandths = int(seconds % 1 * 1000)
    if seconds >= 3600 or not thousandths:
        return padded(seconds)
    return f"{int(seconds) // 60:02}:{int(seconds) % 60:02}.{thousandths:03}"


def _tres_amounts(name: str) -> Sized:
    """cpu=2,mem=62.50G,node=1: memory in the units that are asked for."""

    def text(row: Row, units: Units) -> str:
        parts = tres(row[name]).split(",") if row[name] else []
        return ",".join(f"mem={_resized(part[4:], units)}" if part.startswith("mem=") else part for part in parts)

    return text


def _resized(text: str, units: Units) -> str:
    if units is EXACT or text in ("", "0"):
        return text
    return units.text(parse_printed(text), "M")


def _nothing(text: str = "") -> Getter:
    return lambda row: text


def _nothing_of_job(text: str) -> Getter:
    return lambda row: text if row["step"] is None else ""


def _flags(row: Row) -> str:
    """How it got its turn; the rest is Slurm's word (and spelling) for what the accounting has heard of."""
    if row["step"] is not None:
        return ""
    return f"{row['started_by']},StartRecieved" if row["started_by"] else "StartRecieved"


def _of_step_alone(text: str) -> Getter:
    return lambda row: "" if row["step"] is None else text


def _frequency(row: Row) -> str:
    """None is ever asked for; of the script it is not even unknown."""
    return "0" if row["jobid"].endswith(".batch") else "Unknown"


def _energy(row: Row) -> Any:
    return "" if row["consumed_energy"] is None else row["consumed_energy"]


_CPU = "user_seconds system_seconds"

_OWN = (
    Field("Account", 10, "account", _value("account")),
    Field("AdminComment", 15, "admin_comment", _of_job("admin_comment")),
    Field("AllocCPUS", 10, "cpus req_cpus", _cpus),
    Field("AllocNodes", 10, "node_count", _value("node_count")),
    Field("AllocTRES", 10, "tres_alloc", _tres_amounts("tres_alloc"), sized=True),
    Field("AssocID", 7, "association", _value("association")),
    Field("AveCPUFreq", 10, "", _of_step_alone("0")),
    Field("BlockID", 16, "", _nothing()),
    Field("Cluster", 10, "cluster", _value("cluster")),
    Field("Comment", 14, "comment", _of_job("comment")),
    Field("Constraints", 19, "constraint", _of_job("constraint")),
    Field("ConsumedEnergy", 14, "consumed_energy", _energy),
    Field("ConsumedEnergyRaw", 17, "consumed_energy", _energy),
    Field("Container", 19, "", _nothing()),
    Field("CPUTime", 10, "elapsed cpus", lambda row: padded(_cpu_seconds(row))),
    Field("CPUTimeRAW", 10, "elapsed cpus", _cpu_seconds),
    Field("DBIndex", 10, "job_id", _value("job_id"), left=True),
    Field("DerivedExitCode", 15, "derived_exit_code", _derived),
    Field("Elapsed", 10, "elapsed", lambda row: padded(row["elapsed"])),
    Field("ElapsedRaw", 10, "elapsed", lambda row: int(row["elapsed"])),
    Field("Eligible", 19, "eligible", _time("eligible")),
    Field("End", 19, "end", _time("end")),
    Field("ExitCode", 8, "exit_code state", _code),
    Field("Flags", 19, "started_by", _flags),
    Field("GID", 6, "gid", _of_job("gid")),
    Field("Group", 9, "group", _of_job("group")),
    Field("JobID", 12, "jobid", _value("jobid"), left=True),
    Field("JobIDRaw", 12, "jobid job_id", _raw_id, left=True),
    Field("JobName", 10, "name", _value("name")),
    Field("Layout", 9, "", _nothing()),
    Field("McsLabel", 12, "", _nothing()),
    Field("NCPUS", 10, "cpus req_cpus", _cpus),
    Field("NNodes", 8, "node_count", _value("node_count")),
    Field("NodeList", 15, "nodes", lambda row: row["nodes"] or "None assigned"),
    Field("NTasks", 8, "ntasks", _of_step("ntasks")),
    Field("Partition", 10, "partition", _of_job("partition")),
    Field("Priority", 10, "priority", _of_job("priority")),
    Field("QOS", 10, "qos", _of_job("qos")),
    Field("QOSRAW", 6, "qos_id", _of_job("qos_id")),
    Field("Reason", 22, "reason", _of_job("reason")),
    Field("ReqCPUFreq", 10, "", _frequency),
    Field("ReqCPUFreqGov", 13, "", _frequency),
    Field("ReqCPUFreqMax", 13, "", _frequency),
    Field("ReqCPUFreqMin", 13, "", _frequency),
    Field("ReqCPUS", 8, "req_cpus cpus", lambda row: row["req_cpus"] if row["step"] is None else row["cpus"]),
    Field(
        "ReqMem",
        10,
        "req_mem",
        lambda row, units: _resized(row["req_mem"], units) if row["step"] is None else "",
        sized=True,
    ),
    Field("ReqNodes", 8, "node_count", _value("node_count")),
    Field("ReqTRES", 10, "tres_req", _tres_amounts("tres_req"), sized=True),
    Field("Reservation", 20, "reservation", _of_job("reservation")),
    Field(
        "ReservationId",
        8,
        "reservation_id",
        lambda row: str(row["reservation_id"] or "") if row["step"] is None else "",
    ),
    Field("Reserved", 10, "start eligible", lambda row: padded(_reserved(row)) if row["step"] is None else ""),
    Field(
        "ResvCPU",
        10,
        "start eligible req_cpus",
        lambda row: padded(_reserved(row) * row["req_cpus"]) if row["step"] is None else "",
    ),
    Field(
        "ResvCPURAW",
        10,
        "start eligible req_cpus",
        lambda row: _reserved(row) * row["req_cpus"] if row["step"] is None else "",
    ),
    Field("Start", 19, "start", _time("start")),
    Field("State", 10, "state cancelled_by", _state),
    Field("Submit", 19, "submit", _time("submit")),
    Field("SubmitLine", 20, "submit_line", _value("submit_line")),
    Field("Suspended", 10, "suspended", lambda row: padded(row["suspended"])),
    Field("SystemComment", 15, "system_comment", _of_job("system_comment")),
    Field("SystemCPU", 10, "system_seconds", lambda row: precise(row["system_seconds"])),
    Field("Timelimit", 10, "time_limit", _limit),
    Field("TimelimitRaw", 10, "time_limit", _limit_minutes),
    Field("TotalCPU", 10, _CPU, lambda row: precise(row["user_seconds"] + row["system_seconds"])),
    Field("UID", 6, "uid", _of_job("uid")),
    Field("User", 9, "user", _of_job("user")),
    Field("UserCPU", 10, "user_seconds", lambda row: precise(row["user_seconds"])),
    Field("WCKey", 10, "wckey", _of_job("wckey")),
    Field("WCKeyID", 10, "", _nothing_of_job("0")),
    Field("WorkDir", 20, "work_dir", _of_job("work_dir")),
)

FIELDS = in_order((*_OWN, *usage_fields()))


def parse(text: str, units: Units = EXACT) -> list[Chosen]:
    return fields.parse(FIELDS, text, units)


def help_lines() -> str:
    return fields.help_lines(FIELDS)
