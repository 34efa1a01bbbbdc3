"""Which daemons of a cluster run on this machine, and how are they started and stopped?

Each daemon writes its process id into a file that it holds locked. A process with that id is the daemon only if its command line
names this state directory, so a number that the kernel has given to someone else is never signalled.
"""

from __future__ import annotations

import fcntl
import os
import select
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from corral.cli.run import Exit

#: Between two looks while something is awaited.
LOOK_SECONDS = 0.01
_INTERRUPTS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def only_one_starts_or_stops(directory: Path) -> Iterator[None]:
    """Two `corral up`, or one and a `corral down`, do their work one after the other. Exit: the directory is not to be used."""
    try:
        directory.mkdir(mode=0o755, parents=True, exist_ok=True)
        handle = os.open(directory / "up.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise Exit(
            1, f"corral: error: the state directory {directory} cannot be used: {error.strerror}", "--dir names another"
        ) from None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


@dataclass(frozen=True, slots=True)
class Daemon:
    """One of a cluster's programs, running or not."""

    name: str
    pid_file: Path
    log: Path
    words: tuple[str, ...]  #: that are in its command line

    @property
    def pid(self) -> int | None:
        """None when it does not run."""
        try:
            pid = int(self.pid_file.read_bytes().partition(b"\n")[0] or b"0")
            command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except (OSError, ValueError):
            return None
        return pid if all(os.fsencode(word) in command for word in self.words) else None

    def signal(self, number: int) -> None:
        pid = self.pid
        if pid is not None:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass


def controller(directory: Path) -> Daemon:
    return Daemon(
        "controller", directory / "controller.lock", directory / "controller.log", ("corral.controller", str(directory))
    )


def nats(directory: Path) -> Daemon:
    home = directory / "nats"
    return Daemon("nats-server", home / "pid", home / "nats.log", (str(home / "nats.conf"),))


def gateway(directory: Path) -> Daemon:
    home = directory / "gateway"
    return Daemon("gateway", home / "lock", home / "gateway.log", ("corral.gateway", str(directory)))


def caddy(directory: Path) -> Daemon:
    home = directory / "gateway"
    return Daemon("caddy", home / "caddy.pid", home / "caddy.log", (str(home / "caddy.json"),))


def pointers(directory: Path) -> Daemon:
    """It tells Caddy where services lead."""
    home = directory / "gateway"
    return Daemon("pointers", home / "pointers.pid", home / "pointers.log", (str(home / "pointers"),))


def agent(directory: Path, name: str) -> Daemon:
    home = directory / "agent" / name
    return Daemon(f"agent {name}", home / "lock", home / "agent.log", ("corral.agent", str(directory), name))


def agents(directory: Path) -> list[Daemon]:
    """All that ever ran with this state directory."""
    try:
        names = sorted(os.listdir(directory / "agent"))
    except FileNotFoundError:
        return []
    return [agent(directory, name) for name in names]


def start(daemon: Daemon, arguments: list[str]) -> int:
    """Start `python -m ...` in the background; the process id.

    What it says before its own log is open goes to NAME.err beside that log. Its id is written down at once, as it will do
    itself when it comes so far: it can be stopped from now on.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, _INTERRUPTS)
    try:
        pid = _spawn(daemon, arguments)
        daemon.pid_file.write_text(f"{pid}\n")
        return pid
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _INTERRUPTS)


def _spawn(daemon: Daemon, arguments: list[str]) -> int:
    daemon.log.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    command = [sys.executable, "-m", *arguments]
    writing = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    return os.posix_spawn(
        command[0],
        command,
        os.environ,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(errors_of(daemon)), writing, 0o640),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
        setsigmask=(),
        setsigdef=(signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE, signal.SIGUSR1, signal.SIGUSR2),
    )


def errors_of(daemon: Daemon) -> Path:
    return daemon.log.with_suffix(".err")


def last_words(daemon: Daemon, lines: int = 8) -> list[str]:
    """What it said last: its errors, else its log."""
    for path in (errors_of(daemon), daemon.log):
        try:
            text = path.read_text(errors="replace").rstrip()
        except OSError:
            continue
        if text:
            return text.splitlines()[-lines:]
    return []


def stop(daemon: Daemon, seconds: float) -> bool:
    """SIGTERM, and SIGKILL when that takes too long; was it running?"""
    pid = daemon.pid
    if pid is None:
        return False
    for number, wait in ((signal.SIGTERM, seconds), (signal.SIGKILL, 5.0)):
        daemon.signal(number)
        if has_ended(pid, wait):
            break
    return True


def has_ended(pid: int, seconds: float) -> bool:
    """Wait until the process is no more."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        poller = select.poll()
        poller.register(handle, select.POLLIN)
        return bool(poller.poll(seconds * 1000))
    finally:
        os.close(handle)


def deadline(seconds: float) -> float:
    return time.monotonic() + seconds
