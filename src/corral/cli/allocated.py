"""Which SLURM_* variables does the command of salloc get?"""

from __future__ import annotations

import os

from corral.syntax.runlength import counts

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from typing import Any

    from corral.cli.given import Given

#: What is asked of the job's row.
FIELDS = (
    "id", "name", "state", "account", "qos", "partition", "nodes", "node_count", "node_names", "alloc_detail",
    "tasks_per_node", "memory_mb", "reservation", "cpus_per_node", "ntasks", "ports",
)  # fmt: skip


def variables(row: dict[str, Any], given: Given, cluster: str) -> dict[str, str]:
    """Always there, and those that are there only when the thing was asked for."""
    job, nodes = str(row["id"]), row["nodes"]
    result = {
        "SLURM_CLUSTER_NAME": cluster,
        "SLURM_JOBID": job,
        "SLURM_JOB_ID": job,
        "SLURM_JOB_ACCOUNT": row.get("account"),
        "SLURM_JOB_CPUS_PER_NODE": counts(row["cpus_per_node"]),
        "SLURM_JOB_NAME": row["name"],
        "SLURM_JOB_NODELIST": nodes,
        "SLURM_JOB_NUM_NODES": str(row["node_count"]),
        "SLURM_JOB_PARTITION": row["partition"],
        "SLURM_JOB_QOS": row.get("qos"),
        "SLURM_JOB_RESERVATION": row.get("reservation"),
        "SLURM_NNODES": str(row["node_count"]),
        "SLURM_NODELIST": nodes,
        "SLURM_NODE_ALIASES": "(null)",
        "SLURM_SUBMIT_DIR": os.getcwd(),
        "SLURM_SUBMIT_HOST": os.uname().nodename,
        "SLURM_TASKS_PER_NODE": counts(row["tasks_per_node"]),
        "CORRAL_PORTS": _each(row.get("ports", "")),
    }
    result |= _asked(row, given)
    return {name: str(value) for name, value in result.items() if value not in (None, "")}


def _each(ports: str) -> str:
    """12000-12002 -> 12000,12001,12002."""
    from corral.syntax import arrayspec

    return ",".join(map(str, arrayspec.parse(ports, 1 << 16).indices)) if ports else ""


#: What is told of the whole of a heterogeneous allocation.
_WHOLE = frozenset({"SLURM_CLUSTER_NAME", "SLURM_SUBMIT_DIR", "SLURM_SUBMIT_HOST"})


def of_components(rows: list[dict[str, Any]], parts: list[Given], cluster: str) -> dict[str, str]:
    """Of each component with _HET_GROUP_n behind, and by its older name."""
    result = {"SLURM_HET_SIZE": str(len(rows)), "SLURM_PACK_SIZE": str(len(rows)), "SLURM_JOB_ID": str(rows[0]["id"])}
    tasks = 0
    for number, (row, given) in enumerate(zip(rows, parts, strict=False)):
        for name, value in variables(row, given, cluster).items():
            if name in _WHOLE:
                result[name] = value
            else:
                result[f"{name}_HET_GROUP_{number}"] = result[f"{name}_PACK_GROUP_{number}"] = value
        tasks += int(result.get(f"SLURM_NTASKS_HET_GROUP_{number}", row["node_count"]))
    return result | {"SLURM_NTASKS": str(tasks), "SLURM_NPROCS": str(tasks)}


def _asked(row: dict[str, Any], given: Given) -> dict[str, Any]:
    tasks = given.get("ntasks") or (given.get("ntasks-per-node") or 0) * row["node_count"] or None
    if not tasks and "ntasks-per-gpu" in given:
        tasks = row["ntasks"]
    memory = given.get("mem")
    if memory == 0:
        memory = row["alloc_detail"][0][2]
    return {
        "SLURM_NTASKS": tasks,
        "SLURM_NPROCS": tasks,
        "SLURM_NTASKS_PER_NODE": given.get("ntasks-per-node"),
        "SLURM_CPUS_PER_TASK": given.get("cpus-per-task"),
        "SLURM_CPUS_PER_GPU": given.get("cpus-per-gpu"),
        "SLURM_MEM_PER_NODE": memory,
        "SLURM_MEM_PER_CPU": given.get("mem-per-cpu"),
        "SLURM_MEM_PER_GPU": given.get("mem-per-gpu"),
        "SLURM_GPUS": _gpus(given.get("gpus")),
        "SLURM_GPUS_PER_NODE": _gpus(given.get("gpus-per-node")),
        "SLURM_GPUS_PER_TASK": _gpus(given.get("gpus-per-task")),
        "SLURM_GPUS_PER_SOCKET": _gpus(given.get("gpus-per-socket")),
        "SLURM_GPU_BIND": given.get("gpu-bind"),
        **_memory_binding(given.get("mem-bind") or ""),
        "SLURM_HINT": given.get("hint"),
        "SLURM_NTASKS_PER_CORE": given.get("ntasks-per-core"),
        "SLURM_NTASKS_PER_GPU": given.get("ntasks-per-gpu"),
        "SLURM_NTASKS_PER_SOCKET": given.get("ntasks-per-socket"),
        "SLURM_THREADS_PER_CORE": given.get("threads-per-core"),
        "SLURM_DISTRIBUTION": (given.get("distribution") or "").partition("=")[0],
        "SLURM_DIST_PLANESIZE": (given.get("distribution") or "").partition("=")[2],
        "SLURM_OVERCOMMIT": "1" if "overcommit" in given else None,
    }


def _memory_binding(text: str) -> dict[str, str]:
    words = [word for word in text.split(",") if word]
    kinds = [word for word in words if word not in ("q", "quiet", "v", "verbose")]
    how = "verbose" if words[:1] in (["v"], ["verbose"]) else "quiet"
    return {"SLURM_MEM_BIND": kinds[0], "SLURM_MEM_BIND_VERBOSE": how} if kinds else {}


def _gpus(requests: list[list[Any]] | None) -> str | None:
    return ",".join(f"{kind}:{count}" if kind else str(count) for _, kind, count in requests) if requests else None
