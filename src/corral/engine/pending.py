"""Which jobs may the scheduler consider now, in which groups, and why do the others wait?

The groups are kept from one cycle to the next: only jobs that entered, changed in or left the queue are looked at. Why a job
waits is noted in its record, and not recorded: the next cycle after a restart finds it again.
"""

import bisect
import heapq

import msgspec

from corral.engine import charging, preemption, replicas, reserved_access
from corral.engine.admission import resolve
from corral.engine.arrays import has_room, room
from corral.engine.context import Context
from corral.engine.duetimes import limit_ends
from corral.engine.het import ready
from corral.engine.partitions import partition_rows
from corral.engine.preemptible import Preemptible
from corral.engine.state import NOT_YET
from corral.engine.usual import Usual
from corral.engine.waitinggroups import Group, WaitingGroups
from corral.model import ranges
from corral.model.job import Job, JobId, JobSpec
from corral.model.partition import PartitionState
from corral.model.reason import Reason
from corral.scheduler import limits
from corral.scheduler.demand import Demand, preferring
from corral.scheduler.nodetable import BoolColumn, NodeTable
from corral.scheduler.plan import Expected, NotNow, Plan
from corral.scheduler.preemption import Promised
from corral.scheduler.profile import Promises
from corral.scheduler.quota import Billing, Quota, Rules
from corral.scheduler.reservations import NOTHING
from corral.scheduler.running import RunningJob
from corral.scheduler.snapshot import LONGEST, Member, PendingGroup, QueueKey, Snapshot, Waiting

#: Elements of one array offered to a cycle: more than can start at once only cost time.
MAX_ELEMENTS = 4096

#: Of so many different requests it is remembered what they mean.
MOST_KNOWN = 5000

#: When nothing is free, starts are planned at most so often: nobody can start beside them.
PLAN_SECONDS = 1.0


def demands_in(ctx: Context, spec: JobSpec, partition: str, uid: int) -> tuple[Demand, ...]:
    """One for each of these partitions; two where it would rather have other features."""
    names = [name for name in partition.split(",") if name in ctx.state.partitions]
    places = (charging.place_of(ctx, spec, ctx.state.partitions[name]) for name in names)
    demands = tuple(resolve(spec, place, ctx.config, uid) for place in places)
    if spec.prefer:
        demands = tuple(one for demand in demands for one in (preferring(demand, spec.prefer), demand))
    return demands


