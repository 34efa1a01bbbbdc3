"""What starts now? The whole cycle on one page.

Theory: jobs are looked at in the order of priority, but not one by one: those of one shape stand in a group, and what its first can't
have now, none behind it can, because in a cycle nothing gets free and reservations only grow. So a cycle costs as much as there are
starts and shapes, however many jobs wait.

The first jobs that find no place get a planned start (backfill.py). From then on others begin only where they delay none of these.
"""

import heapq
from collections.abc import Callable, Generator

import msgspec
import numpy as np

from corral.model.allocation import Allocation
from corral.model.job import JobId
from corral.model.reason import Reason
from corral.scheduler import backfill, fluid, gang, makeroom, together
from corral.scheduler.demand import Demand
from corral.scheduler.depth import Depth
from corral.scheduler.feasibility import static_rows
from corral.scheduler.nodetable import BoolColumn, NodeTable
from corral.scheduler.placement import fits_when_empty
from corral.scheduler.plan import NotNow, Plan, Rest, Start
from corral.scheduler.preemptors import Preemptors
from corral.scheduler.quota import NO_RULES, Rules, Wanted, asked, asked_per_node, billed, gets, held, most_per_node
from corral.scheduler.reservations import by_maintenance
from corral.scheduler.resources import place
from corral.scheduler.running import RunningJob
from corral.scheduler.snapshot import LONGEST, Member, PendingGroup, QueueKey, Snapshot

NODES_ARE_AWAY = "Nodes required for job are DOWN, DRAINED or reserved for jobs in higher priority partitions"
MAY_BE_RESERVED = "May be reserved for other job"
FOR_MAINTENANCE = "Reserved for maintenance"
#: It waits for what others have: it can be said when it starts.
FOR_OTHERS = frozenset({Reason.RESOURCES, Reason.LICENSES})


def schedule(snapshot: Snapshot, now: float) -> Plan:
    """Jobs in the order of priority; who does not fit is planned for later, and later jobs fill the gaps round it."""
    steps = schedule_in_steps(snapshot, now)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            plan: Plan = end.value
            return plan


def schedule_in_steps(snapshot: Snapshot, now: float) -> Generator[None, None, Plan]:
    """The same, with a pause after every few jobs, in which others may have the processor."""
    if snapshot.same is not None:
        return snapshot.same
    if fluid.applies(snapshot):
        return (yield from fluid.schedule_in_steps(snapshot, now))
    return (yield from _Cycle(snapshot, now).steps())


