"""What would become of this job, or of that one in its place, after those that come before?

A cycle goes through the jobs before it once; then any number of requests can be asked about, each as if it came next. An answer leaves no
trace: what starts is not given anything, what is planned keeps nothing. Planned starts of a cycle that has just been are taken over.
"""

from collections.abc import Generator, Mapping
from typing import TypeVar

import msgspec

from corral.model.allocation import Allocation
from corral.model.job import JobId
from corral.model.reason import Reason
from corral.scheduler import backfill, cycle, fluid
from corral.scheduler.fitting import span_of
from corral.scheduler.plan import Expected, NotNow, Plan, Preemption, Start
from corral.scheduler.snapshot import PendingGroup, Snapshot
from corral.syntax import hostlist

T = TypeVar("T")


class Outcome:
    """Of one job."""

    def __init__(
        self,
        starts: list[Start],
        why: NotNow | None,
        expected: Expected | None,
        preemptions: list[Preemption] | None = None,
    ) -> None:
        self.starts, self.why, self.expected = starts, why, expected
        self.preemptions = preemptions or []  #: it would let these go

    @property
    def nodes(self) -> str:
        """Where it starts."""
        names = [name for start in self.starts for name in start.allocation.node_names]
        return hostlist.fold(list(dict.fromkeys(names)))


class Trial(cycle._Cycle):
    """`snapshot` has the jobs before it only; `others` are those behind it, which matter where counts tell all (fluid.py)."""

    def __init__(
        self, snapshot: Snapshot, now: float, known: Mapping[JobId, Expected], others: tuple[PendingGroup, ...] = ()
    ) -> None:
        everything = msgspec.structs.replace(snapshot, pending=(*snapshot.pending, *others))
        self.by_counts = bool(everything.pending) and fluid.applies(everything)
        super().__init__(everything if self.by_counts else snapshot, now)
        self.known_starts = known
        self.is_asking = False
        self.before = Plan() if self.by_counts else finished(self.steps())  #: what becomes of those before it

    def last(self, group: PendingGroup) -> Outcome:
        """Also whom it would preempt, and of a heterogeneous job; nothing can be asked after that."""
        job = JobId(group.queue[0][2])
        if self.by_counts or (group.rights is None and not group.gang):
            return self.ask(group)
        plan = self.plan
        already = len(plan.starts), len(plan.preemptions)
        self.priority = -group.queue[0][0]
        why = finished(self.consider(group, job))
        starts = [one for one in plan.starts[already[0] :] if job in (one.job, one.gang)]
        return Outcome(starts, None if starts else why, plan.expected.get(job), plan.preemptions[already[1] :])

    def ask(self, group: PendingGroup, plans: bool | None = None) -> Outcome:
        """It preempts nobody. `plans`: a start is planned for it even when as many as usual are planned, or is not."""
        group = msgspec.structs.replace(group, rights=None) if group.rights is not None else group
        job = JobId(group.queue[0][2])
        if self.by_counts:
            return self.ask_by_counts(group, job)
        saved = self.plan, self.depth, self.shadow, self.blocked, self.snapshot
        self.plan, self.blocked = Plan(starts=[], reasons={}, rest={}, expected={}), {*self.blocked}
        self.snapshot = msgspec.structs.replace(
            self.snapshot, quota=None if self.snapshot.quota is None else self.snapshot.quota.trial()
        )
        self.depth = self.depth.trial(plans)
        self.is_asking, self.priority = True, -group.queue[0][0]
        try:
            why = finished(self.consider(group, job))
            starts = self.plan.starts
            if plans and not starts and job not in self.plan.expected:
                self.plan_start(group, job)
            return Outcome(starts, why if not starts or why is None else None, self.plan.expected.get(job))
        finally:
            self.is_asking = False
            self.plan, self.depth, self.shadow, self.blocked, self.snapshot = saved

    def ask_by_counts(self, group: PendingGroup, job: JobId) -> Outcome:
        """Where counts tell all the whole cycle is gone through: it is cheap."""
        snapshot = msgspec.structs.replace(
            self.snapshot, pending=(*self.snapshot.pending, group), nodes=self.snapshot.nodes.copy()
        )
        plan = cycle.schedule(snapshot, self.now)
        self.before = plan
        return Outcome(
            [one for one in plan.starts if one.job == job], _why(plan, snapshot, job), plan.expected.get(job)
        )

    # -- without a trace

    def start(
        self,
        group: PendingGroup,
        job: JobId,
        element: int | None,
        allocation: Allocation,
        limit: int | None,
        among: int = 0,
    ) -> None:
        if self.is_asking:
            self.plan.starts.append(Start(job, allocation, element, limit, among, bool(self.blocked)))
        else:
            super().start(group, job, element, allocation, limit, among)

    # -- what is known already

    def plan_start(self, group: PendingGroup, job: JobId) -> bool:
        if self.is_asking:
            return self.depth.has_room(group.demands[0].partition) and self.find(group, job)
        known = self.known_starts.get(job)
        if known is not None and not group.gang and self.take_over(group, job, known):
            return True
        return super().plan_start(group, job)

    def find(self, group: PendingGroup, job: JobId) -> bool:
        """Where it would be planned; nothing is kept for it."""
        ways = ((demand, self.rows(demand)) for demand in group.demands)
        found = self.planner().best(ways, span_of(group), self.latest())
        if found is not None:
            self.plan.expected[job] = backfill.expected(found[0])
        return found is not None

    def take_over(self, group: PendingGroup, job: JobId, known: Expected) -> bool:
        """Its planned start, where and when it was; False = it is not possible any more."""
        start, allocation = max(known.time, self.now), known.allocation
        partition = allocation.partition if allocation is not None else ""
        demand = next((one for one in group.demands if one.partition == partition), group.demands[0])
        rows = self.rows(demand)
        if allocation is None or not all(rows[self.table.index.get(name, -1)] for name in allocation.node_names):
            return False
        self.planner().keep(backfill.Planned(start, start + span_of(group), allocation), demand)
        self.depth.on_plan(partition)
        self.plan.expected[job] = known
        self.shadow = min(self.shadow, start)
        if group.elements and self.policy.backfill != "easy":
            self.plan_more_elements(group)
        return True


def finished(steps: Generator[None, None, T]) -> T:
    """What comes out at the end of it."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: T = end.value
            return result


def _why(plan: Plan, snapshot: Snapshot, job: JobId) -> NotNow | None:
    found = plan.reasons.get(job)
    if found is None and not any(one.job == job for one in plan.starts):
        for number, rest in plan.rest.items():
            if any(key[2] == job for key in snapshot.pending[number].queue[rest.position :]):
                return rest.why
        return NotNow(Reason.PRIORITY)
    return found
