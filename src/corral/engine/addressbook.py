"""What do agents know of the Services' addresses, and what are they to know?

A version is the digest of all that is known, so that it is the same after a restart of the controller, and an agent that knows it is told
nothing. It is a sum over the routes: each change adds and takes away.
"""

import hashlib

import msgspec

from corral.model.kube.meta import ObjectKey
from corral.model.kube.objects import AnyObject
from corral.protocol.orders import AddressRoute

_BITS = 128


class AddressBook:
    """Not recorded."""

    def __init__(self) -> None:
        self.seen: dict[ObjectKey, tuple[AnyObject, AddressRoute | None]] = {}
        self.as_of: tuple[object, ...] | None = None  #: what `seen` was made of
        self.headless: dict[str, list[dict[str, str]]] = {}  #: by namespace: by which labels Pods are meant
        self.routes: dict[str, AddressRoute] = {}  #: by name
        self.sum = 0
        self.settings: tuple[str, str] = ("", "")  #: the network, the shared ports
        self.hosts: tuple[str, ...] = ()  #: of the gateways
        self.told: dict[str, tuple[str, float]] = {}  #: by agent that can use it: what it knows or has been told, when
        self.due = float("inf")  #: when agents are told what has changed
        self.last = 0.0  #: when they were
        self.changed: set[str] = set()  #: names, since then
        self.base = ""  #: the digest as of then

    def put(self, name: str, route: AddressRoute | None) -> None:
        """None: it has none any more."""
        old = self.routes.pop(name, None)
        if route is not None:
            self.routes[name] = route
        if old != route:
            self.sum = (self.sum - _number(old) + _number(route)) % (1 << _BITS)
            self.changed.add(name)

    @property
    def digest(self) -> str:
        return hashlib.sha256(f"{self.sum:x} {self.settings}".encode()).hexdigest()[:24]

    def host_for(self, agent: str) -> str:
        """Each agent keeps to one of several gateways."""
        ranked = sorted(self.hosts, key=lambda host: hashlib.sha256(f"{agent} {host}".encode()).digest())
        return ranked[0] if ranked else ""


def _number(route: AddressRoute | None) -> int:
    if route is None:
        return 0
    return int.from_bytes(hashlib.sha256(msgspec.msgpack.encode(route)).digest()[: _BITS // 8], "big")
