"""How many jobs, and how much of what, has each association, QOS, user and account in the queue and running; and what has been used?

Each job counts in a few buckets, and is counted when its record changes: asking costs nothing, whatever there is. What a job counts
for is kept until it changes again, so that the books may change meanwhile; when the tree itself does, all is counted anew.

Usage is charged as time passes. Of each association and QOS is known what had been used at some moment, and how fast it grows; with a
half life it is u' = rate - lambda u, solved in closed form whenever somebody asks or the rate changes. So nothing has to be done by the
clock, and replaying the events gives the same.
"""

import math
from collections.abc import Iterator

import msgspec

from corral.engine.books import Books
from corral.engine.rules import buckets, charged
from corral.model import ranges
from corral.model.job import Job, JobId, JobSpec, JobState
from corral.model.partition import Partition
from corral.scheduler.quota import AHEAD, LONGEST, Bucket, Tally, Used, held

#: Slurm's PriorityDecayHalfLife.
HALF_LIFE = 7 * 86400.0

#: Rates are whole numbers of so many parts, so that what is added can be taken off again exactly.
PARTS = 1_000_000

_RUNNING = frozenset({JobState.CONFIGURING, JobState.RUNNING, JobState.SUSPENDED})
WALL = "wall"


class UsageDump(msgspec.Struct, frozen=True, array_like=True):
    bucket: tuple[str, ...]
    at: float
    used: dict[str, float]
    since: float = 0.0


