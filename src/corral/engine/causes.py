"""What keeps a job waiting before anybody looks at nodes: a hold, other jobs, a time, its partition, its account, a limit?

All of it, not the first only: each would be enough by itself.
"""

from collections.abc import Callable, Iterable

from corral.engine import charging, dependencies, preemption
from corral.engine.arrays import has_room
from corral.engine.context import Context
from corral.engine.obstacles import obstacles_of
from corral.engine.rivals import label
from corral.model.job import Job, JobId, JobSpec
from corral.model.partition import PartitionState
from corral.model.reason import Reason
from corral.protocol.explanations import Awaited, Cause, Holder, Limit
from corral.scheduler import limits, words
from corral.scheduler.demand import Demand
from corral.scheduler.obstacles import Obstacle
from corral.syntax import dependency, duration, hostlist

#: So many users, and jobs, are named who use up a limit.
MOST_HOLDERS = 5

Sees = Callable[[Job], bool]


def causes_of(
    ctx: Context, job: Job, spec: JobSpec, demands: tuple[Demand, ...], sees: Sees, now: float
) -> tuple[Cause, ...]:
    return (
        *_held(job),
        *_promised(ctx, job, sees),
        *_awaited(ctx, job, spec, sees, now),
        *_times(ctx, job, spec, now),
        *_throttled(ctx, job),
        *_partitions(ctx, job, spec, demands),
        *_limits(ctx, job, sees, now),
    )


def _held(job: Job) -> Iterable[Cause]:
    if not job.held_by:
        return
    who = "an administrator" if job.held_by == "admin" else "its user"
    helps = "an operator can release it" if job.held_by == "admin" else f"scontrol release {job.id}"
    text = f"It is held by {who}: {helps}."
    if job.reason not in (Reason.HELD_USER, Reason.HELD_ADMIN):
        text = f"It is held ({job.reason_text or job.reason}): {helps}."
    yield Cause(kind="held", reason=str(job.reason), text=text)


def _promised(ctx: Context, job: Job, sees: Sees) -> Iterable[Cause]:
    """Others are making room for it."""
    if not job.promises or job.array_waiting:
        return
    for one in preemption.promised(ctx, job):
        if not one.victims:
            continue
        gone = [label(ctx.state.jobs[JobId(number)]) for number in one.victims if sees(ctx.state.jobs[JobId(number)])]
        who = words.counted(len(one.victims), "job") + (f" ({', '.join(gone)})" if gone else "")
        nodes = hostlist.fold(list(one.allocation.node_names))
        yield Cause(
            kind="preempting", reason=str(job.reason), until=one.ends,
            text=f"Room is being made for it on {nodes}: {who} must go first.",
        )  # fmt: skip


def _awaited(ctx: Context, job: Job, spec: JobSpec, sees: Sees, now: float) -> Iterable[Cause]:
    """What it depends on and has not come true."""
    if not spec.dependency or job.independent:
        return
    wanted = dependency.parse(spec.dependency)
    element = job.array_task_id
    verdict = dependencies.standing(ctx.state, job, wanted, element, now)
    if verdict == dependencies.MET:
        return
    found = []
    for condition in wanted.conditions:
        one = dependencies.standing(ctx.state, job, dependency.Dependency((condition,)), element, now)
        if one != dependencies.MET:
            states = _states(ctx, job, spec, condition, sees)
            found.append(Awaited(condition=str(condition), job=str(condition.job or ""), state=states, verdict=one))
    never = verdict == dependencies.NEVER
    reason = Reason.DEPENDENCY_NEVER_SATISFIED if never else Reason.DEPENDENCY
    what = " or ".join(_said(one) for one in found) if wanted.any_of else ", ".join(_said(one) for one in found)
    text = f"What it depends on can not come true any more: {what}." if never else f"It depends on others: {what}."
    yield Cause(kind="dependency", reason=str(reason), text=text, awaited=tuple(found))


def _said(one: Awaited) -> str:
    return one.condition + (f" ({one.state})" if one.state else "")


def _states(ctx: Context, job: Job, spec: JobSpec, condition: dependency.Condition, sees: Sees) -> str:
    """Of the jobs that it waits for, as far as they may be seen: RUNNING, or 3 COMPLETED, 2 RUNNING of an array."""
    state = ctx.state
    if condition.kind == "singleton":
        names = state.live_by_name.get((job.owner.uid, spec.name), set())
        own = job.array_job_id or job.id
        others = sorted(other for other in names if (state.jobs[other].array_job_id or other) < own)
        return f"job {label(state.jobs[others[0]])} of the same name" if others else ""
    jobs = [one for one in dependencies.targets_of(state, condition) if sees(one)]
    counts: dict[str, int] = {}
    for one in jobs:
        counts[str(one.state)] = counts.get(str(one.state), 0) + 1
    if len(jobs) == 1:
        return next(iter(counts))
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))


