"""What must hold in every state of a cluster, whatever happened before?"""

from collections.abc import Iterable
from typing import Any

import msgspec

from corral.engine.meter import Meter
from corral.engine.state import NOT_YET, ClusterState, lends_cpus
from corral.model import ranges
from corral.model.job import ACTIVE, ENDED, Job, JobId, JobState
from corral.model.lifecycle import may_change
from corral.model.reason import Reason
from corral.model.reservation import Flag, times
from corral.protocol import events as ev
from corral.scheduler.nodetable import NodeTable
from corral.scheduler.preemption import frozen


class InvariantBroken(AssertionError):
    """A state that must never be."""


def check_job(state: ClusterState, job: Job) -> None:
    """Allocation and state agree; an ended job has an end."""
    held = state.ledger.holders.get(job.id)
    if job.state in ACTIVE:
        assert job.allocation is not None
        due = frozen(job.allocation) if lends_cpus(job) else job.allocation
        _demand(held == due, job, "is active and does not hold its allocation")
        _demand(job.start_time > 0, job, "is active and has no start")
        _demand(not job.array_waiting, job, "is active and still holds waiting elements")
    else:
        _demand(held is None, job, "holds resources and is not active")
    if job.state in ENDED:
        _demand(job.end_time > 0, job, "has ended and has no end time")
        _demand(job.end_time >= job.start_time, job, "ended before it began")
        _demand(not state.live_steps_of(job.id), job, "has ended and a step of it has not")
    if job.state is JobState.PENDING:
        _demand(job.allocation is None and not job.end_time and not job.start_time, job, "waits and has run already")
        _demand(not state.steps_of(job.id), job, "waits and has steps")
    _demand(job.end_state is None or job.state is JobState.COMPLETING, job, "has an end state")
    _demand(job.spec_id in state.specs, job, "has no spec")


def check_gang(state: ClusterState, job: Job) -> None:
    """Of a heterogeneous job no component waits while another runs; and none runs on when its first has ended."""
    members = state.het_members(job)
    if not members:
        return
    runs = any(one.state in (JobState.RUNNING, JobState.SUSPENDED) for one in members)
    _demand(not runs or not any(one.is_pending for one in members), job, "runs, and another component waits")
    _demand(not runs or members[0].id != job.het_job_id or members[0].is_active, job, "its first component has ended")


def check_start(state: ClusterState, job: Job) -> None:
    """No node or core of it is kept for others until its limit; and it has begun in the reservation that it names."""
    assert job.allocation is not None
    own = state.reservations.get(job.allocation.reservation)
    _demand(own is not None or not job.allocation.reservation, job, "is in a reservation that there is not")
    _demand(own is None or own.admits(job.owner.user, state.spec(job).account), job, "may not be in its reservation")
    if own is not None and not own.has(Flag.FLEX):
        _demand(own.is_active(job.start_time), job, f"began before {own.name}")
        _demand(own.has(Flag.ANY_NODES) or set(job.allocation.node_names) <= set(own.nodes), job, "is beside its nodes")
    if own is not None and (own.has(Flag.MAINT) or own.has(Flag.OVERLAP)):
        return
    ends = job.start_time + job.time_limit
    for other in state.reservations.values():
        if other is own:
            continue
        ahead = other.float_seconds
        if ahead and ends - job.start_time <= ahead:
            continue
        if not ahead and not any(start < ends and job.start_time < end for start, end in times(other)):
            continue
        cores = {part.node: set(part.cpus) for part in other.cores}
        for share in job.allocation.nodes:
            kept = bool(cores.get(share.node, set()) & set(share.cpus)) if cores else share.node in other.nodes
            _demand(not kept, job, f"has {share.node}, which is kept for {other.name}")


def check_promises(state: ClusterState, job: Job, promising: list[Job]) -> None:
    """A job that has just begun got nothing that is promised to another."""
    assert job.allocation is not None
    for other in promising:
        for promise in other.promises:
            for share in job.allocation.nodes:
                kept = promise.allocation.on(share.node)
                if kept is None:
                    continue
                share_cpus = promise.allocation.sharers > 1 and job.allocation.sharers > 1
                both = set[int]() if share_cpus else set(kept.cpus) & set(share.cpus)
                units = {(gres.name, gres.type): set(gres.indices) for gres in kept.gres}
                for gres in share.gres:
                    both |= units.get((gres.name, gres.type), set()) & set(gres.indices)
                _demand(not both, job, f"has {sorted(both)} of {share.node}, which is promised to job {other.id}")


