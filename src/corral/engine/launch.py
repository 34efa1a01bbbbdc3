"""Which orders start a step on its nodes?"""

import re

from corral.engine import servicelinks
from corral.engine.context import Context
from corral.engine.effects import Effects
from corral.engine.podruns import run_of
from corral.model.allocation import NodeShare
from corral.model.gres import cores_of, gpus_of
from corral.model.job import UNLIMITED, Job, JobSpec, StepSpec
from corral.model.step import BATCH, Step
from corral.protocol.orders import HetGroup, JobContext, LaunchStep, StepIo
from corral.scheduler.nodetable import layout_of
from corral.syntax import arrayspec
from corral.syntax.procmapping import process_mapping


def job_context(ctx: Context, job: Job) -> JobContext:
    """What a node must know of the job."""
    assert job.allocation is not None
    spec = ctx.state.spec(job)
    bounds = array_bounds(spec) if job.array_job_id is not None else (0, 0, 0, 1)
    return JobContext(
        job_id=job.id,
        name=spec.name,
        owner=job.owner,
        account=spec.account,
        qos=spec.qos or "normal",
        partition=job.partition,
        allocation=job.allocation,
        spec=spec,
        reservation=job.allocation.reservation,
        het=het_groups(ctx, job) if job.het_job_id is not None else (),
        restarts=job.restarts,
        start_time=job.start_time,
        end_time=0.0 if job.time_limit >= UNLIMITED else job.start_time + job.time_limit,
        submit_time=job.submit_time,
        priority=job.priority,
        array_job_id=job.array_job_id or 0,
        array_task_id=job.array_task_id,
        array_task_count=bounds[0],
        array_task_min=bounds[1],
        array_task_max=bounds[2],
        array_task_step=bounds[3],
        cluster=ctx.config.cluster,
        ports=job.ports,
    )


def _limits_left(ctx: Context, step: Step) -> tuple[str, ...]:
    """Limits of the submitter that the operator does not want propagated, where the user has not chosen."""
    if step.spec.rlimits_chosen:
        return ()
    config = ctx.config
    if config.propagate_limits_except:
        return tuple(name for name in step.spec.rlimits if name in config.propagate_limits_except)
    if "ALL" in config.propagate_limits:
        return ()
    return tuple(name for name in step.spec.rlimits if name not in config.propagate_limits)


def het_groups(ctx: Context, job: Job) -> tuple[HetGroup, ...]:
    """The components of its heterogeneous job, as they are told to it."""
    found = []
    for one in ctx.state.het_members(job):
        spec, held = ctx.state.spec(one), one.allocation
        if held is None or not one.is_active:
            continue
        tasks = tuple(share.tasks for share in held.nodes)
        if not (spec.ntasks or spec.ntasks_per_node) or not any(tasks):
            tasks = tuple(max(1, len(share.cpus) // held.cpus_per_task) for share in held.nodes)
        group = HetGroup(
            job_id=one.id, offset=one.het_offset, name=spec.name, account=spec.account, qos=spec.qos or "normal", partition=one.partition,
            nodes=held.node_names, cpus=tuple(len(share.cpus) for share in held.nodes), tasks=tasks,
            spec=spec, allocation=held,
        )  # fmt: skip
        found.append(group)
    return tuple(found)


_bounds: dict[str, tuple[int, int, int, int]] = {}


def array_bounds(spec: JobSpec) -> tuple[int, int, int, int]:
    """(count, lowest, highest, step) of the array as submitted."""
    known = _bounds.get(spec.array)
    if known is None:
        indices = arrayspec.parse(spec.array, 1 << 30).indices
        stepped = re.search(r":(\d+)", spec.array)  # the first that is written, also where other ranges follow
        step = int(stepped[1]) if stepped else 1
        if len(_bounds) > 1000:
            _bounds.clear()
        known = _bounds[spec.array] = (len(indices), indices[0], indices[-1], step)
    return known


def sampled_every(ctx: Context, step: Step, spec: JobSpec) -> float:
    """Seconds between two samples of usage."""
    asked = spec.acctg_freq if step.spec.acctg_freq is None else step.spec.acctg_freq
    return ctx.config.accounting.sample_interval if asked is None else asked


def _near_gpus(ctx: Context, spec: StepSpec, share: NodeShare) -> tuple[tuple[int, ...], ...]:
    """The cores near each GPU of the share, where its tasks are to see the closest ones."""
    node = ctx.state.nodes.get(share.node)
    if "closest" not in spec.gpu_bind or node is None:
        return ()
    near = cores_of(node.inventory.gres)
    return tuple(near[gpu] if gpu < len(near) else () for gpu in gpus_of(share.gres))


def send_launch(ctx: Context, job: Job, step: Step, out: Effects, only: str = "") -> None:
    """One order per node of the step (or to the node `only`, again). Script, environment and bus access are put in by whoever sends."""
    context = job_context(ctx, job)
    counts = tuple(len(node.tasks) for node in step.nodes)
    programs, times = ctx.config.programs, ctx.config.timeouts
    mpi = (step.spec.mpi or ctx.config.mpi_default) if step.key.step >= 0 else ""
    mpi = "" if mpi == "none" else mpi
    mapping = process_mapping([[task.rank for task in node.tasks] for node in step.nodes]) if mpi else ""
    topology = ctx.state.ledger.topology
    for node in step.nodes:
        name = node.share.node
        if node.finished or (only and name != only):
            continue
        job_share = context.allocation.on(name)
        assert job_share is not None
        order = LaunchStep(
            term=ctx.term,
            node=name,
            key=step.key,
            job=context,
            spec=step.spec,
            step_nodes=step.node_names,
            tasks_per_node=counts,
            ntasks=step.ntasks,
            cpus_per_task=step.cpus_per_task,
            share=node.share,
            ports=step.ports,
            job_share=job_share,
            het=step.het,
            tasks=node.tasks,
            io=None if step.key.step == BATCH or step.spec.pod_container else StepIo(cluster=ctx.config.cluster),
            kill_wait=times.kill_wait,
            prolog=programs.prolog,
            epilog=programs.epilog,
            prolog_timeout=times.prolog,
            sample_seconds=sampled_every(ctx, step, context.spec),
            task_prolog="" if step.spec.is_hidden else programs.task_prolog,
            task_epilog="" if step.spec.is_hidden else programs.task_epilog,
            rlimits_left=_limits_left(ctx, step),
            mpi=mpi,
            process_mapping=mapping,
            topology=topology.address(name) if topology is not None else ("", ""),
            image=step.spec.container.image if step.spec.container is not None else "",
            mps=ctx.config.gpu_sharing.starts_mps and any(held.milli for held in node.share.gres),
            gpu_cores=_near_gpus(ctx, step.spec, node.share),
            pod=run_of(ctx, job, step, name) if step.spec.pod_container else None,
            services=servicelinks.told_to(ctx, context.spec),
            layout=layout_of(ctx.state.nodes[name].inventory) if name in ctx.state.nodes else (1, 0, 1),
        )
        ctx.send(name, order, out)
