"""In which groups do jobs wait, and how do their places change as they grow older?"""

import msgspec

from corral.engine import accrual
from corral.engine.context import Context
from corral.engine.ranking import charges, factors_of, old_since, standing, totals
from corral.model.job import JobId
from corral.scheduler import priority
from corral.scheduler.demand import Demand
from corral.scheduler.plan import NotNow, Plan
from corral.scheduler.preemption import Rights
from corral.scheduler.priority import Totals
from corral.scheduler.quota import Rules
from corral.scheduler.snapshot import PendingGroup, QueueKey

#: What makes a group: demands, time limit, least time, the array's record that stands alone (0 = none), the limits of accounts and QOS
#: by partition, why no partition takes it, and whom they may preempt.
Shape = tuple[tuple[Demand, ...], int, int, int, tuple[tuple[str, Rules], ...], str, Rights | None]


class Group:
    """Waiting jobs of one shape."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self.queue: list[QueueKey] = []
        self.offer: PendingGroup | None = None  #: as given to the last cycle; None = it has changed since
        self.fresh: set[JobId] = set()  #: no reason has been noted for these
        self.why: NotNow | None = None  #: what has been noted for those that are not first
        self.gang: tuple[JobId, ...] = ()  #: the components of a heterogeneous job
        self.points: tuple[Totals | None, float] = (None, 0.0)  #: what does not change of a priority


class WaitingGroups:
    """The base of engine/pending.py: the groups, and the order in them."""

    def __init__(self, ctx: Context) -> None:
        self.ctx = ctx
        self.groups: dict[Shape, Group] = {}
        self.places: dict[JobId, tuple[Group, QueueKey]] = {}
        self.last: Plan | None = None  #: of the last cycle, when it has changed nothing

    def rank(self, now: float) -> None:
        """How long jobs have waited counts: their priorities grow. Noted as reasons are, not recorded."""
        state, weights = self.ctx.state, self.ctx.config.priority
        cluster = totals(self.ctx)
        changed = False
        always = weights.has("ACCRUE_ALWAYS")
        stuck = self._without_age(now) if weights.age and not always else set()
        standings: dict[tuple[int, str], float] = {}
        for group in self.groups.values():
            if group.points[0] is not cluster:
                demands, time_limit = group.shape[:2]
                fixed = priority.fixed_part(weights, demands, cluster, time_limit, charges(self.ctx, demands))
                group.points = (cluster, fixed)
            points = group.points[1]
            keys = [self._ranked(key, points, now, key[2] not in stuck, standings) for key in group.queue]
            if keys != group.queue:
                changed = True
                group.queue = sorted(keys)
                group.offer = None
                self.places.update((JobId(key[2]), (group, key)) for key in group.queue)
        if weights.has("CALCULATE_RUNNING"):
            self._rank_running(now)
        if changed:
            self.last = None
            state.requeue_all()
            self.ctx.wants_cycle = True

    def _rank_running(self, now: float) -> None:
        """CALCULATE_RUNNING: so are those of jobs that run, for who looks at them."""
        state, weights, cluster = self.ctx.state, self.ctx.config.priority, totals(self.ctx)
        for job_id in sorted(state.active):
            job = state.jobs[job_id]
            if job.priority_set or job.partition not in state.partitions:
                continue
            points = priority.points_of(weights, factors_of(self.ctx, job, job.partition, cluster, now))
            nice = state.spec(job).nice if job.nice is None else job.nice
            rank = priority.total(points, nice, job.site_factor)
            if rank > job.priority or not weights.has("INCR_ONLY"):
                state.jobs[job_id] = msgspec.structs.replace(job, priority=rank)

    def _without_age(self, now: float) -> set[int]:
        """Those that wait without growing older: more of their account or QOS wait than may; the first do."""
        jobs = self.ctx.state.jobs
        found = [
            (group, [rule for _, one in group.shape[4] for rule in one.accruing]) for group in self.groups.values()
        ]
        if not any(rules for _, rules in found):
            return set()
        waiting = (
            (jobs[JobId(key[2])].eligible_time or now, key[2], rules) for group, rules in found for key in group.queue
        )
        return accrual.without_age(self.ctx, waiting)

    def _ranked(
        self, key: QueueKey, points: float, now: float, grows: bool, standings: dict[tuple[int, str], float]
    ) -> QueueKey:
        jobs, weights = self.ctx.state.jobs, self.ctx.config.priority
        job = jobs[JobId(key[2])]
        if job.priority_set:
            return key
        spec = self.ctx.state.specs[job.spec_id]
        nice = spec.nice if job.nice is None else job.nice
        if grows:
            points += priority.age_part(weights, old_since(self.ctx, job), now)
        place = (job.association, spec.qos)
        own = standings.get(place)
        if own is None:
            own = standings[place] = standing(self.ctx, *place, now)
        rank = priority.total(points + own, nice, job.site_factor)
        if rank == job.priority or (rank < job.priority and "INCR_ONLY" in weights.flags):
            return key
        jobs[job.id] = msgspec.structs.replace(job, priority=rank)
        return (-rank, job.submit_time, job.id)
