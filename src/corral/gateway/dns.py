"""Which address has NAME.NAMESPACE.corral? A small DNS server, for the resolvers of nodes to ask about this one domain.

A Service's name is the gateway's address, at which its ports are other ones: SRV says which (_http._tcp.NAME.NAMESPACE.corral, or the name
itself for the first). The name of a headless Service is the addresses of its replicas; POD.NAME.NAMESPACE.corral is the node of one of
them, SRV with its port there. A node that translates Pods' own addresses says so in its question, and is told those. Kubernetes'
NAME.NAMESPACE.svc.cluster.local says the same. What is of no such domain is refused, so that a resolver asks somebody else.
"""

import asyncio
import ipaddress
import struct
from collections.abc import Callable, Mapping
from typing import cast

from corral.gateway.pointers import AAAA, SRV, A, question_of
from corral.model.kube.meta import ObjectKey
from corral.protocol.routes import PortRoute, ServiceRoute, Target

_HEAD = struct.Struct("!HHHHHH")
_RECORD = struct.Struct("!HHIH")  # type, class, time to live, length
_SECONDS = 5
_OK, _NO_SUCH_NAME, _REFUSED = 0x8580, 0x8583, 0x8105
#: A bit of a question's head that means nothing: a node's name server (agent/resolver.py) says by it that Pods' own addresses lead to them.
_TRANSLATES = 0x40
#: Of an answer over UDP to who has not said that it takes more.
_MOST = 512

#: The ends of names that say the same as the domain of the configuration.
_KUBERNETES = ".svc.cluster.local"

Services = Mapping[ObjectKey, ServiceRoute]
#: Of nodes that are known by their names.
Numbers = Mapping[str, str]


class Server(asyncio.DatagramProtocol):
    """At one address. `address`: what is answered for the gateway; `place`: where it is asked, as others say it."""

    def __init__(
        self, services: Callable[[], Services], domain: str, address: str, place: str, numbers: Numbers
    ) -> None:
        self._services, self._domain, self._address, self.place = services, domain, address, place
        self._numbers = numbers

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)  # uvloop's is one without being called so

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        try:
            self._transport.sendto(answer(data, self._services(), self._domain, self._address, self._numbers), addr)
        except (IndexError, ValueError, struct.error):
            return

    def close(self) -> None:
        self._transport.close()


def answer(message: bytes, services: Services, domain: str, address: str, numbers: Numbers) -> bytes:
    labels, kind, end = question_of(message)
    name = b".".join(labels).decode("ascii", "replace").lower()
    if name.endswith(_KUBERNETES):
        words = name.removesuffix(_KUBERNETES).split(".")
    elif name.endswith(f".{domain}"):
        words = name.removesuffix(f".{domain}").removesuffix(".svc").split(".")
    else:
        return _said(message, end, _REFUSED, [])
    found = _found(words, services, address, translates=bool(message[3] & _TRANSLATES))
    if found is None:
        return _said(message, end, _NO_SUCH_NAME, [])
    hosts, ports = found
    records = []
    if kind in (A, AAAA):
        packed = sorted({one for host in hosts if (one := _packed(_seen(numbers.get(host, host), address), kind))})
        records = [_record(kind, data) for data in packed]
    elif kind == SRV:
        records = [
            _record(SRV, struct.pack("!HHH", 0, 1, port) + _name(f"{target}.{domain}")) for target, port in ports
        ]
    return _said(message, end, _OK, records)


def _found(
    words: list[str], services: Services, address: str, *, translates: bool
) -> tuple[list[str], list[tuple[str, int]]] | None:
    """The hosts behind a name, and names and ports for SRV."""
    port_name = ""
    if len(words) == 4 and words[0].startswith("_") and words[1] == "_tcp":
        port_name, words = words[0][1:], words[2:]
    if len(words) not in (2, 3):
        return None
    service = services.get(ObjectKey("Service", words[-1], words[-2]))
    if service is None:
        return None
    port = next((one for one in service.ports if not port_name or one.name == port_name), None)
    own = ".".join(words)
    if len(words) == 3:
        return _of_replicas(service, port, lambda target: target.pod == words[0], translates=translates)
    if service.external:  # its ports are its own
        return [service.external_name], []
    if port is not None and port.listen:
        return [address], [(own, port.listen)]
    return _of_replicas(service, port, lambda target: True, translates=translates) or ([], [])


def _of_replicas(
    service: ServiceRoute, port: PortRoute | None, meant: Callable[[Target], bool], *, translates: bool
) -> tuple[list[str], list[tuple[str, int]]] | None:
    targets = [target for target in (port.targets if port is not None else ()) if meant(target)]
    places = [(one.own, one.own_port) if translates and one.own else (one.host, one.port) for one in targets]
    pods = [f"{target.pod}.{service.name}.{service.namespace}" for target in targets]
    names = [(pod, number) for pod, (_, number) in zip(pods, places, strict=True)]
    return ([host for host, _ in places], names) if targets else None


def _seen(host: str, address: str) -> str:
    """A Pod with a network of its own, which asks at another address, has another loopback."""
    return address if _is_loopback(host) and not _is_loopback(address) else host


def _is_loopback(host: str) -> bool:
    return host.startswith("127.") or host == "::1"


def _packed(host: str, kind: int) -> bytes:
    try:
        found = ipaddress.ip_address(host)
    except ValueError:
        return b""
    return found.packed if (found.version == 6) == (kind == AAAA) else b""


def _record(kind: int, data: bytes) -> bytes:
    return b"\xc0\x0c" + _RECORD.pack(kind, 1, _SECONDS, len(data)) + data


def _name(text: str) -> bytes:
    return b"".join(bytes((len(word),)) + word.encode() for word in text.split(".")) + b"\0"


def _said(message: bytes, end: int, flags: int, records: list[bytes]) -> bytes:
    """As many as there is room for: any of the replicas will do."""
    room, kept = _MOST - end, []
    for record in records:
        room -= len(record)
        if room < 0:
            break
        kept.append(record)
    head = _HEAD.pack(int.from_bytes(message[:2], "big"), flags | (message[2] & 1) << 8, 1, len(kept), 0, 0)
    return head + message[12:end] + b"".join(kept)
