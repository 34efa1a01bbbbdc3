"""In what does a client speak with a command in a Pod: numbered channels of a WebSocket, or streams of SPDY?

Kubernetes' numbers hold for both: 0 typed, 1 and 2 said, 3 how it has ended (a Status), 4 the size of the terminal; 255, with the number
of a channel, is that channel's end. Newer clients use WebSockets (vN.channel.k8s.io), older ones SPDY, which the server
(controller/api/upgrades.py) passes on as a WebSocket of the protocol SPDY/3.1+NAME; kubectl's port-forward speaks SPDY through WebSockets
under the same name.
"""

import asyncio
from typing import Protocol

from starlette.websockets import WebSocket, WebSocketDisconnect

from corral.controller.api.kube.spdy import Data, Framer, NotSpdy, Opened, Ping

STDIN, STDOUT, STDERR, ERROR, RESIZE, CLOSE = 0, 1, 2, 3, 4, 255
SPDY = "SPDY/3.1+"
#: Seconds in which a client opens the streams that it has asked for.
_PATIENCE = 30.0
_TYPES = {"stdin": STDIN, "stdout": STDOUT, "stderr": STDERR, "error": ERROR, "resize": RESIZE}


class Channels(Protocol):
    async def open(self, wanted: frozenset[int]) -> None:
        """Until there are these. Raises WebSocketDisconnect."""

    async def receive(self) -> tuple[int, bytes]:
        """Raises WebSocketDisconnect when the client has gone."""

    async def send(self, channel: int, data: bytes) -> None: ...

    async def close(self) -> None: ...


class Numbered:
    """The first byte of each message is its channel."""

    def __init__(self, socket: WebSocket) -> None:
        self._socket = socket

    async def open(self, wanted: frozenset[int]) -> None:
        pass

    async def receive(self) -> tuple[int, bytes]:
        while True:
            try:
                data = await self._socket.receive_bytes()
            except KeyError:
                raise WebSocketDisconnect from None  # text, which there is not here
            if data:
                return data[0], data[1:]

    async def send(self, channel: int, data: bytes) -> None:
        await self._socket.send_bytes(bytes((channel,)) + data)

    async def close(self) -> None:
        await self._socket.close(1000)


class Spdy:
    """A stream for each channel, which the client opens."""

    def __init__(self, socket: WebSocket) -> None:
        self._socket, self._framer = socket, Framer()
        self._streams: dict[int, int] = {}  #: channel -> stream
        self._channels: dict[int, int] = {}
        self._heard: list[tuple[int, bytes]] = []
        self._size = b""

    async def open(self, wanted: frozenset[int]) -> None:
        try:
            async with asyncio.timeout(_PATIENCE):
                while not wanted <= self._streams.keys():
                    await self._read()
        except TimeoutError:
            raise WebSocketDisconnect from None

    async def receive(self) -> tuple[int, bytes]:
        while not self._heard:
            await self._read()
        return self._heard.pop(0)

    async def _read(self) -> None:
        try:
            for event in self._framer.feed(await self._socket.receive_bytes()):
                await self._take(event)
        except (NotSpdy, KeyError):
            raise WebSocketDisconnect from None

    async def _take(self, event: object) -> None:
        match event:
            case Opened(stream, headers):
                channel = _TYPES.get(headers.get("streamtype", ""))
                if channel is None or channel in self._streams:
                    await self._socket.send_bytes(self._framer.reset(stream))
                    return
                self._streams[channel], self._channels[stream] = stream, channel
                await self._socket.send_bytes(self._framer.reply(stream))
            case Data(stream, data, is_last) if (known := self._channels.get(stream)) is not None:
                if known == RESIZE:
                    *sizes, self._size = (self._size + data).replace(b"}", b"}\n").split(b"\n")
                    self._heard += [(RESIZE, size) for size in sizes if size.strip()]
                elif data:
                    self._heard.append((known, data))
                if is_last:
                    self._heard.append((CLOSE, bytes((known,))))
            case Ping(number):
                await self._socket.send_bytes(self._framer.pong(number))

    async def send(self, channel: int, data: bytes) -> None:
        """What the client has no stream for is passed over."""
        if (stream := self._streams.get(channel)) is not None:
            await self._socket.send_bytes(self._framer.data(stream, data))

    async def close(self) -> None:
        ends = [self._framer.data(stream, b"", is_last=True) for stream in self._streams.values()]
        await self._socket.send_bytes(b"".join(ends) + self._framer.goodbye())
        await self._socket.close(1000)


def channels_of(socket: WebSocket, protocol: str) -> Channels:
    return Spdy(socket) if protocol.startswith(SPDY) else Numbered(socket)