def _times(ctx: Context, job: Job, spec: JobSpec, now: float) -> Iterable[Cause]:
    begin = ctx.state.begin_time(job)
    if begin > now:
        yield Cause(
            kind="begin", reason=str(Reason.BEGIN_TIME), text="It may not begin before its --begin.", until=begin
        )
    elif job.reason is Reason.BEGIN_TIME and job.eligible_time > now:
        yield Cause(
            kind="begin", reason=str(Reason.BEGIN_TIME), text="It was requeued, and may begin again after a delay.",
            until=job.eligible_time,
        )  # fmt: skip
    elif job.reason is Reason.MPI_PORTS_BUSY:
        many = words.counted(spec.ports, "port")
        text = f"Its nodes did not have {many} free (--ports): it waits until some come back."
        yield Cause(kind="ports", reason=str(job.reason), text=text)


def _throttled(ctx: Context, job: Job) -> Iterable[Cause]:
    if job.array_waiting and not has_room(ctx.state, job):
        active = ctx.state.array_active.get(job.array_job_id or JobId(0), 0)
        text = f"{active} elements of the array run, and it lets {job.array_throttle} run at once (ArrayTaskThrottle)."
        yield Cause(kind="array", reason=str(Reason.ARRAY_TASK_LIMIT), text=text)


def _partitions(ctx: Context, job: Job, spec: JobSpec, demands: tuple[Demand, ...]) -> Iterable[Cause]:
    names = [name for name in job.partition.split(",") if name in ctx.state.partitions]
    for name in names:
        partition = ctx.state.partitions[name]
        if partition.state is not PartitionState.UP:
            text = f"Partition {name} is {partition.state}: nothing starts there until it is UP."
            yield Cause(kind="partition", reason=str(Reason.PARTITION_DOWN), text=text)
        denied = charging.denied(partition, spec)
        if denied:
            why = charging.not_now(denied)
            yield Cause(kind="account", reason=str(why.reason), text=f"{denied}.")
        place = charging.place_of(ctx, spec, partition)
        own = next((one for one in demands if one.partition == name), None)
        beyond = limits.beyond(own, place, job.time_limit, spec.time_min or 0) if own is not None else None
        if beyond is Reason.PARTITION_TIME_LIMIT:
            asked = duration.format_seconds(spec.time_min or job.time_limit)
            most = duration.format_seconds(place.max_time)
            text = f"Its time limit ({asked}) is longer than partition {name} allows (MaxTime={most})."
            yield Cause(kind="partition", reason=str(beyond), text=text)
        elif beyond is Reason.PARTITION_NODE_LIMIT and own is not None:
            most_nodes = place.max_nodes if place.max_nodes is not None else "UNLIMITED"
            text = f"It asks for {words.counted(own.nodes_min, 'node')}; partition {name} gives a job {place.min_nodes} to {most_nodes}."
            yield Cause(kind="partition", reason=str(beyond), text=text)
        elif beyond is not None:
            text = f"It asks for more memory on a node than partition {name} allows ({words.mib(place.max_memory_per_node_mb or 0)})."
            yield Cause(kind="partition", reason=str(beyond), text=text)


def _limits(ctx: Context, job: Job, sees: Sees, now: float) -> Iterable[Cause]:
    """In each of its partitions; what holds in all of them is said once."""
    seen: set[tuple[str, str, str]] = set()
    for name in job.partition.split(","):
        for one in obstacles_of(ctx, job, name, now):
            key = (one.name, one.resource, one.whose)
            if key not in seen:
                seen.add(key)
                yield _limit(ctx, one, sees)


def _limit(ctx: Context, one: Obstacle, sees: Sees) -> Cause:
    """Who may not see the jobs of others is told how much others have, not who."""
    jobs = [(found, ctx.state.jobs.get(JobId(found.job))) for found in one.jobs]
    seen = [(found, job) for found, job in jobs if job is not None and sees(job)]
    users = [Holder(who=user, amount=amount) for user, amount in one.users]
    if len(seen) < len(jobs):
        mine = {job.owner.user for _, job in seen}
        others = sum(holder.amount for holder in users if holder.who not in mine)
        users = [holder for holder in users if holder.who in mine]
        users += [Holder(who="others", amount=others)] if others else []
    limit = Limit(
        name=one.name, resource=one.resource, whose=one.whose, value=one.value, used=one.used, asked=one.asked,
        users=tuple(users[:MOST_HOLDERS]),
        jobs=tuple(Holder(who=label(job), amount=found.amount) for found, job in seen[:MOST_HOLDERS]),
    )  # fmt: skip
    return Cause(kind="limit", reason=str(one.reason), text=_in_words(limit), limit=limit)


def _in_words(one: Limit) -> str:
    value = f"{one.name}={one.resource}={one.value:g}" if one.resource else f"{one.name}={one.value:g}"
    parts = []
    if one.used or one.users:
        who = ", ".join(f"{holder.who} {holder.amount:g}" for holder in one.users)
        parts.append(f"{one.used:g} used" + (f" ({who})" if who else ""))
    if one.asked:
        parts.append(f"{one.asked:g} asked for")
    return f"{value} of {one.whose}: {', '.join(parts) or 'nothing is left'}."
