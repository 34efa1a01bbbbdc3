"""How does an ended run lie in the accounting: what is a column, and what rides along?

Columns are what is searched or summed; the whole record is beside them in `data` (msgpack), so that a new field needs no
migration.
"""

from typing import Any, NamedTuple

import msgspec

from corral.model import ranges
from corral.model.job import ExitStatus, JobState, StartedBy
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
    association: int = 0  #: the id of the one it was charged to
    partition: str = ""
    qos: str = ""
    constraint: str = ""
    priority: int = 0
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
    req_nodes: int = 0
    req_mem: str = ""
    memory_per_cpu: bool = False
    tres_req: str = ""
    tres_alloc: str = ""
    gpus: int = 0
    work_dir: str = ""
    submit_line: str = ""
    comment: str = ""
    wckey: str = ""
    admin_comment: str = ""
    system_comment: str = ""
    reason: str = ""
    script_digest: str = ""
    reservation: str = ""
    reservation_number: int = 0
    het_job: int | None = None  #: of a component of a heterogeneous job: the id of the first
    het_offset: int = 0
    het_size: int = 0
    started_by: StartedBy = StartedBy.TURN

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
    submit_line: str = ""
    task_nodes: dict[int, str] = {}  #: of several nodes: where those tasks were that `used` names


class RunKey(NamedTuple):
    """Which run, and its place in the order of sacct's lines."""

    submit: float
    job: int
    restart: int


#: Later than any time.
EVER = float("inf")


class HistoryQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which runs: all given conditions must hold.

    Without states, `since` and `until` are a window in which a run must have been eligible and not over. With states it is sacct's
    -s: a final state must have been reached within it; a run counts as PENDING or RUNNING that was so at any time of it.
    """

    ids: tuple[tuple[int, int | None], ...] = ()  #: (job or array, element or None)
    users: tuple[str, ...] = ()
    accounts: tuple[str, ...] = ()
    partitions: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    qos: tuple[str, ...] = ()
    gids: tuple[int, ...] = ()
    nodes: frozenset[str] = frozenset()  #: on any of them
    constraints: tuple[str, ...] = ()  #: asked for all of them
    node_counts: tuple[int, int] | None = None  #: from, to
    cpu_counts: tuple[int, int] | None = None
    time_limits: tuple[int, int] | None = None  #: seconds
    states: tuple[JobState, ...] = ()
    since: float = 0.0
    until: float = 0.0  #: 0.0 = no end
    associations: frozenset[int] = frozenset()
    started_by: tuple[StartedBy, ...] = ()  #: of runs that have started
    reasons: tuple[str, ...] = ()
    also_held: bool = False  #: those that never could have started too
    limit: int = 0  #: 0 = all; else the newest

    def takes(self, run: Run) -> bool:
        return (
            (not self.ids or any(_is_named(run, job, task) for job, task in self.ids))
            and (not self.users or run.user in self.users)
            and (not self.accounts or run.account in self.accounts)
            and (not self.partitions or run.partition in self.partitions)
            and (not self.names or run.name in self.names)
            and (not self.qos or run.qos in self.qos)
            and (not self.gids or run.gid in self.gids)
            and (not self.nodes or not self.nodes.isdisjoint(run.node_names))
            and (not self.constraints or all(one in run.constraint.split("&") for one in self.constraints))
            and (not self.associations or run.association in self.associations)
            and (not self.started_by or (run.start > 0 and run.started_by in self.started_by))
            and (not self.reasons or run.reason in self.reasons)
            and _is_within(run.node_count or run.req_nodes, self.node_counts)
            and _is_within(run.cpus or run.req_cpus, self.cpu_counts)
            and _is_within(run.time_limit, self.time_limits)
            and self._is_in_time(run)
        )

    def _is_in_time(self, run: Run) -> bool:
        until = self.until or EVER
        if self.states:
            if not self.since and not self.until:
                return run.state in self.states
            return any(_was(run, state, self.since, until) for state in self.states)
        if not self.also_held and not run.eligible:
            return False
        return run.eligible < until and (not run.end or run.end >= self.since)


def _is_named(run: Run, job: int, task: int | None) -> bool:
    return job in (run.job, run.array_job) and (
        task is None or task == run.array_task or ranges.contains(run.array_waiting, task)
    )


def _is_within(value: int, bounds: tuple[int, int] | None) -> bool:
    return bounds is None or bounds[0] <= value <= bounds[1]


def _was(run: Run, state: JobState, since: float, until: float) -> bool:
    match state:
        case JobState.PENDING:
            still = run.start or run.end or (EVER if run.state is JobState.PENDING else 0.0)
            return bool(run.eligible) and run.eligible < until and still > since
        case JobState.RUNNING:
            is_running = run.state is JobState.RUNNING
            return bool(run.start) and run.start < until and (run.end > since if run.end else is_running)
        case JobState.SUSPENDED:
            return run.state is state and not run.end and run.start < until
        case _:
            return run.state is state and bool(run.end) and since <= run.end <= until


_encoder = msgspec.msgpack.Encoder()
_runs = msgspec.msgpack.Decoder(Run)
_steps = msgspec.msgpack.Decoder(StepRun)


def key_of(run: Run) -> RunKey:
    return RunKey(run.submit, run.job, run.restart)


def _text(value: str) -> str:
    """PostgreSQL takes no zero byte in a text. The record in `data` keeps it."""
    return value.replace("\0", "") if "\0" in value else value


def run_row(run: Run) -> dict[str, Any]:
    return {
        "job": run.job,
        "restart": run.restart,
        "array_job": run.array_job,
        "array_task": run.array_task,
        "user": _text(run.user),
        "account": _text(run.account),
        "partition": _text(run.partition),
        "qos": _text(run.qos),
        "name": _text(run.name),
        "state": run.state.value,
        "submit": run.submit,
        "start": run.start,
        "end": run.end,
        "cpus": run.cpus,
        "gpus": run.gpus,
        "wckey": _text(run.wckey),
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
