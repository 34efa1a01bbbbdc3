"""What the agent asks a container, and what it makes of the answer."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from corral.agent.checks import Reached, check
from corral.agent.httpwords import request, status_of
from corral.agent.unwell import NotWell
from corral.protocol.pods import Check


def asked(wanted: Check, answer: bytes) -> bytes:
    """What a server that says this is asked. Raises what the check raises."""
    heard = bytearray()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if wanted.how == "http":
            heard.extend(await reader.readuntil(b"\r\n\r\n"))
            writer.write(answer)
        writer.close()

    async def main() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with server:
            await check(wanted, Reached("127.0.0.1", {80: port}))

    asyncio.run(main())
    return bytes(heard)


def test_http_is_asked_with_its_path_and_headers() -> None:
    wanted = Check(how="http", port=80, path="/healthz?full=1", headers=(("Host", "me"), ("X-Probe", "1")))
    lines = asked(wanted, b"HTTP/1.1 204 No Content\r\n\r\n").decode().split("\r\n")
    assert lines[0] == "GET /healthz?full=1 HTTP/1.1"
    assert {"Host: me", "X-Probe: 1", "Connection: close"} < set(lines)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"HTTP/1.1 503 Busy\r\n\r\n", "HTTP probe failed with statuscode: 503"),
        (b"", "closed without an answer"),
        (b"SSH-2.0\r\n", "no answer of HTTP: 'SSH-2.0'"),
    ],
)
def test_http_that_is_not_well(answer: bytes, words: str) -> None:
    with pytest.raises(NotWell, match=words):
        asked(Check(how="http", port=80), answer)


def test_a_redirect_counts_as_well() -> None:
    assert status_of(b"HTTP/1.0 301 Moved\r\n") == 301
    asked(Check(how="http", port=80), b"HTTP/1.1 302 Found\r\n\r\n")


def test_a_connection_is_enough_for_tcp() -> None:
    asked(Check(how="tcp", port=80), b"")


def test_nobody_listens_and_there_is_no_such_port() -> None:
    with pytest.raises(ConnectionRefusedError):
        asyncio.run(check(Check(how="tcp", port=1), Reached("127.0.0.1")))
    with pytest.raises(NotWell, match="no port of that name"):
        asyncio.run(check(Check(how="tcp", port=0), Reached("127.0.0.1")))
    with pytest.raises(NotWell, match="only those that it declares"):
        asyncio.run(check(Check(how="tcp", port=5), Reached("127.0.0.1", {80: 8080})))


def test_a_header_cannot_hold_another_line() -> None:
    assert b"\nEvil" not in request(Check(how="http", headers=(("A", "b\r\nEvil: 1"),)), "h", 1)


def grpc(answer: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]], service: str) -> None:
    async def main() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            await check(Check(how="grpc", port=80, service=service), Reached("127.0.0.1", {80: port}))

    asyncio.run(main())


@pytest.mark.parametrize(("state", "words"), [(1, ""), (2, "NOT_SERVING"), (None, "gRPC status 12")])
def test_grpc_health(state: int | None, words: str) -> None:
    connections = pytest.importorskip("h2.connection")
    import h2.config
    import h2.events

    heard = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        one = connections.H2Connection(h2.config.H2Configuration(client_side=False))
        one.initiate_connection()
        while data := await reader.read(65536):
            for event in one.receive_data(data):
                if isinstance(event, h2.events.DataReceived):
                    heard.append(event.data)
                if isinstance(event, h2.events.StreamEnded):
                    one.send_headers(event.stream_id, [(":status", "200"), ("content-type", "application/grpc")])
                    if state is not None:
                        one.send_data(event.stream_id, b"\0\0\0\0\2\x08" + bytes((state,)))
                    trailers = [("grpc-status", "0" if state is not None else "12")]
                    one.send_headers(event.stream_id, trailers, end_stream=True)
            writer.write(one.data_to_send())
        writer.close()

    if words:
        with pytest.raises(NotWell, match=words):
            grpc(serve, "db")
    else:
        grpc(serve, "db")
    assert heard == [b"\0\0\0\0\4\x0a\x02db"]
