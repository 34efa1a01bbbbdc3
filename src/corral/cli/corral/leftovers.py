"""Which processes of a cluster are left on this machine when its daemons are gone?

A step's processes carry its mark, and the cluster's socket as their origin, in their first environment, whatever they have become
since. Shepherds and their spawner name the agent's directory in their command line.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

from corral.cli.corral.daemons import deadline, has_ended
from corral.daemon.environ import first_environment

_MARK = b"CORRAL_STEP="
_PROGRAMS = frozenset((b"corral.controller", b"corral.agent", b"corral.gateway", b"corral.proxy"))
#: Between SIGTERM and SIGKILL.
_GRACE_SECONDS = 2.0


def end(directory: Path, endpoint: str) -> int:
    """End them all; how many there were. First the tasks, so that their shepherds can write down how they ended."""
    ended = _end(lambda: tasks_of(endpoint), (signal.SIGCONT, signal.SIGTERM), _GRACE_SECONDS)
    ended += _end(lambda: tasks_of(endpoint), (signal.SIGKILL,), 5.0)
    shepherds = shepherds_of(directory)
    for pid in shepherds:
        has_ended(pid, 1.0 if ended else 0.0)
    _end(lambda: shepherds_of(directory), (signal.SIGKILL,), 5.0)
    return ended


def tasks_of(endpoint: str) -> list[int]:
    address = os.fsencode(f"CORRAL_ORIGIN={endpoint}")
    return [pid for pid in _pids() if _is_task(_environment(pid), address)]


def shepherds_of(directory: Path) -> list[int]:
    below = os.fsencode(directory / "agent") + b"/"
    return [pid for pid in _pids() if any(word.startswith(below) for word in _read(pid, "cmdline").split(b"\0"))]


def daemons_of(directory: Path) -> list[int]:
    """Those that no file tells of any more: someone has removed the state of a running cluster."""
    own = os.fsencode(directory)
    paths = (directory / "nats" / "nats.conf", directory / "gateway" / "caddy.json", directory / "gateway" / "pointers")
    others = set(map(os.fsencode, paths))
    commands = [(pid, _read(pid, "cmdline").split(b"\0")) for pid in _pids()]
    return [
        pid for pid, words in commands if others.intersection(words) or (own in words and _PROGRAMS.intersection(words))
    ]


def end_daemons(directory: Path) -> int:
    ended = _end(lambda: daemons_of(directory), (signal.SIGTERM,), _GRACE_SECONDS)
    return ended + _end(lambda: daemons_of(directory), (signal.SIGKILL,), 5.0)


def _is_task(environment: bytes, address: bytes) -> bool:
    variables = environment.split(b"\0")
    return address in variables and any(variable.startswith(_MARK) for variable in variables)


def _end(find: object, signals: tuple[int, ...], seconds: float) -> int:
    """Signal what is found until nothing is, or the time is over; how many were signalled."""
    assert callable(find)
    found: set[int] = set()
    until = deadline(seconds)
    while pids := find():
        for pid in pids:
            if pid not in found or signals == (signal.SIGKILL,):
                for number in signals:
                    _signal(pid, number)
        found.update(pids)
        if deadline(0) > until:
            break
        for pid in pids:
            has_ended(pid, max(0.0, min(0.2, until - deadline(0))))
    return len(found)


def _signal(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        pass


def _pids() -> list[int]:
    own = os.getpid()
    return [int(name) for name in os.listdir("/proc") if name.isdigit() and int(name) != own]


def _environment(pid: int) -> bytes:
    try:
        return first_environment(pid)
    except OSError:
        return b""


def _read(pid: int, what: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{what}").read_bytes()
    except OSError:
        return b""
