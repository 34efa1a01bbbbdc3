"""How do the components of a heterogeneous job stay together, and how does a step run over several of them?"""

from collections.abc import Collection

import msgspec

from corral.engine import bounds, endings
from corral.engine.context import Context
from corral.engine.effects import Effects
from corral.engine.launch import send_launch
from corral.engine.layout import Layout, Refusal, lay_out
from corral.engine.state import ClusterState
from corral.engine.steps import asked_for_programs
from corral.model.job import Job, JobState
from corral.model.reason import Reason
from corral.model.step import HetStep, Step, StepKey, StepNode
from corral.protocol.events import StepCreated
from corral.protocol.replies import HetStepCreated, Rejected
from corral.protocol.replies import StepCreated as StepCreatedReply
from corral.protocol.requests import Caller, CreateHetStep, HetPart

#: Slurm's.
MOST_COMPONENTS = 128


def on_create(ctx: Context, request: CreateHetStep, caller: Caller, now: float, out: Effects) -> None:
    """All parts start, or none."""
    leader = ctx.state.jobs.get(endings.job_id_of(ctx.state, request.job))
    if leader is None:
        out.reply = Rejected(error="Invalid job id specified", code="not_found")
        return
    if leader.owner.uid != caller.uid and not caller.is_operator:
        out.reply = Rejected(error="Access/permission denied", code="denied")
        return
    found = _jobs_of(ctx.state, leader, request.parts)
    if isinstance(found, Rejected):
        out.reply = found
        return
    layouts = []
    for job, part in zip(found, request.parts, strict=True):
        refused = bounds.of_step(part.spec) or asked_for_programs(ctx, part.spec)
        if refused is None and len(request.parts) > 1 and (part.spec.mpi or ctx.config.mpi_default) not in ("", "none"):
            refused = Rejected(error="MPI over several components of a heterogeneous job is not supported")
        if refused is not None:
            out.reply = refused
            return
        assert job.allocation is not None
        layout = lay_out(job.allocation, part.spec, ctx.state.live_steps_of(job.id), ctx.state.nodes)
        if isinstance(layout, Refusal):
            out.reply = Rejected(error=layout.error, code="busy" if layout.busy else "invalid", detail=layout.detail)
            return
        layouts.append(layout)
    steps = _start(ctx, leader, found, request.parts, layouts, now, out)
    out.reply = HetStepCreated(steps=tuple(StepCreatedReply(step=step) for step in steps))


def _jobs_of(state: ClusterState, leader: Job, parts: tuple[HetPart, ...]) -> list[Job] | Rejected:
    groups = [part.group for part in parts]
    if not parts or groups != sorted(set(groups)):
        return Rejected(error="Invalid --het-group value", detail="Each group once, in their order.")
    if leader.het_job_id is None:
        return [leader] if groups == [0] and leader.state is JobState.RUNNING else _not_now(leader)
    members = state.het_members(leader)
    if groups[-1] >= leader.het_size:
        error = f"Requested het-group offset exceeds highest hetjob index ({groups[-1]} > {leader.het_size - 1})"
        return Rejected(error=error)
    by_offset = {job.het_offset: job for job in members}
    found = [by_offset[group] for group in groups if group in by_offset]
    if len(found) < len(groups):
        return Rejected(error="Invalid job id specified", code="not_found")
    for job in found:
        if job.state is not JobState.RUNNING:
            return _not_now(job)
    return found


def _not_now(job: Job) -> Rejected:
    if job.is_pending:
        return Rejected(error="Job is pending execution")
    if job.state is JobState.SUSPENDED:
        return Rejected(error="Job is suspended", code="busy")
    if job.state is JobState.RUNNING:
        return Rejected(error="Invalid --het-group value", detail="The job is not heterogeneous.")
    return Rejected(error="Job/step already completing or completed")


def _start(
    ctx: Context,
    leader: Job,
    jobs: list[Job],
    parts: tuple[HetPart, ...],
    layouts: list[Layout],
    now: float,
    out: Effects,
) -> list[Step]:
    number = max(job.next_step for job in ctx.state.het_members(leader) or [leader])
    tasks: dict[str, int] = {}  #: components may share a node: it is one to the whole
    cpus: dict[str, int] = {}
    for layout in layouts:
        for node in layout.nodes:
            tasks[node.share.node] = tasks.get(node.share.node, 0) + len(node.tasks)
    for job in jobs:
        for share in job.allocation.nodes if job.allocation is not None else ():
            cpus[share.node] = cpus.get(share.node, 0) + len(share.cpus)
    whole = HetStep(
        job=leader.het_job_id or leader.id,
        groups=tuple(part.group for part in parts),
        nodes=tuple(tasks),
        tasks_per_node=tuple(tasks.values()),
        ntasks=sum(layout.ntasks for layout in layouts),
        job_nodes=tuple(cpus),
        job_cpus=tuple(cpus.values()),
    )
    steps: list[Step] = []
    first_rank = 0
    for job, part, layout in zip(jobs, parts, layouts, strict=True):
        step = Step(
            key=StepKey(job.id, number, job.restarts),
            spec=part.spec,
            nodes=tuple(_shifted(node, first_rank) for node in layout.nodes),
            ntasks=layout.ntasks,
            cpus_per_task=layout.cpus_per_task,
            overlap=part.spec.overlap,
            start_time=now,
            sent_at=now,
            het=whole,
        )
        steps.append(step)
        first_rank += layout.ntasks
    for job_id in sorted({leader.id, *(job.id for job in jobs)}):
        ctx.change_job(ctx.state.jobs[job_id], now, out, "step", next_step=number + 1)
    for step in steps:
        ctx.record(StepCreated(time=now, step=step), out)
    for step in steps:
        send_launch(ctx, ctx.state.jobs[step.key.job], step, out)
    return steps


def _shifted(node: StepNode, by: int) -> StepNode:
    """Its tasks are numbered after those of the components before."""
    tasks = tuple(msgspec.structs.replace(task, rank=task.rank + by) for task in node.tasks)
    return msgspec.structs.replace(node, tasks=tasks)


def ready(members: list[Job], not_yet: Collection[Reason]) -> list[Job]:
    """Those that start together, if all of them wait for nothing but resources. One that was cancelled alone is left out."""
    waiting = [job for job in members if job.state is not JobState.CANCELLED]
    is_ready = len(members) == members[0].het_size and all(
        job.is_pending and not job.held_by and job.reason not in not_yet for job in waiting
    )
    return waiting if is_ready else []
