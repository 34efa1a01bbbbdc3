"""Which address has NAME.NAMESPACE.corral?"""

import ipaddress
import struct

import pytest

from corral.gateway.dns import answer
from corral.gateway.pointers import AAAA, SRV, A
from corral.protocol.routes import PortRoute, ServiceRoute, Target

_REPLICAS = (
    Target("10.0.0.1", 25001, 1, "db-0", "10.104.0.1", 5432),
    Target("10.0.0.2", 25002, 1, "db-1", "10.104.0.2", 5432),
)
_SERVICES = {
    one.key: one
    for one in (
        ServiceRoute(
            namespace="default", name="web",
            ports=(PortRoute(port=80, name="http", listen=22000), PortRoute(port=81, name="admin", listen=22001)),
        ),
        ServiceRoute(namespace="shop", name="outside", external=True, external_name="n1"),
        ServiceRoute(
            namespace="shop", name="near",
            ports=(PortRoute(port=80, targets=(Target("n1", 25001, 1, "a"), Target("127.0.0.1", 25002, 1, "b"))),),
        ),
        ServiceRoute(namespace="shop", name="db", ports=(PortRoute(port=5432, name="postgres", targets=_REPLICAS),)),
    )
}  # fmt: skip


def ask(name: str, kind: int, *, translates: bool = False) -> tuple[int, list[object]]:
    """The code, and addresses or (name, port)."""
    labels = b"".join(bytes((len(word),)) + word.encode() for word in name.split("."))
    message = (
        struct.pack("!HHHHHH", 9, 0x0140 if translates else 0x0100, 1, 0, 0, 0)
        + labels
        + b"\0"
        + struct.pack("!HH", kind, 1)
    )
    said = answer(message, _SERVICES, "corral", "192.0.2.1", {"n1": "10.0.0.3"})
    number, flags, _, count, _, _ = struct.unpack_from("!HHHHHH", said)
    assert number == 9
    found: list[object] = []
    at = len(message)
    for _ in range(count):
        size = struct.unpack_from("!H", said, at + 10)[0]
        data = said[at + 12 : at + 12 + size]
        if kind == SRV:
            words, place = [], 6
            while data[place]:
                words.append(data[place + 1 : place + 1 + data[place]].decode())
                place += 1 + data[place]
            found.append((".".join(words), struct.unpack_from("!H", data, 4)[0]))
        else:
            found.append(str(ipaddress.ip_address(data)))
        at += 12 + size
    return flags & 15, found


_NAMES = ["web.default.corral", "WEB.default.corral", "web.default.svc.corral", "web.default.svc.cluster.local"]


@pytest.mark.parametrize("name", _NAMES)
def test_a_service_is_where_the_gateway_is(name: str) -> None:
    assert ask(name, A) == (0, ["192.0.2.1"])


def test_srv_says_at_which_port() -> None:
    assert ask("web.default.corral", SRV) == (0, [("web.default.corral", 22000)])
    assert ask("_admin._tcp.web.default.corral", SRV) == (0, [("web.default.corral", 22001)])


def test_a_node_is_known_by_its_name_and_who_asks_from_elsewhere_has_another_loopback() -> None:
    assert ask("near.shop.corral", A) == (0, ["10.0.0.3", "192.0.2.1"])


def test_an_external_name_is_the_host_that_it_names() -> None:
    assert ask("outside.shop.corral", A) == (0, ["10.0.0.3"])


def test_a_headless_service_is_its_replicas_and_each_has_a_name() -> None:
    assert ask("db.shop.corral", A) == (0, ["10.0.0.1", "10.0.0.2"])
    assert ask("db-1.db.shop.corral", A) == (0, ["10.0.0.2"])
    assert ask("db-1.db.shop.corral", SRV) == (0, [("db-1.db.shop.corral", 25002)])


def test_what_is_not_there_is_no_name_and_other_domains_are_others() -> None:
    assert ask("nobody.default.corral", A)[0] == 3
    assert ask("db-7.db.shop.corral", A)[0] == 3
    assert ask("web.default.corral", AAAA) == (0, [])
    assert ask("example.org", A)[0] == 5


def test_who_translates_pods_own_addresses_is_told_those_with_their_own_ports() -> None:
    assert ask("db.shop.corral", A, translates=True) == (0, ["10.104.0.1", "10.104.0.2"])
    assert ask("db-1.db.shop.svc.cluster.local", A, translates=True) == (0, ["10.104.0.2"])
    assert ask("db-1.db.shop.corral", SRV, translates=True) == (0, [("db-1.db.shop.corral", 5432)])
    assert ask("near.shop.corral", A, translates=True) == ask("near.shop.corral", A)  # they have none
