"""How do bytes reach a replica, when a service speaks TCP and not HTTP? One connection in, one out, and what comes is passed on."""

import asyncio
from collections.abc import Callable

from corral.daemon.logs import Log
from corral.protocol.routes import Target

_CHUNK = 1 << 16
_CONNECT_SECONDS = 5.0


async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Until one end has nothing more to say; the other is told so."""
    try:
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
    except (OSError, RuntimeError):
        writer.close()


async def join(
    one: tuple[asyncio.StreamReader, asyncio.StreamWriter], other: tuple[asyncio.StreamReader, asyncio.StreamWriter]
) -> None:
    """Both ways, until both are over."""
    try:
        await asyncio.gather(pipe(one[0], other[1]), pipe(other[0], one[1]))
    finally:
        one[1].close()
        other[1].close()


class Relay:
    """One TCP port of one service."""

    def __init__(self, name: str, log: Log) -> None:
        self.name = name
        self.targets: tuple[Target, ...] = ()
        self.in_flight: dict[Target, int] = {}
        self.connections = 0  #: that have come
        self._log = log
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def listen(self, host: str, port: int) -> None:
        self._server = await asyncio.start_server(self._on_connection, host, port, backlog=1024)

    def close(self) -> None:
        """No new connections; those that are there go on."""
        if self._server is not None:
            self._server.close()

    async def _on_connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self.connections += 1
        tried: set[Target] = set()
        while (target := self._least(tried)) is not None:
            tried.add(target)
            self.in_flight[target] = self.in_flight.get(target, 0) + 1
            try:
                try:
                    async with asyncio.timeout(_CONNECT_SECONDS):
                        other = await asyncio.open_connection(target.host, target.port)
                except (OSError, TimeoutError):
                    continue
                await join((reader, writer), other)
                return
            finally:
                self.in_flight[target] -= 1
                if not self.in_flight[target]:
                    del self.in_flight[target]
        writer.transport.abort()

    def _least(self, tried: set[Target]) -> Target | None:
        """The one with the fewest connections for its weight."""
        free = [target for target in self.targets if target not in tried and target.weight]
        return min(free, key=lambda one: ((self.in_flight.get(one, 0) + 1) / one.weight, one), default=None)


class Relays:
    """Of all TCP ports."""

    def __init__(self, host: str, log: Log, cannot: Callable[[int], None]) -> None:
        self._host, self._log, self._cannot = host, log, cannot
        self.by_port: dict[int, Relay] = {}

    async def set(self, wanted: dict[int, tuple[str, tuple[Target, ...]]]) -> None:
        """By port: the service's name, and where it leads."""
        for port in [port for port in self.by_port if port not in wanted]:
            self.by_port.pop(port).close()
        for port, (name, targets) in wanted.items():
            relay = self.by_port.get(port)
            if relay is not None and relay.name != name:
                relay.close()
                relay = None
            if relay is None:
                relay = Relay(name, self._log)
                try:
                    await relay.listen(self._host, port)
                except OSError as error:
                    self._log.warning("a port cannot be used", port=port, service=name, error=str(error))
                    self._cannot(port)
                    continue
                self.by_port[port] = relay
            relay.targets = targets
