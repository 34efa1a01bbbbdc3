"""To which association is a job charged, with which QOS, and do the limits let it into the queue?"""

from collections.abc import Iterable

import msgspec

from corral.engine.admission import resolve
from corral.engine.books import Books
from corral.engine.context import Context
from corral.engine.exempt import spared
from corral.engine.meter import qos_of
from corral.engine.rights import level_of
from corral.engine.rules import ignored
from corral.model import ranges
from corral.model.allocation import Allocation
from corral.model.job import UNLIMITED, Job, JobSpec, Owner
from corral.model.partition import Partition
from corral.model.qos import NORMAL
from corral.model.reason import Reason
from corral.protocol.replies import Rejected
from corral.protocol.requests import Caller
from corral.scheduler import limits
from corral.scheduler.demand import Demand
from corral.scheduler.plan import NotNow
from corral.scheduler.quota import EMPTY, Billing, Bucket, Quota, Rules, gets, refused_alone
from corral.scheduler.together import Way, held_back
from corral.syntax import arrayspec

INVALID_ACCOUNT = "Invalid account or account/partition combination specified"
INVALID_QOS = "Invalid qos specification"
AGAINST_POLICY = "Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)"


class Charge(msgspec.Struct, frozen=True):
    """The spec with account and QOS put in, and the association; 0 = none."""

    spec: JobSpec
    association: int = 0


def enforced(ctx: Context, what: str) -> bool:
    """Limits and QOS need associations, and `safe` needs limits: as in Slurm each brings what it needs."""
    chosen = ctx.config.accounting.enforce
    if what == "associations":
        return bool(chosen)
    if what == "limits":
        return "limits" in chosen or "safe" in chosen
    return what in chosen


def charge(ctx: Context, spec: JobSpec, owner: Owner, caller: Caller, partitions: list[Partition]) -> Charge | Rejected:
    """Without any accounts, and when nothing is enforced, the spec is as it was."""
    books = ctx.state.books
    if not books and not enforced(ctx, "associations"):
        return Charge(spec)
    user = books.users.get(owner.user)
    account = spec.account.lower() or (user.default_account if user is not None else "")
    partition = partitions[0].name if partitions else ""
    own = books.find(account, owner.user, partition)
    if own is None:
        if enforced(ctx, "associations"):
            return Rejected(error=INVALID_ACCOUNT, code="denied")
        if spec.account:
            account = spec.account
    qos = _qos(ctx, spec, own.id if own is not None else 0, caller, books)
    if isinstance(qos, Rejected):
        return qos
    if account != spec.account or qos != spec.qos:
        spec = msgspec.structs.replace(spec, account=account, qos=qos)
    return Charge(spec, own.id if own is not None else 0)


def _qos(ctx: Context, spec: JobSpec, association: int, caller: Caller, books: Books) -> str | Rejected:
    name = spec.qos.lower()
    allowed = books.effective(association).qos if association else ()
    if not name:
        if not association:
            return "" if NORMAL not in books.qos else NORMAL
        default = books.effective(association).default_qos
        name = default or (allowed[0] if len(allowed) == 1 else NORMAL)
    if name not in books.qos:
        if not books or (name == NORMAL and not spec.qos):
            return name
        return Rejected(error=INVALID_QOS, code="denied")
    if enforced(ctx, "qos") and association and name not in allowed and level_of(books, caller) < 1:
        return Rejected(error=INVALID_QOS, code="denied")
    if "RequiresReservation" in books.qos[name].flags and not spec.reservation and enforced(ctx, "qos"):
        return Rejected(error=INVALID_QOS, code="denied")
    return name


def rules_of(ctx: Context, association: int, qos: str, user: str, partition: str) -> Rules:
    names = qos_of(qos, partition, ctx.state.books, ctx.state.partitions)
    return ctx.rules().of(association, names, user)


def rules_for(ctx: Context, job: Job, partition: str) -> Rules:
    """Those that hold for this job in one of its partitions."""
    rules = rules_of(ctx, job.association, ctx.state.spec(job).qos, job.owner.user, partition)
    return spared(rules, job.exempt) if job.exempt else rules


def place_of(ctx: Context, spec: JobSpec, partition: Partition) -> Partition:
    """The partition with the limits that the job's QOS leaves."""
    books = ctx.state.books
    if not books.qos:
        return partition
    return limits.relaxed(partition, ignored(books, qos_of(spec.qos, partition.name, books, ctx.state.partitions)))


