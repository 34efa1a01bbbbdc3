"""squeue --json and scontrol --json show job: the keys of Slurm 22.05's OpenAPI (v0.0.38)."""

from __future__ import annotations

from corral.cli.job_columns import elements, gres, het_ids
from corral.cli.output import write_old
from corral.cli.times import UNLIMITED

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from typing import Any

    from corral.cli.data_parser.document import Form
    from corral.client.connection import Connection

    Row = dict[str, Any]

#: What no job here has.
_FIXED: dict[str, Any] = {
    "burst_buffer": "", "burst_buffer_state": "", "cluster_features": "", "container": "",
    "core_spec": None, "thread_spec": None, "cpu_frequency_minimum": None,
    "cpu_frequency_maximum": None, "cpu_frequency_governor": None, "delay_boot": 0, "federation_origin": "",
    "federation_siblings_active": "", "federation_siblings_viable": "", "mcs_label": "",
    "tasks_per_board": 0,
    "profile": None, "reboot": False, "resize_time": 0,
    "show_flags": ["SHOW_ALL", "SHOW_DETAIL"], "sockets_per_board": 0,
    "tres_freq": "",
}  # fmt: skip


def write(form: Form, rows: list[Row], connection: Connection) -> None:
    cluster = connection.request("GET", "/v1/ping")["cluster"]
    write_old(form, "jobs", [_job(row, cluster) for row in rows])


def _second(time: float) -> int:
    return int(time or 0)


def _asked(text: str) -> str:
    return gres(text) if text else ""


def _wait_status(code: list[int]) -> int:
    return code[0] << 8 | code[1]


def _job(row: Row, cluster: str) -> Row:
    pending = row["state"] == "PENDING"
    limited = row["time_limit"] < UNLIMITED
    start = row["expected_start"] if pending else row["start_time"]
    end = row["end_time"] or (start + row["time_limit"] if start and limited else 0)
    held = row["alloc_detail"]
    return _FIXED | {
        "account": row["account"],
        "accrue_time": _second(row["eligible_time"]),
        "admin_comment": row["admin_comment"],
        "system_comment": row["system_comment"],
        "licenses": row["licenses"],
        "resv_name": row["reservation"],
        "het_job_id": row["het_job_id"] or 0,
        "het_job_id_set": "" if row["het_job_id"] is None else het_ids(row["het_job_id"], row["het_size"]),
        "het_job_offset": row["het_offset"],
        "array_job_id": row["array_job_id"] or 0,
        "array_task_id": row["array_task_id"],
        "array_max_tasks": row["array_throttle"],
        "array_task_string": elements(row["array_waiting"], row["array_throttle"]) if row["array_waiting"] else "",
        "batch_flag": row["batch_flag"],
        "batch_host": row["batch_host"],
        "flags": [],
        "cluster": cluster,
        "command": " ".join([row["command"], *(row["argv"] or ())]).strip(),
        "comment": row["comment"],
        "wckey": row["wckey"],
        "billable_tres": None if pending else float(row["cpus"]),
        "cpus_per_task": row["cpus_per_task"],
        "cpus_per_tres": f"gres:gpu:{row['cpus_per_gpu']}" if row["cpus_per_gpu"] else "",
        "deadline": _second(row["deadline"]),
        "dependency": row["dependency_left"],
        "derived_exit_code": _wait_status(row["derived_exit_code"]),
        "eligible_time": _second(row["eligible_time"]),
        "end_time": _second(end),
        "excluded_nodes": row["exclude"],
        "exit_code": _wait_status(row["exit_code"]),
        "features": row["constraint"],
        "gres_detail": [devices for _, _, _, devices in held if devices],
        "group_id": row["gid"],
        "group_name": row["group"],
        "job_id": row["id"],
        "job_resources": {
            "nodes": row["nodes"],
            "allocated_cores": row["cpus"],
            "allocated_hosts": row["node_count"],
            "allocated_nodes": [
                {"nodename": node, "cpus": cpus, "memory_allocated": memory, "gres": devices}
                for node, cpus, memory, devices in held
            ],
        }
        if held
        else {},
        "job_state": row["state"],
        "last_sched_evaluation": _second(row["start_time"] or row["submit_time"]),
        "max_cpus": 0,
        "max_nodes": row["nodes_max"],
        "memory_per_tres": f"gres:gpu:{row['memory_per_gpu_mb']}" if row["memory_per_gpu_mb"] else "",
        "name": row["name"],
        "nodes": row["nodes"],
        "nice": row["nice"] or None,
        "tasks_per_node": row["ntasks_per_node"],
        "cpus": row["cpus"],
        "node_count": row["node_count"],
        "tasks": row["ntasks"],
        "partition": row["partition"],
        "memory_per_node": row["memory_per_node_mb"],
        "memory_per_cpu": row["memory_per_cpu_mb"],
        "minimum_cpus_per_node": row["min_cpus_node"],
        "batch_features": row["batch_features"],
        "contiguous": row["contiguous"],
        "cores_per_socket": row["cores_per_socket"],
        "tasks_per_core": row["ntasks_per_core"],
        "tasks_per_socket": row["ntasks_per_socket"],
        "prefer": row["prefer"],
        "minimum_tmp_disk_per_node": row["tmp_disk_mb"],
        "sockets_per_node": row["sockets_per_node"],
        "threads_per_core": row["threads_per_core"],
        "tres_bind": f"gpu:{row['gpu_bind'].removeprefix('gpu:')}" if row["gpu_bind"] else "",
        "tres_per_socket": gres(row["gpus_per_socket"]) if row["gpus_per_socket"] else "",
        "preempt_time": _second(row["preempt_time"]),
        "pre_sus_time": _second(row["suspend_time"] - row["start_time"]) if row["suspend_time"] else 0,
        "priority": row["priority"],
        "association_id": row["association"],
        "qos": row["qos"],
        "required_nodes": row["req_nodes"],
        "requeue": bool(row["requeue"]),
        "restart_cnt": row["restarts"],
        "shared": {"NO": "none", "YES": "oversubscribe", "USER": "user"}.get(row["shared"], ""),
        "start_time": _second(start),
        "state_description": row["reason_text"],
        "state_reason": row["reason"],
        "standard_error": row["stderr_path"],
        "standard_input": row["stdin_path"],
        "standard_output": row["stdout_path"],
        "submit_time": _second(row["submit_time"]),
        "suspend_time": _second(row["suspend_time"]),
        "time_limit": int(row["time_limit"]) // 60 if limited else None,
        "time_minimum": _second(row["time_min"]) // 60,
        "tres_per_job": _asked(row["gpus"]),
        "tres_per_node": _asked(row["gres"]),
        "tres_per_task": _asked(row["gpus_per_task"]),
        "tres_req_str": row["tres_req"],
        "tres_alloc_str": row["tres_alloc"],
        "user_id": row["uid"],
        "user_name": row["user"],
        "current_working_directory": row["work_dir"],
    }
