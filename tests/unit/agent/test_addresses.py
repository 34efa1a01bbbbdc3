"""By which rules does a node translate Services' addresses?"""

import json
import struct
from pathlib import Path

import msgspec
import pytest

from corral.agent import addressrules, resolver
from corral.agent.addresses import NodeAddresses
from corral.agent.addressfile import Known, path_in, translated
from corral.daemon import natrules
from corral.daemon.logs import Log
from corral.protocol.orders import AddressRoute, TellAddresses

MYSQL = AddressRoute("mysql.default", "10.96.1.0", ((3306, 22000),))
WEB = AddressRoute("web.default", "10.96.2.9", ((80, 22001), (81, 22002)))
KNOWN = Known(
    version="v", network="10.96.0.0/12", host="192.0.2.1", shared="8080,22000:24999", routes=(MYSQL, WEB),
    names={"mysql.default": "10.96.1.0", "web.default": "10.96.2.9"},
)  # fmt: skip


def test_each_port_has_a_rule_and_each_block_one_for_the_gateways_own_ports() -> None:
    text = addressrules.rules(KNOWN, "abcd")
    assert text.splitlines() == [
        "*nat",
        ":CORRAL-SVC-abcd - [0:0]",
        "-A CORRAL-SVC-abcd -d 10.96.1.0 -p tcp --dport 3306 -j DNAT --to-destination 192.0.2.1:22000",
        "-A CORRAL-SVC-abcd -d 10.96.2.9 -p tcp --dport 80 -j DNAT --to-destination 192.0.2.1:22001",
        "-A CORRAL-SVC-abcd -d 10.96.2.9 -p tcp --dport 81 -j DNAT --to-destination 192.0.2.1:22002",
        "-A CORRAL-SVC-abcd -d 10.96.1.0/24 -p tcp -m multiport --dports 8080,22000:24999 -j DNAT --to-destination 192.0.2.1",
        "-A CORRAL-SVC-abcd -d 10.96.2.0/24 -p tcp -m multiport --dports 8080,22000:24999 -j DNAT --to-destination 192.0.2.1",
        "COMMIT",
    ]


def test_a_pods_ports_lead_to_its_node_and_on_that_node_to_itself() -> None:
    """The kernel translates a connection once."""
    pod = AddressRoute("pod/db-0.default", "10.104.0.1", ((5432, 25001),), "10.0.0.1")
    known = msgspec.structs.replace(KNOWN, routes=(pod,), shared="")
    elsewhere = addressrules.rules(known, "abcd")
    assert "-d 10.104.0.1 -p tcp --dport 5432 -j DNAT --to-destination 10.0.0.1:25001" in elsewhere
    saved = [
        '-A CORRAL-PODS -p tcp -m tcp --dport 25001 -m comment --comment "corral-1-n1-7.0" -j DNAT --to-destination 10.213.0.3:5432',
        '-A CORRAL-PODS -p udp -m udp --dport 25002 -m comment --comment "corral-1-n1-7.0" -j DNAT --to-destination 10.213.0.3:53',
    ]
    own = addressrules.ports_of_pods(saved, ["127.0.0.1", "10.0.0.1"])
    assert own == {("127.0.0.1", 25001): "10.213.0.3:5432", ("10.0.0.1", 25001): "10.213.0.3:5432"}
    assert "--dport 5432 -j DNAT --to-destination 10.213.0.3:5432" in addressrules.rules(known, "abcd", own=own)


@pytest.mark.parametrize(
    "changes",
    [
        {"host": "gw.example.org"},
        {"host": "::1"},
        {"network": "10.96.0.0/12 -j ACCEPT"},
        {"shared": "80 -j ACCEPT"},
        {"routes": (AddressRoute("a.b", "10.1.1.1", ((80, 22000),)),)},
        {"routes": (AddressRoute("a.b", "10.96.1.1", ((80, 0),)),)},
    ],
)
def test_nothing_else_becomes_a_rule(changes: dict[str, object]) -> None:
    with pytest.raises(addressrules.NotAsAgreed):
        addressrules.rules(msgspec.structs.replace(KNOWN, **changes), "abcd")


