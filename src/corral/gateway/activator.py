"""What becomes of a request while its service has no replica? It waits here, and that somebody waits is told; then it goes on.

Caddy sends what it has no replica for to a unix socket, one for each port of a service. The connection is held, bounded in number and
time, until the routing table has a replica, and then bytes are passed both ways. HTTP that has waited in vain is answered with 503 and
why; other connections are closed.
"""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

from corral.daemon.logs import Log
from corral.gateway.relay import join
from corral.model.kube.meta import ObjectKey
from corral.protocol.routes import PortRoute, ServiceRoute, Target

#: A replica that does not take a connection yet is tried again so many seconds later.
_AGAIN_SECONDS = 0.05
_CONNECT_SECONDS = 3.0


class GivenUp(Exception):
    """It has waited long enough, or too many wait already."""


class Waiting:
    """All that wait, for all services."""

    def __init__(self, most: int, seconds: float, on_first: Callable[[], None]) -> None:
        self._most, self._seconds = most, seconds
        self._on_first = on_first
        self.held: dict[ObjectKey, int] = {}
        self._ready: dict[ObjectKey, asyncio.Event] = {}

    def changed(self, key: ObjectKey) -> None:
        """Look again: its replicas are others."""
        if (event := self._ready.get(key)) is not None:
            event.set()

    async def connection(
        self, key: ObjectKey, targets: Callable[[], tuple[Target, ...]]
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """To a replica, as soon as there is one. GivenUp says why there is none."""
        if not targets() and self.held.get(key, 0) >= self._most:
            raise GivenUp(f"{self._most} requests wait for it already")
        self.held[key] = self.held.get(key, 0) + 1
        event = self._ready.setdefault(key, asyncio.Event())
        if self.held[key] == 1 and not targets():
            self._on_first()
        try:
            async with asyncio.timeout(self._seconds):
                while True:
                    event.clear()
                    for target in targets():
                        try:
                            async with asyncio.timeout(_CONNECT_SECONDS):
                                return await asyncio.open_connection(target.host, target.port)
                        except (OSError, TimeoutError):
                            pass
                    try:
                        await asyncio.wait_for(event.wait(), _AGAIN_SECONDS if targets() else None)
                    except TimeoutError:
                        pass
        except TimeoutError:
            raise GivenUp(f"none has become ready in {self._seconds:g} seconds") from None
        finally:
            self.held[key] -= 1
            if not self.held[key]:
                del self.held[key]
                self._ready.pop(key, None)


class Activator:
    """The sockets."""

    def __init__(self, directory: Path, waiting: Waiting, log: Log) -> None:
        self.directory = directory
        self._waiting, self._log = waiting, log
        self._doors: dict[str, Door] = {}

    async def set(self, ports: dict[str, tuple[ServiceRoute, PortRoute]]) -> None:
        """By key: all that there are."""
        self.directory.mkdir(mode=0o700, exist_ok=True)
        for name in [name for name in self._doors if name not in ports]:
            self._doors.pop(name).close()
        for name, (service, port) in ports.items():
            door = self._doors.get(name)
            if door is None:
                door = self._doors[name] = Door(self.directory / name, service, port, self._waiting)
                await door.open()
            before, door.service, door.port = door.port, service, port
            if before.targets != port.targets:
                self._waiting.changed(service.key)


class Door:
    """Behind which requests for one port of one service wait."""

    def __init__(self, path: Path, service: ServiceRoute, port: PortRoute, waiting: Waiting) -> None:
        self._path, self.service, self.port, self._waiting = path, service, port, waiting
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        temporary = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        temporary.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._on_connection, temporary, backlog=4096)
        os.replace(temporary, self._path)

    def close(self) -> None:
        self._server.close()
        self._path.unlink(missing_ok=True)

    async def _on_connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            other = await self._waiting.connection(self.service.key, lambda: self.port.targets)
        except GivenUp as given_up:
            if self.port.speech == "http":
                await _refuse(reader, writer, self.service, str(given_up))
            writer.close()
            return
        await join((reader, writer), other)


async def _refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, service: ServiceRoute, why: str) -> None:
    body = f"service {service.namespace}/{service.name} has no replica that is ready: {why}\n".encode()
    head = f"HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\nRetry-After: 5\r\n"
    writer.write(f"{head}Connection: close\r\n\r\n".encode() + body)
    try:
        await writer.drain()
        # The rest of what it has sent is taken, or the answer would be lost with the connection.
        async with asyncio.timeout(1.0):
            while await reader.read(1 << 16):
                pass
    except (OSError, TimeoutError):
        pass