def refused(
    ctx: Context, charged: Charge, owner: Owner, demands: list[Demand], more: dict[Bucket, int], count: int = 1
) -> Rejected | None:
    """Do the limits keep it out of the queue? `more`: what of the same request enters before it."""
    if not enforced(ctx, "limits") or not ctx.state.books:
        return None
    spec = charged.spec
    if spec.array:
        indices, _ = arrayspec.parse(spec.array, ctx.config.limits.max_array_size)
        count = ranges.count(ranges.ranges_of(indices))
    for demand in demands:
        rules = rules_of(ctx, charged.association, spec.qos, owner.user, demand.partition)
        for rule in rules.submitted:
            known = ctx.state.meter.tallies.get(rule.bucket, EMPTY).submitted + more.get(rule.bucket, 0)
            if known + count > rule.limit:
                return Rejected(error=AGAINST_POLICY, code="denied", detail=rule.reason.value)
        if rules.deny:
            reason = refused_alone(rules, demand, spec.time_limit)
            if reason is not None:
                return Rejected(error=AGAINST_POLICY, code="denied", detail=reason.value)
        for rule in rules.submitted:
            more[rule.bucket] = more.get(rule.bucket, 0) + count
        break
    return None


def refused_move(ctx: Context, job: Job, charged: Charge) -> Rejected | None:
    """Do the limits of another account or QOS keep out a job that waits? It counts already where both count."""
    spec, state = charged.spec, ctx.state
    if not job.is_pending:
        return None
    places = [state.partitions[name] for name in job.partition.split(",") if name in state.partitions]
    asks = msgspec.structs.replace(spec, time_limit=job.time_limit if job.time_limit < UNLIMITED else None, array="")
    demands = [resolve(asks, place_of(ctx, asks, place), ctx.config) for place in places]
    count = ranges.count(job.array_waiting) or 1
    known = dict.fromkeys(state.meter.buckets_of(job.id), -count)
    return refused(ctx, msgspec.structs.replace(charged, spec=asks), job.owner, demands, known, count)


def billing_of(ctx: Context, partition: Partition) -> Billing | None:
    """What is charged there; None = it says nothing: a CPU counts 1, a GPU 16."""
    weights = partition.billing_weights
    return Billing(weights, ctx.config.priority.has("MAX_TRES")) if weights else None


def longest(ctx: Context, charged: Charge, owner: Owner, partition: str) -> int:
    """Seconds that a job may run which does not say for how long."""
    if not enforced(ctx, "limits") or not ctx.state.books:
        return UNLIMITED
    rules = rules_of(ctx, charged.association, charged.spec.qos, owner.user, partition)
    return min((int(rule.limit) * 60 for rule in (*rules.longest, *rules.wall) if rule.limit), default=UNLIMITED)


def quota(ctx: Context, every: Iterable[Rules], now: float) -> Quota:
    """What these rules are held against."""
    wanted = {rule.bucket for rules in every for rule in (*rules.minutes, *rules.wall)}
    meter = ctx.state.meter
    shares = {rule.bucket: _fair_share(ctx, rule.bucket, now) for rules in every for rule in rules.threshold}
    return Quota(meter.tallies, {bucket: meter.used(bucket, now) for bucket in sorted(wanted)}, now, shares)


def _fair_share(ctx: Context, bucket: Bucket, now: float) -> float:
    return ctx.standings.factor(ctx.state, ctx.config.priority, int(bucket[1]), now)


def may_start(ctx: Context, *starts: tuple[Job, Allocation, int], now: float) -> bool:
    """Do the limits still hold, now that these are to begin at once? Each with what it gets, and its time limit."""
    if not ctx.state.books or not enforced(ctx, "limits"):
        return True
    ways: list[list[Way]] = []
    for job, allocation, limit in starts:
        rules = rules_for(ctx, job, allocation.partition)
        if rules.buckets:
            ways.append([(rules, gets(allocation, limit))])
    return not ways or held_back(quota(ctx, [rules for ((rules, _),) in ways], now), ways) is None


# -- partitions that take only certain accounts or QOS


def guards(partition: Partition) -> bool:
    return bool(partition.allow_accounts or partition.deny_accounts or partition.allow_qos or partition.deny_qos)


def denied(partition: Partition, spec: JobSpec) -> str:
    """Why the partition does not take it; "" = it does. As in Slurm it waits: the partition may be changed, or the job."""
    account, qos = spec.account, spec.qos or NORMAL
    name = partition.name
    if partition.allow_accounts and account not in partition.allow_accounts:
        return f"Job's account not permitted to use this partition ({name} allows {','.join(partition.allow_accounts)} not {account})"
    if not partition.allow_accounts and account in partition.deny_accounts:
        return f"Job's account not permitted to use this partition ({name} denies {','.join(partition.deny_accounts)} including {account})"
    if partition.allow_qos and qos not in partition.allow_qos:
        return (
            f"Job's QOS not permitted to use this partition ({name} allows {','.join(partition.allow_qos)} not {qos})"
        )
    if not partition.allow_qos and qos in partition.deny_qos:
        return f"Job's QOS not permitted to use this partition ({name} denies {','.join(partition.deny_qos)} including {qos})"
    return ""


def not_now(text: str) -> NotNow:
    return NotNow(Reason.QOS_NOT_ALLOWED if text.startswith("Job's QOS") else Reason.ACCOUNT_NOT_ALLOWED, text)
