"""What must a store do? Keep every event until a snapshot holds it, the history for ever, and say so only when it is on disk."""

from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any, Protocol

import msgspec

from corral.store.rollup import JobSizes, NodeChange, Usage
from corral.store.rows import HistoryQuery, Run, RunKey, StepRun

#: Answers to requests with an idempotency key are kept so many seconds; a client gives up long before.
ANSWERS_KEPT = 3600.0


class StoredEvent(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One fact as it lies in the log."""

    kind: str
    version: int
    data: bytes


class Answered(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a request with an idempotency key was answered: asked again, it gets this and nothing happens."""

    key: str
    uid: int
    time: float
    reply: bytes


class Batch(msgspec.Struct, kw_only=True):
    """What becomes durable together, or not at all."""

    events: list[StoredEvent] = msgspec.field(default_factory=list)
    blobs: dict[str, bytes] = msgspec.field(default_factory=dict)  #: by digest
    runs: list[Run] = msgspec.field(default_factory=list)
    steps: list[StepRun] = msgspec.field(default_factory=list)
    answered: list[Answered] = msgspec.field(default_factory=list)
    usage: Usage = msgspec.field(default_factory=dict)  #: to be added to what is there
    node_changes: list[NodeChange] = msgspec.field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.events or self.blobs or self.runs or self.steps or self.answered or self.node_changes)


class Purge(msgspec.Struct, frozen=True, kw_only=True):
    """What is taken out of the history, in one transaction."""

    runs: tuple[tuple[int, int], ...] = ()  #: (job, restart), with their steps
    steps: tuple[tuple[int, int, int], ...] = ()  #: (job, restart, step)
    usage_before: int = 0  #: sums of the hours before this one
    changes_before: float = 0.0  #: changes of nodes, but for the last one of each


class Loaded(msgspec.Struct, kw_only=True):
    """The state as it was left: a snapshot (if there is one) and what came after it, in order."""

    snapshot: bytes | None
    upto: int  #: the last event the snapshot holds
    events: Iterator[StoredEvent]


class EventStore(Protocol):
    """The record. Calls that return a future may be made from any thread and are carried out in order."""

    def append(self, batch: Batch) -> "Future[int]":
        """Durable when the future is done: the number of the last event. StoreUnavailable when it could not be written;
        then all later batches fail as well, until `recover`, for they follow from what was lost."""

    def recover(self) -> int:
        """Take batches again after a failure, if there is room to write: the number of the last event. StoreUnavailable if not yet,
        StoreSuperseded if another controller has taken the lead."""

    def load(self) -> Loaded: ...

    def write_snapshot(self, data: bytes, upto: int, live_blobs: set[str]) -> "Future[int]":
        """Keep `data` as the state up to this event, and drop older events, and blobs that are older and not live."""

    def purge(self, what: Purge) -> "Future[int]":
        """How many rows it were."""

    def blob(self, digest: str) -> bytes | None: ...

    def answered(self, since: float) -> list[Answered]: ...

    def next_term(self, now: int = 0) -> int:
        """Higher than every one before, and durable: a controller begins to lead. Not below `now` (seconds since 1970): a record that
        was restored from a backup does not know how often controllers have begun since, and nodes obey no lower term than the last.
        """

    def close(self) -> None: ...


class HistoryStore(Protocol):
    """The accounting: what ended, for ever."""

    def run_keys(self, query: HistoryQuery) -> list[RunKey]:
        """Of the runs that the query may mean, in order: by submission, then job. Small, however many they are."""

    def runs_at(self, keys: list[RunKey]) -> list[Run]:
        """In the order of the keys; those that are gone meanwhile are left out."""

    def ended_before(self, time: float, limit: int, after: float = 0.0) -> list[RunKey]:
        """The first so many of the runs that ended between, in the order of their ends."""

    def usage(self, since: int, until: int) -> dict[tuple[str, str, str, str], float]:
        """The sums of all hours from `since` on that begin before `until`, by account, user, wckey and resource."""

    def cpu_hours(self, since: int, until: int) -> dict[tuple[int, str], float]:
        """By hour: `cpu` in use, and `planned`."""

    def node_changes(self, until: float) -> list[NodeChange]:
        """Before this moment, by node and time."""

    def job_sizes(self, query: HistoryQuery) -> list[JobSizes]:
        """Of the runs that touch the window. Looked at are its users, accounts, partitions, nodes and groups."""

    def steps_at(self, keys: list[RunKey]) -> list[StepRun]:
        """By job, run and step."""


def runs(store: HistoryStore, query: HistoryQuery) -> list[Run]:
    """All at once."""
    return [run for run in store.runs_at(store.run_keys(query)) if query.takes(run)]


class Store(EventStore, HistoryStore, Protocol):
    """Both, in one transaction."""


def done(value: Any = None) -> "Future[Any]":
    future: Future[Any] = Future()
    future.set_result(value)
    return future


def failed(error: BaseException) -> "Future[Any]":
    future: Future[Any] = Future()
    future.set_exception(error)
    return future
