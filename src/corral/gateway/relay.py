"""How do bytes reach a replica, when a service speaks TCP and not HTTP? One connection in, one out, and what comes is passed on."""

import asyncio
from hashlib import sha256

from corral.daemon.logs import Log
from corral.gateway.waiting import GivenUp, Waiting
from corral.protocol.routes import PortRoute, ServiceRoute, Target

_CHUNK = 1 << 16


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

    def __init__(self, service: ServiceRoute, port: PortRoute, waiting: Waiting, log: Log) -> None:
        self.service, self.port = service, port
        self.in_flight: dict[Target, int] = {}
        self.connections = 0  #: that have come
        self._waiting, self._log = waiting, log
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def name(self) -> str:
        return f"{self.service.namespace}/{self.service.name}:{self.port.port}"

    async def listen(self, addresses: tuple[str, ...], port: int) -> None:
        self._server = await asyncio.start_server(self._on_connection, list(addresses), port, backlog=1024)

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
        peer = str((writer.get_extra_info("peername") or ("",))[0])
        try:
            target, other = await self._waiting.connection(self.service.key, lambda: self.in_order(peer))
        except GivenUp as given_up:
            self._log.info("a connection was given up", service=self.name, why=str(given_up))
            writer.transport.abort()
            return
        self.in_flight[target] = self.in_flight.get(target, 0) + 1
        try:
            await join((reader, writer), other)
        finally:
            self.in_flight[target] -= 1
            if not self.in_flight[target]:
                del self.in_flight[target]

    def in_order(self, peer: str) -> tuple[Target, ...]:
        """Those with the fewest connections for their weight first; where a client is to stay with its replica, that one.

        Which that is, is drawn by rendezvous hashing (Thaler and Ravishankar, 1998): a replica that goes moves its own clients alone.
        """
        taking = [target for target in self.port.targets if target.weight]
        if self.service.traffic.sticky == "client-ip":
            return tuple(sorted(taking, key=lambda one: sha256(f"{peer} {one.pod or one.address}".encode()).digest()))
        return tuple(sorted(taking, key=lambda one: ((self.in_flight.get(one, 0) + 1) / one.weight, one)))


class Relays:
    """Of all TCP ports."""

    def __init__(self, waiting: Waiting, log: Log) -> None:
        self._waiting, self._log = waiting, log
        self._addresses: tuple[str, ...] = ()
        self.by_port: dict[int, Relay] = {}
        self.unusable: set[int] = set()

    async def set(self, wanted: dict[int, tuple[ServiceRoute, PortRoute]], addresses: tuple[str, ...]) -> None:
        """By the port to listen on, at these addresses."""
        if addresses != self._addresses:
            self._addresses = addresses
            while self.by_port:
                self.by_port.popitem()[1].close()
        self.unusable &= set(wanted)
        for number in [number for number in self.by_port if number not in wanted]:
            self.by_port.pop(number).close()
        for number, (service, port) in wanted.items():
            relay = self.by_port.get(number)
            if relay is None or relay.service.key != service.key:
                if relay is not None:
                    relay.close()
                relay = Relay(service, port, self._waiting, self._log)
                try:
                    await relay.listen(addresses, number)
                except OSError as error:
                    self.by_port.pop(number, None)
                    if number not in self.unusable:
                        self._log.warning("a port cannot be used", port=number, service=relay.name, error=str(error))
                    self.unusable.add(number)
                    continue
                self.unusable.discard(number)
                self.by_port[number] = relay
            before, relay.service, relay.port = relay.port, service, port
            if before.targets != port.targets:
                self._waiting.changed(service.key)
