"""What sprio shows: of each waiting job that could start, in each of its partitions, the shares that make its priority."""

from typing import Any

import msgspec
from starlette.requests import Request

from corral.controller.api.http import caller_of
from corral.controller.api.privacy import visible
from corral.controller.api.service import Service
from corral.daemon import clock
from corral.engine import ranking
from corral.engine.admission import resolve
from corral.model.job import Job, JobState
from corral.scheduler import priority


async def get_priorities(service: Service, request: Request) -> dict[str, Any]:
    caller = caller_of(service, request)
    now = clock.now()
    context: Any = service.loop.context
    totals = ranking.totals(context)
    found = []
    for job in visible(service, caller, service.state.jobs.values()):
        if job.state is JobState.PENDING and job.priority and 0 < job.eligible_time <= now:
            found += [_row(context, job, name, totals, now) for name in _partitions(context, job)]
    weights = msgspec.to_builtins(service.config.priority)
    return {"weights": weights, "jobs": found}


def _partitions(context: Any, job: Job) -> list[str]:
    spec = context.state.specs[job.spec_id]
    return [name for name in (job.partition or spec.partition).split(",") if name in context.state.partitions]


def _row(context: Any, job: Job, partition: str, totals: priority.Totals, now: float) -> dict[str, Any]:
    """A priority that somebody has set is made of no shares."""
    state, weights = context.state, context.config.priority
    spec = state.specs[job.spec_id]
    nice = spec.nice if job.nice is None else job.nice
    row: dict[str, Any] = {
        "id": job.id, "user": job.owner.user, "partition": partition, "nice": 0 if job.priority_set else nice,
        "set": job.priority_set, "assoc": 0.0,
    }  # fmt: skip
    factors = priority.Factors()
    points = float(job.priority)
    if not job.priority_set:
        demand = resolve(spec, state.partitions[partition], context.config)
        factors = priority.factors(weights, demand, totals)
        share, qos = ranking.standing_factors(context, job.association, spec.qos, now)
        age = priority.age_factor(weights, job.eligible_time, now)
        factors = msgspec.structs.replace(factors, age=age, fair_share=share, qos=qos)
        if priority.weighs(weights):
            points = sum(
                getattr(weights, name) * getattr(factors, name)
                for name in ("age", "fair_share", "job_size", "partition", "qos")
            ) + sum(weight * factors.tres[name] for name, weight in weights.tres.items())
            points = float(priority.total(points, nice)) if points < nice + 1 else points - nice
    shares: dict[str, Any] = msgspec.to_builtins(factors)
    shares["partition_share"] = shares.pop("partition")
    return row | shares | {"priority": points}


ROUTES = (("GET", "/v1/priorities", get_priorities),)
