"""Control groups, version 2: one tree for all controllers."""

import os

from corral.agent import devicefilter
from corral.agent.cgroup_files import Limits, folded_cpus, make_pair, pids_in, read, remove_pair, value_of, write

ROOT = "/sys/fs/cgroup"
_USED = ("cpuset", "memory", "pids", "cpu")
#: cpu.weight of one CPU: a thousand of them fit into what the kernel allows.
_OF_ONE_CPU = 10
_MOST_WEIGHT = 10_000


def controllers(root: str = "") -> set[str]:
    """Freezing and finding need none, nor do devices."""
    given = read(f"{root or ROOT}/cgroup.controllers").split()
    return {"freezer", *(name for name in _USED if name in given)}


def keeps_devices() -> bool:
    return devicefilter.is_usable()


def is_usable(root: str = "") -> bool:
    return os.access(f"{root or ROOT}/cgroup.procs", os.W_OK) and os.path.exists(f"{root or ROOT}/cgroup.controllers")


class GroupV2:
    """A step's directory. Processes are in leaves only, so controllers are switched on from the root down to the job's."""

    def __init__(self, name: str, job: str, step: str, of_job: Limits, own: Limits) -> None:
        self._base = f"{ROOT}/{name}"
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
            for path in (ROOT, self._base, f"{self._base}/{job}"):
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
        return pids_in(f"{self._path}/cgroup.procs")

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
        raise NotImplementedError("it never rests")

    def remove(self) -> None:
        if self._entrance >= 0:
            os.close(self._entrance)
            self._entrance = -1
        remove_pair(self._base, self._job, self._step)


def processes(name: str, job: str, step: str) -> list[int]:
    return pids_in(f"{ROOT}/{name}/{job}/{step}/cgroup.procs")


def remove(name: str, job: str, step: str) -> None:
    remove_pair(f"{ROOT}/{name}", job, step)