SAVED = """\
*filter
:INPUT ACCEPT [0:0]
-A OUTPUT -d 10.96.0.0/12 -m comment --comment CORRAL-SVC-abcd -j REJECT --reject-with icmp-port-unreachable
-A FORWARD -d 10.96.0.0/12 -i cv+ -m comment --comment CORRAL-SVC-abcd -j REJECT --reject-with icmp-port-unreachable
-A FORWARD -i cv+ -j ACCEPT
COMMIT
*nat
:OUTPUT ACCEPT [0:0]
:CORRAL-SVC-abcd - [0:0]
:CORRAL-SVC-ef01 - [0:0]
-A PREROUTING -d 10.96.0.0/12 -i cv+ -p tcp -j CORRAL-SVC-abcd
-A OUTPUT -d 10.96.0.0/12 -p tcp -j CORRAL-SVC-abcd
-A OUTPUT -d 10.96.0.0/12 -p tcp -j CORRAL-SVC-ef01
-A POSTROUTING ! -o lo -m conntrack --ctstate DNAT --ctorigdst 10.96.0.0/12 -m comment --comment CORRAL-SVC-abcd -j MASQUERADE
-A CORRAL-SVC-abcd -d 10.96.1.0/32 -p tcp -m tcp --dport 3306 -j DNAT --to-destination 192.0.2.1:22000
COMMIT
""".splitlines()


def test_what_an_agent_has_made_is_taken_away_and_nothing_else() -> None:
    assert natrules.marks_in(SAVED) == {"abcd", "ef01"}
    text = natrules.removal(SAVED, {"ef01"})
    assert text.splitlines() == [
        "*nat", "-D OUTPUT -d 10.96.0.0/12 -p tcp -j CORRAL-SVC-ef01", "-F CORRAL-SVC-ef01", "-X CORRAL-SVC-ef01", "COMMIT",
    ]  # fmt: skip
    both = natrules.removal(SAVED, {"abcd", "ef01"})
    assert both.count("-D ") == 6
    assert (both.count("-F "), both.count("-X ")) == (2, 2)
    assert both.count("COMMIT") == 2
    assert natrules.removal(SAVED, {"9999"}) == ""


def test_what_leads_to_the_rules_is_renewed_without_a_moment_without() -> None:
    """In one transaction of each table: else connections would be refused, or leave the machine."""
    text = addressrules.hooked(addressrules.rules(KNOWN, "abcd"), KNOWN, "abcd", SAVED)
    assert text.count("COMMIT") == 2
    nat, _, rest = text.partition("COMMIT")
    assert (nat.count("-D "), nat.count("-I "), nat.count("-A CORRAL-SVC-abcd ")) == (3, 3, 5)
    assert (rest.count("-D "), rest.count("-I ")) == (2, 2)
    assert "ef01" not in text


def test_it_is_seen_when_a_rule_is_missing_or_comes_too_late() -> None:
    assert addressrules.is_hooked(SAVED, "abcd", "10.96.0.0/12")
    assert not addressrules.is_hooked(SAVED, "ef01", "10.96.0.0/12")
    assert not addressrules.is_hooked(SAVED, "abcd", "10.97.0.0/16")
    late = [line for line in SAVED if line != "-A FORWARD -i cv+ -j ACCEPT"]
    late.insert(2, "-A FORWARD -i cv+ -j ACCEPT")
    assert not addressrules.is_hooked(late, "abcd", "10.96.0.0/12")
    for line in (one for one in SAVED if one.startswith("-A") and "abcd" in one and not one.startswith("-A CORRAL")):
        assert not addressrules.is_hooked([one for one in SAVED if one != line], "abcd", "10.96.0.0/12")


def test_it_is_seen_when_somebody_has_emptied_the_chain() -> None:
    text = addressrules.rules(msgspec.structs.replace(KNOWN, routes=(MYSQL,), shared=""), "abcd")
    assert addressrules.is_whole(SAVED, "abcd", text)
    assert not addressrules.is_whole(SAVED[:-2], "abcd", text)


