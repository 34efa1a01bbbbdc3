"""scontrol --json show node and show partition, sinfo --json: as data_parser v0.0.40 has them (NODE, PARTITION_INFO, SINFO_DATA)."""

from __future__ import annotations

import time

from corral.cli.data_parser import document
from corral.cli.data_parser.values import NOT_SET, minutes, moment, most, number
from corral.cli.scontrol_node import tres
from corral.syntax import hostlist

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from typing import Any

    from corral.client.connection import Connection

    Row = dict[str, Any]

    #: least and most
    Bounds = tuple[float, float]


def write(form: document.Form, rows: list[Row], connection: Connection, command: list[str] | None = None) -> None:
    cluster = document.cluster_of(connection)
    body = {"nodes": [node(row, cluster) for row in rows], "last_update": document.written_at(time.time())}
    document.write(form, body, cluster, command)


def node(row: Row, cluster: str) -> Row:
    return {
        "architecture": row["arch"],
        "burstbuffer_network_address": "",
        "boards": row["boards"],
        "boot_time": moment(row["boot_time"]),
        "cluster_name": cluster,
        "cores": row["cores_per_socket"],
        "specialized_cores": 0,
        "cpu_binding": 0,
        "cpu_load": number(int(row["load"] * 100)),
        "free_mem": number(row["free_memory_mb"]),
        "cpus": row["cpus"],
        "effective_cpus": row["cpus"],
        "specialized_cpus": "",
        "energy": _ENERGY,
        "external_sensors": {},
        "extra": "",
        "power": {},
        "features": row["features"],
        "active_features": row["features"],
        "gres": row["gres"],
        "gres_drained": "N/A",
        "gres_used": row["gres_used"],
        "last_busy": moment(row["last_heard"]),
        "mcs_label": "",
        "specialized_memory": 0,
        "name": row["name"],
        "next_state_after_reboot": [(row["next_state"] or "invalid").upper()],
        "address": row["address"],
        "hostname": row["hostname"],
        "state": [row["state"], *row["flags"]],
        "operating_system": row["os"],
        "owner": "",
        "partitions": row["partitions"],
        "port": 0,
        "real_memory": row["memory_mb"],
        "comment": row["comment"],
        "reason": row["reason"],
        "reason_changed_at": moment(row["reason_time"]),
        "reason_set_by_user": row["reason_by"],
        "resume_after": number(0),
        "reservation": row["reservation"],
        "alloc_memory": row["memory_alloc_mb"],
        "alloc_cpus": row["cpus_alloc"],
        "alloc_idle_cpus": row["cpus"] - row["cpus_alloc"],
        "tres_used": tres(row["cpus_alloc"], row["memory_alloc_mb"], row["gpus_alloc"], billing=False),
        "tres_weighted": float(row["cpus_alloc"]),
        "slurmd_start_time": moment(row["agent_start_time"]),
        "sockets": row["sockets"],
        "threads": row["threads_per_core"],
        "temporary_disk": row["tmp_disk_mb"],
        "weight": row["weight"],
        "tres": tres(row["cpus"], row["memory_mb"], row["gpus_total"], billing=True),
        "version": row["version"],
    }


_ENERGY = {
    "average_watts": 0,
    "base_consumed_energy": 0,
    "consumed_energy": 0,
    "current_watts": NOT_SET,
    "previous_consumed_energy": 0,
    "last_collected": 0,
}


def write_partitions(
    form: document.Form, rows: list[Row], connection: Connection, command: list[str] | None = None
) -> None:
    cluster = document.cluster_of(connection)
    body = {"partitions": [partition(row) for row in rows], "last_update": document.written_at(time.time())}
    document.write(form, body, cluster, command)


