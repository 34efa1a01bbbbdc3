"""How does the agent speak with its spawner and its shepherds?"""

import fcntl
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import msgspec

from corral.agent.spool import Spool
from corral.model.step import StepKey
from corral.protocol.orders import EndJob, SignalTasks, SuspendJob

#: Datagrams that wait in the agent's socket while the agent is busy.
_BUFFER = 4 << 20


class SpawnerHandle(Protocol):
    """The agent's end of its spawner."""

    def launch(self, order: bytes) -> None: ...

    def fileno(self) -> int:
        """Readable when the spawner is gone."""


class Notice(msgspec.Struct, frozen=True, array_like=True):
    """What a shepherd tells the agent: `started` or `finished`."""

    what: str
    node: str
    key: StepKey
    started: float = 0.0
    pids: tuple[int, ...] = ()


class Control(msgspec.Struct, frozen=True, array_like=True):
    """What the agent tells a shepherd. what: "signal", "end", "suspend", "resume"."""

    what: str
    signal: int = 0
    kill_after: float | None = None
    reason: str = ""
    by_uid: int = 0


_encode = msgspec.msgpack.encode
_decode_notice = msgspec.msgpack.Decoder(Notice).decode


def signal_datagram(order: SignalTasks) -> bytes:
    return _encode(Control("signal", order.signal, order.kill_after, order.reason, order.by_uid))


def end_datagram(order: EndJob) -> bytes:
    return _encode(Control("end", signal.SIGTERM, order.kill_after, order.reason, order.uid))


def suspend_datagram(order: SuspendJob) -> bytes:
    return _encode(Control("resume" if order.thaw else "suspend"))


class Shepherds:
    """All shepherds of one agent, reached through the spool."""

    def __init__(self, spool: Spool, spawner: SpawnerHandle) -> None:
        self._spool = spool
        self._spawner = spawner
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        # Paths of sockets are short: the spool's may be long, so they are named through its descriptor.
        self._root = os.open(spool.root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        (spool.root / "agent.sock").unlink(missing_ok=True)
        self._socket.bind(f"/proc/self/fd/{self._root}/agent.sock")

    def fileno(self) -> int:
        """Readable when a notice has come."""
        return self._socket.fileno()

    def spawner_fileno(self) -> int:
        return self._spawner.fileno()

    def notices(self) -> list[Notice]:
        result = []
        while True:
            try:
                data = self._socket.recv(65536)
            except BlockingIOError:
                return result
            try:
                result.append(_decode_notice(data))
            except msgspec.DecodeError:
                continue

    def launch(self, order: bytes) -> None:
        self._spawner.launch(order)

    def control(self, node: str, key: StepKey, datagram: bytes) -> bool:
        """False when the shepherd does not listen (not yet, or no more)."""
        try:
            self._socket.sendto(datagram, f"/proc/self/fd/{self._root}/steps/{node}/{key}/ctl")
        except OSError:
            return False
        return True

    def has_begun(self, node: str, key: StepKey) -> bool:
        """Did a shepherd ever take this step?"""
        return os.path.exists(f"{self._spool.step_directory(node, key)}/pid")

    def is_alive(self, node: str, key: StepKey) -> bool:
        """Does a shepherd hold the step's lock?"""
        try:
            fd = os.open(f"{self._spool.step_directory(node, key)}/lock", os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        else:
            return False
        finally:
            os.close(fd)

    def started(self, node: str, key: StepKey) -> tuple[float, tuple[int, ...]] | None:
        """When the tasks of a living shepherd were started, and their process ids; None = not yet."""
        path = f"{self._spool.step_directory(node, key)}/started"
        try:
            with open(path) as file:
                when, *pids = file.read().split()
        except (FileNotFoundError, ValueError):
            return None
        return float(when), tuple(map(int, pids))

    def pid(self, node: str, key: StepKey) -> int:
        path = Path(self._spool.step_directory(node, key), "pid")
        text = path.read_text().split() if path.exists() else []
        return int(text[0]) if text and text[0].isdigit() else 0

    def kill(self, node: str, key: StepKey) -> None:
        """SIGKILL a shepherd that is alive, and what it left."""
        if self.is_alive(node, key) and (pid := self.pid(node, key)):
            _kill(os.kill, pid)
        self.kill_leftovers(node, key)

    def kill_leftovers(self, node: str, key: StepKey) -> None:
        """After a shepherd's death: its tasks must not live on."""


def _kill(how: Callable[[int, int], None], number: int) -> None:
    try:
        how(number, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass
