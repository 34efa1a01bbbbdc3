"""How does a launch cost one fork of a small process, and not the start of an interpreter?

The spawner is an interpreter of its own, without asyncio, threads or a network: the agent starts it once and tells it, over a
socketpair, which step directory holds an order to launch. For each it forks: the child is a shepherd that inherits everything
imported and warmed up here, and leaves at once into its own session. Nobody waits for it; it outlives agent and spawner.

    handle = start(state_dir, settings)
    handle.launch(order_bytes)      the step's directory with `launch` must be there; OSError: the spawner is dead
    handle.fileno()                 readable: handle.failures() names what could not be forked; raises SpawnerDied at its end
    handle.close()                  ends the spawner, no shepherd
"""

import os
import socket
import sys

import msgspec

from corral.agent.control import ShepherdSettings
from corral.model.step import StepKey

#: The spawner's end of the socket to its agent.
SPAWNER_SOCKET = 3
_START = "from corral.agent.spawner_process import main; main()"  # sys.path comes by PYTHONPATH


class SpawnerDied(Exception):
    """The spawner has ended; start a new one."""


class _Head(msgspec.Struct, frozen=True, kw_only=True, tag="LaunchStep"):
    node: str
    key: StepKey


_head = msgspec.msgpack.Decoder(_Head).decode


class SpawnerHandle:
    """The agent's end."""

    def __init__(self, state_dir: str, pid: int, sock: socket.socket) -> None:
        self.pid = pid
        self._steps = f"{state_dir}/steps"
        self._socket = sock
        self._rest = b""

    def fileno(self) -> int:
        return self._socket.fileno()

    def launch(self, order: bytes) -> None:
        """Start the shepherd of this LaunchStep, whose bytes lie in its step's directory already."""
        head = _head(order)
        self._socket.sendall(f"{self._steps}/{head.node}/{head.key}\n".encode())

    def failures(self) -> list[tuple[str, StepKey, int]]:
        """Node, key and errno of launches for which no process could be made. Raises SpawnerDied when it has ended."""
        try:
            data = self._socket.recv(65536, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return []
        except OSError:
            data = b""
        if not data:
            self._reap()
            raise SpawnerDied
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [_failure(line.decode()) for line in lines]

    def close(self) -> None:
        self._socket.close()
        self._reap()

    def _reap(self) -> None:
        try:
            os.waitpid(self.pid, 0)
        except ChildProcessError:
            pass


def _failure(line: str) -> tuple[str, StepKey, int]:
    number, _, directory = line.partition(" ")
    _, node, key = directory.rsplit("/", 2)
    job, step, restart = map(int, key.split("."))
    return node, StepKey(job, step, restart), int(number)  # type: ignore[arg-type]


def start(state_dir: str, settings: ShepherdSettings = ShepherdSettings()) -> SpawnerHandle:  # noqa: B008 - it is frozen
    """Start the spawner of the agent that keeps its state in `state_dir`."""
    state_dir = os.path.abspath(state_dir)
    ours, theirs = socket.socketpair()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    arguments = [sys.executable, "-S", "-s", "-c", _START, state_dir, msgspec.json.encode(settings).decode()]
    actions = [(os.POSIX_SPAWN_DUP2, theirs.fileno(), SPAWNER_SOCKET)]
    pid = os.posix_spawn(sys.executable, arguments, environment, file_actions=actions, setsid=True)
    theirs.close()
    return SpawnerHandle(state_dir, pid, ours)
