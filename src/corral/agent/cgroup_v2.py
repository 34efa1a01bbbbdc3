"""Control groups, version 2: one tree for all controllers.

Groups are made in the topmost group that is ours to divide, of those this process is in: the tree's root for root on a machine, the root
that a container sees for root in one, `user@1000.service` for a user whose systemd has been given that part of the tree. An agent's groups
are beside its own, never in it: a service manager could not start an agent again in a group that has been divided.

The kernel gives a group's controllers on to groups below only where the group itself has no processes (but for the tree's root). So an
agent that begins in such a place, as in a container, first moves what is there one group down.
"""

import os
from functools import cache

from corral.agent import devicefilter
from corral.agent.cgroup_files import (
    Limits,
    folded_cpus,
    make_pair,
    pids_in,
    read,
    remove_one,
    remove_pair,
    value_of,
    write,
)

ROOT = "/sys/fs/cgroup"
_USED = ("cpuset", "memory", "pids", "cpu")
#: cpu.weight of one CPU: a thousand of them fit into what the kernel allows.
_OF_ONE_CPU = 10
_MOST_WEIGHT = 10_000


#: The group for what an agent finds in the one that it divides.
_BESIDE = "corral-beside"


def top() -> str:
    """Where our groups begin; "" = nowhere."""
    return _top(ROOT)


@cache
def _top(root: str) -> str:
    """A process does not leave this while it lives: all that it moves to is below."""
    if not os.path.exists(f"{root}/cgroup.controllers"):
        return ""
    own = next((line[3:] for line in read("/proc/self/cgroup").splitlines() if line.startswith("0::")), "/")
    path = root
    for name in ("", *own.strip("/").split("/")):
        path = f"{path}/{name}" if name else path
        if os.access(path, os.W_OK) and os.access(f"{path}/cgroup.procs", os.W_OK):
            return path
    return ""


def _is_shared(path: str) -> bool:
    """Is it a part of a tree that others divide, too? The tree's own root has no type."""
    return os.path.exists(f"{path}/cgroup.type")


def controllers() -> set[str]:
    """Freezing and finding need none, nor do devices."""
    path = top()
    given = read(f"{path}/cgroup.{'subtree_control' if _is_shared(path) else 'controllers'}").split()
    return {"freezer", *(name for name in _USED if name in given)}


def divide() -> None:
    """At an agent's start: switch on in our part of a shared tree what can be had.

    Only when nothing is in it: beside processes the kernel gives on some controllers and not others, and no group below takes a process.
    """
    path = top()
    if not path or not _is_shared(path):
        return  # at the tree's own root only what a job needs, when it does
    for name in read(f"{path}/cgroup.controllers").split():
        if name not in _USED:
            continue
        for _ in range(10):  # what has just been moved may have begun something
            if not _move_down(path):
                return
            try:
                write(f"{path}/cgroup.subtree_control", f"+{name}")
                break
            except OSError:
                pass  # then it is not enforced


def _move_down(path: str) -> bool:
    """Did all processes of this group go into one of their own? Not those that this process cannot see: they have the number 0."""
    for _ in range(10):
        pids = pids_in(f"{path}/cgroup.procs")
        if not pids or 0 in pids:
            return not pids
        try:
            os.makedirs(f"{path}/{_BESIDE}", exist_ok=True)
            for pid in pids:
                try:
                    write(f"{path}/{_BESIDE}/cgroup.procs", str(pid))
                except ProcessLookupError:
                    pass
        except OSError:
            return False
    return False


def keeps_devices() -> bool:
    return devicefilter.is_usable()


def is_usable() -> bool:
    return bool(top())


