"""How is a program started that outlives who started it, known to be ours, and kept alive?"""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path

from corral.daemon import clock
from corral.daemon.logs import Log
from corral.errors import CorralError

_START_SECONDS = 20.0
_LOOK_SECONDS = 0.005
#: One that has died again within so many seconds waits as long.
_QUICK = 2.0


class ProgramFailed(CorralError):
    """{program} cannot be used: {reason}"""


class Program:
    """One of them. It has a session of its own; its pid lies beside its log."""

    def __init__(self, name: str, directory: Path, mark: Path, log: Log) -> None:
        self.name = name
        self.pid = 0
        self.restarts = 0
        self._pid_file = directory / f"{name}.pid"
        self.log_file = directory / f"{name}.log"
        self._mark = mark  #: a path that is in its command line, and in no other's
        self._log = log
        self._gone = asyncio.Event()
        self._gone.set()

    def adopt(self) -> bool:
        """Take over the one that an earlier daemon has left running."""
        try:
            pid = int(self._pid_file.read_text())
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except (OSError, ValueError):
            return False
        if os.fsencode(self._mark) in words:
            self._watch(pid)
        return self.pid != 0

    async def start(
        self,
        command: list[str],
        environment: Mapping[str, str],
        answers: Callable[[], Awaitable[bool]],
        given: Iterable[int] = (),
    ) -> bool:
        """Until it answers; False when it has ended instead. It has the files that are `given`, by the same numbers."""
        pid = self._spawn(command, environment, given)
        self._pid_file.write_text(f"{pid}\n")
        self._watch(pid)
        until = clock.monotonic() + _START_SECONDS
        while self.pid and clock.monotonic() < until:
            if await answers():
                return True
            await asyncio.sleep(_LOOK_SECONDS)
        self.stop()
        return False

    def _spawn(self, command: list[str], environment: Mapping[str, str], given: Iterable[int]) -> int:
        writing = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        return os.posix_spawn(
            command[0],
            command,
            environment,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, str(self.log_file), writing, 0o600),
                (os.POSIX_SPAWN_DUP2, 1, 2),
                *((os.POSIX_SPAWN_DUP2, number, number) for number in given),
            ],
            setsid=True,
            setsigmask=(),
            setsigdef=(signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE, signal.SIGUSR1, signal.SIGUSR2),
        )

    async def keep(self, again: Callable[[], Awaitable[None]]) -> None:
        """Whenever it has died, start it again at once."""
        while True:
            await self._gone.wait()
            began = clock.monotonic()
            try:
                await again()
                if self.pid:
                    self._log.info("started", program=self.name, program_pid=self.pid)
            except CorralError as error:
                self._log.error("a program does not start", error, program=self.name)
            self.restarts += 1
            if self._gone.is_set() and clock.monotonic() - began < _QUICK:
                await asyncio.sleep(_QUICK)

    def _watch(self, pid: int) -> None:
        """Learn at once that it has ended."""
        try:
            handle = os.pidfd_open(pid)
        except ProcessLookupError:
            return
        self.pid = pid
        self._gone.clear()
        loop = asyncio.get_running_loop()

        def ended() -> None:
            loop.remove_reader(handle)
            os.close(handle)
            try:
                os.waitpid(pid, os.WNOHANG)
            except ChildProcessError:
                pass
            if self.pid == pid:
                self.pid = 0
                self._gone.set()

        loop.add_reader(handle, ended)

    async def end(self) -> None:
        """At once, and until it is gone."""
        self.stop(signal.SIGKILL)
        await self._gone.wait()

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        if self.pid:
            try:
                os.kill(self.pid, how)
            except ProcessLookupError:
                pass

    def last_words(self) -> str:
        try:
            lines = self.log_file.read_text(errors="replace").splitlines()
        except OSError:
            lines = []
        telling = [line for line in lines if line.startswith("Error:")]
        return (telling or lines or ["it ended at once"])[-1]
