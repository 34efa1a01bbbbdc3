"""Whose turn is it on CPUs that several jobs have (PreemptMode=GANG)?

In partitions with OverSubscribe=YES:n or FORCE:n jobs lie over each other. With GANG only one of them runs on a CPU at a time: the
others are suspended, and after each time slice those go on that have waited longest. Which jobs run is worked out anew when a slice
is over, and when a job has started or ended: then those that run keep their CPUs, and what is free goes to who waits. All components
of a heterogeneous job, and jobs in their grace time, run on; what somebody has suspended by hand takes no part.
"""

from corral.engine import preemption
from corral.engine.context import Context
from corral.engine.effects import Effects
from corral.model.job import Job, JobId, JobState
from corral.model.preemption import Preempted
from corral.scheduler.nodetable import mask_of

#: Of a job that waits for its turn.
TURN = "GANG"


def waits_for_its_turn(job: Job) -> bool:
    return job.state is JobState.SUSPENDED and job.preempted is not None and job.preempted.action == TURN


def shares(ctx: Context) -> frozenset[str]:
    """The partitions whose jobs take turns."""
    found = (one for one in ctx.state.partitions.values() if one.sharers > 1)
    return frozenset(one.name for one in found if preemption.mode_in(ctx, one).gang)


def tick(ctx: Context, now: float, out: Effects) -> None:
    """The next ones, when a slice is over; and whoever has begun meanwhile."""
    turn(ctx, now, out, is_over=now >= ctx.slice_due)


def turn(ctx: Context, now: float, out: Effects, is_over: bool = False) -> None:
    """Suspend and resume, so that on no CPU two run."""
    where = shares(ctx)
    if not where and ctx.slice_due == float("inf"):
        return
    jobs = [ctx.state.jobs[job_id] for job_id in ctx.state.active]
    taking_turns = [job for job in jobs if _takes_part(job, where) or waits_for_its_turn(job)]
    began = ctx.turn_began
    for job_id in began.keys() - {job.id for job in taking_turns}:
        del began[job_id]
    held: dict[str, int] = {}
    waiting = False
    for job in sorted(taking_turns, key=lambda job: _order(job, began, is_over)):
        assert job.allocation is not None
        masks = [(share.node, mask_of(share.cpus)) for share in job.allocation.nodes]
        runs_on = job.partition not in where or job.het_job_id is not None or _is_in_grace(job)
        is_free = runs_on or not any(held.get(node, 0) & mask for node, mask in masks)
        if is_free:
            for node, mask in masks:
                held[node] = held.get(node, 0) | mask
            if waits_for_its_turn(job):
                began[job.id] = now
                preemption.go_on(ctx, job, now, out)
            began.setdefault(job.id, job.start_time)
        else:
            waiting = True
            if not waits_for_its_turn(job):
                _wait(ctx, job, now, out)
    if not waiting:
        ctx.slice_due = float("inf")
    elif is_over or ctx.slice_due == float("inf"):
        ctx.slice_due = now + ctx.config.preemption.time_slice


def _takes_part(job: Job, where: frozenset[str]) -> bool:
    held = job.allocation
    return job.state is JobState.RUNNING and job.partition in where and held is not None and held.sharers > 1


def _is_in_grace(job: Job) -> bool:
    return job.preempted is not None and job.preempted.action != TURN


def _order(job: Job, began: dict[JobId, float], is_over: bool) -> tuple[bool, bool, float, JobId]:
    """Whoever must run on first; then who waits before who runs if a slice is over, else the other way round."""
    waits = waits_for_its_turn(job)
    since = job.suspend_time if waits else began.get(job.id, job.start_time)
    return not (job.het_job_id is not None or _is_in_grace(job)), waits is not is_over, since, job.id


def _wait(ctx: Context, job: Job, now: float, out: Effects) -> None:
    told = Preempted(time=now, ends=now, action=TURN)
    ctx.change_job(job, now, out, "suspended", state=JobState.SUSPENDED, suspend_time=now, preempted=told)
    preemption.send_suspend(ctx, job, out, thaw=False)
