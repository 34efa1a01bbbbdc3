"""What happens when a reservation ends, comes again, or lies idle?"""

import msgspec

from corral.engine import endings
from corral.engine.context import Context
from corral.engine.effects import Effects
from corral.engine.reserved_access import names_of
from corral.engine.reserved_nodes import replaced
from corral.model.job import Job, JobSpec, JobState
from corral.model.reason import Reason
from corral.model.reservation import Flag, Reservation, rolled_on
from corral.protocol.events import JobChanged, ReservationChanged, ReservationRemoved

_NEVER = float("inf")


def record(ctx: Context, reservation: Reservation, now: float, out: Effects, what: str) -> None:
    ctx.record(ReservationChanged(time=now, reservation=reservation, what=what), out)
    ctx.reservations_due = 0.0
    ctx.wants_cycle = True


def tick(ctx: Context, now: float, out: Effects) -> None:
    """All that is due. A cycle is wanted whenever one has begun or ended."""
    if not ctx.state.reservations:
        return
    for reservation in list(ctx.state.reservations.values()):
        if not reservation.float_seconds and reservation.end_time <= now:
            _end(ctx, reservation, now, out)
        else:
            _keep_up(ctx, reservation, now, out)
    if now >= ctx.reservations_due:
        ctx.reservations_due = _next(ctx, now)
        ctx.wants_cycle = True


def _next(ctx: Context, now: float) -> float:
    moments = [
        moment
        for one in ctx.state.reservations.values()
        if not one.float_seconds
        for moment in (one.start_time, one.end_time, _purge_time(one))
    ]
    return min((moment for moment in moments if moment > now), default=_NEVER)


def _purge_time(one: Reservation) -> float:
    return one.idle_since + one.purge_seconds if one.idle_since and one.purge_seconds else _NEVER


def _jobs_in(ctx: Context, name: str) -> list[Job]:
    jobs = [ctx.state.jobs[job_id] for job_id in sorted(ctx.state.active)]
    return [job for job in jobs if job.allocation is not None and job.allocation.reservation == name]


def _keep_up(ctx: Context, one: Reservation, now: float, out: Effects) -> None:
    other = replaced(ctx, one, now)
    if other != one:
        record(ctx, other, now, out, "nodes")
    if not one.purge_seconds or not one.is_active(now):
        return
    one = other
    if uses(ctx, one.name):
        if one.idle_since:
            record(ctx, msgspec.structs.replace(one, idle_since=0.0), now, out, "used")
    elif not one.idle_since:
        record(ctx, msgspec.structs.replace(one, idle_since=now), now, out, "idle")
    elif now >= _purge_time(one):
        if one.repeats:
            _again(ctx, msgspec.structs.replace(one, idle_since=0.0), one.end_time, now, out)
        else:
            remove(ctx, one, now, out)


def uses(ctx: Context, name: str) -> list[Job]:
    """The jobs that run in it or ask for it."""
    waiting = (ctx.state.jobs[job] for job in (*(key[2] for key in ctx.state.queue), *ctx.state.held))  # type: ignore[index]
    return _jobs_in(ctx, name) + [job for job in waiting if name in names_of(ctx.state.spec(job).reservation)]


def _end(ctx: Context, one: Reservation, now: float, out: Effects) -> None:
    """Jobs in it are over, unless it is FLEX; those that still ask for it are held."""
    left = False
    for job_id in [job.id for job in _jobs_in(ctx, one.name)]:
        job = ctx.state.jobs[job_id]
        left = left or job.state is JobState.COMPLETING or one.has(Flag.FLEX)
        if job.state in (JobState.RUNNING, JobState.SUSPENDED) and not one.has(Flag.FLEX):
            endings.terminate(ctx, job, JobState.TIMEOUT, now, out, why="time_limit", reason=Reason.TIME_LIMIT)
    if one.repeats:
        _again(ctx, one, now, now, out)
    elif not left or not _jobs_in(ctx, one.name):
        remove(ctx, one, now, out)


def _again(ctx: Context, one: Reservation, over: float, now: float, out: Effects) -> None:
    record(ctx, rolled_on(one, over), now, out, "again")


def skip(ctx: Context, one: Reservation, now: float, out: Effects) -> None:
    """To its next time."""
    _again(ctx, one, max(now, one.end_time), now, out)


def remove(ctx: Context, one: Reservation, now: float, out: Effects) -> None:
    """It is no more: who waits for it is held, or (NO_HOLD_JOBS_AFTER_END) goes without it."""
    for job in uses(ctx, one.name):
        if job.is_pending:
            _without(ctx, job, ctx.state.spec(job), one, now, out)
    ctx.record(ReservationRemoved(time=now, name=one.name), out)
    ctx.reservations_due = 0.0
    ctx.wants_cycle = True


def _without(ctx: Context, job: Job, spec: JobSpec, one: Reservation, now: float, out: Effects) -> None:
    left = [name for name in names_of(spec.reservation) if name != one.name and name in ctx.state.reservations]
    if not left and not one.has(Flag.NO_HOLD_JOBS_AFTER_END):
        endings.leave_reservation(ctx, job, one.name, now, out)
        return
    spec = msgspec.structs.replace(spec, reservation=",".join(left))
    ctx.record(JobChanged(time=now, job=job, spec=spec, what="reservation"), out)
