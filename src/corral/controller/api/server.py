"""How are connections served? uvicorn's protocol, on sockets of our own, that knows which process connected."""

import asyncio
import math
from typing import Any, cast
from urllib.parse import unquote

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.wsproto_impl import WSProtocol
from uvicorn.server import ServerState

from corral.auth import peer
from corral.controller.api import upgrades

#: Seconds in which the head of a request must be here, and without any of its body, until the connection is given up.
READ_SECONDS = 30.0

_TOO_LATE = b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class PeerProtocol(HttpToolsProtocol):
    """HTTP on a unix socket or TLS; a unix socket's peer goes into each request's scope."""

    peer: tuple[int, int, int] | None = None
    patience = READ_SECONDS
    deadline = math.inf  #: when a request that is half here is waited for no longer
    _in_body = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.deadline = self.loop.time() + self.patience
        connection = transport.get_extra_info("socket")
        if connection is not None and connection.family == 1:  # AF_UNIX
            try:
                self.peer = peer.credentials(connection)
            except OSError:
                self.peer = None

    def data_received(self, data: bytes) -> None:
        if self._in_body:
            self.deadline = self.loop.time() + self.patience
        super().data_received(data)

    def on_headers_complete(self) -> None:
        self._in_body = True
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._in_body, self.deadline = False, math.inf
        super().on_message_complete()

    def _should_upgrade(self) -> bool:
        return self._get_upgrade() == upgrades.NAME or super()._should_upgrade()

    def handle_websocket_upgrade(self) -> None:
        if self._get_upgrade() != upgrades.NAME:
            super().handle_websocket_upgrade()
            return
        self.connections.discard(self)
        path, _, query = self.url.partition(b"?")
        place = {"path": unquote(path.decode("ascii")), "raw_path": path, "query_string": query}
        connection = upgrades.SpdyConnection(self.app, {**self.scope, **place}, self.tasks)
        connection.begin(self.transport)

    def give_up(self) -> None:
        self.transport.write(_TOO_LATE)
        self.transport.close()

    def on_message_begin(self) -> None:
        self.deadline = self.loop.time() + self.patience
        super().on_message_begin()
        cast("dict[str, Any]", self.scope)["corral.peer"] = self.peer


class PeerSocket(WSProtocol):
    """A WebSocket; what is known of a unix socket's peer goes into its scope."""

    async def run_asgi(self) -> None:
        connection = self.transport.get_extra_info("socket")
        found = None
        if connection is not None and connection.family == 1:
            try:
                found = peer.credentials(connection)
            except OSError:
                pass
        cast("dict[str, Any]", self.scope)["corral.peer"] = found
        await super().run_asgi()


class HttpServer:
    """Listens on sockets that are open already."""

    def __init__(self, app: Any, read_seconds: float = READ_SECONDS) -> None:
        self._read_seconds = read_seconds
        self._watch: asyncio.TimerHandle | None = None
        self._config = Config(
            app, log_config=None, access_log=False, lifespan="off", ws=PeerSocket, ws_max_size=1 << 20, http=PeerProtocol,
            timeout_keep_alive=75, server_header=False, date_header=False, h11_max_incomplete_event_size=1 << 16,
        )  # fmt: skip
        self._config.load()
        self._state = ServerState()
        self._servers: list[asyncio.Server] = []

    def _protocol(self) -> asyncio.Protocol:
        protocol = PeerProtocol(config=self._config, server_state=self._state, app_state={})
        protocol.patience = self._read_seconds
        return protocol

    def _look(self) -> None:
        """One look at all of them every so often: a timer for each would cost every request something."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        for connection in list(self._state.connections):
            if isinstance(connection, PeerProtocol) and connection.deadline < now:
                connection.give_up()
        self._watch = loop.call_later(self._read_seconds / 6, self._look)

    async def listen(self, sock: Any, ssl: Any = None) -> None:
        loop = asyncio.get_running_loop()
        if self._watch is None:
            self._look()
        if sock.family == 1:
            server = await loop.create_unix_server(self._protocol, sock=sock, backlog=4096)
        else:
            server = await loop.create_server(self._protocol, sock=sock, ssl=ssl, backlog=1024)
        self._servers.append(server)

    async def close(self, grace: float = 2.0) -> None:
        """No new connections; those that wait are let go of."""
        if self._watch is not None:
            self._watch.cancel()
        for server in self._servers:
            server.close()
        for connection in list(self._state.connections):
            connection.shutdown()
        if self._state.tasks:
            _, late = await asyncio.wait(list(self._state.tasks), timeout=grace)
            for task in late:
                task.cancel()
