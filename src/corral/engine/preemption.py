"""Which running jobs may be preempted, by whom, and how do they make room?

What is decided in a cycle (scheduler/preemption.py) is looked at again here. A victim with a grace time is told at once and ends when
the time is over; its record says so, so that a controller that starts anew goes on with it. Its preemptor holds a promise in its own
record; it is dropped with anything that somebody does to the waiting job, and when the place can't be had any more.
"""

from typing import Protocol

import msgspec

from corral.engine import charging, endings, replicas
from corral.engine.arrays import has_room
from corral.engine.cancel import signal_job
from corral.engine.context import Context
from corral.engine.duetimes import limit_ends
from corral.engine.effects import Effects
from corral.engine.state import NOT_YET, ClusterState, is_suspended_for_another
from corral.model import ranges
from corral.model.cluster import ClusterConfig
from corral.model.job import Job, JobId, JobState
from corral.model.partition import Partition
from corral.model.preemption import Mode, Preempted, Promise, mode_of
from corral.model.qos import Qos
from corral.model.reason import Reason
from corral.protocol.orders import SuspendJob
from corral.scheduler.plan import Preemption, Start
from corral.scheduler.preemption import Promised, Rights, Suspended, Victim
from corral.syntax import hostlist

SIGCONT, SIGTERM = 18, 15
#: A Pod that is preempted has lost its traffic and has ended so long after its own grace, at the latest.
POD_SECONDS = 5.0
_NEVER = Mode()


class Basis(Protocol):
    """What tells whether a job may be preempted."""

    @property
    def config(self) -> ClusterConfig: ...

    @property
    def state(self) -> ClusterState: ...


def rights_of(ctx: Basis, qos: str, yielded_to: tuple[int, ...] = ()) -> Rights | None:
    """Whom a waiting job with this QOS may preempt; None = nobody. No two jobs preempt each other: of one QOS by `yielded_to`."""
    kind = ctx.config.preemption.type
    if kind == "partition_prio":
        return Rights(by_tier=True)
    own = ctx.state.books.qos.get(qos) if kind == "qos" else None
    if own is None:
        return None
    within = own.name if _mode_of_qos(ctx, own).within else ""
    if not own.preempt and not within:
        return None
    return Rights(over=frozenset(own.preempt), within=within, never=frozenset(yielded_to if within else ()))


def _mode_of_qos(ctx: Basis, qos: Qos | None) -> Mode:
    """Its own, and of what it leaves open the cluster's."""
    cluster = mode_of(ctx.config.preemption.mode) or _NEVER
    own = mode_of(qos.preempt_mode) if qos is not None and qos.preempt_mode else None
    if own is None:
        return cluster
    return Mode(cluster.action if own.action == "OFF" else own.action, cluster.gang, own.within or cluster.within)


def mode_in(ctx: Basis, partition: Partition) -> Mode:
    """What becomes of jobs of this partition, where partitions say it."""
    text = partition.preempt_mode or ctx.config.preemption.mode
    return mode_of(text) or _NEVER


def victim_of(ctx: Context, job: Job) -> Victim | None:
    """What others would preempt; None = nobody may."""
    if ctx.config.preemption.type == "none" or job.state not in (JobState.RUNNING, JobState.SUSPENDED):
        return None
    members = ctx.state.het_members(job)
    if not members:
        return _victim_of(ctx, job)
    found = [_victim_of(ctx, one) for one in members if one.state in (JobState.RUNNING, JobState.SUSPENDED)]
    if any(one is None or one.action == "SUSPEND" for one in found):
        return None
    known = [one for one in found if one is not None]
    own = next(one for one in known if one.job == job.id)
    action = "REQUEUE" if all(one.action == "REQUEUE" for one in known) else "CANCEL"
    until = max(one.exempt_until for one in known)
    return msgspec.structs.replace(own, action=action, exempt_until=until, unit=int(job.het_job_id or 0), within=-1)


def replica_of(ctx: Context, job: Job, number: int) -> Victim | None:
    """Of a replica, when it is known the how manieth above its service's minimum it is."""
    return _victim_of(ctx, job, number) if ctx.config.preemption.type != "none" and number else None


