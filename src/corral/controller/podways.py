"""How do the controller's clients reach a port of a Pod? Through a step of its job that nobody sees, in a container's network.

The other end is agent/relaying.py, and the stream between is daemon/mux.py's: here for asyncio, without sockets. Each connection has its
own room: one from which nobody reads holds up no other.
"""

import asyncio
import signal
from collections import deque

from corral.client.attach import STDERR, LaunchError, NodeEnded, Output
from corral.controller.stepsessions import StepSession
from corral.daemon.mux import CLOSE, DATA, EOF, HEAD, OPEN, ROOM, WINDOW

_PIECE = 64 << 10
#: So many bytes that have come and that no client has read: then nothing more is taken from the Pod, on any connection.
MOST_UNREAD = 8 << 20


class Call:
    """One connection to a port."""

    def __init__(self, way: "PodWay", number: int) -> None:
        self._way, self.number = way, number
        self._heard: asyncio.Queue[bytes] = asyncio.Queue()
        self._credit = WINDOW
        self._owed = 0
        self._room = asyncio.Event()
        self._room.set()
        self.is_closed = False
        self.was_answered = False  #: bytes have come, or the other side has ended in order

    async def send(self, data: bytes) -> None:
        """Waits while the program does not read. What comes after its end is passed over."""
        for at in range(0, len(data), _PIECE):
            piece = data[at : at + _PIECE]
            while self._credit <= 0 and not self.is_closed:
                self._room.clear()
                await self._room.wait()
            if self.is_closed:
                return
            self._credit -= len(piece)
            await self._way.say(DATA, self.number, piece)

    async def end(self) -> None:
        """Nothing more is sent."""
        if not self.is_closed:
            await self._way.say(EOF, self.number)

    async def close(self) -> None:
        """What has come and was not read is given up."""
        while not self._heard.empty():
            self._way.was_read(len(self._heard.get_nowait()))
        if not self.is_closed:
            await self._way.say(CLOSE, self.number)
            self.on_frame(CLOSE, b"")

    async def receive(self) -> bytes:
        """b"" = the program sends nothing more."""
        data = await self._heard.get()
        if not data:
            self._heard.put_nowait(b"")
            return b""
        self._way.was_read(len(data))
        self._owed += len(data)
        if self._owed >= WINDOW // 4 and not self.is_closed:
            owed, self._owed = self._owed, 0
            await self._way.say(ROOM, self.number, owed.to_bytes(4, "big"))
        return data

    def on_frame(self, kind: int, data: bytes) -> None:
        match kind:
            case 2:
                self.was_answered = True
                self._way.unread += len(data)
                self._heard.put_nowait(data)
            case 3:
                self.was_answered = True
                self._heard.put_nowait(b"")
            case 4:
                self.is_closed = True
                self._heard.put_nowait(b"")
                self._room.set()
            case 5:
                self._credit += int.from_bytes(data, "big")
                self._room.set()


class PodWay:
    """To one Pod, as long as `run` runs."""

    def __init__(self, step: StepSession) -> None:
        self._step = step
        self._calls: dict[int, Call] = {}
        self._numbers = 0
        self._partial = bytearray()
        self._held: deque[Output] = deque()  #: taken, and not told to be
        self.unread = 0
        self.problem = ""

    async def dial(self, place: str) -> Call:
        """A port, or what else agent/relaying.py knows."""
        self._numbers += 1
        call = self._calls[self._numbers] = Call(self, self._numbers)
        await self.say(OPEN, self._numbers, place.encode())
        return call

    async def say(self, kind: int, number: int, data: bytes = b"") -> None:
        await self._step.type(HEAD.pack(kind, number, len(data)) + data)

    async def run(self) -> None:
        """Until the step has ended; then all calls are closed."""
        try:
            while (event := await self._step.next()) is not None:
                match event:
                    case Output(_, stream, data, _):
                        if data and stream != STDERR:
                            self._feed(data)
                        self._held.append(event)
                        self.was_read(0)
                    case LaunchError(_, text):
                        self.problem = text
                    case NodeEnded():
                        self.problem = self.problem or "the Pod has ended"
        finally:
            self.close()

    def was_read(self, count: int) -> None:
        """By a client: there is room for more."""
        self.unread -= count
        while self._held and self.unread <= MOST_UNREAD:
            self._step.consumed(self._held.popleft())

    def _feed(self, data: bytes) -> None:
        self._partial += data
        while len(self._partial) >= HEAD.size:
            kind, number, length = HEAD.unpack_from(self._partial)
            if len(self._partial) < HEAD.size + length:
                return
            body = bytes(self._partial[HEAD.size : HEAD.size + length])
            del self._partial[: HEAD.size + length]
            if (call := self._calls.get(number)) is not None:
                call.on_frame(kind, body)
                if kind == CLOSE:
                    del self._calls[number]

    def close(self) -> None:
        for call in self._calls.values():
            call.on_frame(CLOSE, b"")
        self._calls.clear()
        self._step.end_of_input()
        self._step.signal(signal.SIGTERM)
        self._step.close()