def check_steps(state: ClusterState, job: Job) -> None:
    """A step holds no more than its job, and no two steps that do not share hold the same."""
    if job.allocation is None:
        return
    seen: dict[tuple[str, str, str], set[int]] = {}
    for step in state.live_steps_of(job.id):
        for node in step.nodes:
            share, whole = node.share, job.allocation.on(node.share.node)
            _demand(whole is not None and set(share.cpus) <= set(whole.cpus), job, f"step {step.text} holds more CPUs")
            assert whole is not None
            units = {(g.name, g.type): set(g.indices) for g in whole.gres}
            for gres in share.gres:
                inside = set(gres.indices) <= units.get((gres.name, gres.type), set())
                _demand(inside, job, f"step {step.text} holds more {gres.name}")
            if step.key.step < 0 or step.overlap or step.spec.overcommit or node.finished:
                continue
            taken = {("cpu", "", share.node): set(share.cpus)}
            taken |= {(g.name, g.type, share.node): set(g.indices) for g in share.gres}
            for kind, ids in taken.items():
                twice = ids & seen.setdefault(kind, set())
                _demand(not twice, job, f"step {step.text} shares {kind[0]} {sorted(twice)} on {share.node}")
                seen[kind] |= ids


def check_events(state: ClusterState, before: dict[JobId, JobState], records: Iterable[ev.AnyEvent]) -> None:
    """After a message: jobs changed along the table, and each touched one is sound. `before` is brought up to date."""
    touched: set[JobId] = set()
    promising = [one for one in state.queued() if one.promises and one.reason not in NOT_YET]
    for record in records:
        match record:
            case ev.JobsPurged():
                for job_id in record.ids:
                    before.pop(job_id, None)
            case ev.JobSubmitted() | ev.JobStarted() | ev.JobChanged() | ev.JobRequeued() | ev.JobEnded():
                job = record.job
                rest = getattr(record, "array_rest", None)
                origin = job.id if rest is None else rest.id
                old = before.get(job.id, before.get(origin))
                if isinstance(record, ev.JobSubmitted):
                    _demand(old is None and job.state is JobState.PENDING, job, "was submitted twice")
                elif old is None or not may_change(old, job.state):
                    raise InvariantBroken(f"job {job.id} went from {old} to {job.state}")
                if isinstance(record, ev.JobStarted) and job.allocation is not None:
                    check_start(state, job)
                    check_promises(state, job, promising)
                    for name, _ in job.allocation.licenses:
                        _demand(state.ledger.licenses.free(name) >= 0, job, f"has got more {name} than there are")
                before[job.id] = job.state
                touched.add(job.id)
                if rest is not None:
                    touched.add(rest.id)
            case ev.StepCreated() | ev.StepChanged() | ev.StepEnded():
                touched.add(record.step.key.job)
    for job_id in touched:
        if job_id in state.jobs:
            check_gang(state, state.jobs[job_id])
    for job_id in touched:
        touched_job = state.jobs.get(job_id)
        if touched_job is not None:
            check_job(state, touched_job)
            check_steps(state, touched_job)


def check_record(state: ClusterState, record: Iterable[ev.AnyEvent], start: bytes | None = None) -> None:
    """The events, applied in order (to a snapshot, if there is one), give this state."""
    replayed = ClusterState.load(start) if start is not None else ClusterState()
    for event in record:
        replayed.apply(event)
    found, wanted = recorded(replayed), recorded(state)
    for name, value in wanted.items():
        if found[name] != value:
            _same(f"{name} by the record", _difference(found[name], value), _difference(value, found[name]))


def _difference(found: Any, other: Any) -> object:
    """What only the first has."""
    if isinstance(found, dict):
        return {key: value for key, value in found.items() if other.get(key) != value}
    return found


#: Reasons that are facts of their own: no cycle finds them.
_FACTS = frozenset(
    {
        Reason.DEPENDENCY, Reason.DEPENDENCY_NEVER_SATISFIED, Reason.BEGIN_TIME, Reason.HELD_USER, Reason.HELD_ADMIN,
        Reason.RESERVATION_DELETED, Reason.MPI_PORTS_BUSY,
        Reason.REQUEUED_HELD, Reason.REQUEUED_SPECIAL_EXIT, Reason.HOLD_MAX_REQUEUE,
    }
)  # fmt: skip


def _recorded(job: Job) -> Job:
    if not job.is_pending:
        return job
    if not (job.priority_set or job.held_by):
        job = msgspec.structs.replace(job, priority=0)
    if job.reason in _FACTS:
        return job
    unnoted = {"reason": Reason.NONE, "reason_text": "", "expected_start": 0.0, "expected_nodes": ""}
    return msgspec.structs.replace(job, **unnoted)


def recorded(state: ClusterState) -> dict[str, Any]:
    """The recorded part of a state, without what is only noted: why a job waits, its rank, when a node was heard."""
    unheard = {"last_heard": 0.0, "load": 0.0, "free_memory_mb": 0, "gpus_busy": (), "gpus_memory_mb": ()}
    found: dict[str, Any] = {
        "jobs": {job_id: _recorded(job) for job_id, job in state.jobs.items()},
        "queue": {number for _, _, number in state.queue},
        "nodes": {name: msgspec.structs.replace(node, **unheard) for name, node in state.nodes.items()},
        "steps": {job_id: steps for job_id, steps in state.steps.items() if steps},
        "jobs_by_node": {name: jobs for name, jobs in state.jobs_by_node.items() if jobs},
        "array_active": {array: count for array, count in state.array_active.items() if count},
        "array_live": {array: count for array, count in state.array_live.items() if count},
        "ended": set(state.ended),
        "objects": dict(state.objects.by_key),
        "version of the objects": state.objects.version,
        "books": state.books.dump(),
        "usage": state.meter.dump(),
        "free": (state.ledger.cpu_masks, state.ledger.free_memory.tolist(), state.ledger.usable.tolist()),
    }
    for name in (
        "reservations", "last_reservation",
        "specs", "partitions", "next_job_id", "held", "waiting", "active", "array_members", "live_by_name", "timed",
        "spec_users",
    ):  # fmt: skip
        found[name] = getattr(state, name)
    return found


