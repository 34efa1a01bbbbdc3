"""How does a job end, by itself or by another's will, and what must be cleared away first?

A job whose last step is over and that needs no epilog ends at once. Any other goes to COMPLETING: every node it holds is told to
end what is left (EndJob), and when all have reported JobCleaned it takes its `end_state`, or goes back to PENDING.
"""

import msgspec

from corral.engine.context import Context
from corral.engine.effects import Effects
from corral.engine.launch import job_context
from corral.engine.state import ClusterState
from corral.model.cluster import ClusterConfig
from corral.model.job import ENDED, UNLIMITED, ExitStatus, Job, JobId, JobKind, JobState
from corral.model.reason import Reason
from corral.model.step import EndCause, Step
from corral.protocol.events import JobChanged, JobEnded, JobRequeued, StepEnded
from corral.protocol.orders import EndJob
from corral.protocol.reports import JobCleaned
from corral.syntax import cron, exitcodes, jobid

#: So many jobs that a job has made room for are remembered.
MOST_REMEMBERED = 100


def job_id_of(state: ClusterState, text: str) -> JobId:
    """The record that `42` or `42_7` names; 0 = none. Raises InvalidJobId."""
    parts = jobid.parse(text)
    if not parts.tasks:
        return JobId(parts.job)
    return state.array_elements.get(JobId(parts.job), {}).get(parts.tasks[0], JobId(0))


def after_batch(ctx: Context, job: Job, step: Step, now: float, out: Effects, message: str) -> None:
    """The script is over, and the job with it."""
    if step.cause is EndCause.LAUNCH_FAILED and message.startswith("prolog"):
        requeue(ctx, job, now, out, hold_as=too_often(ctx, job))
        return
    if step.cause is EndCause.LOST and may_requeue(ctx, job):
        requeue(ctx, job, now, out, hold_as=too_often(ctx, job), ended_as=JobState.NODE_FAIL)
        return
    state, reason = verdict(step)
    if ended_in_grace(job, state):
        made = job.preempted is not None and job.preempted.action == "REQUEUE" and may_requeue(ctx, job)
        job = msgspec.structs.replace(job, requeue_after=made)
        finish(ctx, job, JobState.PREEMPTED, step.exit_status, Reason.NONE, now, out, text=message)
        return
    if state in (JobState.COMPLETED, JobState.FAILED) and not step.exit_status.signal:
        again = _on_exit_code(ctx, job, step.exit_status)
        if again is not None:
            job = again
    finish(ctx, job, state, step.exit_status, reason, now, out, text=message)


def too_often(ctx: Context, job: Job) -> Reason | None:
    """A job that was cut off so often, and whose launch fails again, is held: somebody should look at it."""
    return Reason.HOLD_MAX_REQUEUE if job.restarts >= ctx.config.limits.max_batch_requeue else None


def _on_exit_code(ctx: Context, job: Job, status: ExitStatus) -> Job | None:
    """RequeueExit and RequeueExitHold: its exit code says that it is to run again."""
    if exitcodes.contains(ctx.config.requeue_exit_hold, status.code):
        return msgspec.structs.replace(job, requeue_after=True, special_exit=True, held_by=job.held_by or "user")
    if exitcodes.contains(ctx.config.requeue_exit, status.code):
        return msgspec.structs.replace(job, requeue_after=True)
    return None


def after_srun(ctx: Context, job: Job, step: Step, now: float, out: Effects, message: str) -> None:
    """The one step of an srun's own allocation is over."""
    state, reason = verdict(step)
    if ended_in_grace(job, state):
        state, reason = JobState.PREEMPTED, Reason.NONE
    finish(ctx, job, state, step.exit_status, reason, now, out, text=message)


def ended_in_grace(job: Job, state: JobState) -> bool:
    """Has it ended because it was told that others need its place? Unless it has just done its work, that is what has become of it."""
    told = job.preempted
    return told is not None and told.action in ("REQUEUE", "CANCEL") and state in (JobState.FAILED, JobState.CANCELLED)


def verdict(step: Step) -> tuple[JobState, Reason]:
    """What a job becomes by the end of its main step."""
    if step.cause is EndCause.OUT_OF_MEMORY:
        return JobState.OUT_OF_MEMORY, Reason.OUT_OF_MEMORY
    if step.cause is EndCause.LOST:
        return JobState.NODE_FAIL, Reason.NODE_DOWN
    if step.cause is EndCause.LAUNCH_FAILED:
        return JobState.FAILED, Reason.JOB_LAUNCH_FAILURE
    if step.timed_out and step.cause is EndCause.CANCELLED:
        return JobState.TIMEOUT, Reason.TIME_LIMIT
    if step.cancelled_by is not None or step.cause is EndCause.CANCELLED:  # the latter: its whole cluster was stopped
        return JobState.CANCELLED, Reason.NONE
    if step.exit_status == ExitStatus():
        return JobState.COMPLETED, Reason.NONE
    if step.exit_status.signal:
        return JobState.FAILED, Reason.JOB_LAUNCH_FAILURE
    return JobState.FAILED, Reason.NON_ZERO_EXIT_CODE


