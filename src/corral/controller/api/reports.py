"""What sreport adds up: who has used how much within some hours, what the cluster had, and how large jobs were."""

import asyncio
from typing import Any

import msgspec
from starlette.requests import Request

from corral.controller import runs
from corral.controller.api import query
from corral.controller.api.http import Refusal, caller_of
from corral.controller.api.privacy import sees_all
from corral.controller.api.service import Service
from corral.daemon import clock
from corral.protocol.replies import JobRows
from corral.store.rollup import HOUR, PLANNED, NodeChange, Usage, add_run, add_size, amounts_of, hours, sizes
from corral.store.rows import HistoryQuery, Run


class Span(msgspec.Struct):
    """Whole hours, none of them in the future."""

    since: int
    until: int


def span_of(request: Request, now: float) -> Span:
    since, until = int(query.number(request, "since")), int(query.number(request, "until"))
    if since % HOUR or until % HOUR or since < 0 or until <= since:
        raise Refusal("since, until: whole hours, the later one last")
    return Span(since, min(until, int(now) // HOUR * HOUR + HOUR))


async def get_utilization(service: Service, request: Request) -> dict[str, Any]:
    """What was used by whom, and what became of all that there was."""
    caller = caller_of(service, request)
    now = clock.now()
    span = span_of(request, now)
    live: Usage = {}
    for run in live_runs(service):
        add_run(live, run, now, (span.since, span.until))
    used = await asyncio.to_thread(service.store.usage, span.since, span.until)
    by_hour = await asyncio.to_thread(service.store.cpu_hours, span.since, span.until)
    changes = await asyncio.to_thread(service.store.node_changes, float(span.until))
    for key, seconds in live.items():
        if span.since <= key.hour < span.until:
            if key.tres != PLANNED:
                used[key[1:]] = used.get(key[1:], 0.0) + seconds
            if key.tres in ("cpu", PLANNED):
                by_hour[key.hour, key.tres] = by_hour.get((key.hour, key.tres), 0.0) + seconds
    cluster = await asyncio.to_thread(cluster_time, changes, used, by_hour, span, min(now, span.until))
    if not sees_all(service, caller):
        used = {key: seconds for key, seconds in used.items() if key[1] == caller.user}
    return {
        "cluster": service.config.cluster,
        "since": span.since,
        "until": span.until,
        "tres": cluster,
        "usage": [[*key, seconds] for key, seconds in sorted(used.items())],
    }


def live_runs(service: Service) -> list[Run]:
    state = service.state
    return [runs.run_of(job, state.specs[job.spec_id]) for job in state.jobs.values() if not job.has_ended]


def cluster_time(
    changes: list[NodeChange], used: dict[tuple[str, str, str, str], float], by_hour: dict[tuple[int, str], float], span: Span,
    until: float,
) -> dict[str, dict[str, float]]:  # fmt: skip
    """By resource: seconds in all, in use, down, waited for, idle; and how much of it there is."""
    total: dict[str, float] = {}
    down: dict[str, float] = {}
    count: dict[str, int] = {}
    levels: dict[float, float] = {}  #: when CPUs that are up come and go
    for index, change in enumerate(changes):
        following = changes[index + 1] if index + 1 < len(changes) else None
        is_last = following is None or following.node != change.node
        start = max(change.time, span.since)
        end = until if is_last else min(following.time, until)  # type: ignore[union-attr]
        if is_last and change.kind != "gone":
            for name, amount in amounts_of(change.tres):
                count[name] = count.get(name, 0) + amount
        if end <= start or change.kind == "gone":
            continue
        for name, amount in amounts_of(change.tres):
            total[name] = total.get(name, 0.0) + amount * (end - start)
            if change.kind == "down":
                down[name] = down.get(name, 0.0) + amount * (end - start)
            elif name == "cpu":
                levels[start] = levels.get(start, 0.0) + amount
                levels[end] = levels.get(end, 0.0) - amount
    in_use: dict[str, float] = {}
    for (_, _, _, name), seconds in used.items():
        in_use[name] = in_use.get(name, 0.0) + seconds
    planned = over = 0.0
    up_by_hour = _by_hour(levels)
    for (hour, name), seconds in by_hour.items():
        if name == PLANNED:
            idle = max(0.0, up_by_hour.get(hour, 0.0) - by_hour.get((hour, "cpu"), 0.0))
            planned += min(seconds, idle)
            over += max(0.0, seconds - idle)
    found = {}
    for name in {*total, *in_use}:
        held, lost = total.get(name, 0.0), down.get(name, 0.0)
        # What still ran on a node that was being drained is in use, not down.
        allocated = min(in_use.get(name, 0.0), held)
        lost = min(lost, held - allocated)
        waited = min(planned, held - allocated - lost) if name == "cpu" else 0.0
        found[name] = {
            "count": count.get(name, 0), "total": held, "allocated": allocated, "down": lost, "planned_down": 0.0, "planned": waited,
            "idle": held - allocated - lost - waited, "over": over if name == "cpu" else 0.0,
        }  # fmt: skip
    return found


def _by_hour(levels: dict[float, float]) -> dict[int, float]:
    """How much there was in each hour, in seconds of one, when it came and went at these times."""
    found: dict[int, float] = {}
    level = before = 0.0
    for time, change in sorted(levels.items()):
        if level > 0:
            for hour, seconds in hours(before, time):
                found[hour] = found.get(hour, 0.0) + level * seconds
        level, before = level + change, time
    return found


async def get_sizes(service: Service, request: Request) -> JobRows:
    """How long jobs of which size ran."""
    caller = caller_of(service, request)
    now = clock.now()
    span = span_of(request, now)
    users = query.words(request, "users")
    if not sees_all(service, caller):
        users = tuple(user for user in users or (caller.user,) if user == caller.user) or ("",)
    wanted = HistoryQuery(
        users=users,
        accounts=query.words(request, "accounts"),
        partitions=query.words(request, "partitions"),
        gids=tuple(map(int, query.numbers(request, "gids"))),
        nodes=query.nodes(request),
        since=span.since,
        until=span.until,
    )
    found = {row[:4]: [row.seconds, row.jobs] for row in await asyncio.to_thread(service.store.job_sizes, wanted)}
    for run in live_runs(service):
        is_named = (not wanted.users or run.user in wanted.users) and (
            not wanted.accounts or run.account in wanted.accounts
        )
        if is_named and (not wanted.partitions or run.partition in wanted.partitions):
            add_size(found, run, wanted, now)
    rows = [list(row) for row in sizes(found)]
    return JobRows(fields=("account", "wckey", "user", "tres", "seconds", "jobs"), rows=rows)


ROUTES = (
    ("GET", "/v1/reports/utilization", get_utilization),
    ("GET", "/v1/reports/sizes", get_sizes),
)
