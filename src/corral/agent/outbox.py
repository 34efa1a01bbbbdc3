"""Which reports has the controller not yet made durable? They go out in batches, again and again, until it has."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import msgspec

from corral.protocol.codec import encode_reports
from corral.protocol.reports import AnyReport

#: Reports in one bus message, so that none comes near the largest one the bus takes.
BATCH = 500
#: Reports made within so many seconds of each other travel together: ordinary; while there are more than MANY in WINDOW seconds.
GATHER, GATHER_MANY = 0.002, 0.02
MANY, WINDOW = 8, 0.1
RESEND_FIRST = 2.0
RESEND_MOST = 15.0

R = TypeVar("R", bound=AnyReport)


class _Waiting:
    __slots__ = ("due", "pause", "report")

    def __init__(self, report: AnyReport, due: float) -> None:
        self.report, self.due, self.pause = report, due, RESEND_FIRST


class Outbox:
    """The reports of one agent. `publish` sends one encoded batch; what it loses is sent again.

    first_sequence must be above all that an earlier life of this agent used: a late acknowledgement must not hit a new report.
    """

    def __init__(self, publish: Callable[[bytes], Awaitable[None]], first_sequence: int) -> None:
        self._publish = publish
        self._last = first_sequence
        self._fresh: list[AnyReport] = []
        self._waiting: dict[int, _Waiting] = {}
        self._loop = asyncio.get_running_loop()
        self._flush_timer: asyncio.Handle | None = None
        self._resend_timer: asyncio.TimerHandle | None = None
        self._last_flush = 0.0
        self._window = self._in_window = self._in_last_window = 0  #: which window this is, and the reports in it
        self._sending: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._waiting)

    def tell(self, report: AnyReport) -> None:
        """Send once; nobody waits for it to be committed."""
        self._fresh.append(report)
        self._flush_soon()

    def report(self, report: R) -> R:
        """Number it, and send it until it is acknowledged."""
        self._last += 1
        report = msgspec.structs.replace(report, sequence=self._last)
        self._waiting[self._last] = _Waiting(report, self._loop.time() + RESEND_FIRST)
        self._fresh.append(report)
        self._flush_soon()
        if self._resend_timer is None:
            self._resend_timer = self._loop.call_later(RESEND_FIRST, self._resend)
        return report

    def acknowledged(self, sequence: int) -> AnyReport | None:
        """Forget a report; it is returned the first time."""
        waiting = self._waiting.pop(sequence, None)
        return waiting.report if waiting else None

    def drop(self, sequence: int) -> None:
        self._waiting.pop(sequence, None)

    def send_all(self) -> None:
        """The other side may know nothing: send everything that waits, now."""
        now = self._loop.time()
        for waiting in self._waiting.values():
            waiting.pause, waiting.due = RESEND_FIRST, now + RESEND_FIRST
        self._fresh = [waiting.report for waiting in self._waiting.values()]
        self._flush_soon()

    async def flush(self) -> None:
        self._flush()
        while self._sending:
            await asyncio.wait(self._sending)

    def close(self) -> None:
        for timer in (self._flush_timer, self._resend_timer):
            if timer is not None:
                timer.cancel()

    def _flush_soon(self) -> None:
        if self._flush_timer is None:
            now = self._loop.time()
            pause = GATHER_MANY if self._are_many(now) else GATHER
            if now - self._last_flush > pause:
                self._flush_timer = self._loop.call_soon(self._flush)
            else:
                self._flush_timer = self._loop.call_later(pause, self._flush)

    def _are_many(self, now: float) -> bool:
        """Are so many short steps ending that none of them is waited for by itself?"""
        if (window := int(now / WINDOW)) != self._window:
            self._in_last_window = self._in_window if window == self._window + 1 else 0
            self._window, self._in_window = window, 0
        return max(self._in_window, self._in_last_window) > MANY

    def _flush(self) -> None:
        self._flush_timer = None
        self._last_flush = self._loop.time()
        reports, self._fresh = self._fresh, []
        self._in_window += len(reports)
        for start in range(0, len(reports), BATCH):
            task = self._loop.create_task(self._send(encode_reports(reports[start : start + BATCH])))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)

    async def _send(self, batch: bytes) -> None:
        await self._publish(batch)

    def _resend(self) -> None:
        self._resend_timer = None
        now = self._loop.time()
        for waiting in self._waiting.values():
            if waiting.due <= now:
                waiting.pause = min(waiting.pause * 2, RESEND_MOST)
                waiting.due = now + waiting.pause
                self._fresh.append(waiting.report)
        if self._fresh:
            self._flush_soon()
        if self._waiting:
            self._resend_timer = self._loop.call_later(RESEND_FIRST / 2, self._resend)
