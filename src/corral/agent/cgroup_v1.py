"""Control groups, version 1: one tree per controller. In the freezer's, where nothing is inherited, a job has no group of its own.

To make and remove the groups of a short job costs the kernel more than to run it: a fifth of a millisecond, and more in its workers.
So a shepherd whose job is over keeps them for its next step, if that is the same user's and held to the same: here a group can get
another name. What it keeps is empty, was never short of memory, has hardly any left, and is not called after a job meanwhile.
"""

import os
from glob import glob

from corral.agent.cgroup_files import (
    Limits,
    folded_cpus,
    make_one,
    make_pair,
    move_back,
    pids_in,
    read,
    remove_one,
    remove_pair,
    value_of,
    write,
)

ROOT = "/sys/fs/cgroup"
USED = ("freezer", "memory", "cpuset", "devices", "pids", "cpu")
#: cpu.shares of one CPU: a thousand of them fit into what the kernel allows.
_OF_ONE_CPU = 256
_MOST_SHARES = 262144
#: What a group is called that no step has; behind it the process id of the shepherd that keeps it.
_RESTING = "idle."
#: Bytes that a resting group may still hold: the last pages of files, and what the kernel keeps for itself.
_MOST_LEFT = 2 << 20
_PEAK = "max_usage_in_bytes"


def controllers(root: str = "") -> set[str]:
    return {name for name in USED if os.access(f"{root or ROOT}/{name}/cgroup.procs", os.W_OK)}


def is_usable(root: str = "") -> bool:
    return os.access(f"{root or ROOT}/freezer/cgroup.procs", os.W_OK)


class GroupV1:
    """A step's directories in the trees that are needed for it. The freezer's always: it holds the processes together."""

    def __init__(self, name: str, job: str, step: str, of_job: Limits, own: Limits) -> None:
        self._name, self._job, self._step = name, job, step
        self._limits = of_job, own
        self._peak = 0
        self._open: dict[str, int] = {}  #: descriptors of files that are needed for each step
        self._used = ["freezer"]
        for controller, wanted in (
            ("memory", of_job.memory_mb or own.memory_mb),
            ("cpuset", of_job.cpus or own.cpus),
            ("devices", of_job.denied_devices or own.denied_devices),
            ("pids", of_job.processes),
            ("cpu", of_job.cpu_share or own.cpu_millis),
        ):
            if wanted and os.path.isdir(f"{ROOT}/{controller}"):
                self._used.append(controller)
        make_one(self._base("freezer"), _name(job, step))
        for controller in self._used[1:]:
            is_new = make_pair(self._base(controller), job, step)
            job_path = f"{self._base(controller)}/{job}"
            # Settings are inherited when a group is made, or hold for all below: the job's first.
            if controller == "memory":
                _limit_memory(job_path, of_job if is_new else Limits())
                _limit_memory(f"{job_path}/{step}", own)
            elif controller == "cpuset":
                _limit_cpus(self._base(controller), None)
                _limit_cpus(job_path, of_job.cpus if is_new else None)
                _limit_cpus(f"{job_path}/{step}", own.cpus)
            elif controller == "devices":
                _deny(job_path, of_job.denied_devices if is_new else ())
                _deny(f"{job_path}/{step}", own.denied_devices or of_job.denied_devices)
            elif controller == "pids" and is_new:
                write(f"{job_path}/pids.max", str(of_job.processes))
            elif controller == "cpu":
                # All jobs together weigh as much as the machine has CPUs: each process outside of groups weighs as one.
                _weigh(self._base(controller), 4 * (os.cpu_count() or 1))
                _weigh(job_path, of_job.cpu_share)
                _weigh(f"{job_path}/{step}", own.cpu_share)
                if own.cpu_millis:
                    write(f"{job_path}/{step}/cpu.cfs_quota_us", str(own.cpu_millis * 100))

    def _base(self, controller: str) -> str:
        return f"{ROOT}/{controller}/{self._name}"

    def _path(self, controller: str) -> str:
        if controller == "freezer":
            return f"{self._base(controller)}/{_name(self._job, self._step)}"
        return f"{self._base(controller)}/{self._job}/{self._step}"

    def _top(self, controller: str, job: str) -> str:
        """The directory that has the job's name in its own."""
        return f"{self._base(controller)}/{_name(job, self._step) if controller == 'freezer' else job}"

    def _file(self, path: str, flags: int = os.O_RDONLY) -> int:
        """Stays open, also under another name."""
        fd = self._open.get(path)
        if fd is None:
            controller, _, name = path.partition("/")
            fd = self._open[path] = os.open(f"{self._path(controller)}/{name}", flags | os.O_CLOEXEC)
        return fd

    def _memory(self, name: str, flags: int = os.O_RDONLY) -> str:
        try:
            return os.pread(self._file(f"memory/memory.{name}", flags), 65536, 0).decode()
        except OSError:
            return ""

    def entrances(self) -> list[tuple[str, int]]:
        # Through `tasks` a process moves itself alone, which needs no lock over all processes of the machine.
        return [(controller, self._file(f"{controller}/tasks", os.O_WRONLY)) for controller in self._used]

    def pids(self) -> list[int]:
        return pids_in(f"{self._path('freezer')}/cgroup.procs")

    def freeze(self) -> None:
        write(f"{self._path('freezer')}/freezer.state", "FROZEN")

    def thaw(self) -> None:
        write(f"{self._path('freezer')}/freezer.state", "THAWED")

    def oom_kills(self) -> int:
        if "memory" not in self._used:
            return 0
        return value_of("oom_kill", self._memory("oom_control"))

    def memory_peak(self) -> int:
        if "memory" not in self._used:
            return 0
        files = value_of("total_cache", self._memory("stat"))
        self._peak = int(self._memory(_PEAK, os.O_RDWR) or 0)
        return max(0, self._peak - files)

    def rest(self) -> bool:
        if any(pids_in(f"{self._path(controller)}/cgroup.procs") for controller in self._used[1:]):
            return False  # root can move a process out of the freezer alone
        if "memory" in self._used:
            limit = min(limits.memory_mb for limits in self._limits if limits.memory_mb) << 20
            if self._peak > limit // 2 or int(self._memory("usage_in_bytes") or _MOST_LEFT) >= _MOST_LEFT:
                return False
            os.write(self._file(f"memory/memory.{_PEAK}", os.O_RDWR), b"0")
        job = self._job
        try:
            if all(map(self._is_alone, self._used)) and self._rename(f"{_RESTING}{os.getpid()}"):
                if all(map(self._is_alone, self._used[1:])):
                    return True
                self._rename(job)
        except OSError:
            pass  # somebody has removed it
        return False

    def serve(self, job: str, step: str, of_job: Limits, own: Limits) -> bool:
        if step == self._step and (of_job, own) == self._limits and self._rename(job):
            return True
        self.remove()
        return False

    def _rename(self, job: str) -> bool:
        """All of its directories, or none."""
        done: list[tuple[str, str]] = []
        for controller in self._used:
            old, new = self._top(controller, self._job), self._top(controller, job)
            try:
                os.rename(old, new)
            except OSError:
                for before, now in done:
                    move_back(now, before)
                return False
            done.append((old, new))
        self._job = job
        return True

    def _is_alone(self, controller: str) -> bool:
        """Nobody else has made groups there, as another step of the job. The kernel counts a directory's names: one of each below."""
        if os.stat(self._path(controller)).st_nlink > 2:
            return False
        return controller == "freezer" or os.stat(self._top(controller, self._job)).st_nlink == 3

    def remove(self) -> None:
        for fd in self._open.values():
            os.close(fd)
        self._open.clear()
        remove_one(self._path("freezer"))
        for controller in self._used[1:]:
            remove_pair(self._base(controller), self._job, self._step)


