"""What is the scheduler offered of one waiting job, and of those before it that matter to it?

As pending.py offers it in a cycle, but of one job, with its own request or another, and without any trace in what a cycle keeps.
"""

from collections.abc import Iterable

import msgspec

from corral.engine import charging, preemption, reserved_access
from corral.engine.context import Context
from corral.engine.pending import PendingView, demands_in
from corral.engine.state import NOT_YET
from corral.engine.waitinggroups import Group
from corral.model.job import Job, JobId, JobSpec
from corral.model.reason import Reason
from corral.scheduler.demand import Demand
from corral.scheduler.plan import Expected, NotNow
from corral.scheduler.snapshot import Member, PendingGroup, QueueKey

#: Up to so many waiting jobs all those before it are looked at, whether or not a cycle has planned them.
ALL_OF = 300


def demands_of(view: PendingView, job: Job, spec: JobSpec, now: float) -> tuple[Demand, ...]:
    ctx = view.ctx
    demands = demands_in(ctx, spec, job.partition, job.owner.uid if view.asks_users else -1)
    if spec.switches and view.patience.get(job.id, now + 1) <= now:
        demands = tuple(msgspec.structs.replace(demand, switches=0) for demand in demands)
    if ctx.state.reservations or spec.reservation:
        return reserved_access.alternatives(ctx.state, job.owner.user, spec, demands)
    return demands


def tier_of(ctx: Context, demands: tuple[Demand, ...]) -> int:
    return max((ctx.state.partitions[demand.partition].priority_tier for demand in demands), default=1)


def group_of(
    view: PendingView, job: Job, spec: JobSpec, now: float, element: int | None = None, rank: int | None = None
) -> PendingGroup | NotNow:
    """As the cycle would be offered it with this spec; or why it would not."""
    ctx = view.ctx
    key = (-(job.priority if rank is None else rank), job.submit_time, int(job.id))
    if job.promises and not job.array_waiting:
        return NotNow(job.reason)  # others make room for it
    if job.het_job_id is not None:
        return _gang(view, job, now, key)
    demands = demands_of(view, job, spec, now)
    if not demands:
        return NotNow(Reason.PARTITION_CONFIG)
    rules, denied = view._limits(job, spec) if ctx.state.books or view.guarded else ((), "")
    if denied:
        return charging.not_now(denied)
    found = view._open_to(demands, job.time_limit, spec.time_min or 0, rules)
    if isinstance(found, NotNow):
        return found
    open_ones, time_limit = found
    if element is None and job.array_waiting:
        element = job.array_waiting[0][0]
    rights = preemption.rights_of(ctx, spec.qos) if ctx.config.preemption.type != "none" else None
    return PendingGroup(
        rights=rights,
        demands=open_ones, time_limit=time_limit, time_min=spec.time_min or 0, queue=(key,),
        elements=() if element is None or not job.array_waiting else (element,), rules=rules, tier=tier_of(ctx, demands),
    )  # fmt: skip


def _gang(view: PendingView, job: Job, now: float, key: QueueKey) -> PendingGroup | NotNow:
    """All components of a heterogeneous job."""
    state = view.ctx.state
    members = []
    for one in state.het_members(job):
        spec = state.spec(one)
        if not one.is_pending or one.reason in NOT_YET:
            return NotNow(one.reason)
        rules, denied = view._limits(one, spec) if state.books or view.guarded else ((), "")
        if denied:
            return charging.not_now(denied)
        found = view._open_to(demands_of(view, one, spec, now), one.time_limit, spec.time_min or 0, rules)
        if isinstance(found, NotNow):
            return found
        members.append(
            Member(job=one.id, demands=found[0], time_limit=found[1], time_min=spec.time_min or 0, rules=rules)
        )
    first = members[0]
    leader = state.jobs[JobId(first.job)]
    key = (-leader.priority, leader.submit_time, int(leader.id))
    return PendingGroup(
        demands=first.demands, time_limit=first.time_limit, queue=(key,), gang=tuple(members),
        tier=tier_of(view.ctx, first.demands),
    )  # fmt: skip


# -- those before it


def ahead_of(view: PendingView, tier: int, key: QueueKey) -> tuple[PendingGroup, ...]:
    return tuple(_ahead(view, tier, key))


def behind_of(view: PendingView, tier: int, key: QueueKey) -> tuple[PendingGroup, ...]:
    """The jobs behind it: where every waiting job has a promised start (fluid.py) these keep it from moving up."""
    found = []
    for group in view.groups.values():
        own_tier = tier_of(view.ctx, group.shape[0])
        kept = tuple(one for one in group.queue if own_tier < tier or (own_tier == tier and one > key))
        offer = _offer(view, group) if kept else None
        if isinstance(offer, PendingGroup):
            found.append(msgspec.structs.replace(offer, queue=kept))
    return tuple(found)


def looks_at_all(view: PendingView) -> bool:
    """So few wait that all are looked at anew."""
    return len(view.places) <= ALL_OF


def known_starts(view: PendingView, groups: Iterable[PendingGroup]) -> dict[JobId, Expected]:
    """What the last cycle has planned for these."""
    ids = (JobId(key[2]) for group in groups for key in group.queue)
    return {job: view.planned[job] for job in ids if job in view.planned}


def _offer(view: PendingView, group: Group) -> PendingGroup | NotNow:
    before = group.offer
    offer = view._offer(group)
    group.offer = before  # what the last cycle was offered is still to be compared with its plan
    return offer


def _ahead(view: PendingView, tier: int, key: QueueKey) -> Iterable[PendingGroup]:
    """The jobs before it that take or keep something: which have a planned start, or which no cycle has looked at."""
    jobs = view.ctx.state.jobs
    everything = looks_at_all(view)
    planned = {view.places[job][0] for job in view.planned if job in view.places}
    for group in view.groups.values():
        if not (everything or group.fresh or group in planned):
            continue
        own_tier = tier_of(view.ctx, group.shape[0])
        if own_tier < tier or (own_tier == tier and group.queue[0] >= key):
            continue
        kept = []
        for one in group.queue:
            if own_tier == tier and one >= key:
                break
            job = jobs[JobId(one[2])]
            if everything or job.expected_start or job.id in group.fresh:
                kept.append(one)
            elif not group.fresh:
                break
        if not kept:
            continue
        offer = _offer(view, group)
        if isinstance(offer, PendingGroup):
            yield msgspec.structs.replace(offer, queue=tuple(kept))
