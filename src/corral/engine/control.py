"""Hold, release, requeue, suspend, resume: what users and operators do to jobs, with `scontrol`."""

import msgspec

from corral.engine import endings
from corral.engine.arrays import part
from corral.engine.context import Context
from corral.engine.effects import Effects
from corral.engine.outcomes import DENIED, FINISHED, NOT_YOURS, for_each
from corral.engine.ranking import priority_of
from corral.engine.state import is_suspended_for_another
from corral.model.job import ENDED, Job, JobKind, JobState
from corral.model.reason import Reason
from corral.protocol.events import JobChanged
from corral.protocol.orders import SuspendJob
from corral.protocol.requests import Caller, HoldJobs, ReleaseJobs, RequeueJobs, ResumeJobs, SuspendJobs


def split_off(ctx: Context, job: Job, elements: tuple[int, ...] | None, now: float, out: Effects) -> list[Job]:
    """A record for just these elements; of those that are over, one for each."""
    if elements is None:
        return [job]
    if job.state not in ENDED:
        return [_apart(ctx, job, elements, now, out)]
    return [_apart(ctx, ctx.state.jobs[job.id], (element,), now, out) for element in elements]


def _apart(ctx: Context, job: Job, elements: tuple[int, ...], now: float, out: Effects) -> Job:
    own, rest = part(ctx.state, job, elements)
    if own != job:
        ctx.record(JobChanged(time=now, job=own, array_rest=rest, what="split"), out)
    return own


def on_hold(ctx: Context, request: HoldJobs, caller: Caller, now: float, out: Effects) -> None:
    """A job that runs is held as soon as it is queued again."""

    def hold_it(job: Job, elements: tuple[int, ...] | None) -> str | None:
        if job.state in ENDED:
            return FINISHED
        if job.held_by == "admin" and not caller.is_operator:
            return None  # it stays as it is: the user could release what the user had held
        for record in split_off(ctx, job, elements, now, out):
            hold(ctx, record, "admin" if caller.is_operator and not request.by_user else "user", now, out)
        return None

    for_each(ctx, request.ids, caller, out, hold_it, NOT_YOURS)


def hold(ctx: Context, job: Job, by: str, now: float, out: Effects) -> Job:
    return ctx.change_job(job, now, out, "held", **held(job, by))


def held(job: Job, by: str) -> dict[str, object]:
    """What changes of a record that is held."""
    reason = Reason.HELD_ADMIN if by == "admin" else Reason.HELD_USER
    changes: dict[str, object] = {"held_by": by, "reason": reason, "reason_text": "", "priority": 0, "promises": ()}
    return changes | {"eligible_time": 0.0} if job.is_pending else changes


def on_release(ctx: Context, request: ReleaseJobs, caller: Caller, now: float, out: Effects) -> None:
    def release_it(job: Job, elements: tuple[int, ...] | None) -> str | None:
        if job.state in ENDED:
            return FINISHED
        if job.held_by == "admin" and not caller.is_operator:
            return DENIED
        if not job.held_by:
            return None
        for record in split_off(ctx, job, elements, now, out):
            ctx.change_job(record, now, out, "released", **released(ctx, record, now))
        endings.settle(ctx)
        return None

    for_each(ctx, request.ids, caller, out, release_it, NOT_YOURS)


def released(ctx: Context, job: Job, now: float) -> dict[str, object]:
    """What changes of a record that is no longer held."""
    spec = ctx.state.spec(job)
    begin = max(now, ctx.state.begin_time(job))
    nice = spec.nice if job.nice is None else job.nice
    changes: dict[str, object] = {
        "held_by": "", "reason": Reason.NONE, "special_exit": False, "priority_set": False,
        "priority": priority_of(
            ctx, spec, job.partition, nice, begin, now, job.association, number=job.id, site=job.site_factor,
            time_limit=job.time_limit,
        ),
    }  # fmt: skip
    if job.is_pending:
        depends = bool(spec.dependency) and not job.independent
        reason = Reason.DEPENDENCY if depends else Reason.BEGIN_TIME if begin > now else Reason.NONE
        changes |= {"reason": reason, "eligible_time": 0.0 if depends else begin}
    return changes


