"""What starts now, when jobs ask for nothing but a number of CPUs, wherever they are? Then counts tell all, exactly.

Theory: where every waiting job would take any CPUs of the same nodes, a cluster is one number for each time to come (profile.py), and
backfill is as the literature has it:

- none: jobs start in their order, and the first that finds no room holds up all behind it.
- EASY (Lifka 1995): the first that finds no room gets the earliest start at which, all running to their limits, there is room. The others
  start if that start stays.
- conservative (Mu'alem and Feitelson 2001): every waiting job gets, when it comes, the earliest start that delays no start promised before,
  and is never later than that. When something gets free sooner than it was thought, the jobs are gone through in their order, and each
  moves to the earliest start that leaves the promises of all others as they are; and again, until none moves. A promise holds as long as
  nobody comes to stand before it: from the first job on that is overtaken, all are planned anew, in their order.

Jobs that ask for more than CPUs, or only for some nodes, are placed as cycle.py and backfill.py do it.
"""

import functools
import heapq
from collections.abc import Generator

import msgspec
import numpy as np

from corral.model.allocation import Allocation
from corral.model.job import JobId
from corral.model.reason import Reason
from corral.scheduler.demand import Demand
from corral.scheduler.nodetable import BoolColumn
from corral.scheduler.plan import Expected, NotNow, Plan, Rest, Start
from corral.scheduler.profile import FOREVER, Counts, Profile, Promises, Times
from corral.scheduler.resources import place
from corral.scheduler.snapshot import LONGEST, PendingGroup, QueueKey, Snapshot

#: Of one job's queue position: (-tier, its key, number of its group).
Head = tuple[int, QueueKey, int]

#: After so many jobs others may have the processor.
PAUSE = 64

RESOURCES, PRIORITY = NotNow(Reason.RESOURCES), NotNow(Reason.PRIORITY)


def applies(snapshot: Snapshot) -> bool:
    """Do counts tell all? And is it one of the policies above: none, EASY, conservative?"""
    policy = snapshot.policy
    if policy.backfill is True or policy.bounds_backfill or snapshot.reserved or snapshot.quota is not None:
        return False
    groups = snapshot.pending
    if snapshot.promises or snapshot.suspended or any(group.rights is not None for group in groups):
        return False
    if not groups or not snapshot.nodes.has_single_threads:
        return False
    partition = groups[0].demands[0].partition
    return partition not in snapshot.billing and all(
        len(group.demands) == 1 and is_fluid(group.demands[0]) and group.demands[0].partition == partition
        and not (group.elements or group.has_more_elements or group.gang or group.rules or group.time_min)
        for group in groups
    )  # fmt: skip


@functools.lru_cache(maxsize=4096)
def is_fluid(demand: Demand) -> bool:
    """Does it ask for single CPUs, and nothing else?"""
    plain = Demand(partition=demand.partition, nodes_min=1, nodes_max=None, ntasks=1)
    return demand.ntasks is not None and msgspec.structs.replace(demand, ntasks=1) == plain


def schedule_in_steps(snapshot: Snapshot, now: float) -> Generator[None, None, Plan]:
    """With a pause after every few jobs."""
    return (yield from _Fluid(snapshot, now).steps())


