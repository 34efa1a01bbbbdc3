"""Windows, offsets and ends: what is written comes out once, whatever the line between does."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corral.protocol.streams import CHUNK, DATA, END, WINDOW, Frame, Incoming, Outgoing, pack


def frame(piece: tuple[int, bytes, int]) -> Frame:
    offset, data, flags = piece
    return Frame(pack(DATA, 3, rank=7, stream=1, offset=offset, data=data, flags=flags))


def test_a_frame_says_what_was_packed() -> None:
    one = Frame(pack(DATA, 3, rank=7, stream=2, offset=1 << 40, data=b"data", flags=1))
    assert (one.kind, one.node, one.rank, one.stream, one.offset, one.data, one.flags) == (
        DATA,
        3,
        7,
        2,
        1 << 40,
        b"data",
        1,
    )


@pytest.mark.parametrize("message", [b"", b"short", pack(DATA, data=b"data")[:-1]])
def test_a_frame_that_is_cut_off_is_refused(message: bytes) -> None:
    with pytest.raises(ValueError, match="cut off"):
        Frame(message)


def test_nothing_is_taken_beyond_the_window_until_some_is_acknowledged() -> None:
    out = Outgoing()
    out.write(bytes(WINDOW))
    assert out.room == 0
    pieces = []
    while (piece := out.next_piece()) is not None:
        pieces.append(piece)
    assert [len(data) for _, data, _ in pieces] == [CHUNK] * (WINDOW // CHUNK)
    assert out.acknowledge(CHUNK)
    assert out.room == CHUNK


def test_the_end_is_one_more_byte_to_acknowledge() -> None:
    out, into = Outgoing(), Incoming()
    out.write(b"abc")
    out.close()
    piece = out.next_piece()
    assert piece == (0, b"abc", END)
    assert out.next_piece() is None
    assert into.accept(frame(piece)) == b"abc"
    assert into.has_ended
    out.acknowledge(3)
    assert not out.is_done
    out.acknowledge(into.acknowledgement(3))
    assert out.is_done


def test_an_end_that_was_lost_is_said_again() -> None:
    out, into = Outgoing(), Incoming()
    out.close()
    assert out.next_piece() == (0, b"", END)
    out.rewind()
    again = out.next_piece()
    assert again is not None
    into.accept(frame(again))
    assert into.acknowledgement(0) == 1


@given(
    st.lists(st.binary(max_size=40), max_size=20),
    st.lists(st.sampled_from(["deliver", "lose", "double", "acknowledge", "reconnect"]), max_size=60),
)
def test_what_is_written_comes_out_once_and_in_order(writes: list[bytes], fates: list[str]) -> None:
    out, into = Outgoing(), Incoming()
    received = b""
    for data in writes:
        out.write(data)
    out.close()
    for fate in [*fates, "reconnect", *["deliver"] * 70]:
        if fate == "acknowledge":
            out.acknowledge(into.acknowledgement(into.offset))
        elif fate == "reconnect":
            out.rewind()
        elif (piece := out.next_piece()) is not None:
            for _ in range({"deliver": 1, "lose": 0, "double": 2}[fate]):
                received += into.accept(frame(piece))
    out.acknowledge(into.acknowledgement(into.offset))
    assert received == b"".join(writes)
    assert into.has_ended
    assert out.is_done
