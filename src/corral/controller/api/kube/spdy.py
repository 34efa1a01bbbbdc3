"""How do several streams go through one connection to kubectl and Go programs? SPDY/3.1, as much of it as they speak; no I/O.

Frames of control and data; the headers of a connection's streams are one compressed text in each direction, which begins with a
dictionary. There is no flow control: Go's library (moby/spdystream) has none, the connection's own is all there is.
https://www.chromium.org/spdy/spdy-protocol/spdy-protocol-draft3-1/
"""

import struct
import zlib
from collections.abc import Iterator

import msgspec

_VERSION = 3
_SYN_STREAM, _SYN_REPLY, _RST_STREAM, _PING, _GOAWAY = 1, 2, 3, 6, 7
_FIN = 1
_HEAD = struct.Struct("!II")  #: the first half says which kind it is; flags and length
_NUMBER = struct.Struct("!I")
#: A frame of data is no longer than this; nor are headers.
_MOST_DATA, _MOST_HEADERS = 1 << 20, 1 << 16
_PIECE = 64 << 10

_WORDS = (
    "options head post put delete trace accept accept-charset accept-encoding accept-language accept-ranges age allow authorization "
    "cache-control connection content-base content-encoding content-language content-length content-location content-md5 content-range "
    "content-type date etag expect expires from host if-match if-modified-since if-none-match if-range if-unmodified-since last-modified "
    "location max-forwards pragma proxy-authenticate proxy-authorization range referer retry-after server te trailer transfer-encoding "
    "upgrade user-agent vary via warning www-authenticate method get status 200_OK version HTTP/1.1 url public set-cookie keep-alive origin"
)
_TAIL = (
    b"100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505203 Non-Authoritative Information"
    b"204 No Content301 Moved Permanently400 Bad Request401 Unauthorized403 Forbidden404 Not Found500 Internal Server Error"
    b"501 Not Implemented503 Service UnavailableJan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, "
    b"Sun, GMTchunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,text/javascript,public"
    b"privatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0."
)
_KNOWN = [word.replace("_", " ").encode() for word in _WORDS.split()]
DICTIONARY = b"".join(_NUMBER.pack(len(word)) + word for word in _KNOWN) + _TAIL


class NotSpdy(Exception):
    """What has come is no SPDY, or too much of it."""


class Opened(msgspec.Struct, frozen=True):
    """The client has a new stream."""

    stream: int
    headers: dict[str, str]


class Data(msgspec.Struct, frozen=True):
    stream: int
    data: bytes
    is_last: bool = False


class Reset(msgspec.Struct, frozen=True):
    """The client is done with a stream."""

    stream: int


class Ping(msgspec.Struct, frozen=True):
    """To be answered by `pong`."""

    number: int


Event = Opened | Data | Reset | Ping


class Framer:
    """The server's end of one connection."""

    def __init__(self) -> None:
        self._partial = bytearray()
        self._inflate = zlib.decompressobj(zdict=DICTIONARY)
        self._deflate = zlib.compressobj(zdict=DICTIONARY)

    # -- what has come

    def feed(self, data: bytes) -> Iterator[Event]:
        """Raises NotSpdy."""
        self._partial += data
        while len(self._partial) >= _HEAD.size:
            first, second = _HEAD.unpack_from(self._partial)
            flags, length = second >> 24, second & 0xFFFFFF
            if length > _MOST_DATA:
                raise NotSpdy(f"a frame of {length} bytes")
            if len(self._partial) < _HEAD.size + length:
                return
            body = bytes(self._partial[_HEAD.size : _HEAD.size + length])
            del self._partial[: _HEAD.size + length]
            if first >> 31:
                yield from self._control(first, flags, body)
            else:
                yield Data(first, body, bool(flags & _FIN))

    def _control(self, first: int, flags: int, body: bytes) -> Iterator[Event]:
        if (first >> 16) & 0x7FFF != _VERSION:
            raise NotSpdy("a version other than 3")
        kind = first & 0xFFFF
        try:
            number = _NUMBER.unpack_from(body)[0] & 0x7FFFFFFF
            if kind == _SYN_STREAM:
                yield Opened(number, self._headers(body[10:]))
                if flags & _FIN:
                    yield Data(number, b"", True)
            elif kind == _RST_STREAM:
                yield Reset(number)
            elif kind == _PING:
                yield Ping(_NUMBER.unpack_from(body)[0])
        except (struct.error, zlib.error, UnicodeDecodeError) as error:
            raise NotSpdy(str(error)) from None

    def _headers(self, block: bytes) -> dict[str, str]:
        text = self._inflate.decompress(block, _MOST_HEADERS)
        if self._inflate.unconsumed_tail:
            raise NotSpdy("too many headers")
        (count,), at = _NUMBER.unpack_from(text), _NUMBER.size
        found: dict[str, str] = {}
        for _ in range(count):
            words = []
            for _ in range(2):
                (length,) = _NUMBER.unpack_from(text, at)
                at += _NUMBER.size
                words.append(text[at : at + length].decode())
                at += length
            found[words[0].lower()] = words[1].partition("\0")[0]
        return found

    # -- what is to be sent

    def reply(self, stream: int) -> bytes:
        """The stream is taken."""
        block = self._deflate.compress(_NUMBER.pack(0)) + self._deflate.flush(zlib.Z_SYNC_FLUSH)
        return _control(_SYN_REPLY, _NUMBER.pack(stream) + block)

    def data(self, stream: int, data: bytes, *, is_last: bool = False) -> bytes:
        if not data and not is_last:
            return b""
        pieces = [data[at : at + _PIECE] for at in range(0, len(data), _PIECE)] or [b""]
        last = len(pieces) - 1
        return b"".join(
            _HEAD.pack(stream, (_FIN << 24 if is_last and index == last else 0) | len(piece)) + piece
            for index, piece in enumerate(pieces)
        )

    def reset(self, stream: int) -> bytes:
        """It is not taken, or no longer."""
        return _control(_RST_STREAM, struct.pack("!II", stream, 5))

    def pong(self, number: int) -> bytes:
        return _control(_PING, _NUMBER.pack(number))

    def goodbye(self) -> bytes:
        return _control(_GOAWAY, struct.pack("!II", 0, 0))


def _control(kind: int, body: bytes) -> bytes:
    return _HEAD.pack(1 << 31 | _VERSION << 16 | kind, len(body)) + body
