"""Which limits of accounts and QOS keep this job waiting, and who uses them up?"""

from collections.abc import Iterator

from corral.engine import charging
from corral.engine.admission import resolve
from corral.engine.context import Context
from corral.model.job import Job
from corral.scheduler.obstacles import Counted, Obstacle, obstacles
from corral.scheduler.quota import Bucket, Wanted, asked, asked_per_node, billed


def obstacles_of(ctx: Context, job: Job, partition: str, now: float) -> tuple[Obstacle, ...]:
    """Those that stand against it in one of its partitions, if it started now; none when limits are not enforced."""
    spec, place = ctx.state.spec(job), ctx.state.partitions.get(partition)
    if place is None:
        return ()
    rules = charging.rules_for(ctx, job, partition)
    if not rules.buckets:
        return ()
    demand = resolve(spec, charging.place_of(ctx, spec, place), ctx.config)
    amounts = asked(demand)
    if (billing := charging.billing_of(ctx, place)) is not None:
        amounts["billing"] = billed(amounts, billing)
    wanted = Wanted(amounts, asked_per_node(amounts, demand), job.time_limit, None)
    quota = charging.quota(ctx, (rules,), now)
    return obstacles(
        quota, rules, wanted, lambda bucket: whose(ctx, bucket), lambda one: _counted(ctx, one, now), job.reason
    )


def _counted(ctx: Context, bucket: Bucket, now: float) -> Iterator[Counted]:
    for job_id, tres, left in ctx.state.meter.holders(bucket, now):
        yield Counted(job_id, ctx.state.jobs[job_id].owner.user, tres, left)


def whose(ctx: Context, bucket: Bucket) -> str:
    """What is counted there, in words."""
    kind, name, *more = bucket
    if kind != "association":
        return f"QOS {name}" if kind == "qos" else f"{kind} {more[0]} in QOS {name}"
    one = ctx.state.books.associations[int(name)]
    if not one.user:
        return f"account {one.account}"
    return f"user {one.user} of account {one.account}" + (f" in partition {one.partition}" if one.partition else "")
