"""What sdiag shows: the controller's counters, and how many jobs wait and run."""

from collections import Counter
from typing import Any

from starlette.requests import Request

from corral.controller.api.http import Refusal, caller_of
from corral.controller.api.service import Service
from corral.daemon import clock
from corral.model import ranges
from corral.model.job import JobState
from corral.protocol.replies import Done

#: Orders shown one by one.
_MOST_SHOWN = 25


async def get_statistics(service: Service, request: Request) -> dict[str, Any]:
    caller_of(service, request)
    now = clock.now()
    states: Counter[JobState] = Counter()
    for job in service.state.jobs.values():
        states[job.state] += ranges.count(job.array_waiting) or 1
    waiting = service.performer.waiting()
    return {
        **service.loop.statistics.shown(now),
        "orders": len(waiting),
        "orders_by_kind": Counter(kind for kind, _ in waiting),
        "orders_first": waiting[:_MOST_SHOWN],
        "transactions": service.loop.in_flight,
        "pending": states[JobState.PENDING],
        "running": states[JobState.RUNNING],
    }


async def reset_statistics(service: Service, request: Request) -> Done:
    if not caller_of(service, request).is_operator:
        raise Refusal("Access/permission denied", "denied")
    service.loop.statistics.reset(clock.now())
    return Done()


ROUTES = (
    ("GET", "/v1/statistics", get_statistics),
    ("DELETE", "/v1/statistics", reset_statistics),
)
