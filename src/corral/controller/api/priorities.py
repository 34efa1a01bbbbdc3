"""What sprio shows: of each waiting job that could start, in each of its partitions, the shares that make its priority."""

from typing import Any

import msgspec
from starlette.requests import Request

from corral.controller.api.http import caller_of
from corral.controller.api.privacy import visible
from corral.controller.api.service import Service
from corral.daemon import clock
from corral.engine import ranking
from corral.engine.context import Context
from corral.model.job import ACTIVE, Job, JobState
from corral.scheduler import priority

_WAITING = frozenset({JobState.PENDING})
_LIVE = _WAITING | ACTIVE


async def get_priorities(service: Service, request: Request) -> dict[str, Any]:
    caller = caller_of(service, request)
    now = clock.now()
    context: Context = service.loop.context
    weights = service.config.priority
    totals = ranking.totals(context)
    states = _LIVE if weights.has("CALCULATE_RUNNING") else _WAITING
    found = []
    for job in visible(service, caller, service.state.jobs.values()):
        if job.state in states and job.priority and 0 < ranking.old_since(context, job) <= now:
            found += [_row(context, job, name, totals, now) for name in _partitions(context, job)]
    return {"type": weights.type, "weights": msgspec.to_builtins(weights), "jobs": found}


def _partitions(context: Context, job: Job) -> list[str]:
    spec = context.state.specs[job.spec_id]
    return [name for name in (job.partition or spec.partition).split(",") if name in context.state.partitions]


def _row(context: Context, job: Job, partition: str, totals: priority.Totals, now: float) -> dict[str, Any]:
    """A priority that somebody has set is made of no shares."""
    weights = context.config.priority
    nice = context.state.spec(job).nice if job.nice is None else job.nice
    factors, points = priority.Factors(), float(job.priority)
    if not job.priority_set:
        factors = ranking.factors_of(context, job, partition, totals, now)
        if priority.weighs(weights):
            points = max(1.0, priority.points_of(weights, factors) + job.site_factor - nice)
    shares: dict[str, Any] = msgspec.to_builtins(factors)
    shares["partition_share"] = shares.pop("partition")
    return shares | {
        "id": job.id, "user": job.owner.user, "partition": partition, "nice": 0 if job.priority_set else nice,
        "site": 0 if job.priority_set else job.site_factor, "set": job.priority_set, "priority": points,
    }  # fmt: skip


ROUTES = (("GET", "/v1/priorities", get_priorities),)
