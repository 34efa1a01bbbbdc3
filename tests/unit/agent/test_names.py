"""What do jobs and Pods read as their /etc/resolv.conf, and whom does their name server ask?"""

import json
import socket
import struct
import threading
from pathlib import Path

import pytest
from tests.ports import free_port

from corral.agent import resolver, resolverfile
from corral.agent.resolver import Files


def question(name: str) -> bytes:
    words = b"".join(bytes((len(word),)) + word.encode() for word in name.split("."))
    return struct.pack("!HHHHHH", 7, 0x0100, 1, 0, 0, 0) + words + b"\0" + struct.pack("!HH", 1, 1)


def test_what_the_machine_searches_comes_before_services() -> None:
    machines = "# by hand\nnameserver 10.0.0.1\nnameserver 10.0.0.2\nsearch site.org\noptions timeout:1\n"
    text = resolverfile.jobs_text(machines, "127.83.0.1", "corral")
    assert text.splitlines() == [
        "# by hand", "options timeout:1", "nameserver 127.83.0.1", "search site.org default.corral corral",
    ]  # fmt: skip


def test_a_pod_finds_its_namespace_first() -> None:
    lines = resolverfile.pods_text("169.254.53.1", "corral", "shop").splitlines()
    assert lines[0] == "nameserver 169.254.53.1"
    assert lines[1].startswith("search shop.svc.cluster.local svc.cluster.local cluster.local shop.corral corral")
    assert lines[2] == "options ndots:5"


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Files:
    machines = tmp_path / "resolv.conf"
    machines.write_text("nameserver 10.0.0.1\nnameserver 127.83.0.1\n")
    monkeypatch.setattr(resolver, "_MACHINES", str(machines))
    table = {"domain": "corral", "servers": ["192.0.2.1:8053"], "for_pods": ["10.213.255.254:8053"]}
    (tmp_path / "table").write_text(json.dumps(table))
    found = Files(str(tmp_path / "table"))
    found.own = {"127.83.0.1"}
    return found


def test_gateways_are_asked_for_services_and_the_machines_servers_for_the_rest(files: Files) -> None:
    gateway, machines = [("192.0.2.1", 8053)], [("10.0.0.1", 53)]
    assert files.servers_for(b".web.default.corral", by_pod=False) == (gateway, [])
    assert files.servers_for(b".web.default.corral", by_pod=True) == ([("10.213.255.254", 8053)], [])
    assert files.servers_for(b".web.default.svc.cluster.local", by_pod=False) == (gateway, [])
    assert files.servers_for(b".corral.example.org", by_pod=False) == ([], machines)


def test_in_a_pod_of_kubernetes_its_name_servers_are_asked_after_the_gateways(files: Files, tmp_path: Path) -> None:
    (tmp_path / "resolv.conf").write_text(
        "nameserver 10.0.0.1\nsearch a.svc.cluster.local svc.cluster.local cluster.local\n"
    )
    found = files.servers_for(b".web.default.svc.cluster.local", by_pod=False)
    assert found == ([("192.0.2.1", 8053)], [("10.0.0.1", 53)])


def test_a_changed_table_counts_at_once(files: Files, tmp_path: Path) -> None:
    files.look()
    (tmp_path / "table").write_text(json.dumps({"domain": "own", "servers": ["[2001:db8::1]:53"]}))
    assert files.servers_for(b".web.default.own", by_pod=True) == ([("2001:db8::1", 53)], [])


def test_who_has_answered_is_asked_first(files: Files, tmp_path: Path) -> None:
    (tmp_path / "table").write_text(json.dumps({"domain": "corral", "servers": ["192.0.2.1:1", "192.0.2.2:2"]}))
    files.look()
    files.prefer(("192.0.2.2", 2))
    assert files.servers_for(b".a.b.corral", by_pod=False)[0] == [("192.0.2.2", 2), ("192.0.2.1", 1)]


def test_a_question_is_read_and_answered_with_a_failure() -> None:
    asked = question("Web.Default.corral")
    assert resolver.name_of(asked) == b".web.default.corral"
    said = resolver.failure(asked, 2)
    assert (said[:2], said[3] & 15, said[12:]) == (asked[:2], 2, asked[12:])
    assert said[2] & 0x80


@pytest.mark.parametrize("message", [b"", b"\0" * 12, question("a.b")[:14], b"\0\0\x80\0\0\1" + b"\0" * 8])
def test_what_is_no_question_is_no_question(message: bytes) -> None:
    with pytest.raises((IndexError, ValueError)):
        resolver.name_of(message)


def test_a_machine_that_is_a_node_of_kubernetes_answers_for_what_the_gateways_do_not_know() -> None:
    unknown = bytearray(resolver.failure(question("web.default.svc.cluster.local"), 3))
    assert resolver.is_of_another(bytes(unknown), [("10.0.0.1", 53)])
    assert not resolver.is_of_another(bytes(unknown), [])


def test_a_message_that_is_lost_is_sent_again(files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as gateway,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker,
    ):
        gateway.bind(("127.0.0.1", 0))
        table = {"domain": "corral", "servers": [f"127.0.0.1:{gateway.getsockname()[1]}"]}
        (tmp_path / "table").write_text(json.dumps(table))
        monkeypatch.setattr(resolver, "PORT", (port := free_port()))
        monkeypatch.setattr(resolver, "_SECONDS", 0.1)
        one = resolver.Resolver(str(tmp_path / "table"), str(tmp_path / "addresses"), ["127.0.0.1"])
        threading.Thread(target=one.serve, daemon=True).start()
        asker.settimeout(60)
        gateway.settimeout(60)
        asked = question("web.default.corral")
        asker.sendto(asked, ("127.0.0.1", port))
        gateway.recvfrom(512)  # and says nothing
        again, place = gateway.recvfrom(512)
        assert again == asked
        gateway.sendto(resolver.failure(asked, 3), place)
        assert asker.recv(512) == resolver.failure(asked, 3)
