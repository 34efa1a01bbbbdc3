"""Which waiting jobs may go on because others have started or ended, and which never will?"""

from corral.engine.arrays import split
from corral.engine.context import Context
from corral.engine.effects import Effects
from corral.engine.state import ClusterState
from corral.engine.waits import REASONS
from corral.model import ranges
from corral.model.job import ENDED, Job, JobId, JobState
from corral.model.reason import Reason
from corral.protocol.events import JobChanged
from corral.syntax import dependency

MET, WAITING, NEVER = "met", "waiting", "never"

_REFUSED = frozenset({"afterburstbuffer", "expand"})


def problem_of(state: ClusterState, text: str) -> str:
    """Why this dependency can't be taken; "" = it can."""
    for condition in dependency.parse(text).conditions:
        if condition.kind in _REFUSED:
            return f"{condition.kind} is not supported by Corral"
        if (
            condition.kind != "singleton"
            and JobId(condition.job) not in state.jobs
            and condition.job not in state.array_members
            and condition.job >= state.next_job_id
        ):
            return f"no job {condition.job}"
    return ""


def check(ctx: Context, now: float, out: Effects) -> None:
    """Look at every waiting job for which something may have changed."""
    while ctx.waits.to_check:
        due = sorted(ctx.waits.to_check)
        ctx.waits.to_check.clear()
        for job_id in due:
            job = ctx.state.jobs.get(job_id)
            if job is not None and job.is_pending and not job.held_by and job.reason in REASONS:
                _check_one(ctx, job, now, out)


def _check_one(ctx: Context, job: Job, now: float, out: Effects) -> None:
    wanted = dependency.parse(ctx.state.spec(job).dependency)
    if job.array_waiting and any(condition.kind == "aftercorr" for condition in wanted.conditions):
        _check_elements(ctx, job, wanted, now, out)
        return
    _judge(ctx, job, standing(ctx.state, job, wanted, job.array_task_id, now), now, out)


def _check_elements(ctx: Context, job: Job, wanted: dependency.Dependency, now: float, out: Effects) -> None:
    """aftercorr: each element waits for its own counterpart, and leaves the others when that is over."""
    for element in list(ranges.members(job.array_waiting)):
        verdict = standing(ctx.state, job, wanted, element, now)
        if verdict != WAITING:
            own, rest = split(ctx.state, ctx.state.jobs[job.id], element)
            if rest is not None:
                ctx.record(JobChanged(time=now, job=own, array_rest=rest, what="split"), out)
            _judge(ctx, own, verdict, now, out)


def _judge(ctx: Context, job: Job, verdict: str, now: float, out: Effects) -> None:
    if verdict == MET:
        begin = ctx.state.spec(job).begin_time
        reason = Reason.BEGIN_TIME if begin > now else Reason.NONE
        ctx.change_job(job, now, out, "eligible", reason=reason, eligible_time=max(now, begin))
        ctx.wants_cycle = True
    elif verdict == NEVER and job.reason is Reason.DEPENDENCY:
        ctx.change_job(job, now, out, "never", reason=Reason.DEPENDENCY_NEVER_SATISFIED)
    elif verdict == WAITING and job.reason is Reason.DEPENDENCY_NEVER_SATISFIED:
        ctx.change_job(job, now, out, "waiting", reason=Reason.DEPENDENCY)


def standing(state: ClusterState, job: Job, wanted: dependency.Dependency, element: int | None, now: float) -> str:
    """Met, waiting, or never to be met: for the job, or this element of it."""
    verdicts = [_one(state, job, condition, element, now) for condition in wanted.conditions]
    if wanted.any_of:
        if MET in verdicts:
            return MET
        return WAITING if WAITING in verdicts else NEVER
    if NEVER in verdicts:
        return NEVER
    return WAITING if WAITING in verdicts else MET


def _one(state: ClusterState, job: Job, condition: dependency.Condition, element: int | None, now: float) -> str:
    if condition.kind == "singleton":
        others = state.live_by_name.get((job.owner.uid, state.spec(job).name), set())
        own = job.array_job_id or job.id
        return WAITING if any((state.jobs[other].array_job_id or other) < own for other in others) else MET
    if condition.kind == "aftercorr" and element is not None and condition.task is None:
        condition = condition._replace(task=element)
    targets = _targets(state, condition)
    if not targets:  # over and forgotten: what it was is no longer known, so it counts as Slurm has it, as met
        return MET
    if condition.kind == "after":
        return _after(targets, condition.delay, now)
    unfinished = [target for target in targets if target.state not in ENDED]
    ended = [target for target in targets if target.state in ENDED]
    if condition.kind == "afterany":
        return WAITING if unfinished else MET
    good = [target for target in ended if target.state is JobState.COMPLETED]
    if condition.kind in ("afterok", "aftercorr"):
        if len(good) < len(ended):
            return NEVER
        return WAITING if unfinished else MET
    if condition.kind == "afternotok":
        if len(good) < len(ended):
            return MET if not unfinished else WAITING
        return WAITING if unfinished else NEVER
    return NEVER


def _after(targets: list[Job], minutes: int, now: float) -> str:
    for target in targets:
        began = target.start_time or (target.end_time if target.state in ENDED else 0.0)
        if not began or target.array_waiting or now < began + minutes * 60:
            return WAITING
    return MET


def _targets(state: ClusterState, condition: dependency.Condition) -> list[Job]:
    job_id = JobId(condition.job)
    members = state.array_members.get(job_id)
    if members is None:
        job = state.jobs.get(job_id)
        return [job] if job is not None else []
    jobs = [state.jobs[member] for member in sorted(members)]
    if condition.task is None:
        return jobs
    return [
        job for job in jobs if job.array_task_id == condition.task or ranges.contains(job.array_waiting, condition.task)
    ]
