"""Which waiting jobs may go on because others have started or ended, and which never will?"""

from corral.engine.context import Context
from corral.engine.effects import Effects
from corral.engine.state import ClusterState
from corral.model import ranges
from corral.model.job import ENDED, Job, JobId, JobState
from corral.model.reason import Reason
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


def check_all(ctx: Context, now: float, out: Effects) -> None:
    """Look at every job that waits for others."""
    for job_id in sorted(ctx.state.timed):
        job = ctx.state.jobs[job_id]
        if job.held_by or job.reason not in (Reason.DEPENDENCY, Reason.DEPENDENCY_NEVER_SATISFIED):
            continue
        verdict = standing(ctx.state, job, now)
        if verdict == MET:
            begin = ctx.state.spec(job).begin_time
            reason = Reason.BEGIN_TIME if begin > now else Reason.NONE
            ctx.change_job(job, now, out, "eligible", reason=reason, eligible_time=max(now, begin))
            ctx.wants_cycle = True
        elif verdict == NEVER and job.reason is Reason.DEPENDENCY:
            ctx.change_job(job, now, out, "never", reason=Reason.DEPENDENCY_NEVER_SATISFIED)


def standing(state: ClusterState, job: Job, now: float) -> str:
    """Met, waiting, or never to be met."""
    wanted = dependency.parse(state.spec(job).dependency)
    verdicts = [_one(state, job, condition, now) for condition in wanted.conditions]
    if wanted.any_of:
        if MET in verdicts:
            return MET
        return WAITING if WAITING in verdicts else NEVER
    if NEVER in verdicts:
        return NEVER
    return WAITING if WAITING in verdicts else MET


def _one(state: ClusterState, job: Job, condition: dependency.Condition, now: float) -> str:
    if condition.kind == "singleton":
        others = state.live_by_name.get((job.owner.uid, state.spec(job).name), set())
        return WAITING if any(other < job.id and state.jobs[other].array_job_id != job.id for other in others) else MET
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
        if unfinished:
            return WAITING
        return MET if len(good) < len(ended) else NEVER
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
