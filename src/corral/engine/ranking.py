"""Which priority does a job get when it enters, is released or made nicer, and of which shares is it made?"""

import msgspec

from corral.engine import charging
from corral.engine.admission import resolve
from corral.engine.context import Context
from corral.engine.partitions import partition_rows
from corral.model.allocation import default_charge
from corral.model.job import UNLIMITED, Job, JobSpec
from corral.scheduler import priority
from corral.scheduler.demand import Demand
from corral.scheduler.priority import BASE_PRIORITY, TOP_PRIORITY, Factors, Totals
from corral.scheduler.quota import asked, billed


def priority_of(
    ctx: Context,
    spec: JobSpec,
    partition: str,
    nice: int,
    eligible: float,
    now: float,
    association: int = 0,
    *,
    number: int = 0,
    site: int = 0,
    time_limit: int = UNLIMITED,
) -> int:
    """`eligible` = since when it could have started; `number` = the job's id."""
    weights = ctx.config.priority
    if weights.type == "basic":
        return priority.total(TOP_PRIORITY - number, nice, site)
    if not priority.weighs(weights):
        return priority.total(BASE_PRIORITY, nice, site)
    known = ctx.state.partitions
    demands = tuple(resolve(spec, known[name], ctx.config) for name in partition.split(",") if name in known)
    points = priority.fixed_part(weights, demands, totals(ctx), time_limit, charges(ctx, demands))
    points += priority.age_part(weights, eligible, now) + standing(ctx, association, spec.qos, now)
    return priority.total(points, nice, site)


def factors_of(ctx: Context, job: Job, partition: str, cluster: Totals, now: float) -> Factors:
    """The shares of a job in one of its partitions, as they are now."""
    spec, weights = ctx.state.spec(job), ctx.config.priority
    demand = resolve(spec, ctx.state.partitions[partition], ctx.config)
    (charge,) = charges(ctx, (demand,)) or (0,)
    found = priority.factors(weights, demand, cluster, job.time_limit, charge)
    share, qos, assoc = standing_factors(ctx, job.association, spec.qos, now)
    age = priority.age_factor(weights, old_since(ctx, job), now)
    return msgspec.structs.replace(found, age=age, fair_share=share, qos=qos, assoc=assoc)


def old_since(ctx: Context, job: Job) -> float:
    """From when on it grows older; 0 = it does not yet."""
    return job.submit_time if ctx.config.priority.has("ACCRUE_ALWAYS") else job.eligible_time


def standing(ctx: Context, association: int, qos: str, now: float) -> float:
    """The points of its association and its QOS."""
    share, part, assoc = standing_factors(ctx, association, qos, now)
    return priority.standing_part(ctx.config.priority, share, part, assoc)


def standing_factors(ctx: Context, association: int, qos: str, now: float) -> tuple[float, float, float]:
    """Fair share, QOS and association, from 0 to 1; only what weighs something is worked out."""
    weights, books = ctx.config.priority, ctx.state.books
    if not (weights.fair_share or weights.qos or weights.assoc) or not books:
        return 0.0, 0.0, 0.0
    share = ctx.standings.factor(ctx.state, weights, association, now) if weights.fair_share and association else 0.0
    qos_part = assoc = 0.0
    own = books.qos.get(qos)
    if weights.qos and own is not None:
        largest = 1 if weights.has("NO_NORMAL_QOS") else ctx.standings.largest(ctx.state)
        qos_part = own.priority / largest if largest else 0.0
    if weights.assoc and association in books.associations:
        number = books.effective(association).priority or 0
        largest = 1 if weights.has("NO_NORMAL_ASSOC") else ctx.standings.largest_association(ctx.state)
        assoc = number / largest if largest else 0.0
    return share, qos_part, assoc


def charges(ctx: Context, demands: tuple[Demand, ...]) -> tuple[int, ...]:
    """What a second of each is charged with; () when that weighs nothing."""
    if "billing" not in ctx.config.priority.tres:
        return ()
    return tuple(_charge(ctx, demand) for demand in demands)


def _charge(ctx: Context, demand: Demand) -> int:
    billing, amounts = charging.billing_of(ctx, ctx.state.partitions[demand.partition]), asked(demand)
    return amounts["billing"] if billing is None else billed(amounts, billing)


def totals(ctx: Context) -> Totals:
    """The cluster as it is now; worked out anew when nodes, partitions or the configuration have changed."""
    ledger = ctx.state.ledger
    basis = (ledger.version, *ctx.state.partitions.values(), ctx.config.priority)
    if ctx.totals is None or ctx.totals[0] != basis:
        ctx.totals = (basis, _totals(ctx))
    return ctx.totals[1]


def _totals(ctx: Context) -> Totals:
    ledger = ctx.state.ledger
    return Totals(
        nodes=len(ledger),
        cpus=int(ledger.cpus.sum()),
        tres=_tres(ctx) if ctx.config.priority.tres else {},
        factors={name: partition.priority_job_factor for name, partition in ctx.state.partitions.items()},
    )


def _tres(ctx: Context) -> dict[str, dict[str, int]]:
    """What each partition has."""
    ledger, found = ctx.state.ledger, {}
    for name, partition in ctx.state.partitions.items():
        rows = partition_rows(ctx.state, partition, ledger)
        own = {"cpu": int(ledger.cpus[rows].sum()), "mem": int(ledger.memory[rows].sum()), "node": int(rows.sum())}
        for (kind, _), column in ledger.total_gres.items():
            own[f"gres/{kind}"] = own.get(f"gres/{kind}", 0) + int(column[rows].sum())
        billing = charging.billing_of(ctx, partition)
        plain = default_charge(own["cpu"], own.get("gres/gpu", 0))
        own["billing"] = plain if billing is None else billed(own, billing)
        found[name] = own
    return found