def partition(row: Row) -> Row:
    return {
        "nodes": {"allowed_allocation": "", "configured": row["nodes"], "total": row["total_nodes"]},
        "accounts": {"allowed": ",".join(row["allow_accounts"]), "deny": ",".join(row["deny_accounts"])},
        "groups": {"allowed": ",".join(row["allow_groups"])},
        "qos": {
            "allowed": ",".join(row["allow_qos"]),
            "deny": ",".join(row.get("deny_qos", ())),
            "assigned": row.get("qos", ""),
        },
        "alternate": "",
        "tres": {"billing_weights": "", "configured": row["tres"]},
        "cluster": "",
        "cpus": {"task_binding": 0, "total": row["total_cpus"]},
        "defaults": {
            "memory_per_cpu": row["default_memory_per_cpu_mb"] or row["default_memory_per_node_mb"] or 0,
            "partition_memory_per_cpu": number(row["default_memory_per_cpu_mb"]),
            "partition_memory_per_node": number(row["default_memory_per_node_mb"]),
            "time": minutes(row["default_time"]),
            "job": "",
        },
        "grace_time": row["grace_time"],
        "maximums": {
            "cpus_per_node": most(row["max_cpus_per_node"]),
            "cpus_per_socket": most(None),
            "memory_per_cpu": row["max_memory_per_node_mb"] or 0,
            "partition_memory_per_cpu": NOT_SET,
            "partition_memory_per_node": number(row["max_memory_per_node_mb"]),
            "nodes": most(row["max_nodes"]),
            "shares": 1,
            "time": minutes(row["max_time"]),
            "over_time_limit": NOT_SET,
        },
        "minimums": {"nodes": row["min_nodes"]},
        "name": row["name"],
        "node_sets": "",
        "priority": {"job_factor": row["priority_job_factor"], "tier": row["priority_tier"]},
        "timeouts": {"resume": NOT_SET, "suspend": NOT_SET},
        "partition": {"state": [row["state"]]},
        "suspend_time": NOT_SET,
    }


#: What a line of `sinfo --json` is grouped by and shows.
GROUP_FIELDS = (
    "partition", "state_text", "features", "gres", "gres_used", "reason", "reason_by", "reason_time", "comment", "hostname",
    "address", "memory_alloc_mb", "cpus", "sockets", "cores_per_socket", "threads_per_core", "tmp_disk_mb", "memory_mb", "weight",
    "load", "free_memory_mb",
)  # fmt: skip


def write_groups(form: document.Form, lines: list[Row], connection: Connection) -> None:
    document.write(form, {"sinfo": [group(line) for line in lines]}, document.cluster_of(connection))


def group(line: Row) -> Row:
    taken, idle, other, total = line["nodes_by_state"]
    cpus = line["cpus_by_state"]
    return {
        "port": 0,
        "node": {"state": line["state_words"]},
        "nodes": {
            "allocated": taken,
            "idle": idle,
            "other": other,
            "total": total,
            "hostnames": [line["hostname"]] if line["hostname"] else [],
            "addresses": [line["address"]] if line["address"] else [],
            "nodes": hostlist.expand(line["nodes"]) if line["nodes"] else [],
        },
        "cpus": {
            "allocated": cpus[0],
            "idle": cpus[1],
            "other": cpus[2],
            "total": cpus[3],
            **_between(line["cpus"]),
            "load": _between(tuple(int(load * 100) for load in line["load"])),
            "per_node": {"max": most(line["max_cpus_per_node"])},
        },
        "sockets": _between(line["sockets"]),
        "cores": _between(line["cores_per_socket"]),
        "threads": _between(line["threads_per_core"]),
        "disk": _between(line["tmp_disk_mb"]),
        "memory": {
            **_between(line["memory_mb"]),
            "free": {name: number(value) for name, value in _between(line["free_memory_mb"]).items()},
            "allocated": line["memory_alloc_mb"],
        },
        "weight": _between(line["weight"]),
        "features": {"total": ",".join(line["features"]), "active": ",".join(line["features"])},
        "gres": {"total": line["gres"], "used": line["gres_used"]},
        "cluster": "",
        "comment": line["comment"],
        "extra": "",
        "reason": {"description": line["reason"], "time": int(line["reason_time"]), "user": line["reason_by"]},
        "reservation": "",
        "partition": partition({**line, "name": line["partition"], "nodes": line["partition_nodes"]}),
    }


def _between(bounds: Bounds | tuple[float, ...]) -> Row:
    return {"minimum": bounds[0], "maximum": bounds[1]}