def _victim_of(ctx: Context, job: Job, number: int | None = None) -> Victim | None:
    partition = ctx.state.partitions.get(job.partition)
    told = job.preempted
    if (told is not None and told.action in ("REQUEUE", "CANCEL")) or job.allocation is None or partition is None:
        return None
    spec = ctx.state.spec(job)
    qos = ctx.state.books.qos.get(spec.qos)
    by_qos = ctx.config.preemption.type == "qos"
    mode = _mode_of_qos(ctx, qos) if by_qos else mode_in(ctx, partition)
    action = mode.action
    above = 0
    if spec.pod is not None and action != "OFF":
        action = "CANCEL"  # who owns it makes another one; requests are for others meanwhile
        if (service := replicas.workload_of(ctx, job)) is not None:
            above = replicas.surplus(ctx, service).get(job.id, 0) if number is None else number
            if not above:
                return None
    if action == "OFF" or (
        action == "SUSPEND" and (not partition.sharers or not (job.state is JobState.RUNNING or told is not None))
    ):
        return None
    if action == "REQUEUE" and not endings.may_requeue(ctx, job):
        action = "CANCEL"
    worth = (qos.priority if qos is not None else 0) if by_qos else partition.priority_tier
    within = job.priority if by_qos and mode.within else -1
    return Victim(
        job=job.id, action=action, qos=spec.qos, tier=partition.priority_tier, worth=worth, start=job.start_time,
        exempt_until=0.0 if action == "SUSPEND" or above else eligible_at(ctx, job), within=within,
        family=family_of(job), surplus=above,
    )  # fmt: skip


def family_of(job: Job) -> int:
    """Its array, or itself."""
    return int(job.array_job_id or job.id)


def eligible_at(ctx: Basis, job: Job) -> float:
    """When its guaranteed time has passed."""
    qos = ctx.state.books.qos.get(ctx.state.spec(job).qos)
    own = qos.preempt_exempt_time if qos is not None else None
    exempt = ctx.config.preemption.exempt_time if own is None else own
    return job.start_time + exempt + job.suspended_seconds


def shown_eligible(ctx: Basis, job: Job) -> float:
    """What `scontrol show job` says of when others may preempt it, of one that has started; 0 = they never may."""
    partition = ctx.state.partitions.get(job.partition)
    if ctx.config.preemption.type == "none" or not job.start_time or partition is None:
        return 0.0
    qos = ctx.state.books.qos.get(ctx.state.spec(job).qos)
    mode = _mode_of_qos(ctx, qos) if ctx.config.preemption.type == "qos" else mode_in(ctx, partition)
    return eligible_at(ctx, job) if mode.action != "OFF" else 0.0


def grace_of(ctx: Basis, job: Job) -> float:
    """Seconds between the signal and its end. A Pod has its own time, from the end of its traffic on."""
    if (pod := replicas.pod_of(ctx, job)) is not None:
        return pod.spec.termination_grace_period_seconds + POD_SECONDS
    if ctx.config.preemption.type == "qos":
        qos = ctx.state.books.qos.get(ctx.state.spec(job).qos)
        return float(qos.grace_time) if qos is not None else 0.0
    partition = ctx.state.partitions.get(job.partition)
    return float(partition.grace_time) if partition is not None else 0.0


# -- promises


def promised(ctx: Context, job: Job) -> list[Promised]:
    """What a waiting job is to get, as the scheduler sees it."""
    jobs = ctx.state.jobs
    found = []
    for promise in job.promises:
        if promise.element is None if job.array_waiting else promise.element is not None:
            continue
        if promise.element is not None and not ranges.contains(job.array_waiting, promise.element):
            continue
        left = [jobs[JobId(number)] for number, run in promise.victims if _is_there(ctx, number, run)]
        ends = max((_gone_by(ctx, one) for one in left), default=0.0)
        rules = charging.rules_of(
            ctx, job.association, ctx.state.spec(job).qos, job.owner.user, promise.allocation.partition
        )
        found.append(
            Promised(
                job=job.id, allocation=promise.allocation, victims=tuple(one.id for one in left), ends=ends,
                time_limit=promise.time_limit or job.time_limit, element=promise.element, shorter=promise.time_limit,
                rules=rules,
            )
        )  # fmt: skip
    return found