def told(**fields: object) -> TellAddresses:
    order = TellAddresses(term=1, node="a", version="1", network="10.96.0.0/12", host="192.0.2.1", routes=(MYSQL,))
    return msgspec.structs.replace(order, **fields)


def test_a_change_of_what_it_does_not_know_is_left_alone(tmp_path: Path) -> None:
    node = NodeAddresses(str(tmp_path), "abcd", Log(tmp_path / "log", "info"))
    node.take(told(base="0"))
    assert node.wanted is None
    node.take(told())
    node.take(told(base="1", version="2", routes=(WEB,), removed=("mysql.default",)))
    assert node.wanted is not None
    assert (node.wanted.version, node.wanted.names) == ("2", {"web.default": "10.96.2.9"})
    node.take(told(base="1", version="3", routes=()))
    assert node.wanted.version == "2"
    node.take(told(version="4"))
    assert node.wanted.routes == (MYSQL,)


def test_only_what_is_translated_is_told_to_pods(tmp_path: Path) -> None:
    assert translated(path_in(str(tmp_path))) == frozenset()
    Path(path_in(str(tmp_path))).write_bytes(msgspec.json.encode(KNOWN))
    assert translated(path_in(str(tmp_path))) == {"10.96.1.0", "10.96.2.9"}


# -- the name server


def question(name: str, kind: int) -> bytes:
    labels = b"".join(bytes((len(word),)) + word.encode() for word in name.split("."))
    return struct.pack("!HHHHHH", 7, 0x100, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!HH", kind, 1)


@pytest.fixture
def files(tmp_path: Path) -> resolver.Files:
    (tmp_path / "table").write_text(json.dumps({"domain": "corral", "servers": ["192.0.2.1:8053"]}))
    (tmp_path / "addresses").write_bytes(msgspec.json.encode(KNOWN))
    return resolver.Files(str(tmp_path / "table"), str(tmp_path / "addresses"))


@pytest.mark.parametrize(
    "name", ["mysql.default.corral", "MySQL.default.svc.cluster.local", "mysql.default.svc.corral"]
)
def test_a_name_whose_address_is_translated_is_answered_here(files: resolver.Files, name: str) -> None:
    asked = question(name, 1)
    said = resolver.own_answer(asked, files.address_of(resolver.name_of(asked)))
    assert said[-4:] == bytes((10, 96, 1, 0))
    assert (said[:2], said[3] & 15, struct.unpack_from("!HH", said, 4)) == (asked[:2], 0, (1, 1))
    asked = question(name, 28)
    said = resolver.own_answer(asked, files.address_of(resolver.name_of(asked)))
    assert struct.unpack_from("!HH", said, 4) == (1, 0)  # it is there, and has no such address


@pytest.mark.parametrize(
    "name", ["other.default.corral", "mysql.default.example.org", "mysql-0.mysql.default.corral", "corral"]
)
def test_others_are_not(files: resolver.Files, name: str) -> None:
    assert files.address_of(resolver.name_of(question(name, 1))) == b""
    assert resolver.own_answer(question("mysql.default.corral", 33), bytes(4)) == b""  # SRV


def test_gateways_are_told_that_pods_addresses_lead_to_them_from_here(files: resolver.Files, tmp_path: Path) -> None:
    asked = question("db.default.corral", 1)
    files.look()
    assert files.for_gateway(asked)[3] == asked[3] | 0x40
    assert files.for_gateway(asked)[4:] == asked[4:]
    (tmp_path / "addresses").unlink()
    files.look()
    assert files.for_gateway(asked) == asked


def test_when_the_rules_are_gone_so_are_the_answers(files: resolver.Files, tmp_path: Path) -> None:
    asked = resolver.name_of(question("mysql.default.corral", 1))
    assert files.address_of(asked)
    (tmp_path / "addresses").unlink()
    assert files.address_of(asked) == b""