def _name(job: str, step: str) -> str:
    return f"{job}.{step}"


def processes(name: str, job: str, step: str) -> list[int]:
    return pids_in(f"{ROOT}/freezer/{name}/{_name(job, step)}/cgroup.procs")


def remove(name: str, job: str, step: str) -> None:
    remove_one(f"{ROOT}/freezer/{name}/{_name(job, step)}")
    for controller in USED[1:]:
        remove_pair(f"{ROOT}/{controller}/{name}", job, step)


def remove_resting(name: str) -> None:
    """Of all shepherds."""
    for top in glob(f"{ROOT}/*/{name}/{_RESTING}*"):
        for path in (*glob(f"{top}/*/"), top):
            remove_one(path)


def _limit_memory(path: str, limits: Limits) -> None:
    if limits.memory_mb is None:
        return
    size = limits.memory_mb << 20
    write(f"{path}/memory.limit_in_bytes", str(size))
    if limits.soft_memory:
        write(f"{path}/memory.soft_limit_in_bytes", str(limits.soft_memory))
    try:
        write(f"{path}/memory.memsw.limit_in_bytes", str(size + int(size * limits.swap_percent / 100)))
    except OSError:
        pass  # no accounting of swap in this kernel


def _weigh(path: str, cpus: int | None) -> None:
    if cpus:
        write(f"{path}/cpu.shares", str(min(_MOST_SHARES, _OF_ONE_CPU * cpus)))


def _limit_cpus(path: str, cpus: tuple[int, ...] | None) -> None:
    """A new cpuset is empty and takes no process: what is not said comes from above."""
    above = path.rpartition("/")[0]
    for file, wanted in (("cpuset.mems", ""), ("cpuset.cpus", folded_cpus(cpus) if cpus else "")):
        if wanted or not read(f"{path}/{file}").strip():
            write(f"{path}/{file}", wanted or read(f"{above}/{file}").strip())


def _deny(path: str, files: tuple[str, ...]) -> None:
    for file in files:
        try:
            number = os.stat(file).st_rdev
        except OSError:
            continue
        write(f"{path}/devices.deny", f"c {os.major(number)}:{os.minor(number)} rwm")
