"""Who types into a Pod's container: over its shepherd's socket, as fast as it reads."""

import os
import socket
from collections.abc import Callable, Iterator

import pytest
from tests.waiting import wait_until

from corral.agent.attaching import Attaching
from corral.agent.pty import Terminal
from corral.agent.reactor import Reactor
from corral.daemon.attachwords import END, SIZE, SIZE_OF, TYPED, frame


@pytest.fixture
def reactor() -> Iterator[Reactor]:
    one = Reactor()
    yield one
    one.close()


def name(request: pytest.FixtureRequest) -> str:
    return f"test-{os.getpid()}-{request.node.name}"


def client(called: str) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.connect(f"\0{called}")
    sock.setblocking(False)
    return sock


def turns(reactor: Reactor, until: Callable[[], bool]) -> None:
    def tried() -> bool:
        reactor.run_once(0.01)
        return until()

    wait_until(tried)


def read(fd: int) -> bytes:
    try:
        return os.read(fd, 1 << 16)
    except BlockingIOError:
        return b"-"


def test_what_is_typed_is_read_and_what_is_said_is_heard(reactor: Reactor, request: pytest.FixtureRequest) -> None:
    read_end, write_end = os.pipe2(os.O_NONBLOCK)
    attaching = Attaching(reactor, name(request), os.getuid(), write_end, None, once=True)
    one, other = client(name(request)), client(name(request))
    sent = frame(TYPED, b"hello ") + frame(TYPED, b"you")
    for at in range(len(sent)):
        one.send(sent[at : at + 1])
    got = bytearray()

    def come() -> bool:
        got.extend(read(read_end).replace(b"-", b""))
        return bytes(got) == b"hello you"

    turns(reactor, come)
    attaching.said(b"thanks")
    assert (one.recv(99), other.recv(99)) == (b"thanks", b"thanks")
    one.send(frame(END))
    turns(reactor, lambda: read(read_end) == b"")  # with stdinOnce that is the end of its input
    attaching.finish()
    assert one.recv(99) == b""


def test_its_input_outlives_who_types_where_that_is_wanted(reactor: Reactor, request: pytest.FixtureRequest) -> None:
    read_end, write_end = os.pipe2(os.O_NONBLOCK)
    attaching = Attaching(reactor, name(request), os.getuid(), write_end, None, once=False)
    for word in (b"a", b"b"):
        one = client(name(request))
        one.send(frame(TYPED, word) + frame(END))
        turns(reactor, lambda word=word: read(read_end) == word)  # type: ignore[misc]
        one.close()
    reactor.run_once(0.01)
    assert read(read_end) == b"-"
    attaching.finish()
    assert read(read_end) == b""


def test_nothing_is_lost_while_the_program_does_not_read(reactor: Reactor, request: pytest.FixtureRequest) -> None:
    read_end, write_end = os.pipe2(os.O_NONBLOCK)
    attaching = Attaching(reactor, name(request), os.getuid(), write_end, None, once=True)
    one = client(name(request))
    data = frame(TYPED, b"x" * 300_000) + frame(END)
    got = 0

    def come() -> bool:
        nonlocal data, got
        if data:
            try:
                data = data[one.send(data) :]
            except BlockingIOError:
                pass
        word = read(read_end)
        got += len(word.replace(b"-", b""))
        return word == b""

    turns(reactor, come)
    assert got == 300_000
    attaching.finish()


def test_a_terminal_has_the_size_that_is_told(reactor: Reactor, request: pytest.FixtureRequest) -> None:
    terminal = Terminal((24, 80), os.getuid())
    attaching = Attaching(reactor, name(request), os.getuid(), terminal.fd, terminal, once=True)
    one = client(name(request))
    one.send(frame(SIZE, SIZE_OF.pack(33, 101)))
    turns(reactor, lambda: os.get_terminal_size(terminal.task_end) == (101, 33))
    attaching.finish()
    os.close(terminal.task_end)
    terminal.close()


def test_who_does_not_read_is_let_go_and_holds_nobody_up(reactor: Reactor, request: pytest.FixtureRequest) -> None:
    attaching = Attaching(reactor, name(request), os.getuid(), -1, None, once=False)
    idle, keen = client(name(request)), client(name(request))
    turns(reactor, lambda: len(attaching._clients) == 2)
    for _ in range(12):
        attaching.said(b"y" * (1 << 20))
        turns(reactor, lambda: _drained(keen) == 0)
    turns(reactor, lambda: len(attaching._clients) == 1)
    attaching.finish()
    idle.close()


def _drained(sock: socket.socket) -> int:
    """Bytes that were there."""
    try:
        return len(sock.recv(1 << 21))
    except BlockingIOError:
        return 0
