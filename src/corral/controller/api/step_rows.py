"""What does the API show of a step that a job in memory has?"""

from collections.abc import Mapping
from typing import Any

from corral.controller import runs
from corral.controller.api.table import Table
from corral.model.job import Job, JobId, JobSpec
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


def _gres(step: Step, _: StepContext) -> str:
    counts: dict[tuple[str, str], int] = {}
    for node in step.nodes[:1]:
        for gres in node.share.gres:
            key = (gres.name, gres.type)
            counts[key] = counts.get(key, 0) + len(gres.indices)
    return ",".join(f"{name}:{kind + ':' if kind else ''}{count}" for (name, kind), count in counts.items())


def _text(step: Step, context: StepContext) -> Any:
    return f"{job_text(context.job(step))}.{step.text.partition('.')[2]}"


STEPS: Table[Step] = Table(
    {
        "job": lambda step, _: step.key.job,
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
        "node_count": lambda step, _: len(step.nodes),
        "ntasks": lambda step, _: step.ntasks,
        "cpus": lambda step, context: context.run(step).cpus,
        "cpus_per_task": lambda step, _: step.cpus_per_task,
        "start_time": lambda step, _: step.start_time,
        "end_time": lambda step, _: step.end_time,
        "run_seconds": lambda step, context: max(0.0, (step.end_time or context.now) - step.start_time),
        "time_limit": lambda step, context: step.spec.time_limit or context.job(step).time_limit,
        "tres": lambda step, context: context.run(step).tres_alloc,
        "exit_code": lambda step, _: [step.exit_status.code, step.exit_status.signal],
        "cause": lambda step, _: step.cause.value,
        "gres": _gres,
        "client_host": lambda step, _: step.spec.client_host,
        "client_pid": lambda step, _: step.spec.client_pid,
        "distribution": lambda step, _: step.spec.distribution,
    }
)
