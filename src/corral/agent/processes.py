"""Which processes belong to a step, and how are they all signalled, where there is no cgroup?

A shepherd is the reaper of all its descendants (PR_SET_CHILD_SUBREAPER): a process that leaves its session, its group and its
parent becomes the shepherd's child. So all of a step is found by walking down from the shepherd.
"""

import ctypes
import os

from corral.daemon.environ import first_environment

_PR_SET_CHILD_SUBREAPER = 36
_CLONE_NEWUTS = 0x04000000
_IOPRIO_GET = {"x86_64": 252, "aarch64": 31}.get(os.uname().machine, -1)

_libc = ctypes.CDLL(None)
_prctl = _libc.prctl


def become_subreaper() -> None:
    _prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def take_host_name(name: str, *, is_new: bool = True) -> None:
    """What `hostname` and the prompt say here and below: a virtual node's own name, where that is allowed (to root).

    is_new: this process has no name of its own yet.
    """
    if os.geteuid() == 0 and (not is_new or _libc.unshare(_CLONE_NEWUTS) == 0):
        data = name.encode()
        _libc.sethostname(data, len(data))


def has_capability(number: int) -> bool:
    """Root in a container may lack some."""
    with open("/proc/self/status") as file:
        effective = next(line.split()[1] for line in file if line.startswith("CapEff:"))
    return bool(int(effective, 16) >> number & 1)


def traits() -> tuple[object, ...]:
    """What a process of the same user may change of this one, and what its children inherit."""
    io = _libc.syscall(_IOPRIO_GET, 1, 0) if _IOPRIO_GET >= 0 else 0
    return os.getpriority(os.PRIO_PROCESS, 0), os.sched_getscheduler(0), os.sched_getaffinity(0), io


def set_name(name: str) -> None:
    """What ps and top show."""
    try:
        fd = os.open("/proc/self/comm", os.O_WRONLY)
    except OSError:
        return
    os.write(fd, name.encode()[:15])
    os.close(fd)


def name_of(pid: int) -> str:
    """As ps shows it; "" = it is gone."""
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
            return file.read().rstrip("\n")
    except OSError:
        return ""


def descendants(pid: int) -> list[int]:
    """All processes below this one, parents first."""
    found = _children(pid)
    if found is None:
        return _descendants_by_scan(pid)
    for one in found:
        found += _children(one) or []
    return found


def children_are_told() -> bool:
    """Or must all of /proc be read to find them?"""
    return os.path.exists(f"/proc/self/task/{os.getpid()}/children")


def _children(pid: int) -> list[int] | None:
    """None: this kernel does not tell."""
    try:
        with open(f"/proc/{pid}/task/{pid}/children", "rb") as file:
            found = list(map(int, file.read().split()))
        threads = os.listdir(f"/proc/{pid}/task")
        for thread in threads if len(threads) > 1 else ():
            if thread != str(pid):
                with open(f"/proc/{pid}/task/{thread}/children", "rb") as file:
                    found += map(int, file.read().split())
        return found
    except FileNotFoundError:
        return [] if children_are_told() else None
    except OSError:
        return []


def _descendants_by_scan(top: int) -> list[int]:
    below: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:
                    parent = int(file.read().rpartition(b")")[2].split()[1])
            except OSError:
                continue
            below.setdefault(parent, []).append(int(name))
    found = list(below.get(top, ()))
    for one in found:
        found += below.get(one, ())
    return found


def signal_all(pids: list[int], number: int) -> None:
    for pid in pids:
        try:
            os.kill(pid, number)
        except (ProcessLookupError, PermissionError):
            pass


def marked(variables: dict[str, str]) -> list[int]:
    """Processes whose first environment had all these variables: what a shepherd that was killed has left."""
    marks, found = {f"{name}={value}".encode() for name, value in variables.items()}, []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                if marks.issubset(first_environment(name).split(b"\0")):
                    found.append(int(name))
            except OSError:
                continue
    return found
