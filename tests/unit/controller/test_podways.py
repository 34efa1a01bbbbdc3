"""Connections to a Pod's ports through one step: each at its own pace, and never more in memory than is to be."""

import asyncio
from collections.abc import Coroutine
from typing import Any, cast

from corral.client.attach import STDOUT, Output
from corral.controller.podways import MOST_UNREAD, PodWay
from corral.controller.stepsessions import StepSession
from corral.daemon.mux import CLOSE, DATA, EOF, HEAD, OPEN, ROOM, WINDOW


class Step:
    """The relay's end, as the test plays it."""

    def __init__(self) -> None:
        self.heard: asyncio.Queue[Output | None] = asyncio.Queue()
        self.is_idle = asyncio.Event()  #: all that was said has been heard
        self.typed = bytearray()
        self.consumed_bytes = 0
        self.has_ended = False

    async def next(self) -> Output | None:
        if self.heard.empty():
            self.is_idle.set()
        return await self.heard.get()

    async def type(self, data: bytes) -> None:
        self.typed += data

    def consumed(self, output: Output) -> None:
        self.consumed_bytes += len(output.data)

    def end_of_input(self) -> None:
        self.has_ended = True

    def signal(self, number: int) -> None: ...

    def close(self) -> None: ...

    def say(self, kind: int, number: int, data: bytes = b"") -> None:
        self.is_idle.clear()
        self.heard.put_nowait(Output(0, 0, STDOUT, HEAD.pack(kind, number, len(data)) + data, 0, False))

    def frames(self) -> list[tuple[int, int, bytes]]:
        found = []
        while self.typed:
            kind, number, length = HEAD.unpack_from(self.typed)
            found.append((kind, number, bytes(self.typed[HEAD.size : HEAD.size + length])))
            del self.typed[: HEAD.size + length]
        return found


def conversation(body: "Any") -> None:
    async def run() -> None:
        step = Step()
        way = PodWay(cast(StepSession, step))
        running = asyncio.create_task(way.run())
        try:
            await asyncio.wait_for(cast("Coroutine[Any, Any, None]", body(step, way)), 30)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    asyncio.run(run())


def test_what_is_sent_and_what_comes_back() -> None:
    async def body(step: Step, way: PodWay) -> None:
        call = await way.dial("8080")
        await call.send(b"hello")
        await call.end()
        assert step.frames() == [(OPEN, 1, b"8080"), (DATA, 1, b"hello"), (EOF, 1, b"")]
        step.say(DATA, 1, b"you")
        step.say(EOF, 1)
        assert [await call.receive(), await call.receive()] == [b"you", b""]
        assert call.was_answered

    conversation(body)


def test_where_nobody_listens_the_call_is_closed_and_was_not_answered() -> None:
    async def body(step: Step, way: PodWay) -> None:
        call = await way.dial("9")
        step.say(CLOSE, 1)
        assert await call.receive() == b""
        assert not call.was_answered

    conversation(body)


def test_a_program_that_does_not_read_holds_up_its_own_connection_alone() -> None:
    async def body(step: Step, way: PodWay) -> None:
        slow, other = await way.dial("1"), await way.dial("2")
        sending = asyncio.create_task(slow.send(b"x" * (WINDOW + 1)))
        await other.send(b"y")
        assert not sending.done()
        assert step.frames()[-1] == (DATA, 2, b"y")
        step.say(ROOM, 1, (1000).to_bytes(4, "big"))
        await sending

    conversation(body)


def test_what_no_client_reads_is_not_taken_without_bounds() -> None:
    async def body(step: Step, way: PodWay) -> None:
        calls = [await way.dial(str(number)) for number in range(1, 5)]
        step.frames()
        for number in range(1, 5):
            for _ in range(4):
                step.say(DATA, number, b"z" * (1 << 20))
        await step.is_idle.wait()
        assert step.consumed_bytes <= MOST_UNREAD + (1 << 20)
        for call in calls[:3]:
            for _ in range(4):
                await call.receive()
        await calls[3].close()
        assert way.unread == 0
        assert step.consumed_bytes > 16 << 20

    conversation(body)
