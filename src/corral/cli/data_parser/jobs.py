"""squeue --json and scontrol --json show job: a job as data_parser v0.0.40 has it (JOB_INFO)."""

from __future__ import annotations

from corral.cli import query
from corral.cli.data_parser import document
from corral.cli.data_parser.values import INFINITE, NOT_SET, exit_status, job_state, minutes, moment, number, words
from corral.cli.job_columns import command_line, elements, gres_or_null, het_ids

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from typing import Any

    from corral.client.connection import Connection

    Row = dict[str, Any]

    #: node -> cores of a socket, threads of a core
    Shapes = dict[str, tuple[int, int]]


def write(form: document.Form, rows: list[Row], connection: Connection, command: list[str] | None = None) -> None:
    import time

    cluster = document.cluster_of(connection)
    shapes = _shapes(connection) if any(row["alloc_detail"] for row in rows) else {}
    now = time.time()
    body = {
        "jobs": [job(row, cluster, shapes) for row in rows],
        "last_backfill": moment(connection.request("GET", "/v1/statistics")["backfill"]["when"]),
        "last_update": document.written_at(now),
    }
    document.write(form, body, cluster, command)


def _shapes(connection: Connection) -> Shapes:
    found = query.rows(connection, "/v1/nodes", ["name", "cores_per_socket", "threads_per_core"])
    return {name: (cores or 1, threads or 1) for name, cores, threads in found.rows}


