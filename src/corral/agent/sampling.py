"""What do the tasks of a step use, as the kernel counts it?

While they run: every so often all of the step's processes are looked at in /proc, each is counted to the task it comes from, and
the highest sum is kept. When a task ends: what wait4(2) tells of it, and its I/O, which can be read as long as nobody has waited
for it. So the counters (CPU time, I/O, faults) are exact also for a task that was never looked at; and memory is what the kernel
saw of the largest process, or more where several were seen together, or what the control group says.

The first looks come early, each twice as late as the one before, up to the interval that was asked for: a job of a few
seconds is seen, one of a few milliseconds costs nothing.
"""

import os
from collections.abc import Callable, Iterable
from resource import struct_rusage
from typing import Protocol

import msgspec

from corral.agent import gpu_use
from corral.model.step import TaskPlace
from corral.model.usage import NOTHING, Usage, of_task

_TICK_US = 1_000_000 // os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
#: Seconds until the first look: where finding the processes is cheap, and where it means reading all of /proc.
FIRST, FIRST_BY_SCAN = 0.02, 1.0


class Process(msgspec.Struct, gc=False):
    """One process at one moment: of its own, and of its children that it has waited for."""

    pid: int
    parent: int
    group: int
    session: int
    cpu_us: int
    faults: int
    vmem: int
    mem: int


class TaskUse(msgspec.Struct):
    """What is known of one task. The highest sums, and what its processes that came to us have left."""

    rank: int
    pid: int
    mem: int = 0
    vmem: int = 0
    mem_now: int = 0  #: at the last look
    vmem_now: int = 0
    cpu_us: int = 0  #: as seen while it ran
    faults: int = 0
    read: int = 0
    written: int = 0
    user_us: int = 0  #: as wait4 told
    system_us: int = 0
    gpumem: int = 0
    gpuutil: int = 0


class GpuUse(Protocol):
    """gpu_use.NvidiaUse."""

    def of_processes(self) -> dict[int, tuple[int, int]]:
        """pid -> bytes, percent"""


def process_of(pid: int) -> Process | None:
    """None: it is gone."""
    try:
        fd = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        words = os.read(fd, 4096).rpartition(b")")[2].split()
    except OSError:
        return None
    finally:
        os.close(fd)
    if len(words) < 22:
        return None
    ticks = int(words[11]) + int(words[12]) + int(words[13]) + int(words[14])
    faults = int(words[9]) + int(words[10])
    parent, group, session = int(words[1]), int(words[2]), int(words[3])
    return Process(
        pid, parent, group, session, ticks * _TICK_US, faults, int(words[20]), max(0, int(words[21])) * _PAGE
    )


