"""What is the cluster right now? Tables, their indexes, and how an event changes them.

Events carry whole records, so applying one is a replacement plus the upkeep of the indexes. Nothing else changes the tables:
applying the recorded events to the last snapshot gives the very same state.
"""

import bisect
from collections.abc import Iterator
from typing import assert_never

import msgspec

from corral.engine.books import Books, BooksDump
from corral.engine.kubeobjects import Objects
from corral.engine.meter import Meter, MeterDump
from corral.engine.rules import bucket_of
from corral.model import ranges
from corral.model.crontab import Crontab
from corral.model.job import ACTIVE, ENDED, Job, JobId, JobSpec, JobState
from corral.model.kube.objects import AnyObject
from corral.model.node import Node
from corral.model.partition import Partition
from corral.model.reason import Reason
from corral.model.reservation import Reservation
from corral.model.step import Step
from corral.model.trigger import Trigger
from corral.protocol import events as ev
from corral.scheduler.nodetable import NodeTable
from corral.scheduler.preemption import frozen

#: A pending job with one of these reasons waits for a time, for other jobs or for their ports: no cycle looks at it.
NOT_YET = frozenset({Reason.BEGIN_TIME, Reason.DEPENDENCY, Reason.DEPENDENCY_NEVER_SATISFIED, Reason.MPI_PORTS_BUSY})
#: Why a job is changed: it did not run for a while, though it was RUNNING.
ABSENT = "absent"
_NO_STEPS: dict[int, Step] = {}


def is_suspended_for_another(job: Job) -> bool:
    """Also while it is cleared away: its CPUs are that one's."""
    told = job.preempted
    return told is not None and told.action == "SUSPEND" and job.state in (JobState.SUSPENDED, JobState.COMPLETING)


def lends_cpus(job: Job) -> bool:
    """It holds its memory and devices, and others may have its CPUs."""
    return job.cpus_lent or is_suspended_for_another(job)


class StateDump(msgspec.Struct, frozen=True, kw_only=True):
    """All tables, for a snapshot of the state."""

    jobs: list[Job]
    specs: list[tuple[int, JobSpec]]
    steps: list[Step]
    nodes: list[Node]
    partitions: list[Partition]
    next_job_id: int
    reservations: list[Reservation] = []
    last_reservation: int = 0
    books: BooksDump = BooksDump()
    meter: MeterDump = MeterDump()
    crontabs: list[Crontab] = []
    triggers: list[Trigger] = []
    last_trigger: int = 0
    objects: list[AnyObject] = []
    objects_version: int = 0
    time: float = 0.0  #: of the last event


