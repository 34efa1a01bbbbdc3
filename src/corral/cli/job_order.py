"""In which order does squeue show jobs and steps?"""

from __future__ import annotations

from corral.cli.job_columns import STATE_LETTERS

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from typing import Any

    from corral.cli.sorting import Key


_NEVER = float("inf")


def _by_id(job: int, array: int | None, task: int | None) -> tuple[int, float]:
    """What still waits of an array comes after its elements."""
    return array or job, _NEVER if task is None else task


def _known_start(began: float, expected: float, state: str) -> float:
    """What has no start yet comes last."""
    return (expected if state == "PENDING" else began) or _NEVER


def _latest_start(began: float, expected: float, state: str) -> float:
    """-S: also then."""
    start = expected if state == "PENDING" else began
    return -start if start else _NEVER


def _end(ends: float, expected: float, limit: float, state: str) -> float:
    """What has no end yet comes first, what may run for ever last."""
    if state == "PENDING":
        return expected + limit if expected else 0.0
    return ends or _NEVER


def by_first_node(nodes: str) -> tuple[bool, str]:
    """dgx[0180-0181] comes right behind dgx0180; no nodes come last."""
    return not nodes, nodes.replace("[", "", 1)


SORT_KEYS: dict[str, Key] = {
    # What all jobs have alike puts none before another.
    **dict.fromkeys("dHIJsvwXz", ("id", lambda job: 0)),
    "a": ("account", None), "A": ("id", None), "b": ("gres", None), "B": ("batch_host", None), "c": ("cpus_per_task", None),
    "C": ("cpus", None), "D": ("node_count", None), "e": ("end_time expected_start time_limit state", _end),
    "E": ("dependency", None), "f": ("constraint", None),
    "F": ("array_job_id id", lambda array, job: array or job), "g": ("group", None), "G": ("gid", None),
    "h": ("shared", None),
    "i": ("id array_job_id array_task_id", _by_id), "j": ("name", None), "k": ("comment", None),
    "K": ("array_task_id", lambda task: -1 if task is None else task), "l": ("time_limit", None),
    "L": ("time_limit run_seconds", lambda limit, used: limit - used),
    "m": ("memory_per_node_mb memory_per_cpu_mb", lambda node, cpu: node or cpu or 0), "M": ("run_seconds", None),
    "n": ("req_nodes", None), "N": ("nodes", by_first_node), "o": ("command", None), "O": ("contiguous", None),
    "p": ("priority", None), "P": ("partition", None),
    "q": ("qos", None), "Q": ("priority", None), "r": ("reason", None), "R": ("reason", None),
    "S": ("start_time expected_start state", _known_start),
    "-S": ("start_time expected_start state", _latest_start), "t": ("state", STATE_LETTERS.__getitem__), "T": ("state", None),
    "u": ("user", None), "U": ("uid", None), "V": ("submit_time", None),
    "W": ("licenses", None), "x": ("exclude", None), "y": ("nice", None),
    "Y": ("expected_nodes", None), "Z": ("work_dir", None),
}  # fmt: skip


def _by_step(job: int, step: int) -> tuple[int, int]:
    """Slurm counts the batch step behind the numbered ones."""
    return job, step & 0xFFFFFFFF


STEP_SORT_KEYS: dict[str, Key] = {
    "i": ("job step", _by_step), "j": ("name", None), "l": ("time_limit", None), "M": ("run_seconds", None),
    "N": ("nodes", by_first_node), "P": ("partition", None), "S": ("start_time", None), "u": ("user", None), "U": ("uid", None),
    "A": ("ntasks", None), "t": ("state", None),
}  # fmt: skip


def natural(fields: list[str]) -> Any:
    """Jobs in the order they were submitted, an array's elements together."""
    job, array, task = fields.index("id"), fields.index("array_job_id"), fields.index("array_task_id")

    def key(row: list[Any]) -> tuple[int, float]:
        return row[array] or row[job], _NEVER if row[task] is None else row[task]

    return key