class _Cycle:
    def __init__(self, snapshot: Snapshot, now: float) -> None:
        self.snapshot = snapshot
        self.policy = snapshot.policy
        self.depth = Depth(snapshot.policy, snapshot.waiting, now)
        self.now = now
        self.table = snapshot.nodes
        self.running: list[RunningJob] = list(snapshot.running)
        self.plan = Plan(starts=[], reasons={}, rest={}, expected={})
        self.static: dict[Demand, BoolColumn] = {}
        self.reserved = snapshot.reserved
        self.does_not_fit: set[object] = set()  #: demands that find no place whatever the time limit
        self.waits_for: dict[Demand, NotNow] = {}
        self.known: backfill.Planner | None = None  #: of the planned starts; None = none has been asked for
        self.is_stale = False  #: since then room has been made for jobs that preempt others
        self.shadow = float("inf")  #: the earliest planned start
        self.blocked: set[tuple[str, str]] = set()  #: partitions, and reservations, with a planned job
        self.stuck: set[int] = set()  #: groups whose first has found no place; the next of them are only planned
        self.most_free = -1  #: CPUs on the freest node; -1 = to be looked up
        self.avoided: BoolColumn | None = None  #: nodes that other components of the same job have just got
        self.preemptors = Preemptors(snapshot.standing, now)
        self.priority = 0  #: of the job that is being considered
        self.elements_left = 0  #: of the array that is being considered
        self.tries = False  #: it is only asked whether something would fit

    def steps(self) -> Generator[None, None, Plan]:
        groups = self.snapshot.pending
        if self.snapshot.promises or self.snapshot.suspended:
            makeroom.keep_promises(self)
        position = [0] * len(groups)
        heads = [(-group.tier, group.queue[0], number) for number, group in enumerate(groups) if group.queue]
        heapq.heapify(heads)
        while heads:
            tier, key, number = heads[0]
            group = groups[number]
            job = JobId(key[2])
            self.plan.looked_at += 1
            self.priority = -key[0]
            yield
            if self.depth.is_bounded and self.is_too_deep(group, key):
                self.plan.reasons[job] = self.behind(group.demands[0])
                at = position[number] = position[number] + 1
                if at < len(group.queue):
                    heapq.heapreplace(heads, (tier, group.queue[at], number))
                else:
                    heapq.heappop(heads)
                continue
            why = self.plan_next(group, job) if number in self.stuck else (yield from self.consider(group, job))
            at = position[number] = position[number] + 1
            if why is not None:
                self.plan.reasons[job] = why
                if at < len(group.queue) and job in self.plan.expected and self.may_plan():
                    self.stuck.add(number)
                    heapq.heapreplace(heads, (tier, group.queue[at], number))
                    continue
                if at < len(group.queue):
                    waits = why if why.reason is not Reason.RESOURCES or why.text else NotNow(Reason.PRIORITY)
                    self.plan.rest[number] = Rest(at, waits)
                heapq.heappop(heads)
            elif at < len(group.queue):
                heapq.heapreplace(heads, (tier, group.queue[at], number))
            else:
                heapq.heappop(heads)
        self.plan.resumes = [job for job in self.plan.resumes if job not in self.preemptors.leaving]
        self.plan.exempt_until = self.preemptors.exempt_until
        return self.plan

    def is_too_deep(self, group: PendingGroup, key: QueueKey) -> bool:
        """It waits behind others, and enough like it have been looked at."""
        demand = group.demands[0]
        return (demand.partition, demand.reservation) in self.blocked and self.depth.is_beyond(key, demand.partition)

    def consider(self, group: PendingGroup, job: JobId) -> Generator[None, None, NotNow | None]:
        """Start it, or of an array all elements that fit; the reason when something is left."""
        if group.gang:
            return self.start_gang(group, job)
        for number, element in enumerate(group.elements or (None,)):
            self.elements_left = len(group.elements) - number
            why = self.start_one(group, job, element)
            if why is not None:
                return why
            yield
        return NotNow(Reason.ARRAY_TASK_LIMIT) if group.has_more_elements else None

    def start_gang(self, group: PendingGroup, job: JobId) -> NotNow | None:
        """All components of a heterogeneous job, each in the first of its partitions in which it fits, or none."""
        why = self.held_back(group)
        found, lacking = self.fit_gang(group, apart=True) if why is None else ([], group.gang[0])
        if why is None and lacking is not None:
            found, lacking = self.fit_gang(group, apart=False)
        if lacking is None:
            found = [(member, self.charged(allocation), limit) for member, allocation, limit in found]
            why = self.held_back_with(group, found)
        if lacking is None and why is None:
            for member, allocation, limit in found:
                alone = alone_of(member, group)
                if member.rules:
                    self.take(alone.rules_in(allocation.partition), allocation, limit or member.time_limit)
                self.start(alone, JobId(member.job), None, allocation, limit, among=job)
            return None
        why = why or self.why_gang(group, lacking or group.gang[0])
        for member in group.gang:
            self.plan.reasons[JobId(member.job)] = why
        return why

    def fit_gang(
        self, group: PendingGroup, apart: bool
    ) -> tuple[list[tuple[Member, Allocation, int | None]], Member | None]:
        """A place for each, and who finds none. `apart`: no two of them on one node."""
        found: list[tuple[Member, Allocation, int | None]] = []
        lacking: Member | None = None
        for member in group.gang:
            alone = alone_of(member, group)
            fitting = (self.fit(alone, demand) for demand in member.demands)
            allocation, limit = next((one for one in fitting if one[0] is not None), (None, None))
            if allocation is None:
                lacking = member
                break
            self.hold(-len(self.plan.starts) - len(found) - 1, allocation, _end_of(alone, limit, self.now))
            found.append((member, allocation, limit))
            if apart:
                self.avoided = (
                    self.rows_of(allocation) if self.avoided is None else self.avoided | self.rows_of(allocation)
                )
        for number, (member, allocation, limit) in enumerate(found):
            key = -len(self.plan.starts) - number - 1
            self.table.give_back(key)
            if self.known is not None and not self.is_stale:
                self.known.on_return(key, allocation, _end_of(alone_of(member, group), limit, self.now))
        self.most_free, self.avoided = -1, None
        return found, lacking

    def hold(self, key: int, allocation: Allocation, end: float) -> None:
        """Taken now, until then."""
        self.table.take(key, allocation)
        if self.known is not None and not self.is_stale:
            self.known.on_start(key, allocation, end)
        self.most_free = -1

    def held_back(self, group: PendingGroup) -> NotNow | None:
        """Which limit of accounts and QOS keeps the components from starting together?"""
        quota = self.snapshot.quota
        if quota is None:
            return None
        ways = [
            [
                (alone_of(one, group).rules_in(demand.partition), self.wanted(demand, one.time_limit))
                for demand in one.demands
            ]
            for one in group.gang
        ]
        reason = together.held_back(quota, ways)
        return NotNow(reason) if reason is not None else None

    def held_back_with(self, group: PendingGroup, found: list[tuple[Member, Allocation, int | None]]) -> NotNow | None:
        """And now that is known what each gets?"""
        quota = self.snapshot.quota
        if quota is None:
            return None
        ways = [
            [(alone_of(one, group).rules_in(share.partition), gets(share, limit or one.time_limit))]
            for one, share, limit in found
        ]
        reason = together.held_back(quota, ways)
        return NotNow(reason) if reason is not None else None

    def rows_of(self, allocation: Allocation) -> BoolColumn:
        rows: BoolColumn = np.zeros(len(self.table), np.bool_)
        rows[[self.table.index[name] for name in allocation.node_names]] = True
        return rows

    def why_gang(self, group: PendingGroup, lacking: Member) -> NotNow:
        """Why it waits; if for others, a start is planned for all of it."""
        demand = next((one for one in lacking.demands if not one.reservation), lacking.demands[0])
        if not self.reserved.is_open(demand, self.now):
            return NotNow(Reason.RESERVATION)
        why = self.why_not(demand)
        if why.reason not in FOR_OTHERS or why.text:
            return why
        if not self.policy.backfill or not self.depth.has_room(group.demands[0].partition):
            return why
        if not self.is_any_free() and not self.snapshot.wants_plans:
            self.plan.without_plans = True
            return why
        parts = [
            gang.Part(one, self.rows(one), float(m.time_limit) if m.time_limit < LONGEST else float("inf"))
            for m, one in ((member, member.demands[0]) for member in group.gang)
        ]
        planned = gang.plan(self.planner(), parts, self.latest())
        if planned is None:
            return why
        self.depth.on_plan(demand.partition, len(planned))
        for member, one in zip(group.gang, planned, strict=True):
            self.plan.expected[JobId(member.job)] = backfill.expected(one)
        self.shadow = min(self.shadow, planned[0].start)
        self.blocked.add((demand.partition, demand.reservation))
        return why

    def start_one(self, group: PendingGroup, job: JobId, element: int | None) -> NotNow | None:
        """Start it (None), or say why not."""
        held_back: Reason | None = None
        free: list[Demand] = []
        for demand in group.demands:
            rules = group.rules_in(demand.partition) if group.rules else NO_RULES
            if rules:
                reason = self.beyond(rules, group, demand)
                if reason is not None:
                    held_back = held_back or reason
                    continue
            shape = self.shape(group, demand)
            if shape in self.does_not_fit:
                free.append(demand)
                continue
            allocation, limit = self.fit(group, demand)
            if allocation is not None:
                allocation = self.charged(allocation)
                reason = self.take(rules, allocation, limit or group.time_limit) if rules else None
                if reason is not None:
                    held_back = held_back or reason
                    continue
                self.start(group, job, element, allocation, limit)
                return None
            free.append(demand)
            if not self.blocked or self.ends_in_time(_span(group)):
                self.does_not_fit.add(shape)
        if not free:
            return NotNow(held_back or Reason.NONE)
        first = _plain(free)
        if self.reserved or first.reservation:
            kept = self.why_kept(group, first, job)
            if kept is not None:
                return kept
        why = self.why_not(first)
        if why.reason not in FOR_OTHERS or why.text:
            return why
        if (group.rules and not self.may_reserve(group, first)) or not self.may_hold_up(group, job):
            return why
        if (
            group.rights is not None
            and why.reason is Reason.RESOURCES
            and makeroom.preempt(self, group, job, element, free)
        ):
            return None
        if (first.partition, first.reservation) in self.blocked:
            return self.plan_next(group, job)
        if not self.is_any_free() and not self.snapshot.wants_plans:
            self.plan.without_plans = True
        elif not self.plan_start(group, job):
            return self.behind(first) if self.blocked else why
        self.blocked.add((first.partition, first.reservation))
        return why

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

    def may_reserve(self, group: PendingGroup, demand: Demand) -> bool:
        """May it hold up others by a planned start? Not with NoReserve, nor below MinPrioThreshold."""
        rules = group.rules_in(demand.partition)
        return rules.reserves and -group.queue[0][0] >= rules.min_priority

    def may_hold_up(self, group: PendingGroup, job: JobId) -> bool:
        return self.depth.may_hold_up((-self.priority, 0.0, int(job)))

    def plan_next(self, group: PendingGroup, job: JobId) -> NotNow:
        """It waits behind another; a start may be planned for it too."""
        if (
            self.policy.backfill
            and self.policy.backfill != "easy"
            and not self.plan.without_plans
            and self.may_hold_up(group, job)
        ):
            self.plan_start(group, job)
        return self.behind(group.demands[0])

    def behind(self, demand: Demand) -> NotNow:
        """Why it waits when others do before it."""
        return NotNow(Reason.PRIORITY if self.table.licenses.has(demand.licenses) else Reason.LICENSES)

    def may_plan(self) -> bool:
        return (
            bool(self.policy.backfill)
            and self.policy.backfill != "easy"
            and not self.plan.without_plans
            and self.depth.planned < self.depth.most
        )

    def shape(self, group: PendingGroup, demand: Demand) -> object:
        """What it can have now is the same for all of this shape."""
        if not self.reserved:
            return demand
        return demand, group.time_min, self.reserved.kept(demand, self.now, self.now + _span(group))

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
            return self.fit_for(group, demand, _span(group))
        if not self.reserved.is_open(demand, self.now):
            return None, None
        allocation, limit = self.fit_for(group, demand, _span(group))
        if allocation is None and group.time_min:
            span = self.reserved.next_kept(demand, self.now) - self.now
            if group.time_min <= span < _span(group):
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
        return place(table if view is None else view(table), demand, rows, self.policy.placement)

    def rows(self, demand: Demand) -> BoolColumn:
        rows = self.static.get(demand)
        if rows is None:
            mask = self.snapshot.partition_rows[demand.partition]
            rows = self.static[demand] = static_rows(self.table, demand, mask) & self.table.usable
        return rows

    def start(
        self,
        group: PendingGroup,
        job: JobId,
        element: int | None,
        allocation: Allocation,
        limit: int | None,
        among: int = 0,
    ) -> None:
        # Elements of one array share the record's id until they are split off: the ledger of this cycle needs keys of its own.
        key = job if element is None else -(len(self.plan.starts) + 1)
        ends = _end_of(group, limit, self.now)
        if allocation.reservation:
            ends = min(ends, self.reserved.closes(allocation.reservation, self.now))
        self.hold(key, allocation, ends)
        self.preemptors.took(key, allocation)
        self.running.append(RunningJob(ends, key))
        self.plan.starts.append(Start(job, allocation, element, limit, among, bool(self.blocked)))
        self.plan.backfilled += bool(self.blocked)

    def plan_start(self, group: PendingGroup, job: JobId) -> bool:
        if not self.depth.has_room(group.demands[0].partition):
            return False
        ways = ((demand, self.rows(demand)) for demand in group.demands)
        planned = self.planner().plan(ways, _span(group), self.latest())
        if planned is None:
            return False
        self.depth.on_plan(planned.allocation.partition)
        self.plan.expected[job] = backfill.expected(planned)
        self.shadow = min(self.shadow, planned.start)
        if group.elements and self.policy.backfill != "easy":
            self.plan_more_elements(group)
        return True

    def plan_more_elements(self, group: PendingGroup) -> None:
        """Of an array those after the first are planned for as well, some of them."""
        for _ in range(min(self.elements_left, self.policy.backfill_max_array) - 1):
            if not self.depth.has_room(group.demands[0].partition):
                break
            ways = ((demand, self.rows(demand)) for demand in group.demands)
            planned = self.planner().plan(ways, _span(group), self.latest())
            if planned is None:
                break
            self.depth.on_plan(planned.allocation.partition)

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

    def why_kept(self, group: PendingGroup, demand: Demand, job: JobId) -> NotNow | None:
        """Does it wait for its reservation to begin, or for those of others to end? Then it holds up nobody."""
        if not self.reserved.is_open(demand, self.now):
            return NotNow(Reason.RESERVATION)
        kept = self.reserved.kept(demand, self.now, self.now + _span(group))
        before = self.reserved.rows(demand, self.rows(demand), ())
        after = self.reserved.rows(demand, before, kept)
        if fits_when_empty(self.table, demand, after) or not fits_when_empty(self.table, demand, before):
            return None
        if self.policy.backfill and (self.is_any_free() or self.snapshot.wants_plans):
            self.plan_start(group, job)
        lost = before & ~after
        if any(lost[self.table.index[name]] for name in demand.nodelist if name in self.table.index):
            return NotNow(Reason.REQ_NODE_NOT_AVAIL, MAY_BE_RESERVED)
        if by_maintenance(self.reserved, kept, before):
            return NotNow(Reason.REQ_NODE_NOT_AVAIL, FOR_MAINTENANCE)
        return NotNow(Reason.RESOURCES, NODES_ARE_AWAY)

    def why_not(self, demand: Demand) -> NotNow:
        """Does it wait for others to end, or for nodes that are away?"""
        if not self.table.licenses.has(demand.licenses):
            return NotNow(Reason.LICENSES)
        why = self.waits_for.get(demand)
        if why is None:
            why = self.waits_for[demand] = self._why_not(demand)
        return why

    def _why_not(self, demand: Demand) -> NotNow:
        table = self.table
        if demand.switches:  # it will do without
            demand = msgspec.structs.replace(demand, switches=0)
        absent = [name for name in demand.nodelist if name in table.index and not table.usable[table.index[name]]]
        if absent:
            return NotNow(Reason.REQ_NODE_NOT_AVAIL, f"UnavailableNodes:{backfill.folded(tuple(absent))}")
        if fits_when_empty(table, demand, self.rows(demand)):
            return NotNow(Reason.RESOURCES)
        mask = static_rows(table, demand, self.snapshot.partition_rows[demand.partition])
        if fits_when_empty(table, demand, mask):
            return NotNow(Reason.RESOURCES, NODES_ARE_AWAY)
        few = demand.nodes_min > int(self.snapshot.partition_rows[demand.partition].sum())
        return NotNow(Reason.PARTITION_NODE_LIMIT if few else Reason.PARTITION_CONFIG)


def _plain(demands: list[Demand]) -> Demand:
    """The first of its demands that is no mere preference, and in no reservation."""
    plain = [demand for demand in demands if not demand.preferred] or demands
    return next((demand for demand in plain if not demand.reservation), plain[0])


def _span(group: PendingGroup) -> float:
    """How long it may run, seconds."""
    return group.time_limit if group.time_limit < LONGEST else float("inf")


def _end_of(group: PendingGroup, limit: int | None, now: float) -> float:
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
