"""How does an agent answer the orders about what Pods have said: read it, forget it?"""

import asyncio
import glob
import os
import shutil

from corral.agent import logtimes
from corral.agent.outbox import Outbox
from corral.agent.podrun import directory_of
from corral.daemon import clock
from corral.protocol.orders import ForgetPod, ReadLog
from corral.protocol.reports import LogRead

#: Seconds between two looks whether more has come.
_LOOK_SECONDS = 0.05
#: Bytes read at once on the way back to the last lines.
_BLOCK = 65536
#: Nobody waits for longer.
_LONGEST_WAIT = 30.0
_MOST = 1 << 20
#: Bytes of a log, and seconds between two looks whether one is longer.
LONGEST = 50 << 20
_SHORTEN_SECONDS = 10.0


class PodLogs:
    """Each order is a task."""

    def __init__(self, agent: str, pods: str, outbox: Outbox) -> None:
        self._agent, self._pods, self._outbox = agent, pods, outbox
        self._tasks: set[asyncio.Task[None]] = set()

    async def keep_short(self) -> None:
        """For ever: what has become too long goes on in an empty file; the one before is kept as NUMBER.log.1."""
        while True:
            await asyncio.sleep(_SHORTEN_SECONDS)
            await asyncio.to_thread(_shorten, self._pods, LONGEST)

    def obey(self, order: ReadLog | ForgetPod) -> None:
        work = self._read(order) if isinstance(order, ReadLog) else self._forget(order)
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _read(self, order: ReadLog) -> None:
        directory = directory_of(self._pods, order.node, order.namespace, order.name, order.uid)
        path = f"{directory}/{order.container}/{order.number}.log"
        until = clock.monotonic() + min(order.wait, _LONGEST_WAIT)
        most = max(1, min(order.most, _MOST))
        while True:
            try:
                offset, data, size, times = await asyncio.to_thread(_read, path, order, most)
            except FileNotFoundError:
                offset, data, size, times = 0, b"", -1, ()
            except NoTimes:
                return self._tell(order, problem="it is not known when this log was written")
            except OSError as error:
                return self._tell(order, problem=f"{order.node}: {error.strerror}")
            if data or clock.monotonic() >= until:
                break
            await asyncio.sleep(_LOOK_SECONDS)
        if size < 0:
            return self._tell(order, problem="there is no log of this run")
        self._tell(order, offset=offset, data=data, size=size, times=times)

    def _tell(self, order: ReadLog, **what: object) -> None:
        self._outbox.tell(LogRead(agent=self._agent, node=order.node, query=order.query, **what))  # type: ignore[arg-type]

    async def _forget(self, order: ForgetPod) -> None:
        directory = directory_of(self._pods, order.node, order.namespace, order.name, order.uid)
        await asyncio.to_thread(shutil.rmtree, directory, True)


def _shorten(pods: str, longest: int) -> None:
    """The program goes on writing to the end of the same file."""
    for path in glob.iglob(f"{glob.escape(pods)}/*/*/*/*.log"):
        try:
            if os.stat(path).st_size > longest:
                shutil.copyfile(path, f"{path}.1")
                os.truncate(path, 0)
                if os.path.exists(f"{path}.times"):
                    os.truncate(f"{path}.times", 0)
        except OSError:
            continue  # it is gone, or the disk is full


class NoTimes(Exception):
    """Nobody has noted when what was said."""


def _read(path: str, order: ReadLog, most: int) -> tuple[int, bytes, int, tuple[tuple[int, float], ...]]:
    """Where the data begins, the data, the size of the file, when it was said. Raises NoTimes."""
    offset, last_lines = order.offset, order.last_lines
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        size = os.fstat(fd).st_size
        if last_lines is not None:
            offset = _before(fd, size, last_lines)
        elif offset > size:  # it has been cut short
            offset = 0
        times: list[tuple[int, float]] | None = []
        if order.since or order.with_times:
            times = logtimes.read(path)
            if times is None:
                raise NoTimes
        assert times is not None
        if order.since:
            offset = max(offset, _line_from(fd, logtimes.offset_since(times, order.since, size), size))
        data = os.pread(fd, most, offset)
        told = logtimes.within(times, offset, offset + len(data)) if order.with_times else ()
        return offset, data, size, told
    finally:
        os.close(fd)


def _line_from(fd: int, offset: int, size: int) -> int:
    """Where the next line begins, unless one begins there."""
    if not 0 < offset < size or os.pread(fd, 1, offset - 1) == b"\n":
        return offset
    while offset < size:
        block = os.pread(fd, _BLOCK, offset)
        at = block.find(b"\n")
        if at >= 0:
            return offset + at + 1
        offset += len(block)
    return size


def _before(fd: int, size: int, lines: int) -> int:
    """Where the last lines begin."""
    if lines <= 0:
        return size
    wanted = lines + (os.pread(fd, 1, size - 1) == b"\n" if size else 0)
    end = size
    while end > 0:
        start = max(0, end - _BLOCK)
        block = os.pread(fd, end - start, start)
        found = block.count(b"\n")
        if found >= wanted:
            at = len(block)
            for _ in range(wanted):
                at = block.rindex(b"\n", 0, at)
            return start + at + 1
        wanted -= found
        end = start
    return 0
