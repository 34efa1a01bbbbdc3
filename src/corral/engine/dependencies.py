"""Which waiting jobs may go on because others have started or ended, and which never will?"""

from corral.engine import endings
from corral.engine.arrays import split
from corral.engine.context import Context
from corral.engine.effects import Effects
from corral.engine.state import ClusterState
from corral.engine.waits import REASONS
from corral.model import ranges
from corral.model.job import ENDED, Job, JobId, JobSpec, JobState
from corral.model.reason import Reason
from corral.protocol.events import JobChanged, JobEnded
from corral.protocol.replies import Rejected
from corral.syntax import arrayspec, dependency

MET, WAITING, NEVER = "met", "waiting", "never"

_PROBLEM = "Job dependency problem"
_CIRCULAR = "Circular job dependency"


def refusal(state: ClusterState, text: str, own: Job | None = None) -> Rejected | None:
    """Why this dependency can't be taken, of a new job or of `own`; None = it can.

    An id that is not known counts as a job that is over and forgotten: as met.
    """
    conditions = dependency.parse(text).conditions
    if own is None:
        return None
    names = {int(own.id), int(own.array_job_id or own.id)}
    if any(condition.job in names for condition in conditions):
        return Rejected(error=_PROBLEM, detail="a job cannot wait for itself")
    return Rejected(error=_CIRCULAR) if _leads_to(state, conditions, names) else None


def _leads_to(state: ClusterState, conditions: tuple[dependency.Condition, ...], names: set[int]) -> bool:
    """Do those that are waited for wait for one of these, directly or by way of others?"""
    ahead = [condition.job for condition in conditions if condition.job]
    seen: set[int] = set()
    while ahead:
        number = ahead.pop()
        if number in names:
            return True
        if number in seen:
            continue
        seen.add(number)
        for member in state.array_members.get(JobId(number), (JobId(number),)):
            job = state.jobs.get(member)
            if job is None or not job.is_pending or job.independent:
                continue
            text = state.spec(job).dependency
            ahead += [condition.job for condition in dependency.parse(text).conditions if condition.job] if text else []
    return False


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
        begin = ctx.state.begin_time(job)
        reason = Reason.BEGIN_TIME if begin > now else Reason.NONE
        ctx.change_job(job, now, out, "eligible", reason=reason, eligible_time=max(now, begin), independent=True)
        ctx.wants_cycle = True
    elif verdict == NEVER and kills(ctx, ctx.state.spec(job)):
        gone = endings.given_up(job, JobState.CANCELLED, now, reason=Reason.DEPENDENCY_NEVER_SATISFIED)
        ctx.record(JobEnded(time=now, job=gone), out)
        endings.settle(ctx)
    elif verdict == NEVER and job.reason is Reason.DEPENDENCY:
        ctx.change_job(job, now, out, "never", reason=Reason.DEPENDENCY_NEVER_SATISFIED)
    elif verdict == WAITING and job.reason is Reason.DEPENDENCY_NEVER_SATISFIED:
        ctx.change_job(job, now, out, "waiting", reason=Reason.DEPENDENCY)


def kills(ctx: Context, spec: JobSpec) -> bool:
    """Does the job end when its dependency can never be satisfied?"""
    wanted = spec.kill_on_invalid_dep
    return ctx.config.scheduling.kill_invalid_depend if wanted is None else wanted


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


def left(state: ClusterState, job: Job, now: float) -> str:
    """What it still waits for, as squeue's %E shows it: afterok:42(unfulfilled),afterok:43(failed)."""
    spec = state.specs.get(job.spec_id)
    text = spec.dependency if spec is not None else ""
    if not text or job.independent or job.start_time:
        return ""
    wanted = dependency.parse(text)
    element = job.array_task_id
    if element is None and job.array_waiting:  # with aftercorr all that are still together wait
        element = next(iter(ranges.members(job.array_waiting)))
    shown = []
    for condition in wanted.conditions:
        verdict = _one(state, job, condition, element, now)
        if verdict != MET:
            whole = condition.task is None and JobId(condition.job) in state.array_members
            shown.append(
                f"{dependency.format_condition(condition, whole)}({'failed' if verdict == NEVER else 'unfulfilled'})"
            )
    return ("?" if wanted.any_of else ",").join(shown)


def _one(state: ClusterState, job: Job, condition: dependency.Condition, element: int | None, now: float) -> str:
    if condition.kind == "singleton":
        others = state.live_by_name.get((job.owner.uid, state.spec(job).name), set())
        own = job.array_job_id or job.id
        return WAITING if any((state.jobs[other].array_job_id or other) < own for other in others) else MET
    targets = []
    if condition.kind == "aftercorr" and element is not None:
        targets = targets_of(state, condition._replace(task=element))
        if not targets and _had(state, JobId(condition.job), element):  # it is over, completed, and forgotten
            return MET
    targets = targets or targets_of(state, condition)
    if not targets:  # over and forgotten: what it was is no longer known, so it counts as Slurm has it, as met
        return MET
    if condition.kind == "after":
        return _after(targets, condition.delay, now)
    unfinished = [target for target in targets if target.state not in ENDED]
    ended = [target for target in targets if target.state in ENDED]
    if condition.kind in ("afterany", "afterburstbuffer"):  # no job has a burst buffer
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


def _had(state: ClusterState, array: JobId, element: int) -> bool:
    """Was this one of the array's elements?"""
    member = next(iter(state.array_members.get(array, ())), None)
    if member is None:
        return False
    text = state.spec(state.jobs[member]).array
    return bool(text) and element in arrayspec.parse(text, 1 << 30).indices


def _after(targets: list[Job], minutes: int, now: float) -> str:
    for target in targets:
        over = target.state in ENDED
        began = target.start_time or (target.end_time if over else 0.0)
        if not began or (target.array_waiting and not over) or now < began + minutes * 60:
            return WAITING
    return MET


def targets_of(state: ClusterState, condition: dependency.Condition) -> list[Job]:
    job_id = JobId(condition.job)
    members = state.array_members.get(job_id)
    if members is None:
        job = state.jobs.get(job_id)
        return [job] if job is not None and condition.task is None else []
    if condition.task is None:
        return [state.jobs[member] for member in sorted(members)]
    own = state.array_elements.get(job_id, {}).get(condition.task)
    if own is not None:
        return [state.jobs[own]]
    record = state.part_with(job_id, condition.task)
    return [record] if record is not None else []
