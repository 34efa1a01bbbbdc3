"""How does a connection become SPDY's? Handlers see a WebSocket of the protocol SPDY/3.1+NAME, whose messages are the bytes as they come.

Kubernetes' clients before 1.30 upgrade so for exec, those before 1.31 for port-forward. That a client speaks SPDY is said by `Upgrade`;
what for, by X-Stream-Protocol-Version.
"""

import asyncio
from collections.abc import Iterable
from typing import Any

from corral.auth import peer

NAME = b"spdy/3.1"
_STATUS = {
    400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 429: "Too Many Requests",
    500: "Internal Server Error", 503: "Service Unavailable",
}  # fmt: skip
#: Bytes that have come and nobody has read: then no more are read.
_MOST_WAITING = 1 << 20

Message = dict[str, Any]


def protocols_of(headers: Iterable[tuple[bytes, bytes]]) -> list[str]:
    """As the client would rather have them."""
    given = [value.decode("latin-1") for name, value in headers if name == b"x-stream-protocol-version"]
    return [f"SPDY/3.1+{word.strip()}" for value in given for word in value.split(",")]


class SpdyConnection(asyncio.Protocol):
    """From the head of its request on."""

    def __init__(self, app: Any, scope: Message, tasks: "set[asyncio.Task[None]]") -> None:
        self._app = app
        self._scope: Message = {
            **scope, "type": "websocket", "scheme": "ws", "subprotocols": protocols_of(scope["headers"]),
            "extensions": {"websocket.http.response": {}},
        }  # fmt: skip
        self._incoming: asyncio.Queue[Message] = asyncio.Queue()
        self._waiting = 0
        self._writable = asyncio.Event()
        self._writable.set()
        self._is_over = False
        self._tasks = tasks

    def begin(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        connection = transport.get_extra_info("socket")
        self._scope["corral.peer"] = None
        if connection is not None and connection.family == 1:  # AF_UNIX
            try:
                self._scope["corral.peer"] = peer.credentials(connection)
            except OSError:
                pass
        transport.set_protocol(self)
        self._incoming.put_nowait({"type": "websocket.connect"})
        task = asyncio.get_running_loop().create_task(self._run())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self) -> None:
        try:
            await self._app(self._scope, self._receive, self._send)
        except OSError:
            pass  # the client has gone
        finally:
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        self._waiting += len(data)
        self._incoming.put_nowait({"type": "websocket.receive", "bytes": data})
        if self._waiting > _MOST_WAITING:
            self._transport.pause_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_over = True
        self._writable.set()
        self._incoming.put_nowait({"type": "websocket.disconnect", "code": 1006})

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    async def _receive(self) -> Message:
        message = await self._incoming.get()
        if data := message.get("bytes"):
            was_full = self._waiting > _MOST_WAITING
            self._waiting -= len(data)
            if was_full and self._waiting <= _MOST_WAITING and not self._is_over:
                self._transport.resume_reading()
        return message

    async def _send(self, message: Message) -> None:
        await self._writable.wait()
        if self._is_over:
            raise OSError("the client has gone")
        match message["type"]:
            case "websocket.accept":
                protocol = message["subprotocol"].removeprefix("SPDY/3.1+")
                self._transport.write(
                    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n"
                    b"X-Stream-Protocol-Version: " + protocol.encode() + b"\r\n\r\n"
                )
            case "websocket.send":
                self._transport.write(message["bytes"])
            case "websocket.http.response.start":
                status = message["status"]
                head = [f"HTTP/1.1 {status} {_STATUS.get(status, 'Refused')}".encode(), b"Connection: close"]
                head += [name + b": " + value for name, value in message["headers"]]
                self._transport.write(b"\r\n".join(head) + b"\r\n\r\n")
            case "websocket.http.response.body":
                self._transport.write(message.get("body", b""))
                if not message.get("more_body", False):
                    self._transport.close()
            case "websocket.close":
                self._transport.close()
