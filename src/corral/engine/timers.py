"""What is due by the clock: time limits, warnings, begin times, deadlines, silent nodes, old records?"""

from corral.engine import (
    commit,
    configuring,
    endings,
    idle_gpus,
    nodes,
    overuse,
    ports,
    preemption,
    reserved_times,
    resets,
    serviceaddresses,
    slices,
    steplimits,
)
from corral.engine.cancel import signal_job
from corral.engine.context import Context
from corral.engine.duetimes import limit_ends, marks
from corral.engine.effects import Effects
from corral.engine.kube import work
from corral.model.job import ENDED, Job, JobId, JobState
from corral.model.reason import Reason
from corral.protocol.events import JobEnded, JobsPurged

#: A part of the time limit has gone by, of which mail is to tell.
LIMIT_REACHED = "limit reached"

#: An EndJob that a node has not answered is sent again when SIGKILL was due so many seconds ago, and every so many from then on.
RESEND_END_SECONDS = 10.0


def tick(ctx: Context, now: float, out: Effects) -> None:
    """Do all that is due."""
    if now < ctx.last_tick:
        ctx.set_back(ctx.last_tick - now, now)
    ctx.last_tick = now
    for job_id in ctx.due.take(now):
        job = ctx.state.jobs[job_id]
        if job.is_pending:
            _check_waiting(ctx, job, now, out)
        elif job.state is JobState.RUNNING:
            _check_limit(ctx, job, now, out)
        elif job.preempted is not None and job.preempted.is_grace and now >= job.preempted.ends:
            preemption.strike(ctx, job, now, out)
        if job_id in ctx.state.jobs:
            ctx.due.look_at(ctx.state.jobs[job_id])
    for job_id in sorted(ctx.cleaning):
        _check_cleaning(ctx, ctx.state.jobs[job_id], now, out)
    steplimits.tick(ctx, now, out)
    for job in configuring.tick(ctx, now, out) if ctx.fetching else ():
        commit.launch(ctx, job, now, out)
    ctx.waits.tick()
    ports.tick(ctx, now)
    if now >= ctx.plans_due:
        ctx.plans_due = float("inf")
        ctx.wants_cycle = True
    nodes.tick(ctx, now, out)
    resets.tick(ctx, now, out)
    overuse.tick(ctx, now, out)
    idle_gpus.tick(ctx, now, out)
    reserved_times.tick(ctx, now, out)
    slices.tick(ctx, now, out)
    _purge(ctx, now, out)


def _check_limit(ctx: Context, job: Job, now: float, out: Effects) -> None:
    ends = limit_ends(job)
    if job.preempted is not None and now >= job.preempted.ends:
        preemption.strike(ctx, job, now, out)
        return
    if now >= ends + ctx.config.timeouts.over_time_limit:
        endings.terminate(ctx, job, JobState.TIMEOUT, now, out, why="time_limit", reason=Reason.TIME_LIMIT)
        return
    spec = ctx.state.spec(job)
    warning = spec.signal
    if warning is not None and not job.warned and now >= ends - warning[1]:
        job = ctx.change_job(job, now, out, "warned", warned=True)
        signal_job(ctx, job, warning[0], now, out, batch_too=warning[2], only_batch=warning[2])
    reached = [percent for percent, when in marks(job, spec) if now >= when] if spec.mail_types else []
    if reached:
        ctx.change_job(job, now, out, LIMIT_REACHED, limit_told=reached[-1])


def _check_cleaning(ctx: Context, job: Job, now: float, out: Effects) -> None:
    waiting = ctx.cleaning[job.id]
    if not waiting:
        endings.complete(ctx, job, now, out)
    elif now > endings.kill_time(ctx, job) + RESEND_END_SECONDS:
        silent = {node for node, sent in waiting.items() if now - sent > RESEND_END_SECONDS}
        endings.send_end(ctx, job, silent, now, out, "")


def _check_waiting(ctx: Context, job: Job, now: float, out: Effects) -> None:
    if now >= ctx.due.last_start(job):
        ended = endings.given_up(job, JobState.DEADLINE, now, reason=Reason.NONE)
        ctx.record(JobEnded(time=now, job=ended), out)
        endings.settle(ctx)
    elif job.reason is Reason.BEGIN_TIME and job.eligible_time <= now and not job.held_by:
        ctx.change_job(job, now, out, "eligible", reason=Reason.NONE)
        ctx.wants_cycle = True


def _purge(ctx: Context, now: float, out: Effects) -> None:
    old = []
    for job_id, ended in ctx.state.ended.items():
        if ended > now - ctx.config.timeouts.min_job_age:
            break
        if not _is_needed(ctx, job_id):
            old.append(job_id)
    for job_id in old:
        ctx.forget_steps(job_id)
    if old:
        ctx.record(JobsPurged(time=now, ids=tuple(old)), out)


def _is_needed(ctx: Context, job_id: JobId) -> bool:
    """Somebody waits for it, and asks how it has ended.

    While an array is not over, its own record stays, and so do its failures: a dependency on the whole array looks for them.
    """
    state = ctx.state
    job = state.jobs[job_id]
    if job_id in ctx.waits.waiting_for or job.array_job_id in ctx.waits.waiting_for:
        return True
    members = state.het_members(job)
    if members and any(one.state not in ENDED for one in members):
        return True
    if job.array_job_id is None:
        return False
    if job.id == job.array_job_id:
        return len(state.array_members.get(job.array_job_id, ())) > 1
    return job.state is not JobState.COMPLETED and state.array_live.get(job.array_job_id, 0) > 0


def next_wake(ctx: Context, now: float) -> float:
    """When `tick` has something to do next, at the latest."""
    if now < ctx.last_tick:
        return now  # the clock has been set back: what is due has to be reckoned anew
    boundary = ctx.reservations_due if ctx.state.reservations else float("inf")
    step = ctx.step_ends[0][0] if ctx.step_ends else float("inf")
    return max(
        now,
        min(
            step,
            ctx.last_tick + ctx.config.timeouts.heartbeat,
            ctx.due.next(),
            ctx.plans_due,
            ctx.started + nodes.AWAIT_SECONDS if ctx.awaited else float("inf"),
            ctx.slice_due,
            boundary,
            work.next_wake(ctx),
            serviceaddresses.next_wake(ctx),
        ),
    )
