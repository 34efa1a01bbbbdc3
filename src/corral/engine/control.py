"""Cancel, hold, release, requeue, suspend, resume: what users and operators do to jobs."""

from collections.abc import Callable

import msgspec

from corral.engine import endings
from corral.engine.arrays import split
from corral.engine.context import Context
from corral.engine.effects import Effects
from corral.engine.ranking import priority_of
from corral.engine.selection import Target, Unknown, matching, targets_of
from corral.engine.steps import signal_step
from corral.errors import UsageError
from corral.model import ranges
from corral.model.job import ENDED, Job, JobKind, JobState
from corral.model.reason import Reason
from corral.protocol.events import JobChanged, JobEnded
from corral.protocol.orders import SignalTasks, SuspendJob
from corral.protocol.replies import Done, Rejected
from corral.protocol.requests import (
    Caller,
    CancelJobs,
    CompleteJob,
    HoldJobs,
    ReleaseJobs,
    RequeueJobs,
    ResumeJobs,
    SuspendJobs,
)

SIGKILL = 9


def may_touch(caller: Caller, job: Job) -> bool:
    return caller.is_operator or job.owner.uid == caller.uid


def on_cancel(ctx: Context, request: CancelJobs, caller: Caller, now: float, out: Effects) -> None:
    """scancel: by id, and all live ones that meet the other conditions."""
    errors: list[str] = []
    wanted: list[tuple[str, Target]] = []
    selection = request.selection
    filters = msgspec.structs.replace(selection, ids=())
    allowed = {job.id for job in matching(ctx.state, filters)} if filters != type(filters)() else None
    if selection.ids:
        for text in selection.ids:
            try:
                found = targets_of(ctx.state, text)
            except UsageError:
                errors.append(f"Invalid job id {text}")
                continue
            if isinstance(found, Unknown):
                errors.append(f"Kill job error on job id {text}: Invalid job id specified")
                continue
            wanted += [(text, target) for target in found if allowed is None or target.job in allowed]
    elif allowed is None:
        out.reply = Rejected(error="No job identification provided")
        return
    else:
        wanted = [(str(job_id), Target(job_id)) for job_id in sorted(allowed)]
    for text, target in wanted:
        job = ctx.state.jobs[target.job]
        if not may_touch(caller, job):
            if selection.ids or selection.users:  # somebody else's are meant; else all that may be touched are
                errors.append(f"Kill job error on job id {text}: Access/permission denied")
            continue
        if job.state in ENDED:
            if selection.ids and target.elements is None and job.array_job_id is None:
                errors.append(f"Kill job error on job id {text}: Job/step already completing or completed")
            continue
        if target.step is not None and target.step not in ctx.state.steps_of(job.id):
            errors.append(f"Kill job error on job step id {text}: Invalid job id specified")
            continue
        cancel_one(ctx, job, target, request, caller.uid, now, out)
    out.reply = Done(errors=tuple(errors))


def cancel_one(ctx: Context, job: Job, target: Target, request: CancelJobs, uid: int, now: float, out: Effects) -> None:
    if target.step is not None:
        if target.elements is not None:
            return
        step = ctx.state.steps_of(job.id).get(target.step)
        if step is not None and step.state not in ENDED:
            signal_step(ctx, step, request.signal or SIGKILL, request.signal in (0, SIGKILL), uid, now, out)
        return
    ends = request.signal == 0 or (request.signal == SIGKILL and not request.batch)
    if job.is_pending:
        if ends:
            cancel_pending(ctx, job, target.elements, uid, now, out)
    elif ends and job.state is JobState.COMPLETING:
        if job.requeue_after:
            endings.cancel_instead(ctx, job, now, out, uid)
    elif ends:
        kill_after = 0.0 if request.signal == SIGKILL else None
        endings.terminate(ctx, job, JobState.CANCELLED, now, out, why="cancelled", by=uid, kill_after=kill_after)
    elif request.signal and job.state is JobState.RUNNING:
        signal_job(ctx, job, request.signal, now, out, batch_too=request.full, only_batch=request.batch, by=uid)


