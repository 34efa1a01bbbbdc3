"""Which starts of a plan still hold today? Those begin; the others wait for the next cycle."""

import msgspec

from corral.engine import charging, configuring, ports, preemption, slices, steps
from corral.engine.arrays import has_room, split
from corral.engine.context import Context
from corral.engine.effects import Effects
from corral.engine.endings import end_of, settle
from corral.engine.layout import Refusal
from corral.engine.reserved_access import still_open
from corral.engine.state import NOT_YET, ClusterState
from corral.model import ranges
from corral.model.allocation import Allocation
from corral.model.job import UNLIMITED, ExitStatus, Job, JobKind, JobSpec, JobState, StartedBy
from corral.model.reason import Reason
from corral.protocol.events import JobEnded, JobStarted
from corral.scheduler.plan import Plan, Start
from corral.syntax import features


def commit(ctx: Context, plan: Plan, now: float, out: Effects) -> int:
    """Start what still fits. Returns how many began."""
    began = 0
    broken = {start.gang for start in plan.starts if start.gang and not _holds(ctx, start, now)}
    broken |= _beyond_limits(ctx, plan, broken, now)
    for start in plan.starts:
        if start.gang in broken and start.gang:
            ctx.wants_cycle = True
            continue
        if begin(ctx, start, now, out):
            began += 1
        else:
            ctx.wants_cycle = True
            preemption.not_kept(ctx, start, now, out)
    for job_id, element in plan.broken:
        preemption.break_promises(ctx, ctx.state.jobs[job_id], now, out, element)
    for decided in plan.preemptions:
        preemption.decide(ctx, decided, now, out)
    for job_id in plan.resumes:
        preemption.resume(ctx, job_id, now, out)
    for start in plan.starts:
        if start.gang == start.job and start.gang not in broken:  # the first component, now that all are there
            launch(ctx, ctx.state.jobs[start.job], now, out)
    slices.turn(ctx, now, out)
    return began


def _beyond_limits(ctx: Context, plan: Plan, broken: set[int], now: float) -> set[int]:
    """The gangs that break limits together, though no component of them does by itself."""
    gangs: dict[int, list[tuple[Job, Allocation, int]]] = {}
    for start in plan.starts:
        if start.gang and start.gang not in broken:
            job = ctx.state.jobs[start.job]
            gangs.setdefault(start.gang, []).append((job, start.allocation, _limit(ctx, start, job)))
    return {gang for gang, starts in gangs.items() if not charging.may_start(ctx, *starts, now=now)}


def _holds(ctx: Context, start: Start, now: float) -> bool:
    """May it start as planned?"""
    job = ctx.state.jobs.get(start.job)
    if job is None or not may_start(ctx.state, job) or not ctx.state.ledger.can_take(start.allocation):
        return False
    if (ctx.state.reservations or start.allocation.reservation) and not still_open(
        ctx, start.allocation, now, now + _limit(ctx, start, job)
    ):
        return False
    return charging.may_start(ctx, (job, start.allocation, _limit(ctx, start, job)), now=now)


def _limit(ctx: Context, start: Start, job: Job) -> int:
    return min(start.time_limit or job.time_limit, job.time_limit, _most(ctx, job, start.allocation.partition))


def begin(ctx: Context, start: Start, now: float, out: Effects) -> bool:
    if not start.gang and not _holds(ctx, start, now):  # a gang has been looked at as a whole
        return False
    job = ctx.state.jobs[start.job]
    limit = _limit(ctx, start, job)
    rest: Job | None = None
    if start.task_index is not None:
        if not ranges.contains(job.array_waiting, start.task_index):
            return False
        job, rest = split(ctx.state, job, start.task_index)
        if rest is not None and rest.promises:
            left = tuple(one for one in rest.promises if one.element != start.task_index)
            rest = msgspec.structs.replace(rest, promises=left)
    elif job.array_waiting:
        return False
    spec = ctx.state.spec(job)
    held_ports = ports.take(ctx, start.allocation.node_names, spec.ports) if spec.ports else ""
    if isinstance(held_ports, Refusal):
        ports.wait(ctx, ctx.state.jobs[start.job], start.allocation.node_names, now, out)
        return False
    running = msgspec.structs.replace(
        job,
        state=JobState.RUNNING,
        reason=Reason.NONE,
        reason_text="",
        partition=start.allocation.partition,
        # An element that the throttle held back could not have begun before.
        eligible_time=now if job.reason is Reason.ARRAY_TASK_LIMIT else job.eligible_time,
        start_time=now,
        allocation=_of(ctx, job, start.allocation),
        ports=held_ports,
        time_limit=limit,
        batch_host=batch_host(ctx.state, spec, start.allocation),
        expected_start=0.0,
        expected_nodes="",
        promises=(),
        started_by=_started_by(start, job, spec),
    )
    if not start.gang:
        running = configuring.marked(running, spec, now)
    ctx.record(JobStarted(time=now, job=running, array_rest=rest), out)
    ports.note_job(ctx, running)
    if running.configuring_since:
        configuring.begin(ctx, running, now, out)
    elif not start.gang:
        launch(ctx, running, now, out)
    return True


def _started_by(start: Start, job: Job, spec: JobSpec) -> StartedBy:
    if spec.kind is not JobKind.BATCH and job.reason is Reason.NONE:
        return StartedBy.SUBMISSION
    return StartedBy.GAP if start.is_backfill else StartedBy.TURN


def _of(ctx: Context, job: Job, allocation: Allocation) -> Allocation:
    reservation = ctx.state.reservations.get(allocation.reservation) if allocation.reservation else None
    number = reservation.number if reservation is not None else 0
    return msgspec.structs.replace(allocation, user=job.owner.uid, reservation_number=number)


def batch_host(state: ClusterState, spec: JobSpec, allocation: Allocation) -> str:
    """The first node, or the first that has what --batch asks for."""
    if spec.batch_features:
        wanted = features.parse(spec.batch_features)
        for name in allocation.node_names:
            if features.matches(wanted, set(state.nodes[name].inventory.features)):
                return name
    return allocation.nodes[0].node


def _most(ctx: Context, job: Job, name: str) -> int:
    """Seconds; a job that may be shorter (--time-min) can come with a longer limit than its partition's."""
    partition = ctx.state.partitions.get(name)
    if partition is None:
        return UNLIMITED
    return charging.place_of(ctx, ctx.state.spec(job), partition).max_time


def may_start(state: ClusterState, job: Job) -> bool:
    """It waits for nothing but resources."""
    return job.is_pending and not job.held_by and job.reason not in NOT_YET and has_room(state, job)


def launch(ctx: Context, job: Job, now: float, out: Effects) -> None:
    """The script of a batch job, the one step of an srun; salloc's client comes by itself."""
    spec = ctx.state.spec(job)
    if spec.kind is JobKind.BATCH:
        steps.start_batch(ctx, job, now, out)
    elif spec.kind is JobKind.SRUN and spec.step is not None:
        made = steps.start_step(ctx, job, spec.step, now, out)
        if isinstance(made, Refusal):
            current = ctx.state.jobs[job.id]
            failed = msgspec.structs.replace(
                current, state=JobState.FAILED, end_time=end_of(current, now),
                exit_status=ExitStatus(1, 0), reason=Reason.JOB_LAUNCH_FAILURE,
                reason_text=made.error,
            )  # fmt: skip
            ctx.record(JobEnded(time=now, job=failed), out)
            settle(ctx)
