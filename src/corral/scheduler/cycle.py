"""What starts now? The whole cycle on one page.

Theory: jobs are looked at in the order of priority, but not one by one: those of one shape stand in a group, and what its first can't
have now, none behind it can, because in a cycle nothing gets free and reservations only grow. So a cycle costs as much as there are
starts and shapes, however many jobs wait.

The first jobs that find no place get a planned start (backfill.py). From then on others begin only where they delay none of these.
"""

import heapq
from collections.abc import Generator

import msgspec
import numpy as np

from corral.model.allocation import Allocation
from corral.model.job import JobId
from corral.model.podplace import PodWords
from corral.model.reason import Reason
from corral.scheduler import backfill, fluid, gang, makeroom, together
from corral.scheduler.demand import Demand
from corral.scheduler.depth import Depth
from corral.scheduler.feasibility import static_rows
from corral.scheduler.fitting import Fitting, alone_of, end_of, span_of
from corral.scheduler.nodetable import BoolColumn
from corral.scheduler.placement import fits_when_empty
from corral.scheduler.plan import NotNow, Plan, Rest, Start
from corral.scheduler.preemptors import Preemptors
from corral.scheduler.quota import NO_RULES, gets
from corral.scheduler.reservations import by_maintenance
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


class _Cycle(Fitting):
    def __init__(self, snapshot: Snapshot, now: float) -> None:
        super().__init__(snapshot, now)
        self.depth = Depth(snapshot.policy, snapshot.waiting, now)
        self.does_not_fit: set[object] = set()  #: demands that find no place whatever the time limit
        self.waits_for: dict[Demand, NotNow] = {}
        self.stuck: set[int] = set()  #: groups whose first has found no place; the next of them are only planned
        self.preemptors = Preemptors(snapshot.standing, now)
        self.priority = 0  #: of the job that is being considered
        self.elements_left = 0  #: of the array that is being considered

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
        if self.known is not None:
            self.planner()  # made anew now, if it is to be, and not while some of them are held
        for member in group.gang:
            alone = alone_of(member, group)
            fitting = (self.fit(alone, demand) for demand in member.demands)
            allocation, limit = next((one for one in fitting if one[0] is not None), (None, None))
            if allocation is None:
                lacking = member
                break
            self.hold(-len(self.plan.starts) - len(found) - 1, allocation, end_of(alone, limit, self.now))
            found.append((member, allocation, limit))
            if apart:
                self.avoided = (
                    self.rows_of(allocation) if self.avoided is None else self.avoided | self.rows_of(allocation)
                )
        for number, (member, allocation, limit) in enumerate(found):
            key = -len(self.plan.starts) - number - 1
            self.table.give_back(key)
            if self.known is not None and not self.is_stale:
                self.known.on_return(key, allocation, end_of(alone_of(member, group), limit, self.now))
        self.most_free, self.avoided = -1, None
        return found, lacking

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
            if not self.blocked or self.ends_in_time(span_of(group)):
                self.does_not_fit.add(shape)
        if not free:
            return NotNow(held_back or Reason.NONE)
        first = _plain(free)
        if self.reserved or first.reservation:
            kept = self.why_kept(group, first, job)
            if kept is not None:
                return kept
        why = self.why_not(first) if first.pod is None else self.why_no_pod(first, first.pod)
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
        ends = end_of(group, limit, self.now)
        if allocation.reservation:
            ends = min(ends, self.reserved.closes(allocation.reservation, self.now))
        self.hold(key, allocation, ends)
        self.preemptors.took(key, allocation)
        if (words := group.demands[0].pod) is not None:
            self.where_pods_are().add(allocation, words)
        self.running.append(RunningJob(ends, key))
        self.plan.starts.append(Start(job, allocation, element, limit, among, bool(self.blocked)))
        self.plan.backfilled += bool(self.blocked)

    def plan_start(self, group: PendingGroup, job: JobId) -> bool:
        if not self.depth.has_room(group.demands[0].partition):
            return False
        ways = ((demand, self.rows_to_come(demand)) for demand in group.demands)
        planned = self.planner().plan(ways, span_of(group), self.latest())
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
            planned = self.planner().plan(ways, span_of(group), self.latest())
            if planned is None:
                break
            self.depth.on_plan(planned.allocation.partition)

    def why_kept(self, group: PendingGroup, demand: Demand, job: JobId) -> NotNow | None:
        """Does it wait for its reservation to begin, or for those of others to end? Then it holds up nobody."""
        if not self.reserved.is_open(demand, self.now):
            return NotNow(Reason.RESERVATION)
        kept = self.reserved.kept(demand, self.now, self.now + span_of(group))
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

    def why_no_pod(self, demand: Demand, words: PodWords) -> NotNow:
        """Do the others' places or the nodes' labels keep it from all of them? Then nothing is planned: nobody's end would help."""
        here = self.snapshot.partition_rows[demand.partition]
        found = self.where_pods_are().refusals(words, here & self.table.usable)
        if found.open.any() and fits_when_empty(self.table, demand, found.open & self.rows(demand)):
            return self.why_not(demand)
        counts = dict(found.counts)
        if away := int((here & ~self.table.usable).sum()):
            counts["node(s) were unschedulable"] = away
        if too_small := int(found.open.sum()):
            counts["node(s) are too small"] = too_small
        told = ", ".join(f"{count} {why}" for why, count in sorted(counts.items()))
        return NotNow(
            Reason.RESOURCES, f"0/{int(here.sum())} nodes are available: {told or 'the partition has no nodes'}."
        )

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
