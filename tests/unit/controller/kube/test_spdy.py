"""Are SPDY's frames read and written as Go's library does it?"""

import struct
import zlib

import pytest

from corral.controller.api.kube.spdy import DICTIONARY, Data, Framer, NotSpdy, Opened, Ping, Reset


class Client:
    """The other end, as moby/spdystream writes."""

    def __init__(self) -> None:
        self._deflate = zlib.compressobj(zdict=DICTIONARY)

    def control(self, kind: int, body: bytes, flags: int = 0) -> bytes:
        return struct.pack("!HHI", 0x8003, kind, flags << 24 | len(body)) + body

    def syn(self, stream: int, **headers: str) -> bytes:
        words = [struct.pack("!I", len(one)) + one.encode() for pair in headers.items() for one in pair]
        block = self._deflate.compress(struct.pack("!I", len(headers)) + b"".join(words))
        block += self._deflate.flush(zlib.Z_SYNC_FLUSH)
        return self.control(1, struct.pack("!IIH", stream, 0, 0) + block)


def data(stream: int, text: bytes, *, is_last: bool = False) -> bytes:
    return struct.pack("!II", stream, is_last << 24 | len(text)) + text


def test_the_dictionary_is_that_of_the_specification() -> None:
    assert (len(DICTIONARY), zlib.adler32(DICTIONARY)) == (1423, 0xE3C6A7C2)


def test_streams_and_their_data_are_read_in_whatever_pieces_they_come() -> None:
    client, framer = Client(), Framer()
    sent = client.syn(1, StreamType="error") + client.syn(3, streamtype="data", port="80") + data(3, b"hello")
    sent += (
        data(3, b"", is_last=True)
        + client.control(6, struct.pack("!I", 7))
        + client.control(3, struct.pack("!II", 1, 5))
    )
    found = [event for at in range(len(sent)) for event in framer.feed(sent[at : at + 1])]
    assert found == [
        Opened(1, {"streamtype": "error"}), Opened(3, {"streamtype": "data", "port": "80"}), Data(3, b"hello"),
        Data(3, b"", True), Ping(7), Reset(1),
    ]  # fmt: skip


def test_what_is_said_is_cut_into_frames_and_ends_with_the_last() -> None:
    framer, text = Framer(), b"x" * 150_000
    read = list(Framer().feed(framer.data(5, text, is_last=True)))
    assert [one.is_last for one in read if isinstance(one, Data)] == [False, False, True]
    assert b"".join(one.data for one in read if isinstance(one, Data)) == text
    assert list(Framer().feed(framer.data(5, b"", is_last=True))) == [Data(5, b"", True)]
    assert framer.data(5, b"") == b""


def test_replies_are_one_compressed_text() -> None:
    framer, inflate = Framer(), zlib.decompressobj(zdict=DICTIONARY)
    for stream in (1, 3):
        frame = framer.reply(stream)
        assert struct.unpack_from("!HHII", frame) == (0x8003, 2, len(frame) - 8, stream)
        assert inflate.decompress(frame[12:]) == struct.pack("!I", 0)


@pytest.mark.parametrize(
    "sent",
    [
        struct.pack("!HHI", 0x8002, 6, 4) + bytes(4),
        struct.pack("!II", 1, 0xFFFFFF),
        struct.pack("!HHI", 0x8003, 1, 12) + bytes(12),
        Client().syn(1, a="x" * 100_000),
    ],
    ids=["another version", "too long a frame", "no headers", "too long headers"],
)
def test_what_is_no_spdy_is_refused(sent: bytes) -> None:
    with pytest.raises(NotSpdy):
        list(Framer().feed(sent))