class _Fluid:
    def __init__(self, snapshot: Snapshot, now: float) -> None:
        self.snapshot, self.now = snapshot, now
        self.table = snapshot.nodes
        self.groups = snapshot.pending
        rows = snapshot.partition_rows[self.groups[0].demands[0].partition] & self.table.usable
        self.rows: BoolColumn = rows
        self.free = int(self.table.free_cpus[rows].sum())
        self.plan = Plan(starts=[], reasons={}, rest={}, expected={})
        self.waits = False  #: does somebody wait already?
        self.last: tuple[JobId, Allocation] | None = None  #: has been placed, and is not in the table yet
        self.begun: list[tuple[float, int]] = []  #: in this cycle: until when, how many CPUs

    def steps(self) -> Generator[None, None, Plan]:
        if self.snapshot.policy.backfill == "conservative":
            yield from self.conservative()
        else:
            self.in_turn(bool(self.snapshot.policy.backfill))
        return self.plan

    def profile(self, *changes: tuple[Times, Counts]) -> Profile:
        """Of what is free now and gets free when the running jobs reach their limits."""
        ends, counts = [end for end, _ in self.begun], [count for _, count in self.begun]
        holders, everywhere = self.table.holders, bool(self.rows.all())
        index = self.table.index
        for job in self.snapshot.running:
            held = holders.get(job.id)
            if held is None:
                continue
            shares = held.nodes
            if not everywhere:
                shares = tuple(share for share in shares if share.node in index and self.rows[index[share.node]])
            ends.append(job.ends if job.ends > self.now else self.now + 1.0)  # it should have ended: soon
            counts.append(sum([len(share.cpus) for share in shares]))
        running = (np.array(ends, np.float64), np.array(counts, np.int64))
        return Profile.of(self.now, self.free, [running, *changes])

    # -- none and EASY

    def in_turn(self, backfill: bool) -> None:
        """One after another, until one finds no room; then, if it may be, those that leave its start as it is."""
        heads: list[Head] = [(-group.tier, group.queue[0], number) for number, group in enumerate(self.groups)]
        heapq.heapify(heads)
        position = [0] * len(self.groups)
        beside: Profile | None = None
        while heads:
            tier, key, number = heads[0]
            group = self.groups[number]
            job, count, span = JobId(key[2]), group.demands[0].ntasks or 1, span_of(group)
            self.plan.looked_at += 1
            fits = count <= self.free and (beside is None or beside.fits(self.now, count, span))
            if fits and self.start(group, job):
                if beside is not None:
                    beside.take(self.now, span, count)
                position[number] += 1
                if position[number] < len(group.queue):
                    heapq.heapreplace(heads, (tier, group.queue[position[number]], number))
                else:
                    heapq.heappop(heads)
                continue
            heapq.heappop(heads)  # nor does any other of its shape
            self.keep_waiting(group, number, job, position[number])
            if self.waits:
                continue
            self.waits = True
            if not backfill:
                break
            beside = self.profile()
            starts = beside.earliest(count, span)
            if starts < FOREVER:
                beside.take(starts, span, count)
                self.plan.expected[job] = Expected(starts, "")
        for _, key, number in heads:
            self.keep_waiting(self.groups[number], number, JobId(key[2]), position[number])

    def keep_waiting(self, group: PendingGroup, number: int, job: JobId, at: int) -> None:
        if not self.waits:
            self.plan.reasons[job] = RESOURCES
            at += 1
        if at < len(group.queue):
            self.plan.rest[number] = Rest(at, PRIORITY)

    def start(self, group: PendingGroup, job: JobId) -> bool:
        if self.last is not None:  # most cycles start one job, and need no table that knows of it
            self.table.take(*self.last)
            self.last = None
        allocation = place(self.table, group.demands[0], self.rows, self.snapshot.policy.placement)
        if allocation is None:
            return False
        self.last = (job, allocation)
        self.free -= allocation.cpu_count
        self.begun.append((self.now + span_of(group), allocation.cpu_count))
        self.plan.starts.append(Start(job, allocation, is_backfill=self.waits))
        self.plan.backfilled += self.waits
        return True

    # -- conservative

    def conservative(self) -> Generator[None, None, None]:
        waiting = sorted((-group.tier, key, number) for number, group in enumerate(self.groups) for key in group.queue)
        self.plan.looked_at += len(waiting)
        asked = {
            key[2]: (self.groups[number].demands[0].ntasks or 1, span_of(self.groups[number]))
            for _, key, number in waiting
        }
        last = self.snapshot.kept
        if last is None or not any(job in asked for job in last.order):
            while waiting:  # nothing is promised: whoever has room now starts
                _, key, number = waiting[0]
                if asked[key[2]][0] > self.free or not self.begin(JobId(key[2]), number, self.now):
                    break
                del waiting[0]
            if not waiting:
                return
        order = [key[2] for _, key, _ in waiting]
        starts, profile, is_freer = self.promised(order, asked)
        while is_freer:
            is_freer = yield from compress(starts, profile, asked)
        for number, job in enumerate(order):
            if job in starts:
                continue
            if number % PAUSE == PAUSE - 1:
                yield
            count, span = asked[job]
            starts[job] = start = profile.earliest(count, span)
            if start < FOREVER:
                profile.take(start, span, count)
        left = tuple(
            JobId(key[2]) for _, key, number in waiting if not self.begin(JobId(key[2]), number, starts[key[2]])
        )
        self.plan.kept = Promises(left, {job: starts[job] for job in left}, profile)

    def begin(self, job: JobId, number: int, start: float) -> bool:
        """If it is its turn."""
        group = self.groups[number]
        if start <= self.now and self.start(group, job):
            return True
        self.plan.reasons[job] = PRIORITY if self.waits else RESOURCES
        self.waits = True
        if start < FOREVER:
            self.plan.expected[job] = Expected(start, "")
        return False

    def promised(self, order: list[int], asked: dict[int, tuple[int, float]]) -> tuple[dict[int, float], Profile, bool]:
        """The promises that still hold, what is free beside them, and whether that is not what it was thought to be."""
        last = self.snapshot.kept
        if last is None:
            return {}, self.profile(), False
        old = [job for job in last.order if job in asked]
        same = next((i for i, job in enumerate(old) if order[i] != job), len(old))
        kept = {job: max(self.now, last.starts[job]) for job in old[:same] if last.starts[job] < FOREVER}
        begins = np.array(list(kept.values()), np.float64)
        counts = np.array([asked[job][0] for job in kept], np.int64)
        ends = begins + np.array([asked[job][1] for job in kept], np.float64)
        profile = self.profile((begins, -counts), (ends, counts))
        return kept, profile, same < len(old) or profile != last.profile.since(self.now)


def compress(
    starts: dict[int, float], profile: Profile, asked: dict[int, tuple[int, float]]
) -> Generator[None, None, bool]:
    """Each to its earliest start beside all others, in their order. Has one moved? Then another may."""
    has_moved = False
    for number, (job, before) in enumerate(starts.items()):
        if number % PAUSE == PAUSE - 1:
            yield
        count, span = asked[job]
        if before < FOREVER:
            profile.take(before, span, -count)
        start = profile.earliest(count, span)
        if start < FOREVER:  # else nodes have gone
            profile.take(start, span, count)
        starts[job] = start
        has_moved |= start != before
    return has_moved


def span_of(group: PendingGroup) -> float:
    """How long it may run, seconds."""
    return group.time_limit if group.time_limit < LONGEST else FOREVER