def finish(
    ctx: Context,
    job: Job,
    state: JobState,
    status: ExitStatus,
    reason: Reason,
    now: float,
    out: Effects,
    text: str = "",
) -> None:
    """Its work is done: end it now, or clear away first what is left on its nodes. A heterogeneous job ends with its first component."""
    for other in _followers(ctx, job):
        finish(ctx, other, state, status, reason, now, out, text)
    job = msgspec.structs.replace(job, exit_status=status, reason=reason, reason_text=text)
    if not ctx.config.programs.epilog and not _is_something_left(ctx, job):
        ended = msgspec.structs.replace(job, state=state, end_state=None, end_time=end_of(job, now), **_awake(job, now))
        if job.requeue_after or comes_again(ctx, ended):
            back_to_queue(ctx, ended, now, out)
        else:
            ctx.record(JobEnded(time=now, job=ended), out)
        settle(ctx)
        return
    clear_away(ctx, job, state, now, out, "", 0.0)


def _is_something_left(ctx: Context, job: Job) -> bool:
    """On its nodes: steps, containers that it keeps by name, directories of its own, an MPS daemon that may be nobody's now."""
    if ctx.config.isolation.private_dirs:
        return True
    if ctx.config.gpu_sharing.starts_mps and job.allocation is not None and job.allocation.has_shares:
        return True
    if ctx.state.spec(job).kind is JobKind.POD:  # its network, its volumes
        return True
    steps = ctx.state.steps_of(job.id).values()
    return any(
        step.state not in ENDED or (step.spec.container is not None and step.spec.container.name) for step in steps
    )


def _awake(job: Job, now: float) -> dict[str, float]:
    """The time for which it was suspended until it ended."""
    if not job.suspend_time:
        return {}
    return {"suspended_seconds": job.suspended_seconds + max(0.0, now - job.suspend_time), "suspend_time": 0.0}


def terminate(
    ctx: Context,
    job: Job,
    state: JobState,
    now: float,
    out: Effects,
    *,
    why: str,
    reason: Reason = Reason.NONE,
    text: str = "",
    by: int | None = None,
    requeue_after: bool = False,
    hold_as: Reason | None = None,
    kill_after: float | None = None,
) -> None:
    """End a job that runs, by another's will: SIGTERM, and SIGKILL after KillWait.

    With the first component of a heterogeneous job all end, and with any that has lost a node or is to be queued again.
    """
    whole = requeue_after or state is JobState.NODE_FAIL
    for other in _followers(ctx, job, whole):
        _terminate(ctx, other, state, now, out, why, reason, text, by, requeue_after, hold_as, kill_after)
    _terminate(ctx, job, state, now, out, why, reason, text, by, requeue_after, hold_as, kill_after)


def _followers(ctx: Context, job: Job, whole: bool = False) -> list[Job]:
    """The other components that run, if they end with this one."""
    if job.het_job_id is None or not (whole or job.id == job.het_job_id):
        return []
    running = (JobState.RUNNING, JobState.SUSPENDED)
    return [one for one in ctx.state.het_members(job) if one.id != job.id and one.state in running]


def _terminate(
    ctx: Context,
    job: Job,
    state: JobState,
    now: float,
    out: Effects,
    why: str,
    reason: Reason,
    text: str,
    by: int | None,
    requeue_after: bool,
    hold_as: Reason | None,
    kill_after: float | None,
) -> None:
    fields: dict[str, object] = {
        "reason": reason,
        "reason_text": text,
        "cancelled_by": by,
        "requeue_after": requeue_after,
    }
    if hold_as is not None:
        fields |= {"held_by": job.held_by or "user", "hold_as": hold_as}
    if state in (JobState.CANCELLED, JobState.TIMEOUT, JobState.PREEMPTED):
        fields["exit_status"] = ExitStatus(0, 15)
    changed = msgspec.structs.replace(job, **fields)
    wait = ctx.config.timeouts.kill_wait if kill_after is None else kill_after
    clear_away(ctx, changed, state, now, out, why, wait)


def end_of(job: Job, now: float) -> float:
    """Not before it began, also when the clock has been set back."""
    return max(now, job.start_time, job.submit_time)