class ClusterState:
    def __init__(self) -> None:
        self.jobs: dict[JobId, Job] = {}
        self.specs: dict[JobId, JobSpec] = {}
        self.steps: dict[JobId, dict[int, Step]] = {}
        self.nodes: dict[str, Node] = {}
        self.partitions: dict[str, Partition] = {}
        self.reservations: dict[str, Reservation] = {}
        self.crontabs: dict[int, Crontab] = {}  #: by uid
        self.triggers: dict[int, Trigger] = {}
        self.last_trigger = 0
        self.objects = Objects()  #: Kubernetes'
        self.last_reservation = 0  #: the highest number of one
        self.books = Books()
        self.meter = Meter()  #: what each association and QOS has in the queue, and has used
        self._ledger = NodeTable()
        self.next_job_id = 1
        # indexes
        #: (-priority, submit time, id) of every pending job that is not held, sorted
        self.queue: list[tuple[int, float, int]] = []
        self.held: set[JobId] = set()  #: the pending ones that are
        self.active: set[JobId] = set()
        self.lent: set[JobId] = set()  #: of these, those whose CPUs an operator has given away
        self.ended: dict[JobId, float] = {}  #: id -> end time, in the order of ending
        self.array_members: dict[JobId, set[JobId]] = {}  #: array id -> records, the waiting one included
        self.array_elements: dict[JobId, dict[int, JobId]] = {}  #: array id -> element -> its own record
        self.array_parts: dict[
            JobId, set[JobId]
        ] = {}  #: array id -> records of several elements: they wait, or were cancelled
        self.array_live: dict[JobId, int] = {}  #: array id -> how many records have not ended
        self.array_active: dict[JobId, int] = {}  #: array id -> how many hold resources
        self.live_by_name: dict[tuple[int, str], set[JobId]] = {}  #: (uid, name) -> not ended, for `singleton`
        self.jobs_by_node: dict[str, set[JobId]] = {}
        self.timed: set[JobId] = set()  #: pending ones that wait for a time or another job, or have a deadline
        self.spec_users: dict[JobId, int] = {}
        self.waiting = 0  #: pending jobs, each waiting element of an array counted
        self.touched: set[JobId] = (
            set()
        )  #: entered, changed in or left the queue since whoever keeps a view of it has looked
        self.changed: set[JobId] = set()  #: likewise, since the scheduler was last shown everything

    @property
    def ledger(self) -> NodeTable:
        """What is free on every node."""
        table = self._ledger
        if table.unsettled:
            table.settle()
        return table

    # -- reading ------------------------------------------------------------------------------------------------------

    def spec(self, job: Job) -> JobSpec:
        return self.specs[job.spec_id]

    def begin_time(self, job: Job) -> float:
        """Before this it does not start."""
        return self.specs[job.spec_id].begin_time if job.begin_time is None else job.begin_time

    def part_with(self, array: JobId, element: int) -> Job | None:
        """The record of several elements that this one is among."""
        for number in sorted(self.array_parts.get(array, ())):
            if ranges.contains(self.jobs[number].array_waiting, element):
                return self.jobs[number]
        return None

    def steps_of(self, job: JobId) -> dict[int, Step]:
        return self.steps.get(job, _NO_STEPS)

    def live_steps_of(self, job: JobId) -> list[Step]:
        return [step for step in self.steps_of(job).values() if step.state not in ENDED]

    def queued(self) -> Iterator[Job]:
        """Pending jobs that are not held, in the order of priority."""
        for _, _, job_id in self.queue:
            yield self.jobs[JobId(job_id)]

    def het_members(self, job: Job) -> list[Job]:
        """The components of its heterogeneous job, in their order."""
        if job.het_job_id is None:
            return []
        ids = range(job.het_job_id, job.het_job_id + job.het_size)
        return [self.jobs[JobId(number)] for number in ids if number in self.jobs]

    def name_of(self, job: Job) -> str:
        return self.spec(job).name

    def requeue_all(self) -> None:
        """Priorities have been noted anew: the queue follows."""
        found = (self.jobs[JobId(key[2])] for key in self.queue)
        self.queue = sorted((-job.priority, job.submit_time, int(job.id)) for job in found)

    # -- changing -----------------------------------------------------------------------------------------------------

    def apply(self, event: ev.AnyEvent) -> None:
        self.meter.now = event.time
        match event:
            case ev.JobSubmitted():
                self.specs[event.job.spec_id] = event.spec
                self._put_job(event.job)
            case ev.JobStarted() | ev.JobEnded():
                self._refund(event.job)
                if event.array_rest is not None:
                    self._put_job(event.array_rest)
                self._put_job(event.job)
            case ev.JobChanged():
                self._refund(event.job)
                if event.what == ABSENT:
                    self._give_back(event.job)
                if event.spec is not None:
                    self._put_spec(event.job.spec_id, event.spec)
                if event.array_rest is not None:
                    self._put_job(event.array_rest)
                self._put_job(event.job)
            case ev.JobRequeued():
                self._refund(event.ended)
                self.steps.pop(event.job.id, None)
                self._put_job(event.job)
            case ev.JobsPurged():
                for job_id in event.ids:
                    self._drop_job(job_id)
            case ev.StepCreated() | ev.StepChanged() | ev.StepEnded():
                if event.step.key.job in self.jobs:
                    self.steps.setdefault(event.step.key.job, {})[event.step.key.step] = event.step
            case ev.NodeChanged():
                self.nodes[event.node.name] = event.node
                self._ledger.set_node(event.node.offered, event.node.is_usable, event.node.weight)
            case ev.NodeRemoved():
                self.nodes.pop(event.name, None)
                self._ledger.remove_node(event.name)
            case ev.PartitionChanged():
                old = self.partitions.get(event.partition.name)
                self.partitions[event.partition.name] = event.partition
                if (old.qos if old is not None else "") != event.partition.qos:
                    self._recount()
            case ev.PartitionRemoved():
                self.partitions.pop(event.name, None)
            case ev.ReservationChanged():
                self.reservations[event.reservation.name] = event.reservation
                self.last_reservation = max(self.last_reservation, event.reservation.number)
            case ev.ReservationRemoved():
                self.reservations.pop(event.name, None)
            case ev.AccountsChanged():
                self._change_books(event)
            case ev.UsageDecayChanged():
                self.meter.set_half_life(event.half_life)
            case ev.UsageReset():
                self._reset_usage(event)
            case ev.CrontabChanged():
                self.crontabs[event.crontab.uid] = event.crontab
                if not event.crontab.text:
                    del self.crontabs[event.crontab.uid]
            case ev.TriggerChanged() | ev.TriggerFired():
                self.triggers[event.trigger.id] = event.trigger
                self.last_trigger = max(self.last_trigger, event.trigger.id)
                if isinstance(event, ev.TriggerFired) and not event.trigger.permanent:
                    del self.triggers[event.trigger.id]
            case ev.TriggersCleared():
                for number in event.ids:
                    self.triggers.pop(number, None)
            case ev.ObjectsChanged():
                self.objects.apply(event)
            case ev.ControllerStarted():
                pass
            case ev.JobIdsTaken():
                self.next_job_id = max(self.next_job_id, event.upto + 1)
            case _:
                assert_never(event)

    def _refund(self, ended: Job) -> None:
        """Of what a preempted job has used nobody is charged."""
        old = self.jobs.get(ended.id)
        is_over = JobState.PREEMPTED in (ended.state, ended.end_state)
        if is_over and old is not None and old.state in (JobState.RUNNING, JobState.SUSPENDED):
            self.meter.refund(ended)

    def _give_back(self, job: Job) -> None:
        """Nobody is charged for the time that has turned out to be an absence."""
        if (old := self.jobs.get(job.id)) is not None:
            self.meter.give_back(job.id, job.suspended_seconds - old.suspended_seconds)

    def _change_books(self, event: ev.AccountsChanged) -> None:
        moves = self.books.moves(event)
        self.books.apply(event)
        self.meter.set_constant(
            frozenset(("qos", qos.name) for qos in self.books.qos.values() if "NoDecay" in qos.flags)
        )
        if moves:
            self._recount()
        for number in event.removed_associations:
            self.meter.forget(bucket_of(number))
        for name in event.removed_qos:
            self.meter.forget(("qos", name))

    def _recount(self) -> None:
        self.meter.recount(self.jobs, self.specs, self.books, self.partitions)

    def _reset_usage(self, event: ev.UsageReset) -> None:
        if event.everything or event.begins:
            self.meter.begin_period(forget=event.everything)
        for number in event.associations:
            chain = self.books.chain(number)
            one = self.books.associations.get(number)
            self.meter.reset(bucket_of(number), tuple(bucket_of(above) for above in chain[1:]))
            for below, depth in self.books.tree(one.account) if one is not None and not one.user else ():
                if depth:
                    self.meter.reset(bucket_of(below.id))
        for name in event.qos:
            self.meter.reset(("qos", name))

    def _put_spec(self, spec_id: JobId, spec: JobSpec) -> None:
        """Those who share it change with it: their place in the indexes that look into the spec."""
        sharers = [job for job in self.jobs.values() if job.spec_id == spec_id] if spec_id in self.specs else []
        for job in sharers:
            self._unindex(job)
        self.specs[spec_id] = spec
        for job in sharers:
            self._index(job)

    def _put_job(self, job: Job) -> None:
        old = self.jobs.get(job.id)
        if old is not None:
            self._unindex(old)
        else:
            self.spec_users[job.spec_id] = self.spec_users.get(job.spec_id, 0) + 1
            self.next_job_id = max(self.next_job_id, job.id + 1)
        changed = old is not None and (old.allocation is not job.allocation or lends_cpus(old) is not lends_cpus(job))
        if changed and job.id in self.ledger.holders:
            self._free(job.id)  # it holds less than before: _index takes what is left
        if old is not None and old.spec_id != job.spec_id:
            self.spec_users[job.spec_id] = self.spec_users.get(job.spec_id, 0) + 1
            self._release_spec(old.spec_id)
        self.jobs[job.id] = job
        self._index(job)

    def _index(self, job: Job) -> None:
        self.meter.put(job, self.specs[job.spec_id], self.books, self.partitions)
        if job.state is JobState.PENDING:
            if job.held_by:
                self.held.add(job.id)
            else:
                bisect.insort(self.queue, (-job.priority, job.submit_time, job.id))
            self.touched.add(job.id)
            self.changed.add(job.id)
            self.waiting += ranges.count(job.array_waiting) or 1
            if job.reason in NOT_YET or self.specs[job.spec_id].deadline:
                self.timed.add(job.id)
        elif job.state in ACTIVE:
            self.active.add(job.id)
            if job.cpus_lent:
                self.lent.add(job.id)
            self.touched.add(job.id)
            self.changed.add(job.id)
            allocation = job.allocation
            if allocation is not None and job.id not in self.ledger.holders:
                self.ledger.take(job.id, frozen(allocation) if lends_cpus(job) else allocation)
                for share in allocation.nodes:
                    self.jobs_by_node.setdefault(share.node, set()).add(job.id)
            if job.array_job_id is not None:
                self.array_active[job.array_job_id] = self.array_active.get(job.array_job_id, 0) + 1
        else:
            self.ended[job.id] = job.end_time
        if job.state not in ACTIVE and job.id in self.ledger.holders:
            self._free(job.id)
        if job.array_job_id is not None:
            self.array_members.setdefault(job.array_job_id, set()).add(job.id)
            if job.array_task_id is not None:
                self.array_elements.setdefault(job.array_job_id, {})[job.array_task_id] = job.id
                self.array_parts.get(job.array_job_id, set()).discard(job.id)
            else:
                self.array_parts.setdefault(job.array_job_id, set()).add(job.id)
        if job.state not in ENDED:
            if job.array_job_id is not None:
                self.array_live[job.array_job_id] = self.array_live.get(job.array_job_id, 0) + 1
            self.live_by_name.setdefault((job.owner.uid, self.specs[job.spec_id].name), set()).add(job.id)

    def _free(self, job_id: JobId) -> None:
        for share in self.ledger.holders[job_id].nodes:
            self.jobs_by_node.get(share.node, set()).discard(job_id)
        self.ledger.give_back(job_id)

    def _unindex(self, job: Job) -> None:
        if job.state is JobState.PENDING:
            if job.held_by:
                self.held.discard(job.id)
            else:
                del self.queue[bisect.bisect_left(self.queue, (-job.priority, job.submit_time, job.id))]
            self.timed.discard(job.id)
            self.waiting -= ranges.count(job.array_waiting) or 1
            self.touched.add(job.id)
            self.changed.add(job.id)
        elif job.state in ACTIVE:
            self.active.discard(job.id)
            self.lent.discard(job.id)
            self.touched.add(job.id)
            self.changed.add(job.id)
            if job.array_job_id is not None:
                self.array_active[job.array_job_id] -= 1
        else:
            self.ended.pop(job.id, None)
        if job.state not in ENDED:
            if job.array_job_id is not None:
                self.array_live[job.array_job_id] -= 1
            key_of_name = (job.owner.uid, self.specs[job.spec_id].name)
            names = self.live_by_name.get(key_of_name)
            if names is not None:
                names.discard(job.id)
                if not names:
                    del self.live_by_name[key_of_name]

    def _drop_job(self, job_id: JobId) -> None:
        job = self.jobs.pop(job_id, None)
        if job is None:
            return
        self._unindex(job)
        self.meter.drop(job_id)
        self.ledger.give_back(job_id)
        self.steps.pop(job_id, None)
        if job.array_job_id is not None:
            members = self.array_members.get(job.array_job_id)
            if job.array_task_id is not None:
                self.array_elements.get(job.array_job_id, {}).pop(job.array_task_id, None)
            self.array_parts.get(job.array_job_id, set()).discard(job_id)
            if members is not None:
                members.discard(job_id)
                if not members:
                    del self.array_members[job.array_job_id]
                    self.array_elements.pop(job.array_job_id, None)
                    self.array_parts.pop(job.array_job_id, None)
                    self.array_active.pop(job.array_job_id, None)
                    self.array_live.pop(job.array_job_id, None)
        self._release_spec(job.spec_id)

    def _release_spec(self, spec_id: JobId) -> None:
        users = self.spec_users.get(spec_id, 0) - 1
        if users <= 0:
            self.spec_users.pop(spec_id, None)
            self.specs.pop(spec_id, None)
        else:
            self.spec_users[spec_id] = users

    # -- snapshots ------------------------------------------------------------------------------------------------------

    def dump(self) -> bytes:
        """Everything, as msgpack."""
        return msgspec.msgpack.encode(
            StateDump(
                jobs=list(self.jobs.values()),
                specs=list(self.specs.items()),
                steps=[step for steps in self.steps.values() for step in steps.values()],
                nodes=list(self.nodes.values()),
                partitions=list(self.partitions.values()),
                next_job_id=self.next_job_id,
                reservations=list(self.reservations.values()),
                last_reservation=self.last_reservation,
                books=self.books.dump(),
                meter=self.meter.dump(),
                crontabs=list(self.crontabs.values()),
                triggers=list(self.triggers.values()),
                last_trigger=self.last_trigger,
                objects=list(self.objects.by_key.values()),
                objects_version=self.objects.version,
                time=self.meter.now,
            )
        )

    @classmethod
    def load(cls, data: bytes) -> "ClusterState":
        dump = msgspec.msgpack.decode(data, type=StateDump)
        state = cls()
        state.specs = {JobId(spec_id): spec for spec_id, spec in dump.specs}
        for node in dump.nodes:
            state.nodes[node.name] = node
        state.books.load(dump.books)
        state.meter.load(dump.meter)
        state.meter.set_constant(
            frozenset(("qos", qos.name) for qos in state.books.qos.values() if "NoDecay" in qos.flags)
        )
        state.ledger.set_nodes([(node.offered, node.is_usable, node.weight) for node in dump.nodes])
        state.partitions = {partition.name: partition for partition in dump.partitions}
        for job in sorted(dump.jobs, key=lambda job: (job.end_time, job.id)):
            state._put_job(job)
        for step in dump.steps:
            state.steps.setdefault(step.key.job, {})[step.key.step] = step
        state.reservations = {reservation.name: reservation for reservation in dump.reservations}
        state.last_reservation = dump.last_reservation
        state.crontabs = {crontab.uid: crontab for crontab in dump.crontabs}
        state.triggers = {trigger.id: trigger for trigger in dump.triggers}
        state.last_trigger = dump.last_trigger
        state.objects.apply(ev.ObjectsChanged(time=0.0, objects=tuple(dump.objects), version=dump.objects_version))
        state.next_job_id = max(state.next_job_id, dump.next_job_id)
        state.meter.now = dump.time
        return state
