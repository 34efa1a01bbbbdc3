"""What sdiag shows: the controller's counters, and how many jobs wait and run. And how much the controller says in its log."""

from collections import Counter
from typing import Any, Literal

import msgspec
from starlette.requests import Request

from corral.controller.api.http import Refusal, body_of, caller_of
from corral.controller.api.service import Service
from corral.daemon import clock
from corral.model import ranges
from corral.model.job import JobState
from corral.protocol.replies import Done


class LogLevel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    level: Literal["error", "warning", "info", "debug"]


_decode = msgspec.json.Decoder(LogLevel).decode

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


async def put_log_level(service: Service, request: Request) -> Done:
    """Until it is set anew or the controller is started again."""
    if not caller_of(service, request).is_operator:
        raise Refusal("Permission denied", "denied")
    service.log.level = _decode(await body_of(request)).level
    service.log.warning("log level", level=service.log.level)
    return Done()


ROUTES = (
    ("PUT", "/v1/log", put_log_level),
    ("GET", "/v1/statistics", get_statistics),
    ("DELETE", "/v1/statistics", reset_statistics),
)