def _is_there(ctx: Context, number: int, run: int) -> bool:
    """Has it still what it is to give up?"""
    job = ctx.state.jobs.get(JobId(number))
    return job is not None and job.is_active and job.restarts == run and not is_suspended_for_another(job)


def _gone_by(ctx: Context, job: Job) -> float:
    return endings.kill_time(ctx, job) if job.state is JobState.COMPLETING else limit_ends(job)


def suspended(ctx: Context, job: Job) -> Suspended:
    assert job.allocation is not None
    return Suspended(job=job.id, allocation=job.allocation, victim=victim_of(ctx, job))


def break_promises(ctx: Context, job: Job, now: float, out: Effects, element: int | None = None) -> None:
    """It has to find a place anew: all of them, or that of this element."""
    left = tuple(one for one in job.promises if element is not None and one.element != element)
    ctx.change_job(job, now, out, "promise broken", promises=left, expected_start=0.0, expected_nodes="")
    ctx.wants_cycle = True


def not_kept(ctx: Context, start: Start, now: float, out: Effects) -> None:
    """It could not start after all: should that have been promised, it is no more."""
    job = ctx.state.jobs.get(start.job)
    if job is not None and any(one.element == start.task_index for one in job.promises):
        break_promises(ctx, job, now, out, start.task_index)


# -- what a cycle has decided


def decide(ctx: Context, decided: Preemption, now: float, out: Effects) -> None:
    """Let the victims go, and promise their place to the preemptor; nothing when something has changed meanwhile."""
    job = ctx.state.jobs.get(decided.job)
    if job is None or not job.is_pending or job.held_by or job.reason in NOT_YET or not has_room(ctx.state, job):
        return
    if decided.element is None if job.array_waiting else job.promises:
        return
    if decided.element is not None and not ranges.contains(job.array_waiting, decided.element):
        return
    victims = [ctx.state.jobs.get(JobId(one.job)) for one in decided.victims]
    if any(one is None or victim_of(ctx, one) is None for one in victims):
        ctx.wants_cycle = True
        return
    if not charging.may_start(ctx, (job, decided.allocation, decided.time_limit or job.time_limit), now=now):
        return
    waits = [
        (number, ctx.state.jobs[JobId(number)].restarts)
        for number in decided.leaving
        if JobId(number) in ctx.state.jobs
    ]
    runs = [(one.id, one.restarts) for one in victims if one is not None]
    ends = now
    for victim, one in zip(decided.victims, victims, strict=True):
        current = ctx.state.jobs[JobId(victim.job)]
        if (
            one is not None
            and current.state in (JobState.RUNNING, JobState.SUSPENDED)
            and not is_suspended_for_another(current)
        ):
            ends = max(ends, make_room(ctx, current, victim.action, family_of(job), now, out))
    promise = Promise(
        allocation=decided.allocation, victims=(*runs, *waits), element=decided.element, time_limit=decided.time_limit
    )
    ctx.change_job(
        job, now, out, "promised", promises=(*job.promises, promise), reason=Reason.RESOURCES, reason_text="",
        expected_start=ends, expected_nodes=hostlist.fold(list(decided.allocation.node_names)),
    )  # fmt: skip
    endings.settle(ctx)


def make_room(ctx: Context, job: Job, action: str, by: int, now: float, out: Effects) -> float:
    """Suspend it, tell it, or end it. When it will have gone, if it makes use of its grace."""
    if action == "SUSPEND":
        suspend(ctx, job, by, now, out)
        return now
    grace = grace_of(ctx, job) if job.state is JobState.RUNNING else 0.0  # one that is frozen hears nothing
    told = Preempted(time=now, ends=now + grace, action=action, by=by)
    if ctx.state.spec(job).pod is not None and job.state is JobState.RUNNING:
        ctx.change_job(job, now, out, "preempted", preempted=told)  # engine/kube/pods.py deletes the Pod
        return told.ends
    if grace <= 0:
        signal = ctx.state.spec(job).signal
        if ctx.config.preemption.send_user_signal and signal is not None and not job.warned:
            job = msgspec.structs.replace(job, warned=True)
            _send_own(ctx, job, signal, now, out)
        strike(ctx, msgspec.structs.replace(job, preempted=told), now, out)
        return now
    job = ctx.change_job(job, now, out, "preempted", preempted=told)
    tell(ctx, job, now, out)
    return told.ends


