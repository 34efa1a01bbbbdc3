"""Which priority does a job get when it enters, is released or made nicer?"""

from corral.engine.admission import resolve
from corral.engine.context import Context
from corral.model.job import JobSpec
from corral.scheduler import priority
from corral.scheduler.priority import BASE_PRIORITY, Totals

#: Seconds between two looks at how long jobs have waited.
INTERVAL = 30.0


def priority_of(
    ctx: Context, spec: JobSpec, partition: str, nice: int, eligible: float, now: float, association: int = 0
) -> int:
    """`eligible` = since when it could have started."""
    weights = ctx.config.priority
    if not priority.weighs(weights):
        return BASE_PRIORITY - nice
    known = ctx.state.partitions
    demands = tuple(resolve(spec, known[name], ctx.config) for name in partition.split(",") if name in known)
    points = priority.fixed_part(weights, demands, totals(ctx)) + priority.age_part(weights, eligible, now)
    points += standing(ctx, association, spec.qos, now)
    return priority.total(points, nice)


def standing(ctx: Context, association: int, qos: str, now: float) -> float:
    """The points of its association and its QOS."""
    share, part = standing_factors(ctx, association, qos, now)
    return priority.standing_part(ctx.config.priority, share, part)


def standing_factors(ctx: Context, association: int, qos: str, now: float) -> tuple[float, float]:
    """Fair share and QOS, from 0 to 1; only what weighs something is worked out."""
    weights, books = ctx.config.priority, ctx.state.books
    if not (weights.fair_share or weights.qos) or not books:
        return 0.0, 0.0
    share = ctx.standings.factor(ctx.state, association, now) if weights.fair_share and association else 0.0
    largest = ctx.standings.largest(ctx.state)
    own = books.qos.get(qos)
    return share, own.priority / largest if own is not None and largest else 0.0


def totals(ctx: Context) -> Totals:
    """The cluster as it is now."""
    ledger = ctx.state.ledger
    tres: dict[str, int] = {}
    if ctx.config.priority.tres:
        tres = {"cpu": int(ledger.cpus.sum()), "mem": int(ledger.memory.sum()), "node": len(ledger)}
        for (name, _), column in ledger.total_gres.items():
            tres[f"gres/{name}"] = tres.get(f"gres/{name}", 0) + int(column.sum())
    return Totals(
        nodes=len(ledger),
        cpus=int(ledger.cpus.sum()),
        tres=tres,
        factors={name: partition.priority_job_factor for name, partition in ctx.state.partitions.items()},
    )
