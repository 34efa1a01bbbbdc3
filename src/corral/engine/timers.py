"""What is due by the clock: time limits, warnings, begin times, deadlines, silent nodes, old records?"""

import msgspec

from corral.engine import endings, nodes
from corral.engine.commit import limit_ends
from corral.engine.context import Context
from corral.engine.control import signal_job
from corral.engine.effects import Effects
from corral.model.job import Job, JobState
from corral.model.reason import Reason
from corral.protocol.events import JobEnded, JobsPurged

#: An EndJob that no node has answered is sent again after so many seconds beyond KillWait.
RESEND_END_SECONDS = 10.0


def tick(ctx: Context, now: float, out: Effects) -> None:
    """Do all that is due."""
    for job_id in sorted(ctx.state.active):
        job = ctx.state.jobs.get(job_id)
        if job is None:
            continue
        if job.state is JobState.RUNNING:
            _check_limit(ctx, job, now, out)
        elif job.state is JobState.COMPLETING:
            _check_cleaning(ctx, job, now, out)
    _check_queue(ctx, now, out)
    nodes.check_heard(ctx, now, out)
    _purge(ctx, now, out)


def _check_limit(ctx: Context, job: Job, now: float, out: Effects) -> None:
    ends = limit_ends(job)
    if now >= ends + ctx.config.timeouts.over_time_limit:
        endings.terminate(ctx, job, JobState.TIMEOUT, now, out, why="time_limit", reason=Reason.TIME_LIMIT)
        return
    warning = ctx.state.spec(job).signal
    if warning is not None and not job.warned and now >= ends - warning[1]:
        job = ctx.change_job(job, now, out, "warned", warned=True)
        signal_job(ctx, job, warning[0], now, out, batch_too=warning[2], only_batch=warning[2])


def _check_cleaning(ctx: Context, job: Job, now: float, out: Effects) -> None:
    waiting = ctx.cleaning.get(job.id, set())
    if not waiting:
        endings.complete(ctx, job, now, out)
    elif now - ctx.end_sent.get(job.id, now) > ctx.config.timeouts.kill_wait + RESEND_END_SECONDS:
        endings.send_end(ctx, job, waiting, now, out, "", 0.0)


def _check_queue(ctx: Context, now: float, out: Effects) -> None:
    for job_id in sorted(ctx.state.timed):
        job = ctx.state.jobs[job_id]
        spec = ctx.state.spec(job)
        if spec.deadline and now + (spec.time_min or min(job.time_limit, 60)) > spec.deadline:
            ended = msgspec.structs.replace(job, state=JobState.DEADLINE, end_time=now, reason=Reason.NONE)
            ctx.record(JobEnded(time=now, job=ended), out)
            endings.settle(ctx)
        elif job.reason is Reason.BEGIN_TIME and job.eligible_time <= now and not job.held_by:
            ctx.change_job(job, now, out, "eligible", reason=Reason.NONE)
            ctx.wants_cycle = True
        elif job.reason is Reason.DEPENDENCY:
            ctx.check_dependencies = True
            ctx.wants_cycle = True


def _purge(ctx: Context, now: float, out: Effects) -> None:
    old = []
    for job_id, ended in ctx.state.ended.items():
        if ended > now - ctx.config.timeouts.min_job_age:
            break
        old.append(job_id)
    if old:
        # An array's records stay together: the folded display and dependencies need them.
        ready = tuple(job_id for job_id in old if not _array_lives(ctx, job_id))
        if ready:
            ctx.record(JobsPurged(time=now, ids=ready), out)


def _array_lives(ctx: Context, job_id: int) -> bool:
    job = ctx.state.jobs[job_id]  # type: ignore[index]
    if job.array_job_id is None:
        return False
    return job.id == job.array_job_id and len(ctx.state.array_members.get(job.array_job_id, ())) > 1


def next_wake(ctx: Context, now: float) -> float:
    """When `tick` has something to do next, at the latest."""
    wake = now + ctx.config.timeouts.heartbeat
    for job_id in ctx.state.active:
        job = ctx.state.jobs[job_id]
        if job.state is JobState.RUNNING:
            ends = limit_ends(job)
            warning = ctx.state.spec(job).signal
            if warning is not None and not job.warned:
                wake = min(wake, ends - warning[1])
            wake = min(wake, ends + ctx.config.timeouts.over_time_limit)
    for job_id in ctx.state.timed:
        job = ctx.state.jobs[job_id]
        if job.reason is Reason.BEGIN_TIME:
            wake = min(wake, job.eligible_time)
        deadline = ctx.state.spec(job).deadline
        if deadline:
            wake = min(wake, deadline)
    return max(wake, now)