def signal_job(
    ctx: Context,
    job: Job,
    signal: int,
    now: float,
    out: Effects,
    *,
    batch_too: bool,
    only_batch: bool = False,
    by: int = 0,
) -> None:
    """To its steps; to the batch shell as well, or only."""
    assert job.allocation is not None
    for name in job.allocation.node_names[:1] if only_batch else job.allocation.node_names:
        order = SignalTasks(
            term=ctx.term, node=name, job=job.id, restart=job.restarts, signal=signal, batch_too=batch_too, only_batch=only_batch,
            by_uid=by, at=now,
        )  # fmt: skip
        ctx.send(name, order, out)


def cancel_pending(
    ctx: Context, job: Job, elements: tuple[int, ...] | None, uid: int, now: float, out: Effects
) -> None:
    """A waiting job, or waiting elements of an array (None = all of them)."""
    ended = {
        "state": JobState.CANCELLED,
        "end_time": now,
        "cancelled_by": uid,
        "reason": Reason.NONE,
        "held_by": job.held_by,
    }
    if elements is None or len(elements) == ranges.count(job.array_waiting) > 1:
        ctx.record(JobEnded(time=now, job=msgspec.structs.replace(job, **ended)), out)
    else:
        for element in elements:
            own, rest = split(ctx.state, ctx.state.jobs[job.id], element)
            ctx.record(JobEnded(time=now, job=msgspec.structs.replace(own, **ended), array_rest=rest), out)
    endings.settle(ctx)


def on_complete(ctx: Context, request: CompleteJob, caller: Caller, now: float, out: Effects) -> None:
    """salloc (or srun) gives its allocation back."""
    job = ctx.state.jobs.get(request.job)
    if job is None:
        out.reply = Rejected(error="Invalid job id specified", code="not_found")
    elif not may_touch(caller, job):
        out.reply = Rejected(error="Access/permission denied", code="denied")
    elif job.state in ENDED or job.state is JobState.COMPLETING:
        out.reply = Done(errors=("Job/step already completing or completed",))
    elif job.is_pending:
        cancel_pending(ctx, job, None, caller.uid, now, out)
        out.reply = Done()
    elif ctx.state.spec(job).kind is JobKind.BATCH:
        out.reply = Rejected(error="A batch job ends with its script", code="invalid")
    else:
        status = job.exit_status.from_wait(request.status)
        state = JobState.COMPLETED if not request.status else JobState.FAILED
        reason = Reason.NONE if not request.status else Reason.NON_ZERO_EXIT_CODE
        endings.finish(ctx, job, state, status, reason, now, out)
        out.reply = Done()


def _each(
    ctx: Context,
    ids: tuple[str, ...],
    caller: Caller,
    out: Effects,
    act: Callable[[Job, tuple[int, ...] | None], str | None],
) -> None:
    """Do it to every job named; what goes wrong with one does not stop the others."""
    errors = []
    for text in ids:
        try:
            found = targets_of(ctx.state, text)
        except UsageError:
            found = Unknown(text)
        if isinstance(found, Unknown) or any(target.step is not None for target in found):
            errors.append(f"{text}: Invalid job id specified")
            continue
        for target in found:
            job = ctx.state.jobs[target.job]
            problem = act(job, target.elements) if may_touch(caller, job) else "Access/permission denied"
            if problem and not (len(found) > 1 and problem.startswith("Job/step already")):
                errors.append(f"{text}: {problem}")
    out.reply = Done(errors=tuple(errors))


def _split_off(ctx: Context, job: Job, elements: tuple[int, ...] | None, now: float, out: Effects) -> list[Job]:
    """Records for just these elements."""
    if elements is None or len(elements) == ranges.count(job.array_waiting) > 1:
        return [job]
    records = []
    for element in elements:
        own, rest = split(ctx.state, ctx.state.jobs[job.id], element)
        ctx.record(JobChanged(time=now, job=own, array_rest=rest, what="split"), out)
        records.append(own)
    return records


