"""scontrol top: how do some of a user's waiting jobs come before the others of the same user?

The jobs named get, in their order, the highest priorities that the user's waiting jobs of that partition, account and QOS have;
what they gain by it the others lose in equal parts. It is done by their nice values, as Slurm does it, so that the sum stays.
"""

from corral.engine.context import Context
from corral.engine.effects import Effects
from corral.engine.outcomes import DENIED, NO_LONGER_PENDING, NO_SUCH_JOB, may_touch
from corral.engine.selection import Unknown, targets_of, too_many
from corral.errors import UsageError
from corral.model.job import Job
from corral.protocol.replies import Done, Rejected
from corral.protocol.requests import Caller, TopJobs


def on_top(ctx: Context, request: TopJobs, caller: Caller, now: float, out: Effects) -> None:
    """All of them, or none."""
    if not caller.is_operator and not ctx.config.scheduling.enable_user_top:
        out.reply = Rejected(error=DENIED, code="denied", detail="scheduling.enable_user_top does not allow it")
        return
    too_long = too_many(request.ids)
    if too_long is not None:
        out.reply = too_long
        return
    chosen: list[Job] = []
    for text in request.ids:
        found = _jobs_of(ctx, text)
        if not found:
            out.reply = Rejected(error=NO_SUCH_JOB, code="not_found")
            return
        for job in found:
            refused = _refusal(ctx, job, caller, chosen)
            if refused is not None:
                out.reply = refused
                return
        chosen += [job for job in found if job not in chosen]
    if chosen:
        _raise(ctx, chosen, now, out)
    out.reply = Done()


def _jobs_of(ctx: Context, text: str) -> list[Job]:
    try:
        found = targets_of(ctx.state, text)
    except UsageError:
        return []
    return [] if isinstance(found, Unknown) else [ctx.state.jobs[target.job] for target in found]


def _refusal(ctx: Context, job: Job, caller: Caller, chosen: list[Job]) -> Rejected | None:
    if not may_touch(ctx.state, caller, job):
        return Rejected(error=DENIED, code="denied")
    if not job.is_pending:
        return Rejected(error=NO_LONGER_PENDING)
    if job.held_by:
        return Rejected(error="Job is in held state, pending scheduler release")
    if chosen and job.owner.uid != chosen[0].owner.uid:
        return Rejected(error=DENIED, code="denied", detail="they are of several users")
    return None


def _raise(ctx: Context, chosen: list[Job], now: float, out: Effects) -> None:
    spec = ctx.state.spec(chosen[0])
    kind = (chosen[0].partition, spec.account, spec.qos)
    names = {job.id for job in chosen}
    others = []
    for job in ctx.state.queued():
        own = ctx.state.spec(job)
        if (
            job.owner.uid == chosen[0].owner.uid
            and (job.partition, own.account, own.qos) == kind
            and job.id not in names
        ):
            others.append(job)
    ranks = sorted((job.priority for job in [*chosen, *others]), reverse=True)
    gained = 0
    for job, rank in zip(chosen, ranks, strict=False):
        gained += rank - job.priority
        _shift(ctx, job, rank - job.priority, now, out)
    for job in others:
        _shift(ctx, job, -(gained // len(others)), now, out)
    ctx.wants_cycle = True


def _shift(ctx: Context, job: Job, by: int, now: float, out: Effects) -> None:
    if by:
        nice = ctx.state.spec(job).nice if job.nice is None else job.nice
        ctx.change_job(job, now, out, "top", priority=max(1, job.priority + by), nice=nice - by)
