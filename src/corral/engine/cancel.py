"""scancel: which jobs and steps end or get a signal, and how does salloc give its allocation back?"""

import msgspec

from corral.engine import crontabs, endings
from corral.engine.arrays import part
from corral.engine.context import Context
from corral.engine.effects import Effects
from corral.engine.outcomes import NO_SUCH_JOB, may_touch
from corral.engine.selection import Target, Unknown, matching, targets_of, too_many
from corral.engine.steps import signal_step
from corral.errors import UsageError
from corral.model.job import ENDED, Job, JobKind, JobState
from corral.model.reason import Reason
from corral.protocol.events import JobEnded
from corral.protocol.orders import SignalTasks
from corral.protocol.replies import Done, Rejected
from corral.protocol.requests import Caller, CancelJobs, CompleteJob

SIGKILL = 9
#: A component that waits is not cancelled without the others.
ALONE = "Operation not permitted on individual component of heterogeneous job"


def on_cancel(ctx: Context, request: CancelJobs, caller: Caller, now: float, out: Effects) -> None:
    """scancel: by id, and all live ones that meet the other conditions."""
    refused = too_many(request.selection.ids)
    if refused is not None:
        out.reply = refused
        return
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
        if not may_touch(ctx.state, caller, job):
            if selection.ids or selection.users:  # somebody else's are meant; else all that may be touched are
                errors.append(f"Kill job error on job id {text}: Access/permission denied")
            continue
        if job.state in ENDED:
            if selection.ids and target.elements is None and job.array_job_id is None:
                errors.append(f"Kill job error on job id {text}: Job/step already completing or completed")
            continue
        if target.step is not None and job.is_pending:
            continue
        if job.is_pending and job.het_job_id not in (None, job.id) and text != str(job.het_job_id):
            if selection.ids:
                errors.append(f"Kill job error on job id {text}: {ALONE}")
            continue
        if target.step is not None and target.step not in ctx.state.steps_of(job.id):
            errors.append(f"Kill job error on job step id {text}: Invalid job id specified")
            continue
        if target.step is None and _ends(request) and crontabs.crontab_of(ctx, job) is not None:
            if not request.cron:
                if selection.ids:
                    errors.append(f"Kill job error on job id {text}: {crontabs.NEEDS_CRON}")
                continue
            crontabs.disable(ctx, job, now, out)
        if job.is_pending and selection.ids and not _ends(request):
            if target.step is None:
                why = NO_SUCH_JOB if request.batch else "Job can not be altered now, try again later"
                errors.append(f"Kill job error on job id {text}: {why}")
            continue
        cancel_one(ctx, job, target, request, caller.uid, now, out)
    out.reply = Done(errors=tuple(errors))


def _ends(request: CancelJobs) -> bool:
    """Or does it only send a signal?"""
    return request.signal == 0 or (request.signal == SIGKILL and not request.batch)


def cancel_one(ctx: Context, job: Job, target: Target, request: CancelJobs, uid: int, now: float, out: Effects) -> None:
    if target.step is not None:
        if target.elements is not None:
            return
        step = ctx.state.steps_of(job.id).get(target.step)
        if step is not None and step.state not in ENDED:
            signal_step(ctx, step, request.signal or SIGKILL, request.signal in (0, SIGKILL), uid, now, out)
        return
    ends = _ends(request)
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
    to: str = "",
) -> None:
    """To its steps; to the batch shell as well, or only. `to`: on this node alone."""
    assert job.allocation is not None
    for name in job.allocation.node_names[:1] if only_batch else job.allocation.node_names:
        if to not in ("", name):
            continue
        order = SignalTasks(
            term=ctx.term, node=name, job=job.id, restart=job.restarts, signal=signal, batch_too=batch_too, only_batch=only_batch,
            by_uid=by, at=now,
        )  # fmt: skip
        ctx.send(name, order, out)


def cancel_pending(
    ctx: Context, job: Job, elements: tuple[int, ...] | None, uid: int, now: float, out: Effects
) -> None:
    """A waiting job, or waiting elements of an array (None = all of them)."""
    own, rest = (job, None) if elements is None else part(ctx.state, job, elements)
    gone = endings.given_up(own, JobState.CANCELLED, now, cancelled_by=uid)
    ctx.record(JobEnded(time=now, job=gone, array_rest=rest), out)
    endings.settle(ctx)


def on_complete(ctx: Context, request: CompleteJob, caller: Caller, now: float, out: Effects) -> None:
    """salloc (or srun) gives its allocation back."""
    job = ctx.state.jobs.get(request.job)
    if job is None:
        out.reply = Rejected(error="Invalid job id specified", code="not_found")
    elif not may_touch(ctx.state, caller, job):
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
