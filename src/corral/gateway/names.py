"""At which addresses does a gateway answer for the names of services, and what are the numbers of hosts that are known by a name?"""

import asyncio
import ipaddress
import socket
from collections.abc import Callable, Iterable

from corral.daemon import clock
from corral.daemon.logs import Log
from corral.gateway import dns
from corral.model.cluster import ClusterConfig
from corral.protocol.routes import ServiceRoute

#: Where the port is another's, the next ones are tried.
_NEXT_PORTS = 20
#: A name may stand for another address after so many seconds.
_RENEW_SECONDS = 30.0


class Names:
    """Of one gateway."""

    def __init__(
        self, config: ClusterConfig, services: Callable[[], dns.Services], log: Log, on_new: Callable[[], None]
    ) -> None:
        """`on_new`: it answers at one more address."""
        self._config, self._services, self._log, self._on_new = config, services, log, on_new
        self._servers: dict[str, dns.Server] = {}
        self._failed: set[str] = set()
        self._host = ""
        self._numbers: dict[str, str] = {}
        self._wanted = asyncio.Event()
        self._learning: asyncio.Task[None] | None = None

    async def answer_at(self, addresses: Iterable[str]) -> None:
        """There, the gateway has that address. Numbers are learned meanwhile: traffic does not wait for them.

        Nodes are told of the address by the next report."""
        port = self._config.gateway.dns_port
        if not self._host and (host := await self._ipv4()):
            self._host = host
            self._on_new()
        if not port:
            return
        for address in addresses:
            if address not in self._servers:
                await self._begin(address, port)
        self._wanted.set()
        if self._learning is None:
            self._learning = asyncio.create_task(self._learn(), name="numbers")

    async def _begin(self, address: str, wanted: int) -> None:
        shown, problem = await self._shown(address), ""
        for port in range(wanted, min(wanted + _NEXT_PORTS, 65536)):
            place = f"[{shown}]:{port}" if ":" in shown else f"{shown}:{port}"
            server = dns.Server(self._services, self._config.gateway.domain, shown, place, self._numbers)
            try:
                await asyncio.get_running_loop().create_datagram_endpoint(
                    lambda server=server: server,  # type: ignore[misc]
                    local_addr=(address, port),
                )
            except OSError as error:
                problem = str(error)
                continue
            self._servers[address] = server
            self._log.info("answers for names", address=address, port=port)
            self._on_new()
            return
        if address not in self._failed:
            self._failed.add(address)
            self._log.warning("names are not answered", address=address, port=wanted, error=problem)

    def reported(self) -> dict[str, object]:
        """What the controller is told, for the nodes."""
        own = self._config.host_for_pods
        return {
            "host": self._host,
            "dns": tuple(one.place for address, one in self._servers.items() if address != own),
            "dns_for_pods": tuple(one.place for address, one in self._servers.items() if address == own),
        }

    async def _ipv4(self) -> str:
        """At which nodes reach the gateway; "" = it has none."""
        listen = ipaddress.ip_address(self._config.gateway.listen)
        if not listen.is_unspecified:
            return str(listen) if listen.version == 4 else ""
        return await _number_of(self._config.gateway.host, socket.AF_INET)

    async def _shown(self, address: str) -> str:
        """What is answered for the gateway: the address itself, or that of its host where it listens on all."""
        if not ipaddress.ip_address(address).is_unspecified:
            return address
        return await _number_of(self._config.gateway.host) or address

    # -- hosts that are known by a name: nodes, and those outside

    async def _learn(self) -> None:
        while True:
            hosts = hosts_of(self._services().values())
            for host in self._numbers.keys() - hosts:
                del self._numbers[host]
            found = await asyncio.gather(*map(_number_of, hosts))
            # Those that nobody answers for now stay what they were.
            self._numbers.update({host: number for host, number in zip(hosts, found, strict=True) if number})
            until = clock.monotonic() + _RENEW_SECONDS
            while hosts_of(self._services().values()) <= hosts and (left := until - clock.monotonic()) > 0:
                self._wanted.clear()
                try:
                    await asyncio.wait_for(self._wanted.wait(), left)
                except TimeoutError:
                    break


def hosts_of(services: Iterable[ServiceRoute]) -> set[str]:
    found: set[str] = set()
    for service in services:
        found.update(one.host for port in service.ports for one in port.targets)
        found.add(service.external_name)
    return {host for host in found if host and ":" not in host and not host.replace(".", "").isdigit()}


async def _number_of(host: str, family: int = 0) -> str:
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, 0, family=family, type=socket.SOCK_STREAM)
    except OSError:
        return ""
    return str(found[0][4][0])