def tell(ctx: Context, job: Job, now: float, out: Effects) -> None:
    """That its time is running out: by the signal it has asked for, or by SIGTERM."""
    signal = ctx.state.spec(job).signal
    if ctx.config.preemption.send_user_signal and signal is not None:
        if not job.warned:
            job = ctx.change_job(job, now, out, "warned", warned=True)
            _send_own(ctx, job, signal, now, out)
        return
    for number in (SIGCONT, SIGTERM):
        signal_job(ctx, job, number, now, out, batch_too=False)


def _send_own(ctx: Context, job: Job, signal: tuple[int, int, bool], now: float, out: Effects, node: str = "") -> None:
    signal_job(ctx, job, signal[0], now, out, batch_too=signal[2], only_batch=signal[2], to=node)


def tell_again(ctx: Context, job: Job, node: str, now: float, out: Effects) -> None:
    """An agent is back: whether it has heard what jobs were told in their grace time, nobody knows."""
    if job.preempted is None or job.state is not JobState.RUNNING or ctx.state.spec(job).pod is not None:
        return
    signal = ctx.state.spec(job).signal
    if signal is None or not ctx.config.preemption.send_user_signal:
        for number in (SIGCONT, SIGTERM):
            signal_job(ctx, job, number, now, out, batch_too=False, to=node)
    if signal is not None and job.warned:
        _send_own(ctx, job, signal, now, out, node)


def strike(ctx: Context, job: Job, now: float, out: Effects) -> None:
    """Its grace is over."""
    assert job.preempted is not None
    again = job.preempted.action == "REQUEUE" and endings.may_requeue(ctx, job)
    endings.terminate(ctx, job, JobState.PREEMPTED, now, out, why="preempted", requeue_after=again)


def suspend(ctx: Context, job: Job, by: int, now: float, out: Effects) -> None:
    """It keeps its memory and GPUs, and goes on when its CPUs are free again."""
    told = Preempted(time=now, ends=now, action="SUSPEND", by=by)
    gone = job.suspended_seconds + (max(0.0, now - job.suspend_time) if job.suspend_time else 0.0)
    ctx.change_job(
        job, now, out, "suspended", state=JobState.SUSPENDED, suspend_time=now, suspended_seconds=gone, preempted=told
    )
    send_suspend(ctx, job, out, thaw=False)


def resume(ctx: Context, job_id: JobId, now: float, out: Effects) -> None:
    job = ctx.state.jobs.get(job_id)
    if (
        job is None
        or not is_suspended_for_another(job)
        or job.state is not JobState.SUSPENDED
        or job.allocation is None
    ):
        return
    ledger = ctx.state.ledger
    kept = ledger.holders[job.id]
    ledger.give_back(job.id)
    fits = ledger.can_take(job.allocation)
    ledger.take(job.id, kept)
    if not fits:
        return
    go_on(ctx, job, now, out)


def go_on(ctx: Context, job: Job, now: float, out: Effects) -> None:
    """Its CPUs are its own again."""
    gone = job.suspended_seconds + max(0.0, now - job.suspend_time)
    ctx.change_job(
        job, now, out, "resumed", state=JobState.RUNNING, suspended_seconds=gone, suspend_time=0.0, preempted=None
    )
    send_suspend(ctx, job, out, thaw=True)


def send_suspend(ctx: Context, job: Job, out: Effects, thaw: bool) -> None:
    assert job.allocation is not None
    for name in job.allocation.node_names:
        ctx.send(name, SuspendJob(term=ctx.term, node=name, job=job.id, restart=job.restarts, thaw=thaw), out)