def on_requeue(ctx: Context, request: RequeueJobs, caller: Caller, now: float, out: Effects) -> None:
    hold_as = None
    if request.special_exit:
        hold_as = Reason.REQUEUED_SPECIAL_EXIT
    if request.hold:
        hold_as = Reason.REQUEUED_HELD

    def requeue_it(job: Job, elements: tuple[int, ...] | None) -> str | None:
        if request.incomplete and job.state not in (JobState.CONFIGURING, JobState.RUNNING, JobState.SUSPENDED):
            return None
        if job.is_pending:
            return "Job is pending execution"
        if job.het_job_id not in (None, job.id):
            return None if job.requeue_after else "Invalid job id specified"
        if ctx.state.spec(job).kind is not JobKind.BATCH:
            return "Requested operation not supported on this system"
        if job.state is JobState.COMPLETING:
            return "Job/step already completing or completed"
        if not endings.may_requeue(ctx, job):
            return "Requested operation is presently disabled"
        if job.array_waiting and elements is None:  # cancelled before they began: only by name do they come back
            return None
        for record in split_off(ctx, job, elements, now, out):
            marked = msgspec.structs.replace(record, special_exit=True) if request.special_exit else record
            endings.requeue(ctx, marked, now, out, hold_as=hold_as)
        return None

    for_each(ctx, request.ids, caller, out, requeue_it)


def on_suspend(ctx: Context, request: SuspendJobs | ResumeJobs, caller: Caller, now: float, out: Effects) -> None:
    """Operators freeze and thaw running jobs; suspended time does not count against the limit.

    As with Slurm its CPUs are anybody's meanwhile. It goes on at once all the same, beside who has them by then; they are its own
    again when they are free.
    """
    thaw = isinstance(request, ResumeJobs)

    def freeze(job: Job, elements: tuple[int, ...] | None) -> str | None:
        if not caller.is_operator:
            return DENIED
        if job.state in ENDED or job.state is JobState.COMPLETING:
            return "Job/step already completing or completed"
        if job.is_pending:
            return "Job is pending execution"
        if thaw and job.state is not JobState.SUSPENDED:
            return "Job is not suspended"
        if (
            thaw and job.preempted is not None and not job.preempted.is_grace
        ):  # it goes on by itself when its CPUs are free again
            return "Requested operation is presently disabled"
        if not thaw and job.state is JobState.SUSPENDED:
            if job.preempted is not None and not is_suspended_for_another(job):  # it takes no more turns
                ctx.change_job(job, now, out, "suspended", preempted=None, cpus_lent=True)
            return None
        assert job.allocation is not None
        if thaw:
            gone = job.suspended_seconds + max(0.0, now - job.suspend_time)
            lent = job.cpus_lent and not ctx.state.ledger.has_cpus(job.allocation)
            ctx.change_job(
                job,
                now,
                out,
                "resumed",
                state=JobState.RUNNING,
                suspended_seconds=gone,
                suspend_time=0.0,
                cpus_lent=lent,
            )
        else:
            ctx.change_job(job, now, out, "suspended", state=JobState.SUSPENDED, suspend_time=now, cpus_lent=True)
            ctx.wants_cycle = True
        for name in job.allocation.node_names:
            ctx.send(name, SuspendJob(term=ctx.term, node=name, job=job.id, restart=job.restarts, thaw=thaw), out)
        return None

    for_each(ctx, request.ids, caller, out, freeze)


def take_back(ctx: Context, now: float, out: Effects) -> None:
    """Jobs that were resumed while others had their CPUs hold them again when they are free, before anybody else gets them."""
    for job_id in sorted(ctx.state.lent):
        job = ctx.state.jobs[job_id]
        if job.state is JobState.RUNNING and job.allocation is not None and ctx.state.ledger.has_cpus(job.allocation):
            ctx.change_job(job, now, out, "has its CPUs again", cpus_lent=False)
