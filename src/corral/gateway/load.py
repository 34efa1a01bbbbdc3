"""How much has each service to do? Counted by Caddy, by the relays and by what waits; told to the controller every second."""

import asyncio
import ipaddress
import re
from collections import defaultdict
from collections.abc import Callable, Iterable

import msgspec

from corral.client.connection import Connection
from corral.daemon import clock
from corral.daemon.logs import Log
from corral.errors import Refused, Unreachable
from corral.gateway.admin import CaddyAway
from corral.gateway.caddy import Caddy
from corral.gateway.relay import Relays
from corral.gateway.waiting import Waiting
from corral.model.kube.meta import ObjectKey
from corral.protocol.requests import AddressLoad, ReportLoad, ServiceLoad
from corral.protocol.routes import ServiceRoute

#: Looks at what is in flight, between two reports.
_LOOKS = 4
_REPORT_SECONDS = 1.0
#: A controller hears of a gateway on which nothing happens so often.
_QUIET_REPORTS = 10

_LABELS = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


class Counted(msgspec.Struct):
    """Since Caddy was started."""

    requests: int = 0
    failed: int = 0


class Upstream(msgspec.Struct, frozen=True):
    """As Caddy tells of one."""

    address: str
    num_requests: int = 0
    fails: int = 0


def counted(metrics: str) -> dict[tuple[str, str], Counted]:
    """By server and host: the requests that went to replicas."""
    found: dict[tuple[str, str], Counted] = defaultdict(Counted)
    for line in metrics.splitlines():
        if not line.startswith("caddy_http_request_duration_seconds_count{"):
            continue
        labels = dict(_LABELS.findall(line))
        if labels.get("handler") != "reverse_proxy":
            continue
        number = int(float(line.rpartition(" ")[2]))
        one = found[labels.get("server", ""), labels.get("host", "")]
        one.requests += number
        if labels.get("code", "").startswith("5"):
            one.failed += number
    return dict(found)


def address_of(upstream: str) -> str:
    """127.0.0.1:80 for 7f000001.i.:80 as Caddy has it; "" for what is no replica."""
    host, _, port = upstream.rpartition(":")
    if host.endswith(".i."):
        packed = bytes.fromhex(host.removesuffix(".i."))
        address = str(ipaddress.ip_address(packed))
        return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
    return "" if upstream.startswith("unix/") else upstream


