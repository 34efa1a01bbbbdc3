"""What is the head of a request or an answer, and where does its body end?

Bodies are passed on as they come, byte by byte. Whatever could be read in two ways is refused: then nobody can hide one request in another.
"""

import re
from typing import NamedTuple

MOST_HEAD = 64 << 10
_PIECE = 256 << 10
_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+\Z")
_REQUEST = re.compile(rb"([A-Z]{1,32}) ([\x21-\x7e]+) HTTP/1\.([01])\Z")
_STATUS = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9][0-9])(?: .*)?\Z")

Headers = list[tuple[bytes, bytes]]


class BadMessage(ValueError):
    """It is not HTTP/1.1, or could be read in two ways."""


class Request(NamedTuple):
    method: bytes
    target: bytes
    minor: int  #: of HTTP/1.
    headers: Headers


class Answer(NamedTuple):
    status: int
    line: bytes
    minor: int
    headers: Headers


def values(headers: Headers, name: bytes) -> list[bytes]:
    return [value for key, value in headers if key.lower() == name]


def words(headers: Headers, name: bytes) -> list[bytes]:
    """Of a list with commas, in small letters."""
    return [word.strip().lower() for value in values(headers, name) for word in value.split(b",") if word.strip()]


def request_of(head: bytes) -> Request:
    lines = head.split(b"\r\n")
    found = _REQUEST.match(lines[0])
    if found is None:
        raise BadMessage("not a request of HTTP/1.1")
    return Request(found[1], found[2], int(found[3]), _headers(lines[1:]))


def answer_of(head: bytes) -> Answer:
    lines = head.replace(b"\r\n", b"\n").split(b"\n")
    found = _STATUS.match(lines[0])
    if found is None:
        raise BadMessage("not an answer of HTTP/1.1")
    return Answer(int(found[2]), lines[0], int(found[1]), _headers(lines[1:]))


def _headers(lines: list[bytes]) -> Headers:
    found: Headers = []
    for line in lines:
        if not line:
            continue
        name, colon, value = line.partition(b":")
        if not colon or _TOKEN.match(name) is None or b"\0" in value or b"\n" in value or b"\r" in value:
            raise BadMessage("a header that is none")
        found.append((name, value.strip(b" \t")))
    return found


#: A body of which length; -1 = in chunks, -2 = until the connection ends.
CHUNKED, TO_THE_END = -1, -2


def length_of(headers: Headers) -> int | None:
    """None = nothing is said."""
    coding, lengths = words(headers, b"transfer-encoding"), values(headers, b"content-length")
    if coding:
        if lengths or coding != [b"chunked"]:
            raise BadMessage("a body of two lengths, or of a coding that is not known")
        return CHUNKED
    if not lengths:
        return None
    if len(set(lengths)) > 1 or not lengths[0].isdigit() or len(lengths[0]) > 18:
        raise BadMessage("a body of two lengths, or of none")
    return int(lengths[0])


def answer_length(answer: Answer, method: bytes) -> int:
    if method == b"HEAD" or answer.status in (204, 304) or answer.status < 200:
        return 0
    length = length_of(answer.headers)
    return TO_THE_END if length is None else length


class Body:
    """Counts a body as it goes by."""

    def __init__(self, length: int) -> None:
        self._left = length
        self._chunks = length == CHUNKED
        self._line = bytearray()
        self._in_trailer = False
        self.is_over = length == 0

    @property
    def most(self) -> int:
        """So many bytes may be read without reading beyond its end; of chunks nobody knows."""
        return self._left if self._left > 0 and not self._chunks else _PIECE

    def take(self, data: bytes) -> bytes:
        """What of it belongs to the body; the rest is behind its end."""
        if self._chunks:
            return data[: self._through_chunks(data)]
        if self._left == TO_THE_END:
            return data
        taken = data[: self._left]
        self._left -= len(taken)
        self.is_over = not self._left
        return taken

    def _through_chunks(self, data: bytes) -> int:
        """`_left`: bytes of this chunk with the line end behind it; -1: its size is being read."""
        at = 0
        while at < len(data) and not self.is_over:
            if self._left > 0:
                step = min(self._left, len(data) - at)
                self._left -= step
                at += step
                if not self._left:
                    self._left = -1
                continue
            end = data.find(b"\n", at)
            stop = len(data) if end < 0 else end + 1
            self._line += data[at:stop]
            at = stop
            if len(self._line) > MOST_HEAD:
                raise BadMessage("a chunk without a size")
            if end >= 0:
                self._on_line(bytes(self._line).rstrip(b"\r\n"))
                self._line.clear()
        return at

    def _on_line(self, line: bytes) -> None:
        if self._in_trailer:
            self.is_over = not line
            return
        size = line.partition(b";")[0].strip()
        try:
            if not re.fullmatch(rb"[0-9A-Fa-f]{1,15}", size):
                raise ValueError
            count = int(size, 16)
        except ValueError:
            raise BadMessage("a chunk without a size") from None
        if count:
            self._left = count + 2
        else:
            self._in_trailer = True
