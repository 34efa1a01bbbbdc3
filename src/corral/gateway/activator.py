"""What becomes of a request while its service has no replica? It waits here, and that somebody waits is told; then it goes on.

Caddy sends what it has no replica for to a unix socket, one for each port of a service. The connection is held, bounded in number and
time, until the routing table has a replica, and then bytes are passed both ways. HTTP that has waited in vain is answered with 503 and
why; other connections are closed.
"""

import asyncio
import os
from pathlib import Path

from corral.daemon.logs import Log
from corral.gateway.relay import join
from corral.gateway.waiting import GivenUp, Waiting
from corral.protocol.routes import PortRoute, ServiceRoute

#: Bytes that are taken before there is a replica: of a request, of all together. What is more waits with its caller.
_MOST_SAID, _MOST_IN_ALL = 1 << 18, 1 << 26
_CHUNK = 1 << 14


class Said:
    """How much is kept of what waits, for all services."""

    def __init__(self) -> None:
        self.bytes = 0


class Activator:
    """The sockets."""

    def __init__(self, directory: Path, waiting: Waiting, log: Log) -> None:
        self.directory = directory
        self._waiting, self._log = waiting, log
        self._doors: dict[str, Door] = {}
        self._said = Said()

    async def set(self, ports: dict[str, tuple[ServiceRoute, PortRoute]]) -> None:
        """By key: all that there are."""
        self.directory.mkdir(mode=0o700, exist_ok=True)
        for name in [name for name in self._doors if name not in ports]:
            self._doors.pop(name).close()
        for name, (service, port) in ports.items():
            door = self._doors.get(name)
            if door is None:
                door = self._doors[name] = Door(self.directory / name, service, port, self._waiting, self._said)
                await door.open()
            before, door.service, door.port = door.port, service, port
            if before.targets != port.targets:
                self._waiting.changed(service.key)


class Door:
    """Behind which requests for one port of one service wait."""

    def __init__(self, path: Path, service: ServiceRoute, port: PortRoute, waiting: Waiting, said: Said) -> None:
        self._path, self.service, self.port, self._waiting, self._said = path, service, port, waiting, said
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        temporary = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        temporary.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._on_connection, temporary, backlog=4096, limit=_CHUNK)
        os.replace(temporary, self._path)

    def close(self) -> None:
        self._server.close()
        self._path.unlink(missing_ok=True)

    async def _on_connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        said = bytearray()
        waits = asyncio.create_task(self._waiting.connection(self.service.key, lambda: self.port.targets))
        listens = asyncio.create_task(_listen(reader, said, self._said))
        await asyncio.wait((waits, listens), return_when=asyncio.FIRST_COMPLETED)
        for one in (waits, listens):
            one.cancel()
        found, _ = await asyncio.gather(waits, listens, return_exceptions=True)
        self._said.bytes -= len(said)
        if isinstance(found, tuple):
            _, other = found
            other[1].write(bytes(said))
            await join((reader, writer), other)
            return
        if isinstance(found, GivenUp) and self.port.speech == "http":
            await _refuse(reader, writer, self.service, str(found))
        writer.close()


async def _listen(reader: asyncio.StreamReader, said: bytearray, all_said: Said) -> None:
    """What a caller says while it waits is kept, up to a limit. Returns when it has gone."""
    while len(said) < _MOST_SAID and all_said.bytes < _MOST_IN_ALL:
        try:
            data = await reader.read(_CHUNK)
        except OSError:
            return
        if not data:
            return
        said += data
        all_said.bytes += len(data)
    await asyncio.Event().wait()


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
