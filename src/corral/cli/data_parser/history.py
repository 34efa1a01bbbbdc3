"""sacct --json: jobs and steps as data_parser v0.0.40 has them (JOB, STEP)."""

from __future__ import annotations

from corral.cli.data_parser import document
from corral.cli.data_parser.values import NOT_SET, exit_status, job_state, minutes, moment, number, tres, tres_record
from corral.cli.usage_columns import USED_IN, USED_OUT
from corral.errors import InvalidSize
from corral.syntax import hostlist, size

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from typing import Any

    Row = dict[str, Any]


def write(form: document.Form, rows: list[Row], cluster: str) -> None:
    """Steps stand in their job."""
    jobs: list[Row] = []
    for row in rows:
        if row["step"] is None:
            jobs.append(job(row))
        elif jobs and jobs[-1]["job_id"] == row["job_id"]:
            jobs[-1]["steps"].append(step(row))
    document.write(form, {"jobs": jobs}, cluster)


_FLAGS = {
    "SchedSubmit": "STARTED_ON_SUBMIT", "SchedMain": "STARTED_ON_SCHEDULE", "SchedBackfill": "STARTED_ON_BACKFILL",
}  # fmt: skip


def _flags(started_by: str) -> list[str]:
    return [_FLAGS[started_by], "START_RECEIVED"] if started_by else ["START_RECEIVED"]


def job(row: Row) -> Row:
    pending = row["state"] == "PENDING"
    waiting = row["jobid"].partition("_[")[2]
    return {
        "account": row["account"],
        "comment": {"administrator": row["admin_comment"], "job": row["comment"], "system": row["system_comment"]},
        "allocation_nodes": row["node_count"],
        "array": {
            "job_id": row["array_job_id"] or 0,
            "limits": {"max": {"running": {"tasks": 0}}},
            "task_id": number(row["array_task_id"]),
            "task": waiting.rstrip("]"),
        },
        "association": {
            "account": row["account"],
            "cluster": row["cluster"],
            "partition": "",
            "user": row["user"],
            "id": row["association"],
        },
        "block": "",
        "cluster": row["cluster"],
        "constraints": row["constraint"],
        "container": "",
        "derived_exit_code": exit_status(row["derived_exit_code"]),
        "time": {
            "elapsed": int(row["elapsed"]),
            "eligible": int(row["eligible"]),
            "end": int(row["end"]),
            "start": int(row["start"]),
            "submission": int(row["submit"]),
            "suspended": int(row["suspended"]),
            **_processor(row),
            "limit": minutes(row["time_limit"]),
        },
        "exit_code": exit_status(row["exit_code"], pending),
        "extra": "",
        "failed_node": "",
        "flags": _flags(row["started_by"]),
        "group": row["group"],
        "het": {"job_id": 0, "job_offset": NOT_SET},
        "job_id": row["job_id"],
        "name": row["name"],
        "licenses": "",
        "mcs": {"label": ""},
        "nodes": row["nodes"] or "None assigned",
        "partition": row["partition"],
        "priority": number(row["priority"]),
        "qos": row["qos"],
        "required": {
            "CPUs": row["req_cpus"],
            "memory_per_cpu": number(_megabytes(row["req_mem"])) if row["memory_per_cpu"] else NOT_SET,
            "memory_per_node": NOT_SET if row["memory_per_cpu"] else number(_megabytes(row["req_mem"])),
        },
        "kill_request_user": _who(row["cancelled_by"]),
        "reservation": {"id": row["reservation_id"], "name": row["reservation"]},
        "script": "",
        "state": {"current": job_state(row["state"]), "reason": row["reason"] or "None"},
        "steps": [],
        "submit_line": row["submit_line"],
        "tres": {"allocated": tres(row["tres_alloc"]), "requested": tres(row["tres_req"])},
        "used_gres": "",
        "user": row["user"],
        "wckey": {"wckey": row["wckey"], "flags": []},
        "working_directory": row["work_dir"],
    }


def step(row: Row) -> Row:
    name = row["jobid"].rpartition(".")[2]
    return {
        "time": {
            "elapsed": int(row["elapsed"]),
            "end": moment(row["end"]),
            "start": moment(row["start"]),
            "suspended": int(row["suspended"]),
            **_processor(row),
        },
        "exit_code": exit_status(row["exit_code"]),
        "nodes": {
            "count": row["node_count"],
            "range": row["nodes"],
            "list": hostlist.expand(row["nodes"]) if row["nodes"] else [],
        },
        "tasks": {"count": row["ntasks"]},
        "pid": "",
        "CPU": {"requested_frequency": {"min": number(0), "max": number(0)}, "governor": "0"},
        "kill_request_user": _who(row["cancelled_by"]),
        "state": job_state(row["state"]),
        "statistics": {"CPU": {"actual_frequency": 0}, "energy": {"consumed": number(0)}},
        "step": {"id": f"{row['job_id']}.{name}", "name": row["name"]},
        "task": {"distribution": "Unknown"},
        "tres": {
            "requested": _used(row["usage"], USED_IN),
            "consumed": _used(row["usage"], USED_OUT),
            "allocated": tres(row["tres_alloc"]),
        },
    }


def _used(usage: Row | None, kinds: tuple[tuple[str, str], ...]) -> Row:
    """Slurm calls what the tasks took in "requested" and what they gave out "consumed"."""
    known = [(name, usage[kind]) for name, kind in kinds if kind in usage] if usage else []
    return {
        "max": [
            tres_record(name, one["max"]) | {"task": one["max_task"], "node": one["max_node"]} for name, one in known
        ],
        "min": [
            tres_record(name, one["min"]) | {"task": one["min_task"], "node": one["min_node"]} for name, one in known
        ],
        "average": [tres_record(name, one["ave"]) for name, one in known],
        "total": [tres_record(name, one["total"]) for name, one in known],
    }


def _processor(row: Row) -> Row:
    user, system = row["user_seconds"], row["system_seconds"]
    return {"system": _span(system), "total": _span(user + system), "user": _span(user)}


def _span(seconds: float) -> Row:
    return {"seconds": int(seconds), "microseconds": int(seconds % 1 * 1_000_000)}


def _megabytes(text: str) -> int:
    try:
        return size.parse_printed(text)
    except InvalidSize:
        return 0


def _who(uid: int | None) -> str:
    if uid is None:
        return ""
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
