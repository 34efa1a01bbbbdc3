"""What does sacct get to see of a run and its steps?"""

from collections.abc import Iterable, Mapping
from typing import Any

from corral.controller.api.table import Table
from corral.controller.api.usage_rows import shown
from corral.model import ranges
from corral.model.step import STEP_NAMES
from corral.store.rows import Run, StepRun
from corral.syntax import arrayspec, hostlist


class Line:
    """A row: a run (step None), or a step of it."""

    __slots__ = ("run", "step")

    def __init__(self, run: Run, step: StepRun | None = None) -> None:
        self.run = run
        self.step = step


class HistoryContext:
    def __init__(
        self, cluster: str, now: float, steps: Iterable[StepRun] = (), qos_ids: Mapping[str, int] | None = None
    ) -> None:
        self.qos_ids = qos_ids or {}
        self.cluster = cluster
        self.now = now
        self.numbered: set[tuple[int, int]] = set()  #: runs with a step that a srun began
        self._seconds: dict[tuple[int, int], tuple[float, float]] = {}
        for step in steps:
            user, system = self._seconds.get((step.job, step.restart), (0.0, 0.0))
            more = cpu_seconds(step)
            if step.step >= 0:
                self.numbered.add((step.job, step.restart))
            self._seconds[step.job, step.restart] = user + more[0], system + more[1]

    def cpu_seconds(self, line: Line) -> tuple[float, float]:
        """User and system. A run's is that of its steps together, as far as these were asked for."""
        if line.step is not None:
            return cpu_seconds(line.step)
        return self._seconds.get((line.run.job, line.run.restart), (0.0, 0.0))


def cpu_seconds(step: StepRun) -> tuple[float, float]:
    if step.usage:
        return step.usage.get("user_seconds", 0.0), step.usage.get("system_seconds", 0.0)
    return step.used.user_us / 1e6, step.used.system_us / 1e6


def job_text(run: Run) -> str:
    """42, 42_7, or 42_[0-9%2] of elements that never began; 42+1"""
    if run.het_job is not None:
        return f"{run.het_job}+{run.het_offset}"
    if run.array_task is not None:
        return f"{run.array_job}_{run.array_task}"
    if run.array_waiting:
        return f"{run.array_job}_[{arrayspec.fold(ranges.members(run.array_waiting), run.array_throttle)}]"
    return str(run.job)


def _jobid(line: Line, _: HistoryContext) -> str:
    if line.step is None:
        return job_text(line.run)
    return f"{job_text(line.run)}.{STEP_NAMES.get(line.step.step, line.step.step)}"


def _elapsed(line: Line, context: HistoryContext) -> float:
    if line.step is not None:
        return max(0.0, (line.step.end or context.now) - line.step.start) if line.step.start else 0.0
    return line.run.elapsed(context.now)


def _either(of_run: str, of_step: str | None = None) -> Any:
    name = of_step or of_run
    return lambda line, _: getattr(line.run, of_run) if line.step is None else getattr(line.step, name)


def _run_only(name: str, otherwise: Any = "") -> Any:
    return lambda line, _: getattr(line.run, name) if line.step is None else otherwise


def _run(name: str) -> Any:
    return lambda line, _: getattr(line.run, name)


def _exit(line: Line, _: HistoryContext) -> list[int]:
    status = line.run.exit_status if line.step is None else line.step.exit_status
    return [status.code, status.signal]


def _energy(line: Line, context: HistoryContext) -> int | None:
    """In joules: no node measures any. Of a job only where srun began steps, as Slurm has it."""
    return 0 if line.step is not None or (line.run.job, line.run.restart) in context.numbered else None


def _usage(line: Line, _: HistoryContext) -> dict[str, Any] | None:
    """Of a step that has ended."""
    step = line.step
    if step is None or not step.end:
        return None
    if step.node_count == 1:
        return shown(step.used, lambda rank: step.nodes, step.nodes)
    return shown(step.used, lambda rank: step.task_nodes.get(rank, ""), next(iter(hostlist.expand(step.nodes)), ""))


HISTORY: Table[Line] = Table(
    {
        "jobid": _jobid,
        "job_id": _run("job"),
        "step": lambda line, _: None if line.step is None else line.step.step,
        "array_job_id": _run("array_job"),
        "array_task_id": _run("array_task"),
        "reservation": _run("reservation"),
        "reservation_id": _run("reservation_number"),
        "qos_id": lambda line, context: context.qos_ids.get(line.run.qos, 1),
        "started_by": lambda line, _: line.run.started_by.value if line.run.start else "",
        "het_job_id": _run("het_job"),
        "het_offset": _run("het_offset"),
        "array_waiting": _run("array_waiting"),
        "name": _either("name"),
        "user": _run("user"),
        "uid": _run("uid"),
        "group": _run("group"),
        "gid": _run("gid"),
        "account": _run("account"),
        "association": _run("association"),
        "partition": _run("partition"),
        "qos": _run("qos"),
        "constraint": _run_only("constraint"),
        "priority": _run_only("priority", None),
        "state": lambda line, _: (line.run.state if line.step is None else line.step.state).value,
        "cancelled_by": _either("cancelled_by"),
        "submit": lambda line, _: line.run.submit if line.step is None else line.step.start,
        "eligible": lambda line, _: line.run.eligible if line.step is None else line.step.start,
        "start": _either("start"),
        "end": _either("end"),
        "elapsed": _elapsed,
        "suspended": _run_only("suspended", 0.0),
        "time_limit": _run("time_limit"),
        "exit_code": _exit,
        "derived_exit_code": lambda line, _: [line.run.derived_exit_status.code, line.run.derived_exit_status.signal],
        "nodes": _either("nodes"),
        "node_count": _either("node_count"),
        "cpus": _either("cpus"),
        "ntasks": _either("ntasks"),
        "gpus": _run("gpus"),
        "req_cpus": _run("req_cpus"),
        "req_mem": _run("req_mem"),
        "memory_per_cpu": _run("memory_per_cpu"),
        "tres_req": _run_only("tres_req"),
        "tres_alloc": _either("tres_alloc"),
        "cluster": lambda _, context: context.cluster,
        "work_dir": _run("work_dir"),
        "submit_line": _either("submit_line"),
        "user_seconds": lambda line, context: context.cpu_seconds(line)[0],
        "system_seconds": lambda line, context: context.cpu_seconds(line)[1],
        "usage": _usage,
        "consumed_energy": _energy,
        "comment": _run("comment"),
        "wckey": _run("wckey"),
        "admin_comment": _run("admin_comment"),
        "system_comment": _run("system_comment"),
        "restarts": _run("restart"),
        "reason": _run_only("reason"),
    }
)
