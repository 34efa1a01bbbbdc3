"""What starts now? The whole cycle on one page."""

import numpy as np

from corral.model.allocation import Allocation
from corral.model.job import JobId
from corral.model.reason import Reason
from corral.scheduler import backfill
from corral.scheduler.demand import Demand
from corral.scheduler.feasibility import static_rows, task_capacity
from corral.scheduler.nodetable import BoolColumn, IntColumn, NodeTable
from corral.scheduler.placement import place
from corral.scheduler.plan import Expected, NotNow, Plan, Start
from corral.scheduler.snapshot import PendingJob, RunningJob, Snapshot


def schedule(snapshot: Snapshot, now: float) -> Plan:
    """Jobs in the order of priority; who does not fit is planned for later, and later jobs fill the gaps round it."""
    return _Cycle(snapshot, now).run()


class _Cycle:
    def __init__(self, snapshot: Snapshot, now: float) -> None:
        self.snapshot = snapshot
        self.now = now
        self.table = snapshot.nodes
        self.running: list[RunningJob] = list(snapshot.running)
        self.plan = Plan(starts=[], reasons={}, expected={})
        self.static: dict[Demand, BoolColumn] = {}
        self.does_not_fit: dict[Demand, NotNow] = {}  #: shapes that found no place in this cycle
        self.kept: BoolColumn = np.zeros(len(self.table), np.bool_)  #: nodes of planned starts
        self.shadow = float("inf")  #: the earliest planned start
        self.empty: NodeTable | None = None  #: the same nodes with nothing on them, made when first needed
        self.blocked: set[str] = set()  #: partitions with a planned job

    def run(self) -> Plan:
        for job in self.snapshot.pending:
            self.consider(job)
        return self.plan

    def consider(self, job: PendingJob) -> None:
        elements: tuple[int | None, ...] = job.elements or (None,)
        for element in elements:
            why = self.start_one(job, element)
            if why is not None:
                self.plan.reasons[job.id] = why
                return
        if job.has_more_elements:
            self.plan.reasons[job.id] = NotNow(Reason.ARRAY_TASK_LIMIT)

    def start_one(self, job: PendingJob, element: int | None) -> NotNow | None:
        """Start it (None), or say why not."""
        why = None
        for demand in job.demands:
            seen = self.does_not_fit.get(demand)
            if seen is None:
                allocation, limit = self.fit(job, demand)
                if allocation is not None:
                    self.start(job, element, allocation, limit)
                    return None
                if not self.blocked or self.backfills_freely(job):
                    seen = self.does_not_fit[demand] = self.why_not(demand)
                else:
                    seen = NotNow(Reason.PRIORITY)
            why = why or seen
        first = job.demands[0]
        assert why is not None
        if first.partition in self.blocked or (self.blocked and why.reason is Reason.RESOURCES):
            if why.reason is Reason.RESOURCES:
                why = NotNow(Reason.PRIORITY)
        elif why.reason is Reason.RESOURCES:
            self.plan_start(job, first)
        return why

    def backfills_freely(self, job: PendingJob) -> bool:
        """Nothing planned stands in its way: if it does not fit, no job of its shape does."""
        return self.now + job.time_limit <= self.shadow

    def fit(self, job: PendingJob, demand: Demand) -> tuple[Allocation | None, int | None]:
        rows = self.rows(demand)
        limit: int | None = None
        if self.blocked and not self.backfills_freely(job):
            if not self.snapshot.policy.backfill:
                return None, None
            if job.time_min and self.now + job.time_min <= self.shadow:
                limit = int(self.shadow - self.now)
            else:
                rows = rows & ~self.kept
        elif self.blocked and not self.snapshot.policy.backfill:
            return None, None
        return place(self.table, demand, rows, self.snapshot.policy.placement), limit

    def rows(self, demand: Demand) -> BoolColumn:
        rows = self.static.get(demand)
        if rows is None:
            mask = self.snapshot.partition_rows[demand.partition]
            rows = self.static[demand] = static_rows(self.table, demand, mask) & self.table.usable
        return rows

    def start(self, job: PendingJob, element: int | None, allocation: Allocation, limit: int | None) -> None:
        # Elements of one array share the record's id until they are split off: the ledger of this cycle needs keys of its own.
        key = job.id if element is None else -(len(self.plan.starts) + 1)
        self.table.take(key, allocation)
        self.running.append(RunningJob(id=JobId(key), ends=self.now + (limit or job.time_limit)))
        self.plan.starts.append(Start(job.id, allocation, element, limit))

    def plan_start(self, job: PendingJob, demand: Demand) -> None:
        planned = backfill.planned_start(
            self.table, demand, self.rows(demand), self.running, self.now, self.snapshot.policy.placement
        )
        self.blocked.add(demand.partition)
        if planned is None:
            return
        when, nodes = planned
        self.plan.expected[job.id] = Expected(when, backfill.folded(nodes))
        self.shadow = min(self.shadow, when)
        for name in nodes:
            self.kept[self.table.index[name]] = True

    def why_not(self, demand: Demand) -> NotNow:
        """Does it wait for others to end, or for nodes that are away?"""
        absent = [
            name
            for name in demand.nodelist
            if name in self.table.index and not self.table.usable[self.table.index[name]]
        ]
        if absent:
            return NotNow(Reason.REQ_NODE_NOT_AVAIL, f"UnavailableNodes:{backfill.folded(tuple(absent))}")
        if self.empty is None:
            self.empty = self.table.emptied()
        mask = static_rows(self.table, demand, self.snapshot.partition_rows[demand.partition])
        capacity = task_capacity(self.empty, demand, mask)
        if not _enough(capacity, demand):
            return NotNow(Reason.PARTITION_CONFIG)
        if not _enough(np.where(self.table.usable, capacity, 0), demand):
            return NotNow(
                Reason.RESOURCES,
                "Nodes required for job are DOWN, DRAINED or reserved for jobs in higher priority partitions",
            )
        return NotNow(Reason.RESOURCES)


def _enough(capacity: IntColumn, demand: Demand) -> bool:
    """Could these nodes together take the job, were they all free?"""
    return np.count_nonzero(capacity > 0) >= demand.nodes_min and int(capacity.sum()) >= (demand.ntasks or 1)
