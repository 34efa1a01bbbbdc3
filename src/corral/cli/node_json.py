"""sinfo --json and scontrol --json show node, partition: the keys of Slurm 22.05's OpenAPI (v0.0.38)."""

from __future__ import annotations

from corral.cli.output import write_old
from corral.cli.scontrol_node import tres
from corral.cli.times import UNLIMITED

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from typing import Any

    from corral.cli.data_parser.document import Form

    Row = dict[str, Any]


def write(form: Form, rows: list[Row]) -> None:
    write_old(form, "nodes", [_node(row) for row in rows])


def _node(row: Row) -> Row:
    return {
        "architecture": row["arch"],
        "burstbuffer_network_address": "",
        "boards": row["boards"],
        "boot_time": int(row["boot_time"]),
        "comment": row["comment"],
        "cores": row["cores_per_socket"],
        "cpu_binding": 0,
        "cpu_load": int(row["load"] * 100),
        "extra": "",
        "free_memory": row["free_memory_mb"],
        "cpus": row["cpus"],
        "last_busy": int(row["last_heard"]),
        "features": ",".join(row["features"]),
        "active_features": ",".join(row["features"]),
        "gres": row["gres"],
        "gres_drained": "N/A",
        "gres_used": row["gres_used"],
        "mcs_label": "",
        "name": row["name"],
        "next_state_after_reboot": row["next_state"] or "invalid",
        "address": row["address"],
        "hostname": row["hostname"],
        "state": row["state"].lower(),
        "state_flags": row["flags"],
        "next_state_after_reboot_flags": [],
        "operating_system": row["os"],
        "owner": None,
        "partitions": row["partitions"],
        "port": 0,
        "real_memory": row["memory_mb"],
        "reason": row["reason"],
        "reason_changed_at": int(row["reason_time"]),
        "reason_set_by_user": row["reason_by"] or None,
        "slurmd_start_time": int(row["agent_start_time"]),
        "sockets": row["sockets"],
        "threads": row["threads_per_core"],
        "temporary_disk": row["tmp_disk_mb"],
        "weight": row["weight"],
        "tres": tres(row["cpus"], row["memory_mb"], row["gpus_total"], billing=True),
        "slurmd_version": row["version"],
        "alloc_memory": row["memory_alloc_mb"],
        "alloc_cpus": row["cpus_alloc"],
        "idle_cpus": row["cpus"] - row["cpus_alloc"],
        "tres_used": tres(row["cpus_alloc"], row["memory_alloc_mb"], row["gpus_alloc"], billing=False) or None,
        "tres_weighted": float(row["cpus_alloc"]),
    }


def write_partitions(form: Form, rows: list[Row]) -> None:
    write_old(form, "partitions", [_partition(row) for row in rows])


def _minutes(seconds: int | None) -> int | None:
    return None if seconds is None or seconds >= UNLIMITED else seconds // 60


def _partition(row: Row) -> Row:
    return {
        "flags": [
            name
            for name, on in (("default", row["default"]), ("hidden", row["hidden"]), ("root_only", row["root_only"]))
            if on
        ],
        "preemption_mode": [row["preempt_mode"].lower()],
        "allowed_accounts": ",".join(row["allow_accounts"]),
        "allowed_groups": ",".join(row["allow_groups"]),
        "allowed_qos": ",".join(row["allow_qos"]),
        "denied_accounts": ",".join(row["deny_accounts"]),
        "default_time_limit": _minutes(row["default_time"]),
        "maximum_cpus_per_node": row["max_cpus_per_node"],
        "max_nodes_per_job": row["max_nodes"],
        "max_time_limit": _minutes(row["max_time"]),
        "min nodes per job": row["min_nodes"],
        "name": row["name"],
        "nodes": row["nodes"],
        "over_time_limit": None,
        "priority_job_factor": row["priority_job_factor"],
        "priority_tier": row["priority_tier"],
        "qos": "",
        "state": row["state"],
        "total_cpus": row["total_cpus"],
        "total_nodes": row["total_nodes"],
        "tres": row["tres"],
    }
