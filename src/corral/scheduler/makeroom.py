"""How does a cycle keep what was promised to jobs that preempt others, and make room for more of them?"""

from typing import Protocol

from corral.model.allocation import Allocation
from corral.model.job import JobId
from corral.model.reason import Reason
from corral.scheduler import backfill
from corral.scheduler.demand import Demand
from corral.scheduler.nodetable import NodeTable
from corral.scheduler.plan import Plan, Preemption, Start
from corral.scheduler.podplaces import Pods
from corral.scheduler.preemption import Fits, hold
from corral.scheduler.preemptors import Preemptors
from corral.scheduler.quota import NO_RULES, Rules
from corral.scheduler.running import RunningJob
from corral.scheduler.snapshot import LONGEST, PendingGroup, Snapshot


class Cycle(Protocol):
    """What of a cycle is looked at here, and changed."""

    snapshot: Snapshot
    now: float
    table: NodeTable
    running: list[RunningJob]
    plan: Plan
    known: backfill.Planner | None
    most_free: int
    preemptors: Preemptors
    priority: int
    tries: bool
    is_stale: bool

    def where_pods_are(self) -> Pods: ...

    def charged(self, allocation: Allocation) -> Allocation: ...

    def take(self, rules: Rules, allocation: Allocation, time_limit: int) -> Reason | None: ...

    def shape(self, group: PendingGroup, demand: Demand) -> object: ...

    def fit(self, group: PendingGroup, demand: Demand) -> tuple[Allocation | None, int | None]: ...


def keep_promises(cycle: Cycle) -> None:
    """First of all, those for whom others have made room; what is promised to the rest nobody else gets. Then who was suspended."""
    for one in cycle.snapshot.promises:
        key, waits = cycle.preemptors.next_key(), bool(one.victims)
        kept = hold(cycle.table, key, one.allocation, one.victims)
        if not kept or cycle.take(one.rules, one.allocation, one.time_limit) is not None:
            cycle.table.give_back(key)
            cycle.plan.broken.append((one.job, one.element))
            continue
        begins = max(cycle.now, one.ends) if waits else cycle.now
        cycle.running.append(RunningJob(begins + min(one.time_limit, LONGEST), key))
        if not waits:
            cycle.plan.starts.append(Start(one.job, one.allocation, one.element, one.shorter))
    for job in cycle.snapshot.suspended:
        if hold(cycle.table, cycle.preemptors.next_key(), job.allocation, (job.job,)):
            cycle.table.give_back(cycle.preemptors.key)
            cycle.table.give_back(job.job)
            cycle.table.take(job.job, job.allocation)
            cycle.plan.resumes.append(job.job)
            if job.victim is not None:
                cycle.preemptors.victims.append(job.victim)


def preempt(cycle: Cycle, group: PendingGroup, job: JobId, element: int | None, demands: list[Demand]) -> bool:
    """Let others go that it may preempt; their place is its own from now on."""
    assert group.rights is not None
    for demand in demands:
        shape = cycle.shape(group, demand)
        made = cycle.preemptors.make_room(
            cycle.table, group.rights, demand, cycle.priority, trial(cycle, group, demand), shape
        )
        if made is None:
            continue
        allocation, limit = cycle.charged(made.allocation), made.time_limit
        rules = group.rules_in(demand.partition) if group.rules else NO_RULES
        if rules and cycle.take(rules, allocation, limit or group.time_limit) is not None:
            cycle.is_stale = cycle.known is not None
            continue
        if demand.pod is not None:
            cycle.where_pods_are().add(allocation, demand.pod)
        span = limit or group.time_limit
        ends = cycle.now + min(span, LONGEST)
        cycle.running.append(RunningJob(ends, made.key))
        cycle.most_free = -1
        if cycle.known is not None and not cycle.is_stale:
            cycle.is_stale = not cycle.known.on_room(made.before, made.key, made.allocation, ends)
        cycle.plan.preemptions.append(
            Preemption(
                job=job, element=element, allocation=allocation, time_limit=limit, victims=made.victims,
                leaving=made.leaving,
            )
        )  # fmt: skip
        return True
    return False


def trial(cycle: Cycle, group: PendingGroup, demand: Demand) -> Fits:
    """Would it fit in another table?"""

    def fits(table: NodeTable) -> tuple[Allocation | None, int | None]:
        kept = cycle.table, cycle.most_free
        cycle.table, cycle.most_free, cycle.tries = table, -1, True
        found = cycle.fit(group, demand)
        (cycle.table, cycle.most_free), cycle.tries = kept, False
        return found

    return fits