class MeterDump(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    half_life: float = HALF_LIFE
    usage: tuple[UsageDump, ...] = ()
    period_began: float = 0.0


class _Usage:
    __slots__ = ("at", "rate", "since", "used")

    def __init__(self) -> None:
        self.at = 0.0  #: when it was so much
        self.since = 0.0  #: what was used before has been forgotten
        self.used: dict[str, float] = {}  #: TRES-seconds, and the seconds of jobs themselves
        self.rate: dict[str, int] = {}  #: millionths a second


class _Counted(msgspec.Struct, frozen=True, gc=False):
    """What one job counts for."""

    buckets: tuple[Bucket, ...]
    jobs: int
    submitted: int
    tres: dict[str, int]
    nodes: tuple[str, ...]
    ends: int  #: when it is over at the latest; -1 = suspended
    left: int  #: seconds it may still run, of a suspended one
    factor: int  #: millionths: how much of its use is charged
    ahead: int  #: thousandths: how much the seconds count that it may still run (UsageFactorSafe)


class Meter:
    def __init__(self) -> None:
        self.tallies: dict[Bucket, Tally] = {}
        self.half_life = HALF_LIFE
        self.period_began = 0.0  #: of PriorityUsageResetPeriod; 0 = there is none yet
        self.resets = 0  #: grows when what was used is forgotten
        self.now = 0.0  #: of the event that is being applied
        self._usage: dict[Bucket, _Usage] = {}
        self._jobs: dict[JobId, _Counted] = {}
        self._constant: frozenset[Bucket] = frozenset()  #: the QOS whose usage does not decay (NoDecay)

    # -- counting

    def put(self, job: Job, spec: JobSpec, books: Books, partitions: dict[str, Partition]) -> None:
        """This is what the job is from now on."""
        if not books.associations and not self._jobs:
            return
        names = qos_of(spec.qos, job.partition, books, partitions)
        if job.has_ended or job.state is JobState.COMPLETING or not (job.association or names):
            self.drop(job.id)
            return
        own = books.associations.get(job.association)
        where = buckets(
            books,
            job.association if own is not None else 0,
            names,
            job.owner.user,
            own.account if own else spec.account,
        )
        running = job.state in _RUNNING and job.allocation is not None
        tres: dict[str, int] = {}
        if running and job.allocation is not None:
            tres = {name: amount for name, amount in held(job.allocation).items() if amount}
        suspended = job.state is JobState.SUSPENDED
        ends = int(job.start_time + min(job.time_limit, LONGEST) + job.suspended_seconds)
        counted = _Counted(
            where,
            1 if running else 0,
            ranges.count(job.array_waiting) or 1,
            tres,
            job.allocation.node_names if running and job.allocation is not None else (),
            -1 if suspended else ends,
            max(0, ends - int(job.suspend_time)) if suspended else 0,
            int(PARTS * _factor(books, names)) if running and not suspended else 0,
            int(AHEAD * charged(books.qos[names[-1]])) if names else AHEAD,
        )
        before = self._jobs.get(job.id)
        if before == counted:
            return
        if before is not None:
            self._add(before, -1)
        self._jobs[job.id] = counted
        self._add(counted, 1)

    def drop(self, job: JobId) -> None:
        counted = self._jobs.pop(job, None)
        if counted is not None:
            self._add(counted, -1)

    def refund(self, job: Job) -> None:
        """It was preempted: what its run has been charged with is taken back, as far as it still counts."""
        counted = self._jobs.get(job.id)
        if counted is None or not counted.factor:
            return
        self._take_back(counted, max(0.0, self.now - job.start_time - job.suspended_seconds))

    def give_back(self, job: JobId, seconds: float) -> None:
        """Of the last so many seconds it has used nothing."""
        counted = self._jobs.get(job)
        if counted is not None and counted.factor:
            self._take_back(counted, max(0.0, seconds))

    def _take_back(self, counted: _Counted, ran: float) -> None:
        since = {
            kind: max(
                [self._usage[one].since for one in counted.buckets if one[0] == kind and one in self._usage],
                default=0.0,
            )
            for kind in ("association", "qos")
        }
        for bucket in counted.buckets:
            if bucket[0] not in since:
                continue
            usage = self._advanced(bucket)
            charged = self._grown(bucket, min(ran, max(0.0, self.now - since[bucket[0]]))) * counted.factor / PARTS
            for resource, amount in (*counted.tres.items(), (WALL, 1)):
                if resource in usage.used:
                    usage.used[resource] = max(0.0, usage.used[resource] - amount * charged)

    def _grown(self, bucket: Bucket, seconds: float) -> float:
        """What is left of one unit that was used for so long up to now."""
        decay = self._decay(bucket)
        return (1 - math.exp(-decay * seconds)) / decay if decay else seconds

    def _decay(self, bucket: Bucket) -> float:
        return math.log(2) / self.half_life if self.half_life and bucket not in self._constant else 0.0

    def _add(self, counted: _Counted, sign: int) -> None:
        tres = [(name, sign * amount) for name, amount in counted.tres.items()]
        going = [(name, amount * counted.ahead) for name, amount in tres]
        ends = [(name, amount * counted.ends) for name, amount in going]
        frozen = [(name, sign * (abs(amount) * counted.left // AHEAD)) for name, amount in going]
        rate = [(name, amount * counted.factor) for name, amount in tres] + [(WALL, sign * counted.factor)]
        on_nodes = [(node, sign) for node in counted.nodes]
        for bucket in counted.buckets:
            tally = self.tallies.get(bucket)
            if tally is None:
                tally = self.tallies[bucket] = Tally()
            tally.jobs += sign * counted.jobs
            tally.submitted += sign * counted.submitted
            if tres:
                _change(tally.nodes, on_nodes)
                _change(tally.tres, tres)
                if counted.ends < 0:
                    _change(tally.frozen, frozen)
                else:
                    _change(tally.ends, ends)
                    _change(tally.going, going)
                if counted.factor and bucket[0] in ("association", "qos"):
                    _change(self._advanced(bucket).rate, rate)
            self._tidy(bucket, tally)

    def _tidy(self, bucket: Bucket, tally: Tally) -> None:
        if not tally.submitted and not tally.jobs:
            del self.tallies[bucket]

    # -- usage

    def _advanced(self, bucket: Bucket) -> _Usage:
        """Brought up to the time of the event."""
        usage = self._usage.get(bucket)
        if usage is None:
            usage = self._usage[bucket] = _Usage()
            usage.at = self.now
        elif self.now > usage.at:
            usage.used = self._at(usage, self.now, bucket)
            usage.at = self.now
        return usage

    def _at(self, usage: _Usage, now: float, bucket: Bucket) -> dict[str, float]:
        seconds = max(0.0, now - usage.at)
        if not seconds:
            return usage.used
        left, grown = math.exp(-self._decay(bucket) * seconds), self._grown(bucket, seconds)
        found = {name: value * left for name, value in usage.used.items()}
        for name, rate in usage.rate.items():
            found[name] = found.get(name, 0.0) + rate / PARTS * grown
        return found

    def rates(self) -> dict[Bucket, dict[str, int]]:
        """How fast usage grows now."""
        return {bucket: dict(one.rate) for bucket, one in self._usage.items() if one.rate}

    def buckets_of(self, job: JobId) -> tuple[Bucket, ...]:
        """Where it counts."""
        counted = self._jobs.get(job)
        return () if counted is None else counted.buckets

    def holders(self, bucket: Bucket, now: float) -> Iterator[tuple[JobId, dict[str, int], float]]:
        """The running jobs that count in it: what each holds, and how many seconds it may still run."""
        for job_id, one in self._jobs.items():
            if one.jobs and bucket in one.buckets:
                yield job_id, one.tres, float(one.left) if one.ends < 0 else max(0.0, one.ends - now)

    def used(self, bucket: Bucket, now: float) -> Used:
        usage = self._usage.get(bucket)
        if usage is None:
            return Used({})
        found = dict(self._at(usage, now, bucket))
        wall = found.pop(WALL, 0.0)
        return Used(found, wall)

    def reset(self, which: Bucket, above: tuple[Bucket, ...] = ()) -> None:
        """What it has used counts no more, nor with those above."""
        self.resets += 1
        if which not in self._usage:
            return
        own = self._advanced(which).used
        for bucket in above:
            usage = self._advanced(bucket)
            usage.used = {name: max(0.0, value - own.get(name, 0.0)) for name, value in usage.used.items()}
        self._usage[which].used = {}
        self._usage[which].since = self.now

    def begin_period(self, forget: bool) -> None:
        """Of all but the QOS that never forget."""
        self.period_began = self.now
        if forget:
            self.resets += 1
            for bucket in self._usage:
                if bucket not in self._constant:
                    self._advanced(bucket).used = {}
                    self._usage[bucket].since = self.now

    def forget(self, which: Bucket) -> None:
        self._usage.pop(which, None)

    def set_constant(self, qos: frozenset[Bucket]) -> None:
        if qos == self._constant:
            return
        for bucket in sorted(qos ^ self._constant):
            if bucket in self._usage:
                self._advanced(bucket)
        self._constant = qos

    def set_half_life(self, seconds: float) -> None:
        for bucket in self._usage:
            self._advanced(bucket)
        self.half_life = seconds

    def recount(
        self, jobs: dict[JobId, Job], specs: dict[JobId, JobSpec], books: Books, partitions: dict[str, Partition]
    ) -> None:
        """The tree has changed."""
        for known in list(self._jobs):
            self.drop(known)
        for job in jobs.values():
            if not job.has_ended:
                self.put(job, specs[job.spec_id], books, partitions)

    # -- snapshots

    def dump(self) -> MeterDump:
        usage = tuple(UsageDump(bucket, one.at, one.used, one.since) for bucket, one in self._usage.items())
        return MeterDump(half_life=self.half_life, usage=usage, period_began=self.period_began)

    def load(self, dump: MeterDump) -> None:
        self.half_life = dump.half_life
        self.period_began = dump.period_began
        for one in dump.usage:
            usage = self._usage[one.bucket] = _Usage()
            usage.at, usage.used, usage.since = one.at, dict(one.used), one.since


def qos_of(qos: str, partition: str, books: Books, partitions: dict[str, Partition]) -> tuple[str, ...]:
    """The QOS that a job counts for, that of the partition first."""
    if not books.qos:
        return ()
    found = []
    place = partitions.get(partition.partition(",")[0])
    if place is not None and place.qos in books.qos:
        found.append(place.qos)
    if qos in books.qos and qos not in found:
        found.append(qos)
    return tuple(found)


def _factor(books: Books, names: tuple[str, ...]) -> float:
    """The job's own QOS says what its time costs."""
    return books.qos[names[-1]].usage_factor if names else 1.0


def _change(amounts: dict[str, int], changes: list[tuple[str, int]]) -> None:
    for name, by in changes:
        value = amounts.get(name, 0) + by
        if value:
            amounts[name] = value
        else:
            amounts.pop(name, None)
