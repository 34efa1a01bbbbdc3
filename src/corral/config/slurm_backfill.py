"""What of SchedulerParameters says which waiting jobs get a planned start, and which of its words have no meaning here?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

#: Word -> key of [scheduling], and how its value is read.
_KEYS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "bf_window": ("backfill_window", lambda text: int(text) * 60),
    "bf_resolution": ("backfill_resolution", int),
    "bf_max_job_test": ("backfill_max_jobs", int),
    "bf_max_job_user": ("backfill_max_per_user", int),
    "bf_max_job_part": ("backfill_max_per_partition", int),
    "bf_max_job_assoc": ("backfill_max_per_association", int),
    "bf_max_job_array_resv": ("backfill_max_array", int),
    "bf_job_part_count_reserve": ("backfill_plans_per_partition", int),
    "bf_min_age_reserve": ("backfill_min_age", int),
    "bf_min_prio_reserve": ("backfill_min_priority", int),
    "bf_busy_nodes": ("backfill_busy_nodes", lambda text: True),
    "max_switch_wait": ("max_switch_wait", int),
    "sched_min_interval": ("cycle_interval", lambda text: max(0.01, int(text) / 1e6)),
}
#: Words that bound how long a cycle may keep all others waiting, or how much of the queue it looks at: here it looks at all, in
#: slices between which everybody is answered. And what is always so: planned starts count licences and running jobs, a job has one, a
#: heterogeneous job starts as a whole.
NOT_NEEDED = frozenset({
    "defer", "batch_sched_delay", "build_queue_timeout", "default_queue_depth", "partition_job_depth", "max_rpc_cnt", "max_sched_time",
    "sched_interval", "sched_max_job_start", "bf_continue", "bf_interval", "bf_max_time", "bf_max_job_start", "bf_node_space_size",
    "bf_yield_interval", "bf_yield_rpc_cnt", "bf_yield_sleep", "bf_licenses", "bf_running_job_reserve", "bf_one_resv_per_job",
    "bf_hetjob_immediate", "bf_hetjob_prio",
})  # fmt: skip


def switches(text: str) -> dict[str, Any]:
    """The keys of [scheduling]. Values that are no numbers are left to `unknown`."""
    found: dict[str, Any] = {}
    for word in filter(None, text.split(",")):
        name, _, value = word.partition("=")
        if name in _KEYS and not unknown(word):
            key, read = _KEYS[name]
            found[key] = read(value)
        if word in ("bf_interval=-1", "bf_max_time=0"):
            found["backfill"] = False
    return found


def unknown(word: str) -> bool:
    """Is there nothing like it?"""
    name, _, value = word.partition("=")
    if name in _KEYS:
        return not value.isdigit() and name != "bf_busy_nodes"
    return name not in NOT_NEEDED or word == "sched_interval=-1"
