"""Many connections through one stream."""

import selectors
import socket
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corral.daemon.mux import DATA, WINDOW, Mux


class Wire:
    """Both sides, and a stream between them that carries so many bytes at a time."""

    def __init__(self, piece: int = 1 << 16) -> None:
        self.piece = piece
        self.selector = selectors.DefaultSelector()
        self.dialled: list[tuple[bytes, socket.socket]] = []
        self.near, self.far = Mux(self.selector), Mux(self.selector, self._dial)

    def _dial(self, wanted: bytes) -> socket.socket:
        if wanted == b"refused":
            raise ConnectionRefusedError
        ours, theirs = socket.socketpair()
        self.dialled.append((wanted, theirs))
        return ours

    def connect(self, wanted: bytes) -> tuple[socket.socket, socket.socket | None]:
        """The user's end here, and the program's there."""
        user, ours = socket.socketpair()
        self.near.adopt(ours, wanted)
        count = len(self.dialled)
        self.turn()
        return user, self.dialled[-1][1] if len(self.dialled) > count else None

    def turn(self) -> bool:
        """False: nothing more happens by itself."""
        moved = False
        for source, target in ((self.near, self.far), (self.far, self.near)):
            if source.outgoing:
                data = bytes(source.outgoing[: self.piece])
                del source.outgoing[: len(data)]
                source.refresh()
                target.feed(data)
                moved = True
        if self.selector.get_map():
            for key, events in self.selector.select(0):
                key.data[0].on_ready(key.data[1], events)
                moved = True
        return moved

    def settle(self) -> None:
        while self.turn():
            pass


@pytest.fixture
def wire() -> Iterator[Wire]:
    one = Wire()
    yield one
    one.near.close()
    one.far.close()
    one.selector.close()


def received(wire: Wire, sock: socket.socket, count: int) -> bytes:
    """What comes until so many bytes are there, or nothing happens any more."""
    sock.setblocking(False)
    data = bytearray()
    for _ in range(100_000):
        moved = wire.turn()
        try:
            piece = sock.recv(1 << 16)
        except BlockingIOError:
            piece = None
        if piece:
            data += piece
        elif piece == b"" or (piece is None and not moved):
            break
        if len(data) >= count:
            break
    return bytes(data)


def sent(wire: Wire, sock: socket.socket, data: bytes) -> int:
    """As much as is taken while nobody reads at the other end."""
    sock.setblocking(False)
    count = 0
    while count < len(data):
        try:
            count += sock.send(data[count : count + 65536])
        except BlockingIOError:
            if not wire.turn():
                break
    return count


def test_bytes_come_through_both_ways_and_an_end_is_an_end(wire: Wire) -> None:
    user, program = wire.connect(b"8888")
    assert program is not None
    assert wire.dialled[0][0] == b"8888"
    user.sendall(b"question")
    user.shutdown(socket.SHUT_WR)
    assert received(wire, program, 100) == b"question"
    program.sendall(b"answer")
    program.close()
    assert received(wire, user, 100) == b"answer"
    wire.settle()
    assert (len(wire.near), len(wire.far)) == (0, 0)


def test_a_port_where_nobody_listens_closes_the_connection(wire: Wire) -> None:
    user, program = wire.connect(b"refused")
    assert program is None
    assert received(wire, user, 1) == b""
    wire.settle()
    assert len(wire.near) == 0


def test_who_does_not_read_holds_up_no_other_and_takes_no_more_than_his_window(wire: Wire) -> None:
    slow, talkative = wire.connect(b"1")
    quick, program = wire.connect(b"2")
    assert talkative is not None
    assert program is not None
    taken = sent(wire, talkative, bytes(WINDOW * 3))
    assert taken < WINDOW * 2
    program.sendall(b"x" * 100_000)
    assert len(received(wire, quick, 100_000)) == 100_000
    rest = received(wire, slow, WINDOW * 3)
    assert len(rest) == taken
    assert sent(wire, talkative, bytes(WINDOW)) > WINDOW // 2


def test_what_is_no_frame_is_refused(wire: Wire) -> None:
    with pytest.raises(ValueError, match="not a frame"):
        wire.far.feed(b"HTTP/1.1 200 OK\r\n")
    with pytest.raises(ValueError, match="not a frame"):
        wire.near.feed(bytes([DATA]) + bytes(4) + b"\xff\xff\xff\xff")


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.binary(min_size=1, max_size=5000)), max_size=40), st.integers(1, 70_000)
)
def test_nothing_is_lost_or_mixed_however_the_stream_is_cut(writes: list[tuple[int, bytes]], piece: int) -> None:
    wire = Wire(piece)
    pairs = [wire.connect(str(number).encode()) for number in range(4)]
    wire.settle()
    programs = {int(wanted): sock for wanted, sock in wire.dialled}
    for number, data in writes:
        pairs[number][0].setblocking(True)
        pairs[number][0].sendall(data)
        wire.turn()
    for number, (user, _) in enumerate(pairs):
        user.shutdown(socket.SHUT_WR)
        wanted = b"".join(data for at, data in writes if at == number)
        assert received(wire, programs[number], len(wanted) + 1) == wanted
    for sock in (*(user for user, _ in pairs), *programs.values()):
        sock.close()
    wire.settle()
    assert (len(wire.near), len(wire.far)) == (0, 0)
    wire.selector.close()
