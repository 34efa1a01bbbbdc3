"""Which row does a run or a step leave in the accounting?"""

from corral.controller import values
from corral.model.allocation import Allocation
from corral.model.job import Job, JobSpec
from corral.model.step import STEP_NAMES, Step
from corral.store.rows import Run, StepRun


def run_of(job: Job, spec: JobSpec) -> Run:
    asked = values.asked(spec)
    allocation = job.allocation
    return Run(
        job=job.id,
        restart=job.restarts,
        array_job=job.array_job_id,
        array_task=job.array_task_id,
        array_waiting=job.array_waiting,
        array_throttle=job.array_throttle if job.array_waiting else 0,
        name=spec.name,
        user=job.owner.user,
        uid=job.owner.uid,
        group=job.owner.group,
        gid=job.owner.gid,
        account=spec.account,
        association=job.association,
        partition=job.partition or spec.partition,
        qos=spec.qos or "normal",
        constraint=spec.constraint,
        priority=job.priority,
        state=job.end_state if job.end_state is not None and not job.has_ended else job.state,
        cancelled_by=job.cancelled_by,
        submit=job.submit_time,
        eligible=values.eligible_time(job),
        start=job.start_time,
        end=job.end_time,
        suspended=job.suspended_seconds,
        time_limit=job.time_limit,
        exit_status=job.exit_status,
        derived_exit_status=job.derived_exit_status,
        nodes=values.fold(allocation.node_names) if allocation else "",
        node_count=len(allocation.nodes) if allocation else 0,
        node_names=allocation.node_names if allocation else (),
        cpus=allocation.cpu_count if allocation else 0,
        ntasks=allocation.ntasks if allocation else asked.ntasks,
        req_cpus=asked.cpus,
        req_nodes=asked.nodes,
        req_mem=asked.memory_text,
        memory_per_cpu=bool(spec.memory_per_cpu_mb),
        tres_req=asked.tres,
        tres_alloc=values.allocated_tres(allocation) if allocation else "",
        gpus=allocation.gres_count("gpu") if allocation else 0,
        work_dir=spec.work_dir,
        submit_line=spec.submit_line,
        comment=spec.comment,
        wckey=spec.wckey,
        admin_comment=job.admin_comment,
        system_comment=job.system_comment,
        reason=job.reason.value,
        script_digest=spec.script_digest,
        reservation=spec.reservation if allocation is None else allocation.reservation,
        reservation_number=0 if allocation is None else allocation.reservation_number,
        het_job=job.het_job_id,
        het_offset=job.het_offset,
        het_size=job.het_size,
        started_by=job.started_by,
    )


def _task_nodes(step: Step) -> dict[int, str]:
    """Where the tasks were that had most or least of something."""
    named = {rank for amount in step.used.amounts for rank in (amount.most_rank, amount.least_rank)}
    return {place.rank: node.share.node for node in step.nodes for place in node.tasks if place.rank in named}


def step_run_of(step: Step, held: Allocation | None) -> StepRun:
    """A batch step counts all that the job holds on its node."""
    cpus = sum(len(node.share.cpus) for node in step.nodes)
    gres: dict[str, int] = {}
    for node in step.nodes:
        for one in node.share.gres:
            gres[one.name] = gres.get(one.name, 0) + one.count
    memory = sum(node.share.memory_mb for node in step.nodes)
    name = (
        STEP_NAMES.get(step.key.step)
        or step.spec.name
        or (step.spec.argv[0].rpartition("/")[2] if step.spec.argv else "")
    )
    return StepRun(
        job=step.key.job,
        restart=step.key.restart,
        step=step.key.step,
        name=name,
        state=step.state,
        cancelled_by=None if step.by_launcher else step.cancelled_by,
        start=step.start_time,
        end=step.end_time,
        exit_status=step.exit_status,
        nodes=values.fold(step.node_names),
        node_count=len(step.nodes),
        cpus=cpus,
        ntasks=step.ntasks,
        tres_alloc=values.tres_text(cpus, memory, len(step.nodes), gres, billing=False),
        used=step.used,
        submit_line=step.spec.submit_line,
        task_nodes=_task_nodes(step) if len(step.nodes) > 1 else {},
    )