class GroupV2:
    """A step's directory. Processes are in leaves only, so controllers are switched on from the root down to the job's."""

    def __init__(self, name: str, job: str, step: str, of_job: Limits, own: Limits) -> None:
        self._base = f"{top()}/{name}"
        self._job, self._step = job, step
        self._path = f"{self._base}/{job}/{step}"
        self._entrance = -1
        have = controllers()
        needed = []
        if (of_job.cpus or own.cpus) and "cpuset" in have:
            needed.append("cpuset")
        if (of_job.memory_mb or own.memory_mb) and "memory" in have:
            needed.append("memory")
        if of_job.processes and "pids" in have:
            needed.append("pids")
        if (of_job.cpu_share or own.cpu_millis) and "cpu" in have:
            needed.append("cpu")
        is_new = make_pair(self._base, job, step)
        if needed:
            text = " ".join(f"+{controller}" for controller in needed)
            for path in (top(), self._base, f"{self._base}/{job}"):
                write(f"{path}/cgroup.subtree_control", text)
        if (of_job.denied_devices or own.denied_devices) and keeps_devices():
            devicefilter.deny(f"{self._base}/{job}", of_job.denied_devices if is_new else ())
            devicefilter.deny(self._path, own.denied_devices)
        for path, limits in ((f"{self._base}/{job}", of_job if is_new else Limits()), (self._path, own)):
            if limits.cpus and "cpuset" in needed:
                write(f"{path}/cpuset.cpus", folded_cpus(limits.cpus))
            if limits.memory_mb and "memory" in needed:
                write(f"{path}/memory.max", str(limits.memory_mb << 20))
                if limits.soft_memory:
                    write(f"{path}/memory.high", str(limits.soft_memory))
                try:
                    write(f"{path}/memory.swap.max", str(int((limits.memory_mb << 20) * limits.swap_percent / 100)))
                except OSError:
                    pass  # no accounting of swap in this kernel
            if limits.processes and "pids" in needed:
                write(f"{path}/pids.max", str(limits.processes))
            if limits.cpu_millis and "cpu" in needed:
                write(f"{path}/cpu.max", f"{limits.cpu_millis * 100} 100000")
            if limits.cpu_share and "cpu" in needed:
                write(f"{path}/cpu.weight", str(min(_MOST_WEIGHT, _OF_ONE_CPU * limits.cpu_share)))

    def entrances(self) -> list[tuple[str, int]]:
        if self._entrance < 0:
            self._entrance = os.open(f"{self._path}/cgroup.procs", os.O_WRONLY | os.O_CLOEXEC)
        return [("v2", self._entrance)]

    def pids(self) -> list[int]:
        return _pids_below(self._path)

    def freeze(self) -> None:
        write(f"{self._path}/cgroup.freeze", "1")

    def thaw(self) -> None:
        write(f"{self._path}/cgroup.freeze", "0")

    def oom_kills(self) -> int:
        return value_of("oom_kill", read(f"{self._path}/memory.events"))

    def memory_peak(self) -> int:
        text = read(f"{self._path}/memory.peak")  # "" before Linux 5.19
        if not text:
            return 0
        stat = read(f"{self._path}/memory.stat")
        return max(0, int(text) - value_of("file", stat) - value_of("slab", stat))

    def rest(self) -> bool:
        return False  # here a group cannot get another name, and by its name it is found

    def serve(self, job: str, step: str, of_job: Limits, own: Limits) -> bool:
        return False

    def remove(self) -> None:
        if self._entrance >= 0:
            os.close(self._entrance)
            self._entrance = -1
        _remove_below(self._path)
        remove_pair(self._base, self._job, self._step)


def processes(name: str, job: str, step: str) -> list[int]:
    return _pids_below(f"{top()}/{name}/{job}/{step}")


def remove(name: str, job: str, step: str) -> None:
    _remove_below(f"{top()}/{name}/{job}/{step}")
    remove_pair(f"{top()}/{name}", job, step)


def _pids_below(path: str) -> list[int]:
    """Of this group and of those that its processes have made in it, as container runtimes do."""
    found = pids_in(f"{path}/cgroup.procs")
    for below in _groups_in(path):
        found += _pids_below(below)
    return found


def _groups_in(path: str) -> list[str]:
    try:
        if os.stat(path).st_nlink <= 2:  # itself, and by its name: the kernel counts the groups in it
            return []
        with os.scandir(path) as entries:
            return [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return []  # it is gone


def _remove_below(path: str) -> None:
    for below in _groups_in(path):
        _remove_below(below)
        remove_one(below)