def job(row: Row, cluster: str, shapes: Shapes) -> Row:
    pending = row["state"] == "PENDING"
    start = row["expected_start"] if pending else row["start_time"]
    end = row["end_time"]
    if pending:
        end = start + row["time_limit"] if start and minutes(row["time_limit"])["set"] else 0
    return {
        "account": row["account"],
        "accrue_time": moment(row["eligible_time"]),
        "admin_comment": row["admin_comment"],
        "allocating_node": row["submit_host"],
        "array_job_id": number(row["array_job_id"] or 0),
        "array_task_id": number(row["array_task_id"]),
        "array_max_tasks": number(row["array_throttle"]),
        "array_task_string": elements(row["array_waiting"], row["array_throttle"]) if row["array_waiting"] else "",
        "association_id": row["association"],
        "batch_features": row["batch_features"],
        "batch_flag": row["batch_flag"],
        "batch_host": row["batch_host"],
        "flags": ["JOB_WAS_RUNNING"] if row["start_time"] else [],
        "burst_buffer": "",
        "burst_buffer_state": "",
        "cluster": cluster,
        "cluster_features": "",
        "command": command_line(row["command"], row["argv"]) if row["command"] else "",
        "comment": row["comment"],
        "container": "",
        "container_id": "",
        "contiguous": bool(row["contiguous"]),
        "core_spec": 0,
        "thread_spec": 32766,
        "cores_per_socket": number(row["cores_per_socket"] or None),
        "billable_tres": NOT_SET if pending else number(float(row["cpus"])),
        "cpus_per_task": number(row["cpus_per_task"]),
        "cpu_frequency_minimum": NOT_SET,
        "cpu_frequency_maximum": NOT_SET,
        "cpu_frequency_governor": NOT_SET,
        "cpus_per_tres": f"gres:gpu:{row['cpus_per_gpu']}" if row["cpus_per_gpu"] else "",
        "cron": row["cron"],
        "deadline": moment(row["deadline"]),
        "delay_boot": number(0),
        "dependency": row["dependency_left"],
        "derived_exit_code": exit_status(row["derived_exit_code"]),
        "eligible_time": moment(row["eligible_time"]),
        "end_time": moment(end),
        "excluded_nodes": row["exclude"],
        "exit_code": exit_status(row["exit_code"]),
        "extra": row["extra"],
        "failed_node": "",
        "features": row["constraint"],
        "federation_origin": "",
        "federation_siblings_active": "",
        "federation_siblings_viable": "",
        "gres_detail": [devices for *_, devices in row["alloc_detail"] if devices],
        "group_id": row["gid"],
        "group_name": row["group"],
        "het_job_id": number(row["het_job_id"] or 0),
        "het_job_id_set": "" if row["het_job_id"] is None else het_ids(row["het_job_id"], row["het_size"]),
        "het_job_offset": number(row["het_offset"]),
        "job_id": row["id"],
        "job_resources": _resources(row, shapes) if row["alloc_detail"] else {},
        "job_size_str": [],
        "job_state": job_state(row["state"], row["end_state"]),
        "last_sched_evaluation": moment(row["start_time"] or row["submit_time"]),
        "licenses": row["licenses"],
        "mail_type": list(row["mail_types"]),
        "mail_user": row["mail_user"] or row["user"],
        "max_cpus": number(0),
        "max_nodes": number(row["nodes_max"]),
        "mcs_label": "",
        "memory_per_tres": f"gres:gpu:{row['memory_per_gpu_mb']}" if row["memory_per_gpu_mb"] else "",
        "name": row["name"],
        "network": "",
        "nodes": row["nodes"],
        "nice": row["nice"],
        "tasks_per_core": _or_endless(row["ntasks_per_core"]),
        "tasks_per_tres": number(row["ntasks_per_gpu"] or 0),
        "tasks_per_node": number(row["ntasks_per_node"]),
        "tasks_per_socket": _or_endless(row["ntasks_per_socket"]),
        "tasks_per_board": number(0),
        "cpus": number(row["cpus"]),
        "node_count": number(row["node_count"]),
        "tasks": number(row["ntasks"]),
        "partition": row["partition"],
        "prefer": row["prefer"],
        "memory_per_cpu": number(row["memory_per_cpu_mb"]),
        "memory_per_node": NOT_SET if row["memory_per_cpu_mb"] else number(row["memory_per_node_mb"] or 0),
        "minimum_cpus_per_node": number(row["min_cpus_node"]),
        "minimum_tmp_disk_per_node": number(row["tmp_disk_mb"]),
        "power": {"flags": []},
        "preempt_time": moment(row["preempt_time"]),
        "preemptable_time": moment(row["preemptable_time"]),
        "pre_sus_time": moment(row["suspend_time"] - row["start_time"] if row["suspend_time"] else 0),
        "priority": number(row["priority"]),
        "profile": ["NOT_SET"],
        "qos": row["qos"],
        "reboot": False,
        "required_nodes": row["req_nodes"],
        "minimum_switches": row["req_switches"],
        "requeue": bool(row["requeue"]),
        "resize_time": moment(row["resize_time"]),
        "restart_cnt": row["restarts"],
        "resv_name": row["reservation"],
        "scheduled_nodes": row["expected_nodes"],
        "selinux_context": "",
        "shared": ["none"] if row["exclusive"] else [],
        "exclusive": ["true"] if row["exclusive"] else [],
        "oversubscribe": not row["exclusive"],
        "show_flags": ["ALL", "DETAIL", "LOCAL"],
        "sockets_per_board": 0,
        "sockets_per_node": number(row["sockets_per_node"] or None),
        "start_time": moment(start),
        "state_description": row["reason_text"],
        "state_reason": row["reason"],
        "standard_error": row["stderr_path"],
        "standard_input": row["stdin_path"],
        "standard_output": row["stdout_path"],
        "submit_time": moment(row["submit_time"]),
        "suspend_time": moment(row["suspend_time"]),
        "system_comment": row["system_comment"],
        "time_limit": minutes(row["time_limit"]),
        "time_minimum": number(int(row["time_min"]) // 60),
        "threads_per_core": number(row["threads_per_core"] or None),
        "tres_bind": f"gpu:{row['gpu_bind'].removeprefix('gpu:')}" if row["gpu_bind"] else "",
        "tres_freq": "",
        "tres_per_job": _asked(row["gpus"]),
        "tres_per_node": _asked(row["gres"]),
        "tres_per_socket": _asked(row["gpus_per_socket"]),
        "tres_per_task": _asked(row["gpus_per_task"]),
        "tres_req_str": row["tres_req"],
        "tres_alloc_str": row["tres_alloc"],
        "user_id": row["uid"],
        "user_name": row["user"],
        "maximum_switch_wait_time": row["switches_wait"] or 0,
        "wckey": row["wckey"],
        "current_working_directory": row["work_dir"],
    }


def _or_endless(count: int | None) -> Row:
    return number(count) if count else INFINITE


def _asked(text: str) -> str:
    return gres_or_null(text) if text else ""


def _resources(row: Row, shapes: Shapes) -> Row:
    return {
        "nodes": row["nodes"],
        "allocated_cores": row["cpus"],
        "allocated_cpus": 0,
        "allocated_hosts": row["node_count"],
        "allocated_nodes": [
            {
                "sockets": _sockets(cpus, shapes.get(node, (1, 1))),
                "nodename": node,
                "cpus_used": 0,
                "memory_used": 0,
                "memory_allocated": memory,
            }
            for node, cpus, memory, _ in row["alloc_detail"]
        ],
    }


def _sockets(cpus: str, shape: tuple[int, int]) -> Row:
    """Which cores of which sockets 0-3,8 are."""
    per_socket, threads = shape
    found: Row = {}
    for part in words(cpus):
        first, _, last = part.partition("-")
        for cpu in range(int(first), int(last or first) + 1):
            socket, core = divmod(cpu // threads, per_socket)
            found.setdefault(str(socket), {"cores": {}})["cores"][str(core)] = "allocated"
    return found
