"""Heads and bodies as they go by."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corral.proxy.messages import CHUNKED, TO_THE_END, BadMessage, Body, answer_length, answer_of, length_of, request_of


def test_a_request_is_read() -> None:
    request = request_of(b"GET /proxy/42/80/x?y=1 HTTP/1.1\r\nHost: head\r\nX-Empty:\r\nX: a:b ")
    assert (request.method, request.target, request.minor) == (b"GET", b"/proxy/42/80/x?y=1", 1)
    assert request.headers == [(b"Host", b"head"), (b"X-Empty", b""), (b"X", b"a:b")]


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/2.0", b"GET  / HTTP/1.1", b"get / HTTP/1.1", b"GET /\x01 HTTP/1.1", b"GET / HTTP/1.1\r\nno colon",
        b"GET / HTTP/1.1\r\nA : b", b"GET / HTTP/1.1\r\n continued: x", b"GET / HTTP/1.1\r\nA: b\nC: d", b"GET / HTTP/1.1\r\nA: \0",
    ],
)  # fmt: skip
def test_what_is_no_request_is_refused(head: bytes) -> None:
    with pytest.raises(BadMessage):
        request_of(head)


@pytest.mark.parametrize(
    "headers",
    [
        [(b"Content-Length", b"1"), (b"Transfer-Encoding", b"chunked")], [(b"Content-Length", b"1"), (b"content-length", b"2")],
        [(b"Content-Length", b"+1")], [(b"Content-Length", b"-1")], [(b"Transfer-Encoding", b"gzip, chunked")],
        [(b"Transfer-Encoding", b"identity")],
    ],
)  # fmt: skip
def test_a_body_that_could_end_in_two_places_is_refused(headers: list[tuple[bytes, bytes]]) -> None:
    with pytest.raises(BadMessage):
        length_of(headers)


def test_how_long_answers_are() -> None:
    def length(head: bytes, method: bytes = b"GET") -> int:
        return answer_length(answer_of(head), method)

    assert length(b"HTTP/1.1 200 OK\r\nContent-Length: 7") == 7
    assert length(b"HTTP/1.1 200 OK\r\nContent-Length: 7", b"HEAD") == 0
    assert length(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 7") == 0
    assert length(b"HTTP/1.1 200\r\nTransfer-Encoding: chunked") == CHUNKED
    assert length(b"HTTP/1.0 200 OK") == TO_THE_END


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=6), st.binary(max_size=9), st.lists(st.integers(1, 30)))
def test_a_body_in_chunks_ends_where_it_does_however_it_comes(
    pieces: list[bytes], behind: bytes, cuts: list[int]
) -> None:
    whole = b"".join(b"%x;x=1\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\nTrailer: 1\r\n\r\n"
    stream, body, taken = whole + behind, Body(CHUNKED), b""
    for cut in [*cuts, len(stream)]:
        taken += body.take(stream[:cut])
        stream = stream[cut:]
        if body.is_over:
            break
    assert body.is_over
    assert taken == whole


@given(st.binary(max_size=30), st.integers(0, 20), st.integers(1, 9))
def test_a_counted_body_ends_at_its_length(data: bytes, length: int, step: int) -> None:
    body, taken = Body(length), b""
    while data and not body.is_over:
        taken += body.take(data[:step])
        data = data[step:]
    assert len(taken) <= length
    assert body.is_over == (len(taken) == length)


def test_a_chunk_without_a_size_is_refused() -> None:
    for data in (b"xyz\r\n", b"-1\r\n", b"\r\n", b"0x5\r\n"):
        with pytest.raises(BadMessage):
            Body(CHUNKED).take(data)
