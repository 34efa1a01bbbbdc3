"""How are connections served? uvicorn's protocol, on sockets of our own, that knows which process connected."""

import asyncio
from typing import Any, cast

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from corral.auth import peer


class PeerProtocol(HttpToolsProtocol):
    """HTTP on a unix socket or TLS; a unix socket's peer goes into each request's scope."""

    peer: tuple[int, int, int] | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        connection = transport.get_extra_info("socket")
        if connection is not None and connection.family == 1:  # AF_UNIX
            try:
                self.peer = peer.credentials(connection)
            except OSError:
                self.peer = None

    def on_message_begin(self) -> None:
        super().on_message_begin()
        cast("dict[str, Any]", self.scope)["corral.peer"] = self.peer


class HttpServer:
    """Listens on sockets that are open already."""

    def __init__(self, app: Any) -> None:
        self._config = Config(
            app, log_config=None, access_log=False, lifespan="off", ws="none", http=PeerProtocol, timeout_keep_alive=75,
            server_header=False, date_header=False, h11_max_incomplete_event_size=1 << 16,
        )  # fmt: skip
        self._config.load()
        self._state = ServerState()
        self._servers: list[asyncio.Server] = []

    def _protocol(self) -> asyncio.Protocol:
        return PeerProtocol(config=self._config, server_state=self._state, app_state={})

    async def listen(self, sock: Any, ssl: Any = None) -> None:
        loop = asyncio.get_running_loop()
        if sock.family == 1:
            server = await loop.create_unix_server(self._protocol, sock=sock, backlog=4096)
        else:
            server = await loop.create_server(self._protocol, sock=sock, ssl=ssl, backlog=1024)
        self._servers.append(server)

    async def close(self, grace: float = 2.0) -> None:
        """No new connections; those that wait are let go of."""
        for server in self._servers:
            server.close()
        for connection in list(self._state.connections):
            connection.shutdown()
        if self._state.tasks:
            _, late = await asyncio.wait(list(self._state.tasks), timeout=grace)
            for task in late:
                task.cancel()
