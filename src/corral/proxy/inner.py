"""The job's end of one exchange: how does an answer come to the browser without being copied more often than it must?

What comes is handed on at once, piece by piece, while the browser takes it; only the head of an answer is kept here until it is whole.
"""

import asyncio
from typing import cast

from corral.proxy.messages import BadMessage, Body

#: So much may wait for the browser before the job is read no further.
MOST_WAITING = 1 << 20


class Inner(asyncio.Protocol):
    """One connection. Its head() and pour() are asked for one after another."""

    def __init__(self, most_head: int) -> None:
        self._most_head = most_head
        self._transport: asyncio.Transport | None = None
        self._early = bytearray()  #: what nobody has asked for yet
        self._has_ended = False
        self._news = asyncio.Event()  #: something has come, or the end
        self._may_write = asyncio.Event()
        self._may_write.set()
        self._sink: asyncio.StreamWriter | None = None
        self._body = Body(0)
        self._poured: asyncio.Future[bool] | None = None
        self._waits: asyncio.Task[None] | None = None

    # ------------------------------------------------------------------ what the loop says

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self._sink is not None:
            self._hand_on(data)
            return
        self._early += data
        self._news.set()
        if len(self._early) > self._most_head and self._transport is not None:
            self._transport.pause_reading()

    def eof_received(self) -> bool:
        self._on_end()
        return True  # the browser may still send

    def connection_lost(self, error: Exception | None) -> None:
        self._on_end()
        self._may_write.set()

    def pause_writing(self) -> None:
        self._may_write.clear()

    def resume_writing(self) -> None:
        self._may_write.set()

    def _on_end(self) -> None:
        self._has_ended = True
        self._news.set()
        self._end_pouring(self._body.is_over)

    # ------------------------------------------------------------------ towards the job

    def write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    async def drain(self) -> None:
        if self._transport is None or self._transport.is_closing():
            raise ConnectionResetError("the job has gone")
        await self._may_write.wait()

    def close(self) -> None:
        if self._waits is not None:
            self._waits.cancel()
        if self._transport is not None:
            self._transport.close()

    # ------------------------------------------------------------------ from the job

    async def head(self) -> bytes:
        """The head of an answer; b"" when the connection ends before one. Raises BadMessage."""
        while (end := self._early.find(b"\r\n\r\n")) < 0:
            if len(self._early) > self._most_head:
                raise BadMessage("a head without an end")
            if self._has_ended:
                if self._early.strip():
                    raise BadMessage("half a head")
                return b""
            self._news.clear()
            if self._transport is not None:
                self._transport.resume_reading()
            await self._news.wait()
        head = bytes(self._early[:end])
        del self._early[: end + 4]
        return head

    async def pour(self, sink: asyncio.StreamWriter, body: Body) -> bool:
        """All that comes, until the body is over: is it whole, and nothing behind it? Raises BadMessage."""
        if body.is_over:
            return True
        self._sink, self._body = sink, body
        self._poured = asyncio.get_running_loop().create_future()
        early, self._early = bytes(self._early), bytearray()
        if early:
            self._hand_on(early)
        if self._has_ended:
            self._end_pouring(body.is_over)
        elif self._transport is not None and self._waits is None:
            self._transport.resume_reading()
        try:
            whole = await self._poured
            await sink.drain()
            return whole
        finally:
            self._sink = None

    def _hand_on(self, data: bytes) -> None:
        if self._poured is None or self._poured.done() or self._sink is None:
            return  # behind the end: nobody's
        try:
            taken = self._body.take(data)
        except BadMessage as error:
            self._poured.set_exception(error)
            return
        self._sink.write(taken)
        if len(taken) < len(data) or self._body.is_over:
            self._end_pouring(len(taken) == len(data))
        elif self._waits is None and self._sink.transport.get_write_buffer_size() > MOST_WAITING:
            assert self._transport is not None
            self._transport.pause_reading()
            self._waits = asyncio.ensure_future(self._wait(self._sink))

    async def _wait(self, sink: asyncio.StreamWriter) -> None:
        """Until the browser has taken what waits."""
        try:
            await sink.drain()
        except OSError:
            self._end_pouring(False)
            return
        self._waits = None
        if self._transport is not None:
            self._transport.resume_reading()

    def _end_pouring(self, whole: bool) -> None:
        if self._poured is not None and not self._poured.done():
            self._poured.set_result(whole)
