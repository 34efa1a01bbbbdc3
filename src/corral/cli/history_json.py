"""sacct --json: the keys of Slurm 22.05's OpenAPI (dbv0.0.38)."""

from __future__ import annotations

from corral.cli.output import write_old
from corral.cli.times import UNLIMITED
from corral.errors import InvalidSize
from corral.syntax import size

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from typing import Any

    from corral.cli.data_parser.document import Form

    Row = dict[str, Any]

_IDS = {"cpu": 1, "mem": 2, "energy": 3, "node": 4, "billing": 5}


def write(form: Form, rows: list[Row]) -> None:
    jobs: list[Row] = []
    for row in rows:
        if row["step"] is None:
            jobs.append(_job(row))
        elif jobs and jobs[-1]["job_id"] == row["job_id"]:
            jobs[-1]["steps"].append(_step(row))
    write_old(form, "jobs", jobs)


def _exit(pair: list[int]) -> Row:
    code, signal = pair
    if signal:
        return {"status": "SIGNALED", "return_code": code, "signal": {"signal_id": signal, "name": ""}}
    return {"status": "ERROR" if code else "SUCCESS", "return_code": code}


def _span(seconds: float) -> Row:
    return {"seconds": int(seconds), "microseconds": int(seconds % 1 * 1_000_000)}


def _times(row: Row) -> Row:
    return {
        "elapsed": int(row["elapsed"]),
        "end": int(row["end"]),
        "start": int(row["start"]),
        "suspended": int(row["suspended"]),
        "system": _span(row["system_seconds"]),
        "total": _span(row["system_seconds"] + row["user_seconds"]),
        "user": _span(row["user_seconds"]),
    }


def _tres(text: str) -> list[Row]:
    """cpu=2,mem=4G,gres/gpu=1 as a list of records."""
    found = []
    for part in text.split(",") if text else ():
        key, _, value = part.partition("=")
        kind, slash, name = key.partition("/")
        try:
            count = size.parse_printed(value) if kind == "mem" else int(value)
        except (ValueError, InvalidSize):
            continue
        found.append({"type": kind, "name": name if slash else None, "id": _IDS.get(key, 0), "count": count})
    return found


def _memory(text: str) -> int:
    try:
        return size.parse_printed(text)
    except InvalidSize:
        return 0


def _job(row: Row) -> Row:
    limited = row["time_limit"] < UNLIMITED
    return {
        "account": row["account"],
        "comment": {
            "administrator": row["admin_comment"] or None,
            "job": row["comment"] or None,
            "system": row["system_comment"] or None,
        },
        "allocation_nodes": row["node_count"],
        "array": {
            "job_id": row["array_job_id"] or 0,
            "limits": {"max": {"running": {"tasks": 0}}},
            "task": None,
            "task_id": row["array_task_id"],
        },
        "association": {"account": row["account"], "cluster": row["cluster"], "partition": None, "user": row["user"]},
        "cluster": row["cluster"],
        "constraints": "",
        "container": None,
        "derived_exit_code": _exit(row["derived_exit_code"]),
        "time": {
            **_times(row),
            "eligible": int(row["eligible"]),
            "submission": int(row["submit"]),
            "limit": int(row["time_limit"]) // 60 if limited else None,
        },
        "exit_code": _exit(row["exit_code"]),
        "flags": [],
        "group": row["group"],
        "het": {"job_id": 0, "job_offset": None},
        "job_id": row["job_id"],
        "name": row["name"],
        "mcs": {"label": ""},
        "nodes": row["nodes"] or "None assigned",
        "partition": row["partition"],
        "priority": None,
        "qos": row["qos"],
        "required": {"CPUs": row["req_cpus"], "memory": _memory(row["req_mem"])},
        "kill_request_user": row["cancelled_by"],
        "reservation": {"id": row["reservation_id"], "name": 0},
        "state": {"current": row["state"], "reason": row["reason"] or "None"},
        "steps": [],
        "tres": {"allocated": _tres(row["tres_alloc"]), "requested": _tres(row["tres_req"])},
        "user": row["user"],
        "wckey": {"wckey": row["wckey"], "flags": []},
        "working_directory": row["work_dir"],
    }


def _step(row: Row) -> Row:
    from corral.syntax import hostlist

    name = row["jobid"].rpartition(".")[2]
    return {
        "nodes": {"list": hostlist.expand(row["nodes"]), "count": row["node_count"], "range": row["nodes"]},
        "tres": {
            "requested": {"max": [], "min": [], "average": [], "total": []},
            "consumed": {"max": [], "min": [], "average": [], "total": []},
            "allocated": _tres(row["tres_alloc"]),
        },
        "time": _times(row),
        "exit_code": _exit(row["exit_code"]),
        "tasks": {"count": row["ntasks"]},
        "pid": None,
        "CPU": {"requested_frequency": {"min": None, "max": None}, "governor": []},
        "kill_request_user": row["cancelled_by"],
        "state": row["state"],
        "statistics": {"CPU": {"actual_frequency": 0}, "energy": {"consumed": 0}},
        "step": {
            "job_id": row["job_id"],
            "het": {"component": None},
            "id": int(name) if name.isdigit() else name,
            "name": row["name"],
        },
        "task": {"distribution": "Unknown"},
    }