def check_all(state: ClusterState) -> None:
    """Every job, and the ledger and the indexes built anew."""
    for job in state.jobs.values():
        check_job(state, job)
        check_steps(state, job)
    check_ledger(state)
    waiting = [job for job in state.jobs.values() if job.is_pending]
    _same("queue", state.queue, sorted((-j.priority, j.submit_time, j.id) for j in waiting if not j.held_by))
    _same("held", state.held, {job.id for job in waiting if job.held_by})
    _same("waiting", state.waiting, sum(ranges.count(job.array_waiting) or 1 for job in waiting))
    _same("active", state.active, {j.id for j in state.jobs.values() if j.is_active})
    _same("ended", set(state.ended), {j.id for j in state.jobs.values() if j.has_ended})
    by_node: dict[str, set[JobId]] = {}
    for job_id, allocation in state.ledger.holders.items():
        for share in allocation.nodes:
            by_node.setdefault(share.node, set()).add(JobId(job_id))
    _same("jobs by node", {name: jobs for name, jobs in state.jobs_by_node.items() if jobs}, by_node)
    _same("specs", set(state.specs), {job.spec_id for job in state.jobs.values()})
    check_arrays(state)
    check_meter(state)


def check_meter(state: ClusterState) -> None:
    """What associations, QOS and users have in the queue and running: counted anew, it is the same."""
    fresh = Meter()
    fresh.recount(state.jobs, state.specs, state.books, state.partitions)
    _same("tallies", _counted(state.meter), _counted(fresh))
    _same("rates", state.meter.rates(), fresh.rates())


def _counted(meter: Meter) -> dict[tuple[str, ...], tuple[object, ...]]:
    return {
        bucket: (one.jobs, one.submitted, one.tres, one.nodes, one.ends, one.going, one.frozen)
        for bucket, one in meter.tallies.items()
    }


def check_ledger(state: ClusterState) -> None:
    """Give everything out anew: raises Overcommitted when something is held twice."""
    fresh = NodeTable()
    fresh.set_nodes([(node.offered, node.is_usable, node.weight) for node in state.nodes.values()])
    for job_id, allocation in state.ledger.holders.items():
        fresh.take(job_id, allocation)
    held = {name: count for name, count in state.ledger.licenses.used.items() if count}
    _same("licences", held, {name: count for name, count in fresh.licenses.used.items() if count})
    _same("CPU masks", state.ledger.cpu_masks, fresh.cpu_masks)
    _same("GPU masks", state.ledger.gres_masks, fresh.gres_masks)
    if state.ledger.gpus is not None and fresh.gpus is not None:
        _same("thousandths of GPUs", state.ledger.gpus.free.tolist(), fresh.gpus.free.tolist())
        _same("owners of shares", state.ledger.gpus.owner.tolist(), fresh.gpus.owner.tolist())
        if (state.ledger.gpus.free < 0).any():
            raise InvariantBroken("less than nothing of a GPU is free")
    for column in ("free_cpus", "free_memory", "jobs", "usable"):
        _same(column, getattr(state.ledger, column).tolist(), getattr(fresh, column).tolist())
    if (state.ledger.free_memory < 0).any() or (state.ledger.free_cpus < 0).any():
        raise InvariantBroken("less than nothing is free")


def check_arrays(state: ClusterState) -> None:
    """Each element is in one record only; the throttle holds."""
    seen: set[tuple[JobId, int]] = set()
    running: dict[JobId, int] = {}
    for job in state.jobs.values():
        if job.array_job_id is None:
            continue
        own = [job.array_task_id] if job.array_task_id is not None else list(ranges.members(job.array_waiting))
        for element in own:
            assert element is not None
            _demand((job.array_job_id, element) not in seen, job, f"element {element} is in two records")
            seen.add((job.array_job_id, element))
        running[job.array_job_id] = running.get(job.array_job_id, 0) + job.is_active
    counts = {array: count for array, count in state.array_active.items() if count}
    _same("active elements", counts, {array: count for array, count in running.items() if count})


def _demand(holds: bool, job: Job, words: str) -> None:
    if not holds:
        raise InvariantBroken(f"job {job.id} ({job.state}) {words}")


def _same(what: str, found: object, wanted: object) -> None:
    if found != wanted:
        raise InvariantBroken(f"{what}: {found} instead of {wanted}")
