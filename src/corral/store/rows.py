"""How does an ended run lie in the accounting: what is a column, and what rides along?

Columns are what is searched or summed; the whole record is beside them in `data` (msgpack), so that a new field needs no
migration.
"""

from typing import Any

import msgspec

from corral.model import ranges
from corral.model.job import ExitStatus, JobState
from corral.model.ranges import Ranges
from corral.model.usage import NOTHING, Usage


class Run(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One run of a job, from its submission (or its last requeue) to its end."""

    job: int
    restart: int = 0
    array_job: int | None = None
    array_task: int | None = None
    array_waiting: Ranges = ()  #: of an array that ended before these elements began
    array_throttle: int = 0
    name: str = ""
    user: str = ""
    uid: int = 0
    group: str = ""
    gid: int = 0
    account: str = ""
    partition: str = ""
    qos: str = ""
    state: JobState = JobState.PENDING
    cancelled_by: int | None = None
    submit: float = 0.0
    eligible: float = 0.0
    start: float = 0.0
    end: float = 0.0
    suspended: float = 0.0
    time_limit: int = 0
    exit_status: ExitStatus = ExitStatus()
    derived_exit_status: ExitStatus = ExitStatus()
    nodes: str = ""
    node_count: int = 0
    node_names: tuple[str, ...] = ()
    cpus: int = 0
    ntasks: int = 0
    req_cpus: int = 0
    req_mem: str = ""
    tres_req: str = ""
    tres_alloc: str = ""
    gpus: int = 0
    work_dir: str = ""
    submit_line: str = ""
    comment: str = ""
    admin_comment: str = ""
    reason: str = ""
    script_digest: str = ""

    def elapsed(self, now: float) -> float:
        if not self.start:
            return 0.0
        return max(0.0, (self.end or now) - self.start - self.suspended)


class StepRun(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One step of such a run."""

    job: int
    restart: int = 0
    step: int = 0
    name: str = ""
    state: JobState = JobState.RUNNING
    cancelled_by: int | None = None
    start: float = 0.0
    end: float = 0.0
    exit_status: ExitStatus = ExitStatus()
    nodes: str = ""
    node_count: int = 0
    cpus: int = 0
    ntasks: int = 0
    tres_alloc: str = ""
    usage: dict[str, float] = {}  #: as older versions wrote it: user_seconds, system_seconds, max_rss_kb
    used: Usage = NOTHING
    task_nodes: dict[int, str] = {}  #: of several nodes: where those tasks were that `used` names


class HistoryQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which runs: all given conditions must hold. Times are a window that a run must touch; with states, its end."""

    ids: tuple[tuple[int, int | None], ...] = ()  #: (job or array, element or None)
    users: tuple[str, ...] = ()
    accounts: tuple[str, ...] = ()
    partitions: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    qos: tuple[str, ...] = ()
    states: tuple[JobState, ...] = ()
    since: float = 0.0
    until: float = 0.0  #: 0.0 = no end
    limit: int = 0  #: 0 = all; else the newest

    def takes(self, run: Run) -> bool:
        """The same conditions for a run that is not in the store."""
        if self.ids and not any(
            (job in (run.job, run.array_job))
            and (task is None or task == run.array_task or ranges.contains(run.array_waiting, task))
            for job, task in self.ids
        ):
            return False
        if self.until and (run.end if self.states and run.end else run.submit) > self.until:
            return False
        return (
            (not run.end or run.end >= self.since)
            and (not self.users or run.user in self.users)
            and (not self.accounts or run.account in self.accounts)
            and (not self.partitions or run.partition in self.partitions)
            and (not self.names or run.name in self.names)
            and (not self.qos or run.qos in self.qos)
            and (not self.states or run.state in self.states)
        )


_encoder = msgspec.msgpack.Encoder()
_runs = msgspec.msgpack.Decoder(Run)
_steps = msgspec.msgpack.Decoder(StepRun)


def run_row(run: Run) -> dict[str, Any]:
    return {
        "job": run.job,
        "restart": run.restart,
        "array_job": run.array_job,
        "array_task": run.array_task,
        "user": run.user,
        "account": run.account,
        "partition": run.partition,
        "qos": run.qos,
        "name": run.name,
        "state": run.state.value,
        "submit": run.submit,
        "start": run.start,
        "end": run.end,
        "cpus": run.cpus,
        "gpus": run.gpus,
        "data": _encoder.encode(run),
    }


def step_row(step: StepRun) -> dict[str, Any]:
    return {
        "job": step.job,
        "restart": step.restart,
        "step": step.step,
        "state": step.state.value,
        "start": step.start,
        "end": step.end,
        "data": _encoder.encode(step),
    }


def run_of(data: bytes) -> Run:
    return _runs.decode(data)


def step_of(data: bytes) -> StepRun:
    return _steps.decode(data)
