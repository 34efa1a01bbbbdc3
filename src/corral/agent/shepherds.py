"""How does the agent reach its spawner and its shepherds?"""

import os
import select
import signal
import socket
from collections.abc import Callable
from typing import Protocol

from corral.agent import cgroup, processes
from corral.agent.control import (
    Executed,
    Exited,
    Sampled,
    ShepherdSettings,
    Started,
    bind_datagrams,
    decode_notice,
    send_datagram,
    shepherd_pid,
    was_begun,
)
from corral.agent.spool import Spool
from corral.agent.way import marks
from corral.model.step import StepKey

#: Bytes of notices that wait in the agent's socket while the agent is busy.
_BUFFER = 4 << 20


class Spawner(Protocol):
    """The agent's end of its spawner."""

    @property
    def pid(self) -> int: ...
    def launch(self, order: bytes) -> None: ...
    def fileno(self) -> int: ...
    def failures(self) -> list[tuple[str, StepKey, int]]: ...
    def close(self) -> None: ...


class Shepherds:
    """All shepherds of one agent, found through the spool."""

    def __init__(self, spool: Spool, settings: ShepherdSettings, start_spawner: Callable[[], Spawner]) -> None:
        self._spool, self._settings = spool, settings
        self._start_spawner = start_spawner
        end_spawner_of_before(spool)
        self.spawner = self._started()
        self._socket = bind_datagrams(f"{spool.root}/agent.sock")
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)

    def fileno(self) -> int:
        """Readable when a notice has come."""
        return self._socket.fileno()

    def notices(self) -> list[Started | Exited | Sampled | Executed]:
        result: list[Started | Exited | Sampled | Executed] = []
        while True:
            try:
                data = self._socket.recv(65536)
            except BlockingIOError:
                return result
            try:
                result.append(decode_notice(data))
            except ValueError:
                continue

    def launch(self, order: bytes) -> None:
        self.spawner.launch(order)

    def respawn(self) -> None:
        """A new spawner for one that died."""
        self.spawner = self._started()

    def control(self, node: str, key: StepKey, command: bytes) -> bool:
        """False when the shepherd does not listen (not yet, or no more)."""
        return send_datagram(self._socket, f"{self._spool.step_directory(node, key)}/ctl", command)

    def has_begun(self, node: str, key: StepKey) -> bool:
        """Did a shepherd ever take this step?"""
        return was_begun(self._spool.step_directory(node, key))

    def begun_at(self, node: str, key: StepKey) -> float:
        """When its shepherd took it."""
        return os.stat(f"{self._spool.step_directory(node, key)}/pid").st_mtime

    def is_alive(self, node: str, key: StepKey) -> bool:
        return shepherd_pid(self._spool.step_directory(node, key)) is not None

    def kill(self, node: str, key: StepKey) -> None:
        """SIGKILL a shepherd that obeys no more."""
        if pid := shepherd_pid(self._spool.step_directory(node, key)):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass

    def kill_leftovers(self, node: str, key: StepKey) -> None:
        """What a killed shepherd has left must not live on."""
        for _ in range(50):
            left = cgroup.processes_of(key, node, self._settings)
            left += processes.marked(marks(node, key, self._settings))
            if not left:
                break
            processes.signal_all(left, signal.SIGKILL)
        cgroup.remove_groups(key, node, self._settings)

    def close(self) -> None:
        self._socket.close()
        self.spawner.close()

    def _started(self) -> Spawner:
        spawner = self._start_spawner()
        self._spool.write_spawner(f"{spawner.pid} {_start_time(spawner.pid)}")
        return spawner


def end_spawner_of_before(spool: Spool) -> None:
    """After an agent's death its spawner may still be at work on old orders: these are looked at when it is gone."""
    pid, _, start_time = spool.read_spawner().partition(" ")
    if not pid or _start_time(int(pid)) != start_time:
        return
    try:
        handle = os.pidfd_open(int(pid))
        # Again, now that the number cannot go to another process unnoticed.
        if _start_time(int(pid)) == start_time:
            signal.pidfd_send_signal(handle, signal.SIGKILL)
            _wait_for_end(handle)
        os.close(handle)
    except ProcessLookupError:
        pass


def _wait_for_end(handle: int) -> None:
    poller = select.poll()
    poller.register(handle, select.POLLIN)
    poller.poll(5000)


def _start_time(pid: int) -> str:
    """What tells this process from a later one of the same number; "" = it is dead."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else fields[19]
