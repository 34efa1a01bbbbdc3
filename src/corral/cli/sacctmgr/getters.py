"""What stands in each column of sacctmgr's lists? Functions from a row to its text, by header."""

from __future__ import annotations

from corral.cli.sacctmgr.settings import tres_text
from corral.cli.times import minutes_text, moment, padded

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Row = dict[str, Any]
    Getter = Callable[[Row], str]

PARENT = 0x7FFFFFFF


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _number(field: str) -> Getter:
    return lambda row: _text(row["limits"].get(field))


def _tres(field: str) -> Getter:
    return lambda row: tres_text(row["limits"].get(field) or {})


def _one(field: str, name: str) -> Getter:
    return lambda row: _text((row["limits"].get(field) or {}).get(name))


def _minutes(field: str) -> Getter:
    def get(row: Row) -> str:
        value = row["limits"].get(field)
        return "" if value is None else minutes_text(value)

    return get


def _own(field: str) -> Getter:
    return lambda row: str(row["one"][field]) if "one" in row else ""


def _share(row: Row) -> str:
    shares = row["one"]["shares"]
    return "parent" if shares == PARENT else str(shares)


_LIMITS: dict[str, Getter] = {
    "GrpJobs": _number("grp_jobs"), "GrpJobsAccrue": _number("grp_jobs_accrue"), "GrpSubmit": _number("grp_submit"),
    "GrpWall": _minutes("grp_wall"), "GrpTRES": _tres("grp_tres"), "GrpTRESMins": _tres("grp_tres_mins"),
    "GrpTRESRunMins": _tres("grp_tres_run_mins"), "GrpCPUs": _one("grp_tres", "cpu"), "GrpMem": _one("grp_tres", "mem"),
    "GrpNodes": _one("grp_tres", "node"), "GrpCPUMins": _one("grp_tres_mins", "cpu"),
    "GrpCPURunMins": _one("grp_tres_run_mins", "cpu"), "MaxWall": _minutes("max_wall"), "MaxTRES": _tres("max_tres"),
    "MaxTRESPerNode": _tres("max_tres_per_node"), "MaxTRESMins": _tres("max_tres_mins"), "MaxCPUs": _one("max_tres", "cpu"),
    "MaxNodes": _one("max_tres", "node"), "MaxCPUMins": _one("max_tres_mins", "cpu"), "MinPrioThres": _number("min_priority"),
}  # fmt: skip


def _if_one(get: Getter) -> Getter:
    """Empty in the row of an account or user without associations."""
    return lambda row: get(row) if "one" in row else ""


def _listed(row: Row) -> str:
    return ",".join(row["one"]["qos"])


#: Of a row with `one`, an association, and its `limits`.
ASSOCIATION: dict[str, Getter] = {
    name: _if_one(get)
    for name, get in {
        **_LIMITS, "MaxJobs": _number("max_jobs"), "MaxJobsAccrue": _number("max_jobs_accrue"), "MaxSubmit": _number("max_submit"),
        "MaxTRESRunMinsPU": _tres("max_tres_run_mins"), "MaxCPURunMinsPU": _one("max_tres_run_mins", "cpu"),
        "Account": lambda row: " " * row["indent"] + row["one"]["account"], "User": _own("user"), "Partition": _own("partition"),
        "Share": _share, "Priority": lambda row: _text(row["one"]["priority"]), "ID": _own("id"), "LFT": _own("left"), "RGT": _own("right"),
        "ParentID": _own("parent_id"), "ParentName": _own("parent"), "QOS": _listed, "Def QOS": _own("default_qos"),
        "QOS_RAW": lambda row: ",".join(map(str, row["qos_ids"])),
    }.items()
}  # fmt: skip
ASSOCIATION["Cluster"] = lambda row: str(row["cluster"])


def _record(field: str) -> Getter:
    return lambda row: _text(row["record"].get(field, ""))


ACCOUNT: dict[str, Getter] = {
    "Account": _record("name"), "Name": _record("name"), "Descr": _record("description"), "Org": _record("organization"),
    "Coord Accounts": lambda row: ",".join(sorted(row["record"]["coordinators"])), "Cluster": lambda row: str(row["cluster"]),
}  # fmt: skip
USER: dict[str, Getter] = {
    "User": _record("name"), "Name": _record("name"), "Def Acct": _record("default_account"),
    "Admin": lambda row: str(row["record"].get("admin_level", "None")),
    "Coord Accounts": lambda row: ",".join(sorted(row["record"]["coordinated"])), "Cluster": lambda row: str(row["cluster"]),
}  # fmt: skip


def _of(field: str) -> Getter:
    return lambda row: _text(row.get(field))


def _factor(field: str) -> Getter:
    def get(row: Row) -> str:
        value = row.get(field)
        return "" if value is None else f"{value:.6f}"

    return get


def _exempt(row: Row) -> str:
    value = row.get("preempt_exempt_time")
    return "" if value is None else padded(value)


QOS: dict[str, Getter] = {
    **_LIMITS, "Name": _of("name"), "ID": _of("id"), "Descr": _of("description"), "Priority": _of("priority"),
    "GraceTime": lambda row: padded(row["grace_time"]), "Preempt": lambda row: ",".join(sorted(row["preempt"])),
    "PreemptExemptTime": _exempt, "PreemptMode": lambda row: row["preempt_mode"] or "cluster",
    "Flags": lambda row: ",".join(row["flags"]), "UsageThres": _factor("usage_threshold"), "UsageFactor": _factor("usage_factor"),
    "LimitFactor": _factor("limit_factor"), "MaxTRESPU": _tres("max_tres_pu"), "MaxTRESPA": _tres("max_tres_pa"),
    "MaxTRESRunMinsPU": _tres("max_tres_run_mins_pu"), "MaxTRESRunMinsPA": _tres("max_tres_run_mins_pa"), "MinTRES": _tres("min_tres"),
    "MaxJobsPU": _number("max_jobs_pu"), "MaxJobs": _number("max_jobs_pu"), "MaxJobsPA": _number("max_jobs_pa"),
    "MaxJobsAccruePU": _number("max_jobs_accrue_pu"), "MaxJobsAccruePA": _number("max_jobs_accrue_pa"),
    "MaxSubmitPU": _number("max_submit_pu"), "MaxSubmit": _number("max_submit_pu"), "MaxSubmitPA": _number("max_submit_pa"),
    "MaxCPUsPU": _one("max_tres_pu", "cpu"), "MaxNodesPU": _one("max_tres_pu", "node"), "MinCPUs": _one("min_tres", "cpu"),
    "MaxCPURunMinsPU": _one("max_tres_run_mins_pu", "cpu"),
}  # fmt: skip


def _whole(row: Row) -> str:
    """All that the cluster has, by the names of what is counted."""
    from corral.syntax.tres import format_tres

    amounts = {
        "billing": row["cpus"], "cpu": row["cpus"], "energy": 0, "fs/disk": 0, "gres/gpu": row["gpus"], "mem": row["memory"],
        "node": row["count"], "pages": 0, "vmem": 0,
    }  # fmt: skip
    return format_tres(amounts)


CLUSTER: dict[str, Getter] = {
    "ControlHost": lambda row: str(row["config"].get("SlurmctldHost[0]", "")), "ControlPort": lambda row: "0",
    "RPC": lambda row: "9728", "Cluster Nodes": lambda row: str(row["nodes"]), "NodeCount": lambda row: str(row["count"]),
    "CPU Cnt": lambda row: str(row["cpus"]), "TRES": _whole,
}  # fmt: skip
TRES: dict[str, Getter] = {"Type": _of("type"), "Name": _of("name"), "ID": _of("id")}
PROBLEM: dict[str, Getter] = {
    "Cluster": _of("cluster"), "Account": _of("account"), "User": _of("user"), "Problem": _of("problem"),
}  # fmt: skip
EVENT: dict[str, Getter] = {
    "Cluster": _of("cluster"), "NodeName": _of("node"), "State": lambda row: row["state"].upper(), "Reason": _of("reason"),
    "User": _of("user"), "TimeStart": lambda row: moment(row["since"], "Unknown"), "TimeEnd": lambda row: "Unknown",
    "Event": lambda row: "Node", "TRES": _of("tres"),
}  # fmt: skip
RESERVATION: dict[str, Getter] = {
    "Cluster": _of("cluster"), "Name": _of("name"), "TRES": lambda row: f"cpu={row['cpu_count']}" if row["cpu_count"] else "",
    "TimeStart": lambda row: moment(row["start_time"]), "TimeEnd": lambda row: moment(row["end_time"]), "NodeName": _of("nodes"),
    "Flags": lambda row: ",".join(row["flags"]),
}  # fmt: skip
TRANSACTION: dict[str, Getter] = {
    "Time": lambda row: moment(row["time"]), "Action": _of("action"), "Actor": _of("actor"), "Where": _of("where"), "Info": _of("info"),
}  # fmt: skip
