"""When does a step's own time limit strike (srun -t), and how is it changed while the step runs (scontrol update stepid=)?"""

import heapq

import msgspec

from corral.engine.context import Context
from corral.engine.effects import Effects
from corral.engine.endings import granted_limit
from corral.engine.outcomes import NO_SUCH_JOB, may_touch
from corral.engine.selection import Unknown, targets_of
from corral.engine.steps import signal_step
from corral.errors import UsageError
from corral.model.job import ENDED, UNLIMITED, JobState
from corral.model.step import Step
from corral.protocol.events import StepChanged
from corral.protocol.replies import Done, Rejected
from corral.protocol.requests import Caller, UpdateStep
from corral.syntax import duration

#: The step of a suspended job is looked at again after so many seconds.
_LATER = 60.0


def tick(ctx: Context, now: float, out: Effects) -> None:
    """End the steps whose limit is over."""
    heap = ctx.step_ends
    while heap and heap[0][0] <= now:
        _, key = heapq.heappop(heap)
        step = ctx.state.steps_of(key.job).get(key.step)
        job = ctx.state.jobs.get(key.job)
        if step is None or job is None or step.key != key or step.state in ENDED:
            continue
        ends = ends_of(ctx, step)
        if job.state is JobState.SUSPENDED:
            heapq.heappush(heap, (max(ends, now + _LATER), key))
        elif ends > now:
            heapq.heappush(heap, (ends, key))
        elif job.state is JobState.RUNNING:
            told = step if step.timed_out else msgspec.structs.replace(step, timed_out=True)
            if told is not step:
                ctx.record(StepChanged(time=now, step=told), out)
            signal_step(ctx, told, 15, True, 0, now, out, by_launcher=True, reason="time_limit")


def ends_of(ctx: Context, step: Step) -> float:
    limit = step.spec.time_limit or UNLIMITED
    job = ctx.state.jobs.get(step.key.job)
    if limit >= UNLIMITED or job is None:
        return float("inf")
    return step.start_time + limit + job.suspended_seconds - step.suspended_before


def on_update(ctx: Context, request: UpdateStep, caller: Caller, now: float, out: Effects) -> None:
    """Of one step, or of all steps of a job."""
    sign = request.time_limit[:1] if request.time_limit[:1] in ("+", "-") else ""
    try:
        seconds = duration.parse(request.time_limit.removeprefix(sign))
    except UsageError as error:
        out.reply = Rejected(error="Invalid TimeLimit value", detail=str(error))
        return
    try:
        targets = targets_of(ctx.state, request.id)
    except UsageError:
        targets = Unknown(request.id)
    found = [] if isinstance(targets, Unknown) else [one for one in targets if one.elements is None]
    steps = [
        step for target in found for step in ctx.state.live_steps_of(target.job) if target.step in (None, step.key.step)
    ]
    if not steps:
        out.reply = Rejected(error=NO_SUCH_JOB, code="not_found")
        return
    if not all(may_touch(ctx.state, caller, ctx.state.jobs[step.key.job]) for step in steps):
        out.reply = Rejected(error="Invalid user id", code="denied")
        return
    for step in steps:
        before = step.spec.time_limit or UNLIMITED
        wanted = {"+": before + seconds, "-": max(60, before - seconds)}.get(sign, seconds)
        limit = before if sign and before >= UNLIMITED else granted_limit(ctx.config, wanted)
        spec = msgspec.structs.replace(step.spec, time_limit=limit)
        ctx.record(StepChanged(time=now, step=msgspec.structs.replace(step, spec=spec)), out)
    out.reply = Done()
