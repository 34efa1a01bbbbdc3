"""How does sdiag lay out the controller's counters?"""

from __future__ import annotations

import time

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    Figures = dict[str, Any]

    #: name, number, how often, microseconds
    Call = tuple[str, int, int, int]

#: What Slurm calls a request that means the same, and its number. Others are shown by our own name and 0.
SLURM_CALLS = {
    "AgentRegistered": ("MESSAGE_NODE_REGISTRATION_STATUS", 1002), "Reconfigure": ("REQUEST_RECONFIGURE", 1003),
    "get_ping": ("REQUEST_PING", 1008), "get_licenses": ("REQUEST_LICENSE_INFO", 1021), "get_config": ("REQUEST_BUILD_INFO", 2001),
    "get_jobs": ("REQUEST_JOB_INFO", 2003), "get_steps": ("REQUEST_JOB_STEP_INFO", 2005), "get_nodes": ("REQUEST_NODE_INFO", 2007),
    "get_partitions": ("REQUEST_PARTITION_INFO", 2009), "get_job": ("REQUEST_JOB_INFO_SINGLE", 2021),
    "get_reservations": ("REQUEST_RESERVATION_INFO", 2024), "get_priorities": ("REQUEST_PRIORITY_FACTORS", 2026),
    "get_topology": ("REQUEST_TOPO_INFO", 2028), "get_statistics": ("REQUEST_STATS_INFO", 2035),
    "reset_statistics": ("REQUEST_STATS_INFO", 2035), "get_node": ("REQUEST_NODE_INFO_SINGLE", 2040),
    "get_script": ("REQUEST_BATCH_SCRIPT", 2051), "HoldJobs": ("REQUEST_UPDATE_JOB", 3001),
    "ReleaseJobs": ("REQUEST_UPDATE_JOB", 3001), "UpdateJob": ("REQUEST_UPDATE_JOB", 3001),
    "UpdateNodes": ("REQUEST_UPDATE_NODE", 3002), "UpdatePartition": ("REQUEST_UPDATE_PARTITION", 3005),
    "CreatePartition": ("REQUEST_CREATE_PARTITION", 3004), "DeletePartition": ("REQUEST_DELETE_PARTITION", 3011),
    "SubmitJobs": ("REQUEST_SUBMIT_BATCH_JOB", 4003), "wait_for_job": ("REQUEST_JOB_READY", 4019),
    "CreateStep": ("REQUEST_JOB_STEP_CREATE", 5001), "SignalStep": ("REQUEST_CANCEL_JOB_STEP", 5005),
    "SuspendJobs": ("REQUEST_SUSPEND", 5014), "ResumeJobs": ("REQUEST_SUSPEND", 5014),
    "StepFinished": ("REQUEST_STEP_COMPLETE", 5016), "CompleteJob": ("REQUEST_COMPLETE_JOB_ALLOCATION", 5017),
    "RequeueJobs": ("REQUEST_JOB_REQUEUE", 5023), "CancelJobs": ("REQUEST_KILL_JOB", 5032),
    "NotifyJob": ("REQUEST_JOB_NOTIFY", 4022),
    "UpdateStep": ("REQUEST_UPDATE_JOB_STEP", 5029), "JobCleaned": ("MESSAGE_EPILOG_COMPLETE", 6012),
    "LaunchStep": ("REQUEST_LAUNCH_TASKS", 6001), "EndJob": ("REQUEST_TERMINATE_JOB", 6011),
}  # fmt: skip

_STARS = "*" * 55


def called(name: str) -> tuple[str, int]:
    """HEARTBEAT of Heartbeat, WAIT_FOR_STEP of wait_for_step."""
    words = "".join(f"_{letter}" if letter.isupper() else letter for letter in name).lstrip("_")
    return SLURM_CALLS.get(name) or (f"CORRAL_{words.upper()}", 0)


def calls(figures: Figures, order: str = "") -> list[Call]:
    """The most frequent first, or as --sort-by-... says."""
    together: dict[tuple[str, int], list[int]] = {}
    for one in figures["requests"]:
        sums = together.setdefault(called(one["name"]), [0, 0])
        sums[0] += one["count"]
        sums[1] += one["sum"]
    found = [(name, number, count, total) for (name, number), (count, total) in together.items()]
    return _sorted(found, order)


def users(figures: Figures, order: str = "") -> list[Call]:
    return _sorted([(one["user"], one["uid"], one["count"], one["sum"]) for one in figures["users"]], order)


def _sorted(found: list[Call], order: str) -> list[Call]:
    def key(one: Call) -> tuple[float, str]:
        name, number, count, total = one
        rank = {"sort-by-id": number, "sort-by-time": -total, "sort-by-time2": -_mean(total, count)}.get(order, -count)
        return rank, name

    return sorted(found, key=key)


def _mean(total: int, count: int) -> int:
    return total // count if count else 0


