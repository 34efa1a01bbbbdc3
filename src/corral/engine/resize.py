"""How does a running job give some of its nodes back?

The nodes it keeps go on as before. On the others all of the job is killed at once, and what it held there is free: nothing is
waited for, so a step that also ran on one of them is over as well.
"""

import msgspec

from corral.engine import charging, endings, steps
from corral.engine.context import Context
from corral.engine.effects import Effects
from corral.engine.launch import job_context
from corral.errors import UsageError
from corral.model.job import ExitStatus, Job
from corral.model.step import EndCause, Step
from corral.protocol.events import JobChanged, StepChanged
from corral.protocol.orders import EndJob
from corral.scheduler import quota
from corral.syntax import hostlist

SIGKILL = 9


def kept(job: Job, text: str) -> tuple[str, ...] | None:
    """The job's nodes that are named; None where one is named that it has not, or its first one is not."""
    assert job.allocation is not None
    try:
        named = set(hostlist.expand(text)) if text else set()
    except UsageError:
        return None
    names = job.allocation.node_names
    if not named or not named <= set(names) or names[0] not in named:
        return None
    return tuple(name for name in names if name in named)


def shrink(ctx: Context, job: Job, names: tuple[str, ...], now: float, out: Effects) -> None:
    held = job.allocation
    assert held is not None
    gone = [name for name in held.node_names if name not in names]
    if not gone:
        return
    shares = tuple(share for share in held.nodes if share.node in names)
    ntasks = sum(share.tasks for share in shares) or held.ntasks
    allocation = msgspec.structs.replace(held, nodes=shares, ntasks=ntasks)
    place = ctx.state.partitions.get(held.partition)
    billing = charging.billing_of(ctx, place) if place is not None else None
    if billing is not None and held.billing >= 0:
        allocation = msgspec.structs.replace(allocation, billing=quota.billed(quota.held(allocation), billing))
    context = job_context(ctx, job)
    for step in ctx.state.live_steps_of(job.id):
        if not set(gone).isdisjoint(step.node_names):
            _cut(ctx, step, set(gone), now, out)
    for name in gone:
        order = EndJob(
            term=ctx.term, node=name, job=job.id, restart=job.restarts, kill_after=0.0, epilog=ctx.config.programs.epilog,
            uid=job.owner.uid, reason="resize", context=context,
        )  # fmt: skip
        ctx.send(name, order, out)
    if not ctx.state.jobs[job.id].is_active:  # it was an srun, and is over with its step
        return
    changed = msgspec.structs.replace(ctx.state.jobs[job.id], allocation=allocation, resize_time=now)
    ctx.record(JobChanged(time=now, job=changed, what="resized"), out)
    endings.settle(ctx)


def _cut(ctx: Context, step: Step, gone: set[str], now: float, out: Effects) -> None:
    """What is left of the step is told to end; where nothing is, it has ended."""
    job = ctx.state.jobs[step.key.job]
    left = tuple(node for node in step.nodes if node.share.node not in gone)
    changed = msgspec.structs.replace(step, nodes=left, cause=EndCause.CANCELLED, exit_status=ExitStatus(0, SIGKILL))
    if left and not all(node.finished for node in left):
        ctx.record(StepChanged(time=now, step=changed), out)
        steps.signal_step(ctx, changed, SIGKILL, True, job.owner.uid, now, out)
    else:
        steps.end_step(
            ctx, job, changed if left else msgspec.structs.replace(changed, nodes=step.nodes[:1]), now, now, out
        )
