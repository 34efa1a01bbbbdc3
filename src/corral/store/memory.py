"""How do tests and simulations keep events and history? In lists, gone with the program."""

from concurrent.futures import Future

from corral.errors import StoreUnavailable
from corral.store.interface import Answered, Batch, Loaded, Purge, StoredEvent, done, failed
from corral.store.rollup import PLANNED, JobSizes, NodeChange, Usage, add_size, sizes
from corral.store.rows import HistoryQuery, Run, RunKey, StepRun, key_of


class MemoryStore:
    """A store that forgets when the program ends; `broken` makes it fail as a full disk does."""

    def __init__(self) -> None:
        self.broken: str = ""
        self._failed = False
        self._seq = 0
        self._events: dict[int, StoredEvent] = {}
        self._snapshot: tuple[int, bytes] | None = None
        self._blobs: dict[str, tuple[int, bytes]] = {}
        self._answered: dict[str, Answered] = {}
        self._runs: dict[tuple[int, int], Run] = {}
        self._steps: dict[tuple[int, int, int], StepRun] = {}
        self._usage: Usage = {}
        self._node_changes: dict[tuple[str, float], NodeChange] = {}
        self._term = 0

    def append(self, batch: Batch) -> "Future[int]":
        if self.broken or self._failed:
            self._failed = True
            return failed(StoreUnavailable(reason=self.broken or "an earlier batch was lost"))
        for event in batch.events:
            self._seq += 1
            self._events[self._seq] = event
        self._blobs.update((digest, (self._seq, data)) for digest, data in batch.blobs.items())
        self._answered.update((answer.key, answer) for answer in batch.answered)
        self._runs.update(((run.job, run.restart), run) for run in batch.runs)
        for key, seconds in batch.usage.items():
            self._usage[key] = self._usage.get(key, 0.0) + seconds
        self._node_changes.update(((change.node, change.time), change) for change in batch.node_changes)
        self._steps.update(((step.job, step.restart, step.step), step) for step in batch.steps)
        return done(self._seq)

    def recover(self) -> int:
        if self.broken:
            raise StoreUnavailable(reason=self.broken)
        self._failed = False
        return self._seq

    def load(self) -> Loaded:
        upto, snapshot = self._snapshot or (0, None)
        return Loaded(
            snapshot=snapshot, upto=upto, events=iter([e for seq, e in sorted(self._events.items()) if seq > upto])
        )

    def write_snapshot(self, data: bytes, upto: int, live_blobs: set[str]) -> "Future[int]":
        if self.broken or self._failed:
            self._failed = True
            return failed(StoreUnavailable(reason=self.broken or "an earlier batch was lost"))
        self._snapshot = (upto, data)
        self._events = {seq: event for seq, event in self._events.items() if seq > upto}
        self._blobs = {digest: blob for digest, blob in self._blobs.items() if blob[0] > upto or digest in live_blobs}
        return done(upto)

    def blob(self, digest: str) -> bytes | None:
        found = self._blobs.get(digest)
        return found[1] if found else None

    def answered(self, since: float) -> list[Answered]:
        return [answer for answer in self._answered.values() if answer.time >= since]

    def next_term(self, now: int = 0) -> int:
        if self.broken:
            raise StoreUnavailable(reason=self.broken)
        self._term = max(self._term + 1, now)
        return self._term

    def close(self) -> None:
        pass

    def run_keys(self, query: HistoryQuery) -> list[RunKey]:
        found = sorted(key_of(run) for run in self._runs.values() if query.takes(run))
        return found[-query.limit :] if query.limit else found

    def runs_at(self, keys: list[RunKey]) -> list[Run]:
        return [self._runs[key.job, key.restart] for key in keys if (key.job, key.restart) in self._runs]

    def steps_at(self, keys: list[RunKey]) -> list[StepRun]:
        wanted = {(key.job, key.restart) for key in keys}
        return [step for key, step in sorted(self._steps.items()) if key[:2] in wanted]

    def usage(self, since: int, until: int) -> dict[tuple[str, str, str, str], float]:
        found: dict[tuple[str, str, str, str], float] = {}
        for key, seconds in self._usage.items():
            if since <= key.hour < until and key.tres != PLANNED:
                found[key[1:]] = found.get(key[1:], 0.0) + seconds
        return found

    def cpu_hours(self, since: int, until: int) -> dict[tuple[int, str], float]:
        found: dict[tuple[int, str], float] = {}
        for key, seconds in self._usage.items():
            if since <= key.hour < until and key.tres in ("cpu", PLANNED):
                found[key.hour, key.tres] = found.get((key.hour, key.tres), 0.0) + seconds
        return found

    def node_changes(self, until: float) -> list[NodeChange]:
        return [change for _, change in sorted(self._node_changes.items()) if change.time < until]

    def job_sizes(self, query: HistoryQuery) -> list[JobSizes]:
        found: dict[tuple[str, str, str, str], list[float]] = {}
        for run in self._runs.values():
            named = (not query.users or run.user in query.users) and (
                not query.accounts or run.account in query.accounts
            )
            if named and (not query.partitions or run.partition in query.partitions):
                add_size(found, run, query)
        return sizes(found)

    def ended_before(self, time: float, limit: int, after: float = 0.0) -> list[RunKey]:
        found = sorted((run.end, key_of(run)) for run in self._runs.values() if after < run.end < time)
        return [key for _, key in found[:limit]]

    def purge(self, what: Purge) -> "Future[int]":
        before = len(self._runs) + len(self._usage) + len(self._node_changes) + len(what.steps)
        for run in what.runs:
            self._runs.pop(run, None)
        self._steps = {
            key: step for key, step in self._steps.items() if key[:2] not in what.runs and key not in what.steps
        }
        self._usage = {key: seconds for key, seconds in self._usage.items() if key.hour >= what.usage_before}
        last = {change.node: change.time for change in self.node_changes(what.changes_before)}
        self._node_changes = {
            key: change for key, change in self._node_changes.items() if change.time >= last.get(change.node, 0.0)
        }
        return done(before - len(self._runs) - len(self._usage) - len(self._node_changes))