class Sampler:
    """Of one gateway."""

    def __init__(
        self, name: str, endpoint: str, caddy: Caddy, relays: Relays, waiting: Waiting, log: Log,
        services: Callable[[], Iterable[ServiceRoute]], names: Callable[[], dict[tuple[str, str], ObjectKey]],
        more: Callable[[], dict[str, object]],
    ) -> None:  # fmt: skip
        """`names`: which service the requests of a server and host are counted for. `more`: what else is reported."""
        self._name, self._caddy, self._relays, self._waiting, self._log = name, caddy, relays, waiting, log
        self._services, self._names, self._more = services, names, more
        self._connection = Connection(endpoint, timeout=10.0)
        self._hurry = asyncio.Event()
        self._before: dict[tuple[str, str], Counted] = {}
        self._counted: dict[ObjectKey, Counted] = defaultdict(Counted)  #: since the last look
        self._counting = asyncio.Lock()
        self._connections: dict[str, int] = {}
        self._busy: set[ObjectKey] = set()

    def hurry(self) -> None:
        """Somebody waits for a replica: that is told at once."""
        self._hurry.set()

    @property
    def is_busy(self) -> bool:
        """Have there been requests in the last second or two?"""
        return bool(self._busy) or any(counts.requests for counts in self._counted.values())

    async def run(self) -> None:
        quiet, said, last = 0, None, clock.monotonic()
        while True:
            in_flight = await self._look_for_a_while()
            loads = await self._loads(in_flight)
            more = self._more()
            quiet = 0 if loads or more != said else quiet + 1
            if quiet % _QUIET_REPORTS == 0:
                said, before, last = more, last, clock.monotonic()
                await self._report(loads, last - before, more)

    async def _look_for_a_while(self) -> dict[str, list[int]]:
        """Requests in flight by address, several times; for a second, or until somebody is in a hurry."""
        seen: dict[str, list[int]] = {}
        looks = _LOOKS if self._busy else 1  # where nothing has happened, nothing is to be averaged
        for turn in range(looks):
            try:
                await asyncio.wait_for(self._hurry.wait(), _REPORT_SECONDS / looks)
            except TimeoutError:
                pass
            for address, number in (await self._in_flight()).items():
                seen.setdefault(address, [0] * turn).append(number)
            for numbers in seen.values():
                numbers.extend([0] * (turn + 1 - len(numbers)))
            if self._hurry.is_set():
                self._hurry.clear()
                break
        return seen

    async def _in_flight(self) -> dict[str, int]:
        found: dict[str, int] = {}
        if self._caddy.is_running:
            try:
                told = msgspec.json.decode(await self._caddy.ask("/reverse_proxy/upstreams"), type=list[Upstream])
            except (CaddyAway, msgspec.DecodeError):
                told = []
            for one in told:
                # An address may be named twice: as one that Caddy has asked for, and as one of its configuration.
                if one.num_requests and (address := address_of(one.address)):
                    found[address] = max(found.get(address, 0), one.num_requests)
        for relay in self._relays.by_port.values():
            for target, number in relay.in_flight.items():
                found[target.address] = found.get(target.address, 0) + number
        return found

    async def _loads(self, in_flight: dict[str, list[int]]) -> tuple[ServiceLoad, ...]:
        requests = await self._requests()
        loads = []
        busy: set[ObjectKey] = set()
        for service in self._services():
            key = service.key
            addresses = sorted({target.address for port in service.ports for target in port.targets})
            seen = [(address, in_flight[address]) for address in addresses if any(in_flight.get(address, ()))]
            held = self._waiting.held.get(key, 0)
            counts = requests.get(key, Counted())
            if seen or held or counts.requests:
                busy.add(key)
            elif key not in self._busy:
                continue
            loads.append(
                ServiceLoad(
                    namespace=service.namespace,
                    service=service.name,
                    in_flight=round(sum(sum(numbers) / len(numbers) for _, numbers in seen) + held, 3),
                    addresses=tuple(AddressLoad(address=one, in_flight=numbers[-1]) for one, numbers in seen),
                    held=held,
                    requests=counts.requests,
                    failed=counts.failed,
                )
            )
        self._busy = busy
        return tuple(loads)

    async def count(self) -> None:
        """Caddy's requests until now. It begins anew with each configuration, before which this is asked for."""
        if not self._caddy.is_running:
            return
        async with self._counting:
            try:
                now = counted((await self._caddy.ask("/metrics")).decode(errors="replace"))
            except CaddyAway:
                return
            names = self._names()
            for place, counts in now.items():
                key = names.get(place) or names.get((place[0], ""))
                before = self._before.get(place, Counted())
                if before.requests > counts.requests:
                    before = Counted()
                if key is not None:
                    self._counted[key].requests += counts.requests - before.requests
                    self._counted[key].failed += max(0, counts.failed - before.failed)
            self._before = now

    async def _requests(self) -> dict[ObjectKey, Counted]:
        """Since the last look, of each service."""
        await self.count()
        found, self._counted = self._counted, defaultdict(Counted)
        names = self._names()
        for relay in self._relays.by_port.values():
            key = names.get((relay.name, ""))
            if key is not None:
                found[key].requests += relay.connections - self._connections.get(relay.name, 0)
            self._connections[relay.name] = relay.connections
        return found

    async def _report(self, loads: tuple[ServiceLoad, ...], seconds: float, more: dict[str, object]) -> None:
        report = ReportLoad(gateway=self._name, services=loads, seconds=round(seconds, 3), **more)  # type: ignore[arg-type]
        body = msgspec.json.encode(report)
        try:
            await asyncio.to_thread(self._connection.call, "POST", "/v1/requests", body, retry_seconds=0.0)
        except (Unreachable, Refused, OSError) as error:
            self._log.debug("load was not reported", error=str(error))
