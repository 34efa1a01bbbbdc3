"""What fits now, where others have planned starts, reservations are kept, and limits count what has begun?

The base of a cycle: what it reads, what has been taken since it began, and the questions about one place. What becomes of the answers is
cycle.py's.
"""

from collections.abc import Callable

import msgspec

from corral.model.allocation import Allocation
from corral.model.reason import Reason
from corral.scheduler import backfill
from corral.scheduler.demand import Demand
from corral.scheduler.feasibility import static_rows
from corral.scheduler.nodetable import BoolColumn, NodeTable
from corral.scheduler.plan import Plan
from corral.scheduler.podplaces import Pods
from corral.scheduler.quota import Rules, Wanted, asked, asked_per_node, billed, held, most_per_node
from corral.scheduler.repeats import Repeats
from corral.scheduler.resources import place
from corral.scheduler.running import RunningJob
from corral.scheduler.snapshot import LONGEST, Member, PendingGroup, Snapshot


class Fitting:
    def __init__(self, snapshot: Snapshot, now: float) -> None:
        self.snapshot = snapshot
        self.policy = snapshot.policy
        self.now = now
        self.table = snapshot.nodes
        self.running: list[RunningJob] = list(snapshot.running)
        self.plan = Plan(starts=[], reasons={}, rest={}, expected={})
        self.static: dict[Demand, BoolColumn] = {}
        self.reserved = snapshot.reserved
        self.known: backfill.Planner | None = None  #: of the planned starts; None = none has been asked for
        self.is_stale = False  #: since then room has been made for jobs that preempt others
        self.shadow = float("inf")  #: the earliest planned start
        self.blocked: set[tuple[str, str]] = set()  #: partitions, and reservations, with a planned job
        self.most_free = -1  #: CPUs on the freest node; -1 = to be looked up
        self.avoided: BoolColumn | None = None  #: nodes that other components of the same job have just got
        self.repeats = Repeats(self.table, self.policy.placement)
        self.pods: Pods | None = None  #: where Pods are; None = nobody has asked
        self.tries = False  #: it is only asked whether something would fit

    def hold(self, key: int, allocation: Allocation, end: float) -> None:
        """Taken now, until then."""
        self.table.hold(key, allocation)
        if self.known is not None and not self.is_stale:
            self.known.on_start(key, allocation, end)
        self.most_free = -1

    def beyond(self, rules: Rules, group: PendingGroup, demand: Demand) -> Reason | None:
        """Which limit stands against it, wherever it would run?"""
        quota = self.snapshot.quota
        if quota is None:
            return None
        reason = quota.before(rules, group.time_limit)
        amounts = self.asked(demand)
        return reason or quota.with_amounts(rules, amounts, asked_per_node(amounts, demand), group.time_limit)

    def asked(self, demand: Demand) -> dict[str, int]:
        amounts = asked(demand)
        billing = self.snapshot.billing.get(demand.partition)
        if billing is not None:
            amounts["billing"] = billed(amounts, billing)
        return amounts

    def wanted(self, demand: Demand, time_limit: int) -> Wanted:
        amounts = self.asked(demand)
        return Wanted(amounts, asked_per_node(amounts, demand), time_limit)

    def charged(self, allocation: Allocation) -> Allocation:
        """With what its partition charges for it."""
        billing = self.snapshot.billing.get(allocation.partition)
        if billing is None:
            return allocation
        return msgspec.structs.replace(allocation, billing=billed(held(allocation), billing))

    def take(self, rules: Rules, allocation: Allocation, time_limit: int) -> Reason | None:
        """Count it; or which limit stands against it, now that is known what it gets."""
        quota = self.snapshot.quota
        if quota is None:
            return None
        amounts, nodes = held(allocation), allocation.node_names
        reason = quota.with_amounts(rules, amounts, most_per_node(allocation), time_limit, nodes)
        if reason is None:
            quota.take(rules, amounts, time_limit, nodes)
        return reason

    def shape(self, group: PendingGroup, demand: Demand) -> object:
        """What it can have now is the same for all of this shape."""
        if not self.reserved:
            return demand
        return demand, group.time_min, self.reserved.kept(demand, self.now, self.now + span_of(group))

    def ends_in_time(self, span: float) -> bool:
        """Would it be gone before the earliest planned start?"""
        return self.shadow == float("inf") or self.now + span <= self.shadow

    def is_any_free(self) -> bool:
        if self.most_free < 0:
            free = self.table.free_cpus[self.table.usable]
            self.most_free = int(free.max()) if len(free) else 0
        return self.most_free > 0

    def fit(self, group: PendingGroup, demand: Demand) -> tuple[Allocation | None, int | None]:
        too_few = not self.is_any_free() or (self.most_free < demand.cpus_per_task and not demand.overcommit)
        if too_few and not demand.sharers:
            return None, None
        if not self.reserved and not demand.reservation:
            return self.fit_for(group, demand, span_of(group))
        if not self.reserved.is_open(demand, self.now):
            return None, None
        allocation, limit = self.fit_for(group, demand, span_of(group))
        if allocation is None and group.time_min:
            span = self.reserved.next_kept(demand, self.now) - self.now
            if group.time_min <= span < span_of(group):
                allocation, limit = self.fit_for(group, demand, span)
                limit = limit or int(span)
        return allocation, limit

    def fit_for(self, group: PendingGroup, demand: Demand, span: float) -> tuple[Allocation | None, int | None]:
        """A place for so many seconds, or for fewer if it may be shorter."""
        table, rows, view = self.table, self.rows(demand), None
        if self.avoided is not None:
            rows = rows & ~self.avoided
        if self.reserved:
            kept = self.reserved.kept(demand, self.now, self.now + span)
            rows = self.reserved.rows(demand, rows, kept)
            view = self.reserved.view(demand, kept)
            table = table if view is None else view(table)
        if self.blocked and not self.policy.backfill and (demand.partition, demand.reservation) in self.blocked:
            return None, None
        if self.known is None or self.ends_in_time(span):
            if demand.pod is not None:
                return self.where_pods_are().place(table, demand, demand.pod, rows, self.policy.placement), None
            if table is self.repeats.table and self.avoided is None:
                return self.repeats.place(demand, rows), None
            return place(table, demand, rows, self.policy.placement), None
        self.planner()
        allocation = self.fit_beside(demand, rows, span, view)
        if allocation is None and group.time_min and group.time_min < span:
            allocation = self.fit_beside(demand, rows, group.time_min, view)
            if allocation is not None:
                least, most = self.now + group.time_min, self.now + span
                return allocation, int(self.known.can_be_longer(demand, allocation, least, most) - self.now)
        return allocation, None

    def fit_beside(
        self, demand: Demand, rows: BoolColumn, span: float, view: Callable[[NodeTable], NodeTable] | None
    ) -> Allocation | None:
        """A place for so many seconds that delays no planned start."""
        assert self.known is not None
        end = self.now + span
        if demand.licenses and not self.known.times.licenses.has(demand.licenses, self.now, end):
            return None
        table, rows = self.known.beside(demand, end, rows, self.table if self.tries else None)
        table = table if view is None else view(table)
        if demand.pod is not None:
            return self.where_pods_are().place(table, demand, demand.pod, rows, self.policy.placement)
        return place(table, demand, rows, self.policy.placement)

    def where_pods_are(self) -> Pods:
        if self.pods is None:
            self.pods = Pods(self.table, self.snapshot.placed)
        return self.pods

    def rows(self, demand: Demand) -> BoolColumn:
        rows = self.static.get(demand)
        if rows is None:
            mask = self.snapshot.partition_rows[demand.partition]
            rows = self.static[demand] = static_rows(self.table, demand, mask) & self.table.usable
        return rows

    def rows_to_come(self, demand: Demand) -> BoolColumn:
        """Where a start is looked for; of a Pod where it could be beside the Pods that are there."""
        rows = self.rows(demand)
        return rows if demand.pod is None else self.where_pods_are().refusals(demand.pod, rows).open

    def planner(self) -> backfill.Planner:
        if self.known is None:
            self.known = backfill.Planner(
                self.table,
                self.running,
                self.now,
                self.reserved,
                self.policy.placement,
                self.policy.backfill_resolution,
                self.policy.backfill_busy_nodes,
            )
            self.plan.moments = len(self.known.times)
        elif self.is_stale:
            self.known.renew(self.running)
        self.is_stale = False
        return self.known

    def latest(self) -> float:
        """Starts are planned until then."""
        return self.now + self.policy.backfill_window if self.policy.backfill_window else float("inf")


def span_of(group: PendingGroup) -> float:
    """How long it may run, seconds."""
    return group.time_limit if group.time_limit < LONGEST else float("inf")


def end_of(group: PendingGroup, limit: int | None, now: float) -> float:
    """When it is gone that starts now."""
    return now + min(limit or group.time_limit, LONGEST)


def alone_of(member: Member, group: PendingGroup) -> PendingGroup:
    """A component as if it were a job of its own."""
    return PendingGroup(
        demands=member.demands,
        time_limit=member.time_limit,
        time_min=member.time_min,
        queue=group.queue,
        rules=member.rules,
    )
