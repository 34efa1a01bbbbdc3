"""What does the spawner's own process do? spawner.py says what for.

It is small, has one thread and no network, and knows nothing of a step but its directory.
"""

import gc
import os
import select
import signal
import socket
import sys
import traceback
from collections import deque
from typing import NoReturn

import msgspec

from corral.agent import processes, shift, tasks
from corral.agent.control import ShepherdSettings
from corral.agent.spawner import SPAWNER_SOCKET
from corral.agent.vfork import Spawn
from corral.daemon import clock

#: Shepherds that wait for another step, and how long while there is none.
_MOST_IDLE = 8
_IDLE_MILLISECONDS = 1000
#: Launches begun at once: more would only take the processors from each other, and find no shepherd to use again.
_MOST_BEGINNING = max(4, 2 * (os.cpu_count() or 1))
#: A shepherd that has not said within so many seconds that its tasks run is not waited for.
_BEGIN_SECONDS = 0.5


def main() -> None:
    """The spawner itself, in its own interpreter."""
    state_dir, settings = sys.argv[1], msgspec.json.decode(sys.argv[2], type=ShepherdSettings)
    os.closerange(SPAWNER_SOCKET + 1, 4096)  # whatever the agent was started with is no task's
    sock = socket.socket(fileno=SPAWNER_SOCKET)
    os.set_inheritable(SPAWNER_SOCKET, False)
    _leave_agents_files(state_dir)
    tasks.catch_signals()  # it ends with its agent: at the end of the socket
    processes.set_name("corral-spawner")
    spawn = shift.warm_up(settings)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps
    gc.collect()
    gc.freeze()  # a collection would touch, and so copy, every page in every shepherd
    gc.disable()
    Spawner(sock, settings, spawn).serve()


class Spawner:
    """Forks shepherds, and gives those that have done their step another one while there is work.

    A fork costs the most in the copies that the child makes of the pages it touches. So a shepherd whose step is over says so
    over its own socket, and waits there for the next directory. Few are kept waiting, and not for long.
    """

    def __init__(self, agent: socket.socket, settings: ShepherdSettings, spawn: Spawn | None) -> None:
        self._agent, self._settings, self._spawn = agent, settings, spawn
        self._shepherds: set[int] = set()  #: the socket to each
        self._idle: list[int] = []
        self._waiting: deque[bytes] = deque()
        self._beginning: dict[int, float] = {}  #: since when, for each that is not known to have begun
        self._rest = b""
        self._poll = select.poll()
        self._poll.register(self._agent.fileno(), select.POLLIN)

    def serve(self) -> None:
        while True:
            # What has come is read between any two launches, so that the agent hardly ever waits for the socket.
            ready = self._poll.poll(self._patience())
            for fd, _ in ready:
                if fd == SPAWNER_SOCKET:
                    self._read_orders()
                else:
                    self._hear(fd)
            if self._waiting and self._has_room():
                self._launch(self._waiting.popleft())
            elif not ready and not self._waiting:
                while self._idle:
                    self._forget(self._idle.pop())

    def _patience(self) -> int | None:
        """Milliseconds to wait for something to read."""
        if self._waiting:
            return 0 if self._has_room() else 20
        return _IDLE_MILLISECONDS if self._idle else None

    def _has_room(self) -> bool:
        if len(self._beginning) < _MOST_BEGINNING:
            return True
        late = clock.monotonic() - _BEGIN_SECONDS
        for fd in [fd for fd, since in self._beginning.items() if since < late]:
            del self._beginning[fd]
        return len(self._beginning) < _MOST_BEGINNING

    def _read_orders(self) -> None:
        data = self._agent.recv(262144)
        if not data:
            os._exit(0)
        *lines, self._rest = (self._rest + data).split(b"\n")
        self._waiting += lines

    def _hear(self, fd: int) -> None:
        self._beginning.pop(fd, None)
        try:
            word = os.read(fd, 16)
        except OSError:
            word = b""
        if not word:
            self._forget(fd)
        elif word == shift.IDLE:
            self._idle.append(fd)
            if len(self._idle) > _MOST_IDLE:
                self._forget(self._idle.pop(0))

    def _forget(self, fd: int) -> None:
        """It has ended; or, if it is idle, it will."""
        self._poll.unregister(fd)
        self._shepherds.discard(fd)
        self._beginning.pop(fd, None)
        if fd in self._idle:
            self._idle.remove(fd)
        os.close(fd)

    def _launch(self, directory: bytes) -> None:
        while self._idle:
            fd = self._idle.pop()
            try:
                os.write(fd, directory)
            except OSError:
                self._forget(fd)  # it has been killed
                continue
            self._beginning[fd] = clock.monotonic()
            return
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            pid = os.fork()
        except OSError as error:
            self._agent.sendall(f"{error.errno} {directory.decode()}\n".encode())
            return
        if pid == 0:
            self._become_shepherd(directory.decode(), theirs.detach(), ours.detach())
        theirs.close()
        fd = ours.detach()
        self._shepherds.add(fd)
        self._poll.register(fd, select.POLLIN)
        self._beginning[fd] = clock.monotonic()

    def _become_shepherd(self, directory: str, spawner: int, others_end: int) -> NoReturn:
        try:
            os.setsid()
            self._agent.close()
            for fd in (*self._shepherds, others_end):
                os.close(fd)  # each must see when the spawner ends
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            processes.become_subreaper()
            processes.set_name("corral-shepherd")
            shift.serve(directory, self._settings, self._spawn, spawner)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)


def _leave_agents_files(state_dir: str) -> None:
    """Whoever reads what the agent writes must not wait for the last shepherd's end."""
    null = os.open("/dev/null", os.O_RDWR)
    log = os.open(f"{state_dir}/shepherds.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)
    for target, source in ((0, null), (1, log), (2, log)):
        os.dup2(source, target)
    os.close(null)
    os.close(log)
    os.chdir("/")
    os.umask(0o022)