def given_up(job: Job, state: JobState, now: float, **fields: object) -> Job:
    """The record of a job that ends while it waits; why it waited stays to be seen."""
    return msgspec.structs.replace(job, state=state, end_time=end_of(job, now), **fields)


def cancel_instead(ctx: Context, job: Job, now: float, out: Effects, by: int) -> None:
    """A job that is being cleared away to be queued again is not to come back."""
    ctx.change_job(
        job, now, out, "cancelled", end_state=JobState.CANCELLED, requeue_after=False, held_by="", cancelled_by=by
    )


def clear_away(ctx: Context, job: Job, state: JobState, now: float, out: Effects, why: str, kill_after: float) -> None:
    held = job.allocation
    assert held is not None
    job = msgspec.structs.replace(
        job, state=JobState.COMPLETING, end_state=state, end_time=end_of(job, now), **_awake(job, now)
    )
    ctx.record(JobChanged(time=now, job=job, what="completing"), out)
    nodes = {name for name in held.node_names if name in ctx.state.nodes and ctx.state.nodes[name].up}
    ctx.cleaning[job.id] = dict.fromkeys(nodes, now)
    if nodes:
        ctx.kill_at[job.id] = now + kill_after
        send_end(ctx, job, nodes, now, out, why)
    else:
        complete(ctx, job, now, out)


def kill_time(ctx: Context, job: Job) -> float:
    """When what is left of a job that is being cleared away gets SIGKILL."""
    return ctx.kill_at.get(job.id, job.end_time + ctx.config.timeouts.kill_wait)


def send_end(ctx: Context, job: Job, nodes: set[str], now: float, out: Effects, why: str) -> None:
    """Also again: then with what is left of KillWait, as each order sets the time of SIGKILL anew."""
    kill_after = max(0.0, kill_time(ctx, job) - now)
    context = job_context(ctx, job)
    for node in sorted(nodes):
        ctx.cleaning[job.id][node] = now
        order = EndJob(
            term=ctx.term,
            node=node,
            job=job.id,
            restart=job.restarts,
            kill_after=kill_after,
            epilog=ctx.config.programs.epilog,
            uid=job.owner.uid,
            reason=why,
            context=context,
        )
        ctx.send(node, order, out)


def on_cleaned(ctx: Context, report: JobCleaned, now: float, out: Effects) -> None:
    """Nothing of the job is left on this node."""
    job = ctx.state.jobs.get(JobId(report.job))
    waiting = ctx.cleaning.get(JobId(report.job))
    if job is None or waiting is None or job.restarts != report.restart or job.state is not JobState.COMPLETING:
        return
    waiting.pop(report.node, None)
    if not waiting:
        complete(ctx, job, now, out)


def complete(ctx: Context, job: Job, now: float, out: Effects) -> None:
    """Nothing is left anywhere: the end state, or back to the queue."""
    ctx.cleaning.pop(job.id, None)
    ctx.kill_at.pop(job.id, None)
    for step in ctx.state.live_steps_of(job.id):
        state = job.end_state if job.end_state is JobState.NODE_FAIL else JobState.CANCELLED
        assert state is not None
        gone = msgspec.structs.replace(
            step, state=state, end_time=max(now, step.start_time), cause=EndCause.CANCELLED, exit_status=_killed(step)
        )
        ctx.record(StepEnded(time=now, step=gone), out)
    job = ctx.state.jobs[job.id]
    ended = msgspec.structs.replace(
        job, state=job.end_state or JobState.FAILED, end_state=None, end_time=job.end_time or end_of(job, now)
    )
    if job.requeue_after or comes_again(ctx, ended):
        back_to_queue(ctx, ended, now, out)
    else:
        ctx.record(JobEnded(time=now, job=ended), out)
        rejoin(ctx, ended, now, out)
    settle(ctx)


def comes_again(ctx: Context, ended: Job) -> bool:
    """An entry of a crontab waits for its next time, however this run has ended."""
    crontab = ctx.state.crontabs.get(ended.owner.uid)
    return crontab is not None and crontab.entry_of(ended.id) is not None


def _killed(step: Step) -> ExitStatus:
    return step.exit_status if step.exit_status != ExitStatus() else ExitStatus(0, 15)


def settle(ctx: Context) -> None:
    """Something is free."""
    ctx.wants_cycle = True


def may_requeue(ctx: Context, job: Job) -> bool:
    spec = ctx.state.spec(job)
    wanted = spec.requeue if spec.requeue is not None else ctx.config.requeue
    return wanted and spec.kind is JobKind.BATCH


