"""What does a shepherd wait for? Descriptors, children and times, in one poll(2)."""

import os
import select
import signal
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count

from corral.daemon import clock

Callback = Callable[[], None]


class Timer:
    __slots__ = ("callback",)

    def __init__(self, callback: Callback | None) -> None:
        self.callback = callback


class Reactor:
    """A loop without threads or coroutines, small enough to be had a thousand times."""

    def __init__(self) -> None:
        self._poll = select.poll()
        self._readers: dict[int, Callback] = {}
        self._writers: dict[int, Callback] = {}
        self._timers: list[tuple[float, int, Timer]] = []
        self._order = count()
        self.on_child: Callback = lambda: None
        self._wake_read, self._wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        self.add_reader(self._wake_read, self._on_wake)

    def clear(self) -> None:
        """As new, for another step."""
        self._poll = select.poll()
        self._readers.clear()
        self._writers.clear()
        self._timers.clear()
        self.on_child = lambda: None
        self.add_reader(self._wake_read, self._on_wake)

    def close(self) -> None:
        signal.set_wakeup_fd(-1)
        os.close(self._wake_read)
        os.close(self._wake_write)

    def add_reader(self, fd: int, callback: Callback) -> None:
        self._readers[fd] = callback
        self._register(fd)

    def remove_reader(self, fd: int) -> None:
        if self._readers.pop(fd, None):
            self._register(fd)

    def add_writer(self, fd: int, callback: Callback) -> None:
        if self._writers.get(fd) != callback:
            self._writers[fd] = callback
            self._register(fd)

    def remove_writer(self, fd: int) -> None:
        if self._writers.pop(fd, None):
            self._register(fd)

    def forget(self, fd: int) -> None:
        """Before it is closed."""
        self._readers.pop(fd, None)
        self._writers.pop(fd, None)
        self._register(fd)

    def call_later(self, seconds: float, callback: Callback) -> Timer:
        timer = Timer(callback)
        heappush(self._timers, (clock.monotonic() + seconds, next(self._order), timer))
        return timer

    def cancel(self, timer: object | None) -> None:
        if isinstance(timer, Timer):
            timer.callback = None

    def run_once(self, most: float | None = None) -> None:
        """Wait for one thing or several, at most so many seconds, and call what is due."""
        wait = most
        while self._timers and self._timers[0][2].callback is None:
            heappop(self._timers)
        if self._timers:
            left = max(0.0, self._timers[0][0] - clock.monotonic())
            wait = left if wait is None else min(wait, left)
        for fd, what in self._poll.poll(None if wait is None else wait * 1000 + 0.5):
            reader, writer = self._readers.get(fd), self._writers.get(fd)
            if reader is not None and what & ~select.POLLOUT:
                reader()
            if writer is not None and what & ~select.POLLIN and self._writers.get(fd) is writer:
                writer()
        now = clock.monotonic()
        while self._timers and self._timers[0][0] <= now:
            if (callback := heappop(self._timers)[2].callback) is not None:
                callback()

    def _register(self, fd: int) -> None:
        what = (select.POLLIN if fd in self._readers else 0) | (select.POLLOUT if fd in self._writers else 0)
        if what:
            self._poll.register(fd, what)
        else:
            try:
                self._poll.unregister(fd)
            except KeyError:
                pass

    def _on_wake(self) -> None:
        try:
            while len(os.read(self._wake_read, 4096)) == 4096:
                pass
        except BlockingIOError:
            pass
        self.on_child()