class PendingView(WaitingGroups):
    """Builds snapshots, and keeps what does not change from one cycle to the next."""

    def __init__(self, ctx: Context) -> None:
        super().__init__(ctx)
        self.leader_of: dict[JobId, JobId] = {}  #: of the components of heterogeneous jobs: where their place is
        self.offered: list[Group] = []
        self.first: set[JobId] = set()  #: jobs with a reason of their own since the last cycle
        self.refused: list[tuple[Group, NotNow]] = []  #: groups that the last snapshot left out
        self.basis: tuple[object, ...] = ()  #: what the demands were made of
        self.looked = (0.0, -1)  #: when the last snapshot was made, and how often the ledger had changed by then
        self.shown: tuple[object, ...] = ()  #: likewise, those of the last snapshot
        self.demands: tuple[JobSpec | None, str, int, tuple[Demand, ...]] = (None, "", -1, ())  #: of the spec seen last
        self.known_demands: dict[
            tuple[bytes, str, int], tuple[Demand, ...]
        ] = {}  #: of requests seen lately, word for word
        self.billing: dict[str, Billing] = {}  #: of partitions that say what their resources are charged with
        self.guarded = False  #: does some partition take only certain accounts or QOS?
        self.asks_users = False  #: does some partition keep nodes to one user?
        self.rows: tuple[int, tuple[object, ...], dict[str, BoolColumn]] = (-1, (), {})
        self.last_plans = float("-inf")
        self.kept: Promises | None = None  #: planned starts that the last cycle has promised
        self.planned: dict[JobId, Expected] = {}  #: by the last cycle that has planned starts
        self.without_plans = False
        self.patience: dict[JobId, float] = {}  #: until when they wait for the number of switches they want
        self.patience_ends: list[tuple[float, JobId]] = []  #: a heap; also of some that are gone
        self.now = 0.0  #: of the last snapshot
        self.refresh_again = False
        self.running: list[RunningJob] = []  #: ascending
        self.ends: dict[JobId, float] = {}  #: by which they stand there
        self.preemptible = Preemptible(ctx)
        self.usual = Usual()
        for running in (ctx.state.jobs[job_id] for job_id in sorted(ctx.state.active)):
            if running.allocation is not None:
                self.usual.note_running(running.allocation)
        ctx.state.touched.update(ctx.state.active, (JobId(key[2]) for key in ctx.state.queue))

    # -- the groups

    def _basis(self) -> tuple[object, ...]:
        """The rules by which jobs are grouped and placed."""
        state, config = self.ctx.state, self.ctx.config
        return (
            *state.partitions.values(), *state.reservations.values(), config.scheduling, config.accounting.enforce,
            config.priority, state.books.rules_version, config.preemption,
        )  # fmt: skip

    def refresh(self) -> None:
        """Bring the groups up to date."""
        state, basis = self.ctx.state, self._basis()
        if state.touched:
            self.last = None
        if basis != self.basis:
            self.basis = basis
            self.groups, self.places, self.first, self.leader_of = {}, {}, set(), {}
            self.demands, self.known_demands = (None, "", -1, ()), {}
            found = ((name, charging.billing_of(self.ctx, one)) for name, one in state.partitions.items())
            self.billing = {name: billing for name, billing in found if billing is not None}
            self.guarded = any(charging.guards(partition) for partition in state.partitions.values())
            self.asks_users |= any(partition.exclusive_user for partition in state.partitions.values())
            state.touched.update(JobId(key[2]) for key in state.queue)
            if self.ctx.config.preemption.type != "none" or self.preemptible.victims:
                state.touched.update(state.active)
        for job_id in sorted(state.touched):
            self._remove(job_id)
            job = state.jobs.get(job_id)
            self._put_running(job_id, job)
            self.preemptible.promised.discard(job_id)
            waits = job is not None and job.is_pending and not job.held_by and job.reason not in NOT_YET
            if job is not None and waits and self.preemptible.put_waiting(job):
                self._insert(job)
        state.touched.clear()
        if self.refresh_again:
            self.refresh_again = False
            self.refresh()

    def reprioritise(self, now: float) -> None:
        """How long jobs have waited counts."""
        self.refresh()
        self.rank(now)

    def _remove(self, job_id: JobId) -> None:
        job_id = self.leader_of.pop(job_id, job_id)
        group, key = self.places.pop(job_id, (None, None))
        self.patience.pop(job_id, None)
        if group is None or key is None:
            return
        del group.queue[bisect.bisect_left(group.queue, key)]
        group.offer = None
        group.fresh.discard(job_id)
        if not group.queue:
            del self.groups[group.shape]

    def _insert(self, job: Job) -> None:
        gang: tuple[JobId, ...] = ()
        if job.het_job_id is not None:
            members = self.ctx.state.het_members(job)
            members = ready(members, NOT_YET)
            if not members or members[0].id in self.places:
                return
            job, gang = members[0], tuple(member.id for member in members)
            self.leader_of.update((member, job.id) for member in gang)
        spec = self.ctx.state.spec(job)
        if spec.exclusive_user and not self.asks_users:
            self.asks_users = True  # from now on it counts whose each job is
            self.basis = ()
            self.refresh_again = True
        if spec.switches:
            self._give_patience(job, spec)
        alone = job.id if job.array_waiting or job.array_throttle or gang else 0
        demands = self._alternatives(job)
        if self.ctx.state.ledger.gpus is not None:
            self.usual.note(
                job.id, demands, ranges.count(job.array_waiting), int(self.ctx.state.ledger.gpus.shards.max(initial=0))
            )
        limits, denied = self._limits(job, spec) if self.ctx.state.books or self.guarded else ((), "")
        rights = None
        if self.ctx.config.preemption.type != "none" and not gang and not replicas.is_peaceful(self.ctx, job):
            rights = preemption.rights_of(self.ctx, spec.qos, job.yielded_to)
        shape = (demands, job.time_limit, spec.time_min or 0, alone, limits, denied, rights)
        if not shape[0]:
            return
        group = self.groups.get(shape)
        if group is None:
            group = self.groups[shape] = Group(shape)
        key = (-job.priority, job.submit_time, job.id)
        bisect.insort(group.queue, key)
        self.places[job.id] = (group, key)
        group.gang = gang
        group.offer = None
        group.fresh.add(job.id)

    def _limits(self, job: Job, spec: JobSpec) -> tuple[tuple[tuple[str, Rules], ...], str]:
        """The rules of accounts and QOS in each partition, and why none takes it."""
        state = self.ctx.state
        names = [name for name in job.partition.split(",") if name in state.partitions]
        denied = [charging.denied(state.partitions[name], spec) for name in names]
        found = []
        for name in names if state.books else ():
            rules = charging.rules_for(self.ctx, job, name)
            if rules:
                found.append((name, rules))
        return tuple(found), (denied[0] if denied and all(denied) else "")

    def _alternatives(self, job: Job) -> tuple[Demand, ...]:
        spec, demands = self.ctx.state.spec(job), self._demands(job)
        if self.ctx.state.reservations or spec.reservation:
            return reserved_access.alternatives(self.ctx.state, job.owner.user, spec, demands)
        return demands

    def _demands(self, job: Job) -> tuple[Demand, ...]:
        spec = self.ctx.state.spec(job)
        seen, partition, user, demands = self.demands
        uid = job.owner.uid if self.asks_users else -1
        if seen is None or partition != job.partition or user != uid or seen != spec:
            request = msgspec.msgpack.encode(spec), job.partition, uid
            known = self.known_demands.get(request)
            if known is None:
                if len(self.known_demands) >= MOST_KNOWN:
                    self.known_demands.clear()
                known = self.known_demands[request] = demands_in(self.ctx, spec, job.partition, uid)
            demands = known
            self.demands = (spec, job.partition, uid, demands)
        if demands and demands[0].share is not None and self.ctx.config.gpu_sharing.keeps_users_apart:
            demands = tuple(msgspec.structs.replace(demand, owner=job.owner.uid) for demand in demands)
        if spec.switches and job.id in self.patience and self.patience[job.id] <= self.now:
            demands = tuple(msgspec.structs.replace(demand, switches=0) for demand in demands)
        return demands

    def _give_patience(self, job: Job, spec: JobSpec) -> None:
        """It waits so long for as few switches as it wants; then it takes what there is."""
        most = self.ctx.config.scheduling.max_switch_wait
        wait = most if spec.switches_wait is None else min(spec.switches_wait, most)
        due = self.patience[job.id] = job.eligible_time + wait
        if due > self.now:
            heapq.heappush(self.patience_ends, (due, job.id))

    def _lose_patience(self, now: float) -> None:
        while self.patience_ends and self.patience_ends[0][0] <= now:
            due, job_id = heapq.heappop(self.patience_ends)
            if self.patience.get(job_id) == due:
                self.ctx.state.touched.add(job_id)
        self.now = now

    # -- to the scheduler

    def snapshot(self, now: float) -> Snapshot:
        self._lose_patience(now)
        state = self.ctx.state
        same = self.last = self.last if self._is_as_before(now) else None
        self.refresh()
        state.changed, self.shown = set(), self.basis
        offers = self._offers()
        is_busy = bool(offers) or self.preemptible.is_busy
        wants_plans = now - self.last_plans >= PLAN_SECONDS
        if wants_plans and offers and same is None:
            self.last_plans = now
        self.looked = (now, state.ledger.changes)
        if is_busy and same is None:
            state.ledger.emptied()  # so that all copies share it
        promises = self.preemptible.promises()
        nodes = self.table() if is_busy and same is None else state.ledger
        return Snapshot(
            nodes=nodes,
            pending=offers,
            running=tuple(self.running) if offers else (),
            partition_rows=self._rows(),
            policy=self.ctx.config.scheduling,
            reserved=reserved_access.windows(self.ctx) if state.reservations else NOTHING,
            billing=self.billing,
            kept=self.kept,
            standing=self.preemptible.standing(any(offer.rights is not None for offer in offers)),
            promises=promises,
            suspended=self.preemptible.lent(),
            quota=self._quota(offers, promises, now),
            wants_plans=wants_plans,
            same=same,
            waiting=self._waiting(offers),
            placed=self.preemptible.placed() if any(offer.demands[0].pod is not None for offer in offers) else (),
        )

    def table(self) -> NodeTable:
        """A copy of the ledger, which knows what is usually asked for."""
        nodes = self.ctx.state.ledger.copy()
        if nodes.gpus is not None:
            nodes.popular = self.usual.popular()
        return nodes

    def _waiting(self, offers: tuple[PendingGroup, ...]) -> dict[int, Waiting]:
        policy, jobs = self.ctx.config.scheduling, self.ctx.state.jobs
        if not (policy.backfill_min_age or policy.backfill_max_per_user or policy.backfill_max_per_association):
            return {}
        found = ((key[2], jobs[JobId(key[2])]) for offer in offers for key in offer.queue)
        return {number: Waiting(job.owner.uid, job.association, job.eligible_time) for number, job in found}

    def _is_as_before(self, now: float) -> bool:
        """Has nothing happened since a cycle in which nothing could be decided, not even that time has run out?"""
        when, changes = self.looked
        state, last = self.ctx.state, self.last
        if last is None or state.touched or self.refresh_again or changes != state.ledger.changes or now < when:
            return False
        if state.reservations or state.books or self.preemptible.is_busy or self.ctx.config.preemption.type != "none":
            return False
        if self.shown != self._basis() or (last.without_plans and now - self.last_plans >= PLAN_SECONDS):
            return False
        if self.ctx.config.scheduling.backfill_min_age:
            return False
        return not self.running or self.running[0].ends > now

    def _quota(self, offers: tuple[PendingGroup, ...], promises: tuple[Promised, ...], now: float) -> Quota | None:
        """What the limits of these are held against; None when none has any."""
        every = {rules for offer in offers for _, rules in offer.rules} | {one.rules for one in promises if one.rules}
        every |= {rules for offer in offers for member in offer.gang for _, rules in member.rules}
        self.ctx.waits_for_minutes = any(rules.minutes or rules.wall or rules.threshold for rules in every)
        if not every:
            return None
        return charging.quota(self.ctx, every, now)

    def _put_running(self, job_id: JobId, job: Job | None) -> None:
        known = self.ends.pop(job_id, None)
        if known is not None:
            del self.running[bisect.bisect_left(self.running, RunningJob(known, job_id))]
        if job is not None and job.is_active:
            # Of a suspended job nobody knows: it is planned for as if it went on now.
            ends = min(limit_ends(job), job.start_time + LONGEST)
            if job.allocation is not None and job.allocation.reservation in self.ctx.state.reservations:
                ends = min(ends, reserved_access.windows(self.ctx).closes(job.allocation.reservation, job.start_time))
            self.ends[job_id] = ends
            bisect.insort(self.running, RunningJob(ends, job_id))
        self.preemptible.put_running(job_id, job)

    def _rows(self) -> dict[str, BoolColumn]:
        state = self.ctx.state
        partitions = tuple(state.partitions.values())
        if self.rows[0] != state.ledger.version or self.rows[1] != partitions:
            rows = {partition.name: partition_rows(state, partition, state.ledger) for partition in partitions}
            self.rows = (state.ledger.version, partitions, rows)
        return self.rows[2]

    def _offers(self) -> tuple[PendingGroup, ...]:
        self.offered, self.refused = [], []
        offers = []
        for group in self.groups.values():
            offer = self._offer(group)
            if isinstance(offer, NotNow):
                self.refused.append((group, offer))
            else:
                self.offered.append(group)
                offers.append(offer)
        return tuple(offers)

    def _offer(self, group: Group) -> PendingGroup | NotNow:
        demands, time_limit, time_min, alone, rules, denied, rights = group.shape
        if group.gang:
            return self._offer_gang(group)
        if denied:
            return charging.not_now(denied)
        if not alone and group.offer is not None:
            return group.offer
        found = self._open_to(demands, time_limit, time_min, rules)
        if isinstance(found, NotNow):
            return found
        demands, time_limit = found
        elements: tuple[int, ...] = ()
        more = False
        if alone:
            record = self.ctx.state.jobs[JobId(alone)]
            if not has_room(self.ctx.state, record):
                return NotNow(Reason.ARRAY_TASK_LIMIT)
            if record.array_waiting:
                free = max(0, room(self.ctx.state, record) - len(record.promises))
                kept = {one.element for one in record.promises}
                if kept and (not free or len(kept) >= ranges.count(record.array_waiting)):
                    return NotNow(Reason.ARRAY_TASK_LIMIT if free == 0 else Reason.RESOURCES)
                first = ranges.first_members(record.array_waiting, min(free + len(kept), MAX_ELEMENTS + len(kept)))
                elements = tuple([one for one in first if one not in kept] if kept else first)[:free]
                more = free < ranges.count(record.array_waiting) - len(kept)
        group.offer = PendingGroup(
            demands=demands, time_limit=time_limit, time_min=time_min, queue=tuple(group.queue), elements=elements,
            has_more_elements=more, rules=rules, rights=rights,
            tier=max(self.ctx.state.partitions[demand.partition].priority_tier for demand in group.shape[0]),
        )  # fmt: skip
        return group.offer

    def _offer_gang(self, group: Group) -> PendingGroup | NotNow:
        """All components, each with the partitions that it may use now."""
        state = self.ctx.state
        members = []
        for job in (state.jobs[job_id] for job_id in group.gang):
            spec = state.spec(job)
            rules, denied = self._limits(job, spec) if state.books or self.guarded else ((), "")
            if denied:
                return charging.not_now(denied)
            time_min = spec.time_min or 0
            offer = self._open_to(self._alternatives(job), job.time_limit, time_min, rules)
            if isinstance(offer, NotNow):
                return offer
            demands, time_limit = offer
            members.append(Member(job=job.id, demands=demands, time_limit=time_limit, time_min=time_min, rules=rules))
        first = members[0]
        tier = max(state.partitions[demand.partition].priority_tier for demand in first.demands)
        return PendingGroup(
            demands=first.demands, time_limit=first.time_limit, queue=tuple(group.queue), gang=tuple(members), tier=tier
        )

    def _open_to(
        self, demands: tuple[Demand, ...], time_limit: int, time_min: int, rules: tuple[tuple[str, Rules], ...]
    ) -> tuple[tuple[Demand, ...], int] | NotNow:
        """The demands in those partitions that let them in, and the limit there."""
        partitions = [self.ctx.state.partitions[demand.partition] for demand in demands]
        if rules:
            lifted = {name: found.ignores for name, found in rules}
            partitions = [limits.relaxed(place, lifted.get(place.name, frozenset())) for place in partitions]
        refused = [
            Reason.PARTITION_DOWN if partition.state is not PartitionState.UP
            else limits.beyond(demand, partition, time_limit, time_min)
            for demand, partition in zip(demands, partitions, strict=True)
        ]  # fmt: skip
        if all(refused):
            return NotNow(refused[0] if refused and refused[0] else Reason.NONE)
        left = tuple(demand for demand, reason in zip(demands, refused, strict=True) if reason is None)
        return left, min(time_limit, max(partition.max_time for partition in partitions))

    # -- and back

    def what_still_holds(self, plan: Plan) -> Plan:
        """Without what is about jobs that have changed since the snapshot; nothing is left when the rules have."""
        if self.shown == self._basis():
            held = plan.without(self.ctx.state.changed)
        else:
            held = Plan(more=plan.more)
        if held is not plan:
            self.ctx.wants_cycle = True
        return held

    def note(self, plan: Plan) -> None:
        """Why each one waits. Looks only at those for which it may have changed."""
        self.without_plans = plan.without_plans
        is_final = not (plan.starts or plan.preemptions or plan.broken or plan.resumes or plan.kept is not None)
        self.last = plan if is_final else None
        self.kept = plan.kept
        if not plan.without_plans:
            self.planned = plan.expected
        self.ctx.plans_due = self.last_plans + PLAN_SECONDS if plan.without_plans else float("inf")
        self.ctx.plans_due = min(self.ctx.plans_due, plan.exempt_until)
        if self.patience_ends:
            self.ctx.plans_due = min(self.ctx.plans_due, self.patience_ends[0][0])
        stale = self.first - plan.reasons.keys()
        self.first = set(plan.reasons)
        for job_id, why in plan.reasons.items():
            self._note(job_id, why, plan.expected.get(job_id))
        for number, rest in plan.rest.items():
            group = self.offered[number]
            if group.offer is not None:  # as it was offered: position counts in that queue
                self._note_rest(group, rest.why, group.offer.queue[rest.position :], stale)
        for group, why in self.refused:
            self._note_rest(group, why, tuple(group.queue), stale)
            for job_id in group.gang:
                self._note(job_id, why, None)

    def _note_rest(self, group: Group, why: NotNow, waiting: tuple[QueueKey, ...], stale: set[JobId]) -> None:
        if group.why == why:
            for job_id in group.fresh | stale:
                place = self.places.get(job_id)
                if place is not None and place[0] is group and job_id not in self.first:
                    self._note(job_id, why, None)
        else:
            for key in waiting:
                self._note(JobId(key[2]), why, None)
            group.why = why
        group.fresh.clear()

    def _note(self, job_id: JobId, why: NotNow, expected: Expected | None) -> None:
        jobs = self.ctx.state.jobs
        job = jobs.get(job_id)
        if job is None or not job.is_pending or job.held_by:
            return
        when, where = (expected.time, expected.nodes) if expected is not None else (0.0, "")
        if self.without_plans:
            when, where = job.expected_start, job.expected_nodes
        if (job.reason, job.reason_text, job.expected_start, job.expected_nodes) != (why.reason, why.text, when, where):
            jobs[job_id] = msgspec.structs.replace(
                job, reason=why.reason, reason_text=why.text, expected_start=when, expected_nodes=where
            )
            if (job.reason, job.reason_text) != (why.reason, why.text):
                self.ctx.state.objects.look_at_job(job_id)