def granted_limit(config: ClusterConfig, seconds: int) -> int:
    """Rounded up to the cluster's granularity (Slurm counts whole minutes); 0 asks for none."""
    if seconds <= 0 or seconds >= UNLIMITED:
        return UNLIMITED
    step = config.scheduling.time_limit_step
    return -(-seconds // step) * step


def requeue(
    ctx: Context,
    job: Job,
    now: float,
    out: Effects,
    *,
    hold_as: Reason | None = None,
    ended_as: JobState = JobState.REQUEUED,
    why: str = "requeue",
) -> None:
    """Cut this run off and queue the job again, held if there is a reason for it."""
    if job.state in ENDED:
        if hold_as is not None:
            job = msgspec.structs.replace(job, held_by=job.held_by or "user", hold_as=hold_as)
        back_to_queue(ctx, job, now, out)
        settle(ctx)
        return
    terminate(ctx, job, ended_as, now, out, why=why, requeue_after=True, hold_as=hold_as)


def back_to_queue(ctx: Context, ended: Job, now: float, out: Effects) -> None:
    held = ended.held_by
    spec = ctx.state.spec(ended)
    depends = bool(spec.dependency) and not ended.independent
    begin = ctx.state.begin_time(ended)
    if spec.cron and comes_again(ctx, ended):
        begin = cron.next_after(spec.cron, now)
    elif ctx.config.scheduling.requeue_delay and begin <= now:
        begin = now + ctx.config.scheduling.requeue_delay
    limit = ended.time_limit
    if spec.time_min and spec.time_limit is not None:  # it may have been cut to fit a gap
        limit = granted_limit(ctx.config, spec.time_limit)
    waits = msgspec.structs.replace(
        ended,
        state=JobState.PENDING,
        reason=_why_held(ended) if held else _why_not_yet(depends, begin, now),
        hold_as=None,
        begin_time=begin if begin > now else ended.begin_time,
        reason_text="",
        restarts=ended.restarts + 1,
        allocation=None,
        ports="",
        start_time=0.0,
        end_time=0.0,
        suspended_seconds=0.0,
        suspend_time=0.0,
        cpus_lent=False,
        configuring_since=0.0,
        eligible_time=0.0 if held or depends else max(now, begin),
        exit_status=ended.exit_status if ended.state in ENDED - {JobState.PREEMPTED} else ExitStatus(),
        derived_exit_status=ExitStatus(),
        cancelled_by=None,
        next_step=0,
        warned=False,
        limit_told=0,
        requeue_after=False,
        preempted=None,
        promises=(),
        yielded_to=_yielded_to(ended),
        partition=spec.partition or ended.partition,
        time_limit=limit,
        priority=0 if held else ended.priority,
    )
    ctx.forget_steps(ended.id)
    ctx.record(JobRequeued(time=now, job=waits, ended=ended), out)
    if spec.reservation and not any(name in ctx.state.reservations for name in spec.reservation.split(",")):
        leave_reservation(ctx, waits, spec.reservation, now, out)
    rejoin(ctx, waits, now, out)


def _yielded_to(ended: Job) -> tuple[int, ...]:
    """The last ones: those before are over."""
    told = ended.preempted
    if told is None or ended.state is not JobState.PREEMPTED or told.by in ended.yielded_to:
        return ended.yielded_to
    return (*ended.yielded_to, told.by)[-MOST_REMEMBERED:]


def leave_reservation(ctx: Context, job: Job, name: str, now: float, out: Effects) -> None:
    """The reservation in which it was to run is no more: it is held, and when it is released runs without."""
    spec = msgspec.structs.replace(ctx.state.spec(job), reservation="")
    fields: dict[str, object] = {}
    if not job.held_by:
        fields = {
            "held_by": "user", "priority": 0, "eligible_time": 0.0, "reason": Reason.RESERVATION_DELETED,
            "reason_text": f"Reservation {name} was deleted",
        }  # fmt: skip
    held = msgspec.structs.replace(job, **fields)
    ctx.record(JobChanged(time=now, job=held, spec=spec, what="reservation"), out)


def rejoin(ctx: Context, job: Job, now: float, out: Effects) -> None:
    """Components that ended by themselves come back when the first is queued again, unless somebody cancelled them."""
    members = ctx.state.het_members(job)
    if members and members[0].is_pending:
        for one in members:
            if one.state in ENDED and one.state is not JobState.CANCELLED:
                back_to_queue(ctx, one, now, out)


def _why_held(ended: Job) -> Reason:
    if ended.hold_as is not None:
        return ended.hold_as
    return Reason.HELD_ADMIN if ended.held_by == "admin" else Reason.HELD_USER


def _why_not_yet(depends: bool, begin: float, now: float) -> Reason:
    return Reason.DEPENDENCY if depends else Reason.BEGIN_TIME if begin > now else Reason.NONE