def text(figures: Figures, order: str = "") -> str:
    return "\n".join([*_head(figures), *_cycles(figures), *_backfill(figures), *_requests(figures, order)]) + "\n"


def _when(moment: float) -> str:
    return time.strftime("%a %b %e %H:%M:%S %Y", time.localtime(moment))


def _dated(moment: float) -> str:
    return f"{_when(moment)} ({int(moment)})"


def _head(figures: Figures) -> list[str]:
    now, since, jobs = figures["time"], figures["since"], figures["jobs"]
    return [
        _STARS,
        f"sdiag output at {_dated(now)}",
        f"Data since      {_dated(since)}",
        _STARS,
        f"Server thread count:  {figures['in_work']}",
        f"Agent queue size:     {figures['orders']}",
        "Agent count:          0",
        "Agent thread count:   0",
        f"DBD Agent queue size: {figures['transactions']}",
        "",
        f"Jobs submitted: {jobs['submitted']}",
        f"Jobs started:   {jobs['started']}",
        f"Jobs completed: {jobs['completed']}",
        f"Jobs canceled:  {jobs['canceled']}",
        f"Jobs failed:    {jobs['failed']}",
        "",
        f"Job states ts:  {_dated(now)}",
        f"Jobs pending:   {figures['pending']}",
        f"Jobs running:   {figures['running']}",
        "",
    ]


def _cycles(figures: Figures) -> list[str]:
    cycle = figures["cycle"]
    lines = [
        "Main schedule statistics (microseconds):",
        f"\tLast cycle:   {cycle['last']}",
        f"\tMax cycle:    {cycle['max']}",
        f"\tTotal cycles: {cycle['count']}",
    ]
    if cycle["count"]:
        lines += [
            f"\tMean cycle:   {cycle['sum'] // cycle['count']}",
            f"\tMean depth cycle:  {cycle['depth']['sum'] // cycle['count']}",
        ]
    minutes = per_minute(figures)
    if minutes is not None:
        lines.append(f"\tCycles per minute: {minutes}")
    return [*lines, f"\tLast queue length: {cycle['queue_length']}", ""]


def per_minute(figures: Figures) -> int | None:
    """None = it has not been counted for a minute yet."""
    minutes = int(figures["time"] - figures["since"]) // 60
    return figures["cycle"]["count"] // minutes if minutes else None


def _backfill(figures: Figures) -> list[str]:
    one = figures["backfill"]
    count = one["count"]
    lines = [
        "Backfilling stats",
        f"\tTotal backfilled jobs (since last slurm start): {one['jobs_ever']}",
        f"\tTotal backfilled jobs (since last stats cycle start): {one['jobs']}",
        "\tTotal backfilled heterogeneous job components: 0",
        f"\tTotal cycles: {count}",
        f"\tLast cycle when: {_dated(one['when']) if one['when'] else 'N/A'}",
        f"\tLast cycle: {one['last']}",
        f"\tMax cycle:  {one['max']}",
    ]
    if count:
        lines.append(f"\tMean cycle: {one['sum'] // count}")
    lines += [
        f"\tLast depth cycle: {one['depth']['last']}",
        f"\tLast depth cycle (try sched): {one['tries']['last']}",
    ]
    if count:
        lines += [
            f"\tDepth Mean: {one['depth']['sum'] // count}",
            f"\tDepth Mean (try depth): {one['tries']['sum'] // count}",
        ]
    lines.append(f"\tLast queue length: {one['queue']['last']}")
    if count:
        lines.append(f"\tQueue length mean: {one['queue']['sum'] // count}")
    lines.append(f"\tLast table size: {one['table']['last']}")
    if count:
        lines.append(f"\tMean table size: {one['table']['sum'] // count}")
    return [*lines, "", f"Latency for 1000 calls to gettimeofday(): {figures['clock_latency']} microseconds", ""]


def _requests(figures: Figures, order: str) -> list[str]:
    return [
        "Remote Procedure Call statistics by message type",
        *[
            f"\t{name:<40}({number:5}) count:{count:<6} ave_time:{_mean(total, count):<6} total_time:{total}"
            for name, number, count, total in calls(figures, order)
        ],
        "",
        "Remote Procedure Call statistics by user",
        *[
            f"\t{name:<16}({number:8}) count:{count:<6} ave_time:{_mean(total, count):<6} total_time:{total}"
            for name, number, count, total in users(figures, order)
        ],
        "",
        "Pending RPC statistics",
        *(list(_pending(figures)) or ["\tNo pending RPCs"]),
    ]


def _pending(figures: Figures) -> Iterable[str]:
    for kind, count in figures["orders_by_kind"].items():
        name, number = called(kind)
        yield f"\t{name:<40}({number:5}) count:{count:<6}"
    if figures["orders_first"]:
        yield ""
        yield "Pending RPCs"
    for place, (kind, node) in enumerate(figures["orders_first"], 1):
        yield f"\t{place:2}: {called(kind)[0]:<36} {node}"