def io_of(pid: int) -> tuple[int, int]:
    """Bytes read and written, with those of its children that it has waited for; 0 where that cannot be seen."""
    try:
        fd = os.open(f"/proc/{pid}/io", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return 0, 0
    try:
        read, rchar, written, wchar, *_ = os.read(fd, 4096).split()
        return (int(rchar), int(wchar)) if (read, written) == (b"rchar:", b"wchar:") else (0, 0)
    except (OSError, ValueError):
        return 0, 0
    finally:
        os.close(fd)


def own_memory() -> int:
    """What this process has, and so its child before its exec. The kernel counts that to the task: up to here its word proves nothing."""
    fd = os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return int(os.read(fd, 128).split()[1]) * _PAGE * 5 // 4 + (1 << 20)
    finally:
        os.close(fd)


_seen_own = [
    0
]  #: the least that proved nothing when it was last looked; it is looked again before anything counts as proof


def _proves(most: int) -> bool:
    """Is a task's highest memory, as wait4 tells it, certainly its own?"""
    if most > _seen_own[0]:
        _seen_own[0] = own_memory()
    return most > _seen_own[0]


class Sampler:
    """Of the tasks of one step on one node."""

    def __init__(self, interval: float, pids: Callable[[], list[int]]) -> None:
        self._interval, self._pids = interval, pids
        self._gpus: GpuUse | None = None
        self._seen: tuple[int, ...] = ()
        self._asked_gpus = False
        self._last = 0.0
        self._tasks: dict[int, TaskUse] = {}  #: by the task's pid
        self._user_us = self._system_us = 0  #: of processes that are no task's

    def add(self, pid: int, place: TaskPlace) -> None:
        self._tasks[pid] = TaskUse(place.rank, pid)

    def pause(self, is_cheap: bool) -> float:
        """Seconds until the next look."""
        self._last = min(self._last * 2 or (FIRST if is_cheap else FIRST_BY_SCAN), self._interval)
        return self._last

    def watch_gpus(self, uuids: tuple[str, ...]) -> None:
        """From the first look on, so that short jobs do not wait for the driver."""
        if not self._asked_gpus:
            self._asked_gpus = True
            self._gpus = gpu_use.use_of(uuids)

    # -- while they run

    def look(self) -> None:
        pids = self._pids()
        self._seen = tuple(pids)
        found = [process for pid in pids if (process := process_of(pid)) is not None]
        gpus = self._gpus.of_processes() if self._gpus is not None else {}
        sums: dict[int, list[int]] = {}
        for process, task in self._by_task(found):
            read, written = io_of(process.pid)
            gpumem, gpuutil = gpus.get(process.pid, (0, 0))
            values = process.mem, process.vmem, process.cpu_us, process.faults, read, written, gpumem, gpuutil
            known = sums.setdefault(task.pid, [0] * len(values))
            for place, value in enumerate(values):
                known[place] += value
        for pid, (mem, vmem, cpu_us, faults, read, written, gpumem, gpuutil) in sums.items():
            task = self._tasks[pid]
            task.mem_now, task.vmem_now = mem, vmem
            task.mem, task.vmem = max(task.mem, mem), max(task.vmem, vmem)
            task.cpu_us, task.faults = max(task.cpu_us, cpu_us), max(task.faults, faults)
            task.read, task.written = max(task.read, read), max(task.written, written)
            task.gpumem, task.gpuutil = max(task.gpumem, gpumem), max(task.gpuutil, gpuutil)

    def _by_task(self, found: Iterable[Process]) -> Iterable[tuple[Process, TaskUse]]:
        """Each with the task it comes from: by its parents, its process group or its session, or else the first."""
        by_pid = {process.pid: process for process in found}
        first = next(iter(self._tasks.values()), None)
        for process in by_pid.values():
            above: Process | None = process
            while above is not None and above.pid not in self._tasks:
                above = by_pid.get(above.parent)
            task = self._tasks.get(above.pid) if above is not None else None
            task = task or self._tasks.get(process.group) or self._tasks.get(process.session) or first
            if task is not None:
                yield process, task

    # -- when they end

    def ended(self, pid: int, io: tuple[int, int], used: struct_rusage) -> None:
        """A process that we have waited for: a task, or one whose parents are gone."""
        user_us, system_us = int(used.ru_utime * 1e6), int(used.ru_stime * 1e6)
        task = self._tasks.get(pid)
        if task is None and len(self._tasks) == 1:
            (task,) = self._tasks.values()
        if task is None:
            self._user_us += user_us
            self._system_us += system_us
            return
        task.user_us += user_us
        task.system_us += system_us
        if _proves(used.ru_maxrss << 10):
            task.mem = max(task.mem, used.ru_maxrss << 10)
        task.faults = max(task.faults, used.ru_majflt)
        task.read, task.written = max(task.read, io[0]), max(task.written, io[1])

    def memory_peak(self, size: int) -> None:
        """The control group's: it is the task's when there is only one."""
        if len(self._tasks) == 1:
            (task,) = self._tasks.values()
            task.mem = max(task.mem, size)

    def pids(self) -> tuple[int, ...]:
        """At the last look."""
        return self._seen

    def usage(self, live: bool = False) -> Usage:
        """The sums are of the tasks' peaks; while they run of what they have now."""
        total = NOTHING
        for task in self._tasks.values():
            cpu_us = max(task.cpu_us, task.user_us + task.system_us)
            rest: tuple[int, ...] = (task.faults, task.read, task.written)
            if self._gpus is not None:
                rest += (task.gpumem, task.gpuutil)
            values = (cpu_us // 1000, task.mem, max(task.vmem, task.mem), *rest)
            now = (cpu_us // 1000, task.mem_now, task.vmem_now, *rest) if live else ()
            total = total.plus(of_task(task.rank, task.user_us, task.system_us, values, now))
        if not total:
            return total
        return msgspec.structs.replace(
            total, user_us=total.user_us + self._user_us, system_us=total.system_us + self._system_us
        )
