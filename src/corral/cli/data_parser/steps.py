"""scontrol --json show step: a step as data_parser v0.0.40 has it (STEP_INFO)."""

from __future__ import annotations

from corral.cli.data_parser import document
from corral.cli.data_parser.values import NOT_SET, job_state, minutes, moment, number
from corral.cli.job_columns import gres_or_null

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from typing import Any

    from corral.client.connection import Connection

    Row = dict[str, Any]


def write(form: document.Form, rows: list[Row], connection: Connection, command: list[str]) -> None:
    cluster = document.cluster_of(connection)
    document.write(form, {"steps": [step(row, cluster) for row in rows]}, cluster, command)


def step(row: Row, cluster: str) -> Row:
    return {
        "array": {"job_id": row["array_job_id"] or 0, "task_id": row["array_task_id"] or 0},
        "cluster": cluster,
        "container": "",
        "container_id": "",
        "cpu": {"frequency": {"min": NOT_SET, "max": NOT_SET, "governor": NOT_SET}},
        "tres": {
            "per": {
                "cpu": "",
                "memory": "",
                "step": _asked(row["tres_per_step"]),
                "node": _asked(row["tres_per_node"]),
                "socket": "",
                "task": _asked(row["tres_per_task"]),
            },
            "allocation": row["tres"],
            "binding": row["tres_bind"],
            "frequency": "",
        },
        "name": row["name"],
        "network": "",
        "nodes": row["nodes"],
        "number_cpus": row["cpus"] if row["step"] >= 0 else 0,
        "number_tasks": row["ntasks"],
        "partition": row["partition"],
        "reserved_ports": row["ports"],
        "time": {
            "running": number(int(row["run_seconds"])),
            "start": moment(row["start_time"]),
            "limit": minutes(row["time_limit"]),
        },
        "srun": {"host": row["client_host"], "pid": row["client_pid"]},
        "state": job_state(row["state"]),
        "id": row["text"],
        "submit_line": row["submit_line"],
        "task": {"distribution": row["distribution"] or "Unknown"},
        "user": row["user"],
    }


def _asked(text: str) -> str:
    return gres_or_null(text) if text else ""
