"""What does the API show of a step that a job in memory has?"""

from collections.abc import Mapping
from typing import Any

from corral.controller import runs
from corral.controller.api.table import Table
from corral.model.gres import GresRequest
from corral.model.job import UNLIMITED, Job, JobId, JobKind, JobSpec, StepSpec
from corral.model.step import Step
from corral.store.rows import StepRun


class StepContext:
    def __init__(self, jobs: Mapping[JobId, Job], specs: Mapping[JobId, JobSpec], now: float) -> None:
        self.jobs = jobs
        self.specs = specs
        self.now = now
        self._last: tuple[Step, StepRun] | None = None

    def job(self, step: Step) -> Job:
        return self.jobs[step.key.job]

    def run(self, step: Step) -> StepRun:
        """The step as the accounting has it; kept for the fields of one row."""
        if self._last is None or self._last[0] is not step:
            self._last = (step, runs.step_run_of(step, self.job(step).allocation))
        return self._last[1]


def job_text(job: Job) -> str:
    return f"{job.array_job_id}_{job.array_task_id}" if job.array_task_id is not None else str(job.id)


def _asks(step: Step) -> bool:
    """Does its srun say itself which GPUs and the like it wants, if only none?"""
    spec = step.spec
    return any(one is not None for one in (spec.gres, spec.gpus, spec.gpus_per_node, spec.gpus_per_task))


def _asking(step: Step, context: StepContext) -> tuple[StepSpec | JobSpec | None, bool]:
    """Who asked for its GPUs and the like, and was it the step's own srun? Else the step has what its job asked for."""
    if step.key.step < 0:
        return None, False
    job = context.specs.get(context.job(step).spec_id)
    is_own = _asks(step)
    if is_own or job is None:
        return step.spec, is_own
    return job, job.kind is JobKind.SRUN and bool(job.gres or job.gpus or job.gpus_per_node or job.gpus_per_task)


def _per_node(step: Step, context: StepContext) -> str:
    spec, _ = _asking(step, context)
    return _written((spec.gres or ()) + (spec.gpus_per_node or ())) if spec is not None else ""


def _per_step(step: Step, context: StepContext) -> str:
    """CPUs are named only beside GPUs and the like."""
    spec, is_own = _asking(step, context)
    if spec is None:
        return ""
    cpus = [f"cpu:{step.ntasks * step.cpus_per_task}"] if is_own else []
    return ",".join([*cpus, *map(str, spec.gpus or ())])


def _per_task(step: Step, context: StepContext) -> str:
    spec, is_own = _asking(step, context)
    if spec is None:
        return ""
    own = step.spec.cpus_per_task if is_own else None
    gpus = [str(one) for one in spec.gpus_per_task or () if one.count]
    return ",".join([*([f"cpu:{own}"] if own else []), *gpus])


def _bind(step: Step, context: StepContext) -> str:
    spec, _ = _asking(step, context)
    if spec is None or not (spec.gpus_per_task or step.spec.gpus_per_task == ()):
        return ""
    return f"gpu:per_task:{sum(one.count for one in spec.gpus_per_task or ())}"


def _written(requests: tuple[GresRequest, ...]) -> str:
    return ",".join(map(str, requests))


def _text(step: Step, context: StepContext) -> Any:
    return f"{job_text(context.job(step))}.{step.text.partition('.')[2]}"


STEPS: Table[Step] = Table(
    {
        "job": lambda step, _: step.key.job,
        "array_job_id": lambda step, context: context.job(step).array_job_id,
        "array_task_id": lambda step, context: context.job(step).array_task_id,
        "step": lambda step, _: step.key.step,
        "restart": lambda step, _: step.key.restart,
        "text": _text,
        "name": lambda step, context: context.run(step).name,
        "user": lambda step, context: context.job(step).owner.user,
        "uid": lambda step, context: context.job(step).owner.uid,
        "partition": lambda step, context: context.job(step).partition,
        "state": lambda step, _: step.state.value,
        "nodes": lambda step, context: context.run(step).nodes,
        "node_names": lambda step, _: step.node_names,
        "layout": lambda step, _: [[task.rank for task in node.tasks] for node in step.nodes],
        "nodes_over": lambda step, _: [node.finished for node in step.nodes],
        "node_count": lambda step, _: len(step.nodes),
        "ntasks": lambda step, _: step.ntasks,
        "cpus": lambda step, context: context.run(step).cpus,
        "cpus_per_task": lambda step, _: step.cpus_per_task,
        "start_time": lambda step, _: step.start_time,
        "end_time": lambda step, _: step.end_time,
        "run_seconds": lambda step, context: max(0.0, (step.end_time or context.now) - step.start_time),
        "time_limit": lambda step, _: step.spec.time_limit or UNLIMITED,
        "tres": lambda step, context: context.run(step).tres_alloc,
        "exit_code": lambda step, _: [step.exit_status.code, step.exit_status.signal],
        "cause": lambda step, _: step.cause.value,
        "tres_per_node": _per_node,
        "tres_per_step": _per_step,
        "tres_per_task": _per_task,
        "tres_bind": _bind,
        "client_host": lambda step, _: step.spec.client_host,
        "client_pid": lambda step, _: step.spec.client_pid,
        "distribution": lambda step, _: step.spec.distribution,
        "ports": lambda step, _: step.ports,
        "submit_line": lambda step, _: step.spec.submit_line,
    }
)
