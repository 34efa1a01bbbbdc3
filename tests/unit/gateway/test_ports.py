"""Who has the ports on which Caddy listens?"""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.ports import free_port
from tests.waiting import wait_until

from corral.daemon.logs import Log
from corral.gateway import pointers
from corral.gateway.ports import Ports

HERE = ("127.0.0.1",)


@pytest.fixture
def copies(tmp_path: Path) -> Iterator[Path]:
    """Where they are kept."""
    asking, keeping = tmp_path / "pointers.sock", tmp_path / "ports.sock"
    process = subprocess.Popen([sys.executable, "-I", "-S", pointers.__file__, asking, tmp_path, keeping])
    wait_until(asking.exists, 60)
    yield keeping
    process.kill()
    process.wait()


@pytest.fixture
def ports(copies: Path, tmp_path: Path) -> Iterator[Ports]:
    one = Ports(copies, Log(tmp_path / "log", "info"))
    yield one
    one.close()


def connects(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_whoever_comes_while_no_caddy_runs_waits(ports: Ports) -> None:
    port = free_port()
    (words,) = ports.open([port], HERE, is_running=False)[port]
    assert words.startswith("fd/")
    assert int(words[3:]) in ports.to_give(HERE, is_bare=True)
    assert connects(port)


def test_a_port_that_comes_later_is_a_socket_that_caddy_has_already(ports: Ports) -> None:
    given = ports.to_give(HERE, is_bare=True)
    port = free_port()
    (words,) = ports.open([port], HERE, is_running=True)[port]
    assert int(words[3:]) in given


def test_what_is_not_wanted_any_more_is_refused_until_it_is_wanted_again(ports: Ports) -> None:
    port, other = free_port(), free_port()
    first = ports.open([port, other], HERE, is_running=False)
    ports.keep()
    ports.open([other], HERE, is_running=True)
    assert connects(port)  # Caddy has not been told yet
    ports.keep()
    assert not connects(port)
    with socket.create_server(("127.0.0.1", port)):
        assert not ports.open([port, other], HERE, is_running=True).get(port)
        assert ports.unusable == {port}
    assert ports.open([port, other], HERE, is_running=True) == first
    assert connects(port)


def test_where_one_address_cannot_be_had_the_port_is_not_used_at_the_others(ports: Ports) -> None:
    port = free_port()
    with socket.create_server(("127.0.0.2", port)):
        assert not ports.open([port], ("127.0.0.1", "127.0.0.2"), is_running=False)
        assert not connects(port)


def test_when_no_spare_socket_is_left_caddy_opens_a_port_by_itself(ports: Ports) -> None:
    port = free_port()
    assert ports.open([port], HERE, is_running=True) == {port: [f"127.0.0.1:{port}"]}
    assert not connects(port)
    ports.to_give(HERE, is_bare=True)
    assert ports.open([port], HERE, is_running=True)[port][0].startswith("fd/")


def test_the_next_gateway_finds_them_all(ports: Ports, copies: Path, tmp_path: Path) -> None:
    port, later = free_port(), free_port()
    told = {"web": ports.open([port], HERE, is_running=False)[port]}
    given = ports.to_give(HERE, is_bare=True)
    told["api"] = ports.open([later], HERE, is_running=True)[later]
    ports.close()
    assert connects(port)
    assert connects(later)
    after = Ports(copies, Log(tmp_path / "log", "info"))
    try:
        assert after.take_back(told) == {"web": port, "api": later}
        (word,) = after.open([port], HERE, is_running=True)[port]
        assert [after.words()[word]] == told["web"]
        after.keep()
        assert not connects(later)
        assert set(after.to_give(HERE, is_bare=False)) <= set(given)
    finally:
        after.close()


def test_it_is_known_that_sockets_are_lost(ports: Ports) -> None:
    assert ports.take_back({"web": ["fd/2048"]}) is None
    assert ports.take_back({"web": ["127.0.0.1:80"]}) == {"web": 80}


def connections(ports: Ports, word: str) -> int:
    """That wait at this socket."""
    one = socket.socket(fileno=os.dup(int(word[3:])))
    one.setblocking(False)
    found = 0
    with one:
        while True:
            try:
                one.accept()[0].close()
            except OSError:
                return found
            found += 1


def accepted(word: str) -> socket.socket:
    with socket.socket(fileno=os.dup(int(word[3:]))) as one:
        return one.accept()[0]


def served(ports: Ports) -> tuple[int, str]:
    """A port at which servers of Caddy's take connections, and the word for it."""
    port = free_port()
    (word,) = ports.open([port], HERE, is_running=False)[port]
    ports.keep()
    return port, word


@pytest.mark.parametrize("is_taken", [True, False])
def test_new_connections_come_to_the_new_servers_alone_once_they_are_there(ports: Ports, is_taken: bool) -> None:
    port, word = served(ports)
    for _ in range(3):
        old, new = ports.words()[word], ports.begin()[word]
        assert old != new
        assert all(connects(port) for _ in range(20))
        assert (connections(ports, old), connections(ports, new)) == (20, 0)
        ports.steer()
        assert all(connects(port) for _ in range(20))
        assert (connections(ports, old), connections(ports, new)) == (0, 20)
        ports.end(is_taken=is_taken)
        now = new if is_taken else old
        assert ports.words()[word] == now
        assert all(connects(port) for _ in range(20))
        assert connections(ports, now) == 20


def test_a_port_that_has_no_servers_yet_does_not_turn(ports: Ports) -> None:
    port = free_port()
    (word,) = ports.open([port], HERE, is_running=False)[port]
    assert connects(port)
    assert ports.begin()[word] == ports.words()[word]


def test_whoever_else_listens_at_a_port_gets_none_of_its_connections(ports: Ports) -> None:
    port, word = served(ports)
    with socket.create_server(("127.0.0.1", port), reuse_port=True) as stranger:
        assert ports.begin()[word] == ports.words()[word]
        ports.steer()
        ports.end(is_taken=True)
        assert all(connects(port) for _ in range(20))
        assert connections(ports, ports.words()[word]) == 20
    assert ports.begin()[word] != ports.words()[word]
    with socket.create_server(("127.0.0.1", port), reuse_port=True) as stranger:
        ports.steer()
        ports.end(is_taken=True)
        assert all(connects(port) for _ in range(20))
        assert connections(ports, ports.words()[word]) == 20
        stranger.setblocking(False)
        with pytest.raises(BlockingIOError):
            stranger.accept()


def test_a_gateway_that_died_in_the_middle_of_a_turn_is_followed_by_one_that_ends_it(
    ports: Ports, copies: Path, tmp_path: Path
) -> None:
    port, word = served(ports)
    ports.to_give(HERE, is_bare=False)
    new = ports.begin()[word]
    ports.close()
    after = Ports(copies, Log(tmp_path / "log", "info"))
    try:
        assert after.take_back({"web": [new]}) == {"web": port}
        assert all(connects(port) for _ in range(20))
        assert connections(after, new) == 20
        (word,) = after.open([port], HERE, is_running=True)[port]
        newer = after.begin()[word]
        after.steer()
        after.end(is_taken=True)
        with socket.create_connection(("127.0.0.1", port)) as client, accepted(newer) as server:
            client.sendall(b"it lives")
            assert server.recv(8) == b"it lives"
    finally:
        after.close()
