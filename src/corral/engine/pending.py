"""Which jobs may the scheduler consider now, and in what shape?"""

import msgspec

from corral.engine.admission import resolve
from corral.engine.arrays import room
from corral.engine.commit import limit_ends
from corral.engine.context import Context
from corral.engine.partitions import partition_rows
from corral.model import ranges
from corral.model.job import Job, JobId
from corral.model.partition import PartitionState
from corral.model.reason import Reason
from corral.scheduler.nodetable import BoolColumn
from corral.scheduler.snapshot import PendingJob, RunningJob, Snapshot

#: Elements of one array offered to a cycle: more than can start at once only cost time.
MAX_ELEMENTS = 4096

_NOT_YET = frozenset({Reason.DEPENDENCY, Reason.DEPENDENCY_NEVER_SATISFIED, Reason.BEGIN_TIME})


class PendingView:
    """Builds snapshots, and keeps what does not change from one cycle to the next."""

    def __init__(self, ctx: Context) -> None:
        self.ctx = ctx
        self.known: dict[
            JobId, tuple[int, str, int, PendingJob]
        ] = {}  #: id -> (spec's identity, partition, limit, entry)
        self.rows: tuple[int, tuple[object, ...], dict[str, BoolColumn]] = (-1, (), {})

    def snapshot(self, now: float) -> Snapshot:
        state = self.ctx.state
        running = []
        for job_id in state.active:
            job = state.jobs[job_id]
            ends = limit_ends(job)
            running.append(RunningJob(id=job_id, ends=max(ends, now)))
        return Snapshot(
            nodes=state.ledger.copy(),
            pending=tuple(self._pending()),
            running=tuple(running),
            partition_rows=self._rows(),
            policy=self.ctx.config.scheduling,
        )

    def _rows(self) -> dict[str, BoolColumn]:
        state = self.ctx.state
        partitions = tuple(state.partitions.values())
        if self.rows[0] != state.ledger.version or self.rows[1] != partitions:
            rows = {partition.name: partition_rows(state, partition, state.ledger) for partition in partitions}
            self.rows = (state.ledger.version, partitions, rows)
        return self.rows[2]

    def _pending(self) -> list[PendingJob]:
        state = self.ctx.state
        entries = []
        up = {name for name, partition in state.partitions.items() if partition.state is PartitionState.UP}
        for job in list(state.queued()):
            if job.held_by or job.reason in _NOT_YET:
                continue
            entry = self._entry(job)
            demands = entry.demands
            if not all(demand.partition in up for demand in demands):
                demands = tuple(demand for demand in demands if demand.partition in up)
                if not demands:
                    self._note(job, Reason.PARTITION_DOWN)
                    continue
                entry = msgspec.structs.replace(entry, demands=demands)
            if job.array_waiting:
                free = room(state, job)
                if not free:
                    self._note(job, Reason.ARRAY_TASK_LIMIT)
                    continue
                elements = ranges.first_members(job.array_waiting, min(free, MAX_ELEMENTS))
                more = free < ranges.count(job.array_waiting)
                entry = msgspec.structs.replace(entry, elements=elements, has_more_elements=more)
            entries.append(entry)
        if len(self.known) > 2 * len(state.queue) + 1000:
            self.known = {job_id: known for job_id, known in self.known.items() if job_id in state.jobs}
        return entries

    def _entry(self, job: Job) -> PendingJob:
        state = self.ctx.state
        spec = state.spec(job)
        known = self.known.get(job.id)
        if known is not None and known[0] == id(spec) and known[1] == job.partition and known[2] == job.time_limit:
            return known[3]
        demands = []
        for name in job.partition.split(","):
            partition = state.partitions.get(name)
            if partition is not None:
                demands.append(resolve(spec, partition, self.ctx.config))
        entry = PendingJob(
            id=job.id,
            demands=tuple(demands),
            time_limit=job.time_limit,
            time_min=spec.time_min or 0,
            no_kill=spec.no_kill,
        )
        self.known[job.id] = (id(spec), job.partition, job.time_limit, entry)
        return entry

    def _note(self, job: Job, reason: Reason) -> None:
        if job.reason is not reason:
            self.ctx.state.jobs[job.id] = msgspec.structs.replace(job, reason=reason, reason_text="")