def on_hold(ctx: Context, request: HoldJobs, caller: Caller, now: float, out: Effects) -> None:
    def hold(job: Job, elements: tuple[int, ...] | None) -> str | None:
        if not job.is_pending:
            return _not_pending(job)
        if job.held_by == "admin" and not caller.is_operator:
            return None  # it stays as it is: the user could release what the user had held
        admin = caller.is_operator and not request.by_user and job.owner.uid != caller.uid
        for record in _split_off(ctx, job, elements, now, out):
            _hold(ctx, record, "admin" if admin else "user", now, out)
        return None

    _each(ctx, request.ids, caller, out, hold)


def _not_pending(job: Job) -> str:
    return "Job has already finished" if job.state in ENDED else "Job is no longer pending execution"


def _hold(ctx: Context, job: Job, by: str, now: float, out: Effects) -> None:
    reason = Reason.HELD_ADMIN if by == "admin" else Reason.HELD_USER
    ctx.change_job(job, now, out, "held", held_by=by, reason=reason, priority=0, eligible_time=0.0)


def on_release(ctx: Context, request: ReleaseJobs, caller: Caller, now: float, out: Effects) -> None:
    def release(job: Job, elements: tuple[int, ...] | None) -> str | None:
        if not job.is_pending:
            return _not_pending(job)
        if job.held_by == "admin" and not caller.is_operator:
            return "Access/permission denied"
        if not job.held_by:
            return None
        spec = ctx.state.spec(job)
        reason = Reason.DEPENDENCY if spec.dependency else Reason.BEGIN_TIME if spec.begin_time > now else Reason.NONE
        nice = spec.nice if job.nice is None else job.nice
        priority = priority_of(ctx, spec, job.partition, nice, max(now, spec.begin_time), now)
        for record in _split_off(ctx, job, elements, now, out):
            ctx.change_job(
                record, now, out, "released", held_by="", reason=reason, priority=priority, priority_set=False,
                eligible_time=max(now, spec.begin_time),
            )  # fmt: skip
        endings.settle(ctx)
        return None

    _each(ctx, request.ids, caller, out, release)


def on_requeue(ctx: Context, request: RequeueJobs, caller: Caller, now: float, out: Effects) -> None:
    def requeue(job: Job, elements: tuple[int, ...] | None) -> str | None:
        if job.is_pending:
            if not request.hold:
                return "Job is pending execution"
            for record in _split_off(ctx, job, elements, now, out):
                _hold(ctx, record, "admin" if job.held_by == "admin" else "user", now, out)
            return None
        if ctx.state.spec(job).kind is not JobKind.BATCH:
            return "Requested operation not supported on this system"
        if job.state is JobState.COMPLETING:
            return "Job/step already completing or completed"
        if not endings.may_requeue(ctx, job):
            return "Requested operation is presently disabled"
        endings.requeue(ctx, job, now, out, hold=request.hold)
        return None

    _each(ctx, request.ids, caller, out, requeue)


def on_suspend(ctx: Context, request: SuspendJobs | ResumeJobs, caller: Caller, now: float, out: Effects) -> None:
    """Operators freeze and thaw running jobs; suspended time does not count against the limit."""
    thaw = isinstance(request, ResumeJobs)

    def freeze(job: Job, elements: tuple[int, ...] | None) -> str | None:
        if not caller.is_operator:
            return "Access/permission denied"
        if job.state in ENDED or job.state is JobState.COMPLETING:
            return "Job/step already completing or completed"
        if job.is_pending:
            return "Job is pending execution"
        if thaw and job.state is not JobState.SUSPENDED:
            return "Job is not suspended"
        if not thaw and job.state is JobState.SUSPENDED:
            return None
        assert job.allocation is not None
        if thaw:
            gone = job.suspended_seconds + now - job.suspend_time
            ctx.change_job(job, now, out, "resumed", state=JobState.RUNNING, suspended_seconds=gone, suspend_time=0.0)
        else:
            ctx.change_job(job, now, out, "suspended", state=JobState.SUSPENDED, suspend_time=now)
        for name in job.allocation.node_names:
            ctx.send(name, SuspendJob(term=ctx.term, node=name, job=job.id, restart=job.restarts, thaw=thaw), out)
        return None

    _each(ctx, request.ids, caller, out, freeze)
