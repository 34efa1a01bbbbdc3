"""FCFS, EASY and conservative backfill as the papers tell them, slow and plain: what the scheduler is compared with.

Nothing of Corral is used here. Jobs run for the lesser of their run time and estimate; all times are whole seconds. Of one moment first the
ends count, then the submissions, then it is decided.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple


class BruteJob(NamedTuple):
    number: int
    submit: int
    size: int
    estimate: int
    seconds: int


class Machine:
    def __init__(self, size: int) -> None:
        self.size = size
        self.running: dict[BruteJob, int] = {}  # -> its start
        self.starts: dict[int, int] = {}

    @property
    def free(self) -> int:
        return self.size - sum(job.size for job in self.running)

    def start(self, job: BruteJob, now: int) -> None:
        assert job.size <= self.free
        self.running[job] = now
        self.starts[job.number] = now

    def end(self, now: int) -> bool:
        over = [job for job, start in self.running.items() if start + min(job.seconds, job.estimate) <= now]
        for job in over:
            del self.running[job]
        return bool(over)


Decide = Callable[[Machine, list[BruteJob], int], None]


def simulate(jobs: Sequence[BruteJob], size: int, decide: Decide) -> dict[int, int]:
    """When each starts. `decide` starts jobs of the queue and takes them out of it."""
    machine, queue = Machine(size), list[BruteJob]()
    coming = sorted(jobs, key=lambda job: job.submit)
    while coming or queue or machine.running:
        ends = [start + min(job.seconds, job.estimate) for job, start in machine.running.items()]
        now = min(ends + ([coming[0].submit] if coming else []))
        machine.end(now)
        while coming and coming[0].submit <= now:
            queue.append(coming.pop(0))
        decide(machine, queue, now)
    return machine.starts


def fcfs(machine: Machine, queue: list[BruteJob], now: int) -> None:
    while queue and queue[0].size <= machine.free:
        machine.start(queue.pop(0), now)


def easy(machine: Machine, queue: list[BruteJob], now: int) -> None:
    fcfs(machine, queue, now)
    if not queue:
        return
    head = queue[0]
    room, shadow = machine.free, now
    for job, start in sorted(machine.running.items(), key=lambda item: item[1] + item[0].estimate):
        room, shadow = room + job.size, start + job.estimate
        if room >= head.size:
            break
    # Others may end at that very moment.
    room = machine.free + sum(job.size for job, start in machine.running.items() if start + job.estimate <= shadow)
    extra = room - head.size
    for job in queue[1:]:
        if job.size <= machine.free and (now + job.estimate <= shadow or job.size <= extra):
            if now + job.estimate > shadow:
                extra -= job.size
            machine.start(job, now)
            queue.remove(job)


class Conservative:
    """Keeps what it has promised."""

    def __init__(self) -> None:
        self.promised: dict[BruteJob, int] = {}
        self.running: set[BruteJob] = set()

    def __call__(self, machine: Machine, queue: list[BruteJob], now: int) -> None:
        moves = any(self.began[job] + job.estimate > now for job in self.running - set(machine.running))
        while moves:
            moves = False
            for job in [job for job in queue if job in self.promised]:
                before = self.promised.pop(job)
                self.promised[job] = self.earliest(machine, job, now)
                assert self.promised[job] <= before
                moves |= self.promised[job] != before
        for job in [job for job in queue if job not in self.promised]:
            self.promised[job] = self.earliest(machine, job, now)
        for job in [job for job in queue if self.promised[job] == now]:
            queue.remove(job)
            del self.promised[job]
            machine.start(job, now)
        self.running = set(machine.running)
        self.began = dict(machine.running)

    def earliest(self, machine: Machine, job: BruteJob, now: int) -> int:
        """The first moment from which on there is room for all of its time, beside all that runs and is promised."""
        taken = [(start, start + one.estimate, one.size) for one, start in machine.running.items()]
        taken += [(start, start + one.estimate, one.size) for one, start in self.promised.items()]
        for start in sorted({now} | {end for _, end, _ in taken if end > now}):
            over = [one for one in taken if one[0] < start + job.estimate and start < one[1]]
            moments = {start} | {begin for begin, _, _ in over if begin > start}
            busiest = max(sum(size for begin, end, size in over if begin <= at < end) for at in moments)
            if busiest + job.size <= machine.size:
                return start
        raise AssertionError("it is larger than the machine")
