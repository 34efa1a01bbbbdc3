"""Which waiting jobs grow older, and how many of an association, QOS, user or account do?

Of those that are held to a number (MaxJobsAccrue, GrpJobsAccrue) the first to become eligible do.
"""

from collections.abc import Iterable

from corral.engine import charging
from corral.engine.context import Context
from corral.engine.rules import buckets
from corral.engine.state import NOT_YET
from corral.model import ranges
from corral.model.job import Job, JobId
from corral.scheduler.quota import Bucket, Rule

#: A waiting job: since when it is eligible, its id, and the rules that hold it to a number, if any.
Waiting = tuple[float, int, list[Rule]]


def without_age(ctx: Context, waiting: Iterable[Waiting]) -> set[int]:
    """Those that are too many. All count where they count, also those that are held to no number there."""
    meter = ctx.state.meter
    counts: dict[Bucket, int] = {}
    found = set()
    for _, number, rules in sorted(waiting, key=lambda entry: entry[:2]):
        if any(counts.get(rule.bucket, 0) >= rule.limit for rule in rules):
            found.add(number)
            continue
        for bucket in meter.buckets_of(JobId(number)):
            counts[bucket] = counts.get(bucket, 0) + 1
    return found


def accruing(ctx: Context, now: float) -> dict[Bucket, int]:
    """How many grow older, by where they count."""
    state = ctx.state
    waiting = [state.jobs[JobId(key[2])] for key in state.queue]
    waiting = [job for job in waiting if job.reason not in NOT_YET and 0 < job.eligible_time <= now]
    stuck = without_age(ctx, ((job.eligible_time, job.id, _rules(ctx, job)) for job in waiting))
    found: dict[Bucket, int] = {}
    for job in waiting:
        if job.id not in stuck:
            for bucket in _buckets(ctx, job):
                found[bucket] = found.get(bucket, 0) + (ranges.count(job.array_waiting) or 1)
    return found


def _rules(ctx: Context, job: Job) -> list[Rule]:
    if not ctx.state.books or not charging.enforced(ctx, "limits"):
        return []
    spec = ctx.state.spec(job)
    first = job.partition.partition(",")[0]
    return list(charging.rules_of(ctx, job.association, spec.qos, job.owner.user, first).accruing)


def _buckets(ctx: Context, job: Job) -> tuple[Bucket, ...]:
    """How many grow older counts in the job's own QOS, not in its partition's."""
    state, spec = ctx.state, ctx.state.spec(job)
    own = state.books.associations.get(job.association)
    qos = (spec.qos,) if spec.qos in state.books.qos else ()
    return buckets(state.books, own.id if own else 0, qos, job.owner.user, own.account if own else spec.account)
