"""Connections that say nothing, or stop in the middle, are given up."""

import asyncio
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from corral.controller.api.server import HttpServer


async def answer(scope: Any, receive: Any, send: Any) -> None:
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


def talk(path: Path, conversation: Callable[[socket.socket], None], seconds: float = 0.2) -> None:
    """With a server that waits so long for the rest of a request."""

    async def serve() -> None:
        server = HttpServer(answer, seconds)
        listening = socket.socket(socket.AF_UNIX)
        listening.bind(str(path))
        listening.listen()
        await server.listen(listening)
        try:
            await asyncio.to_thread(call)
        finally:
            await server.close(0.1)

    def call() -> None:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(60)
            client.connect(str(path))
            conversation(client)

    asyncio.run(serve())


def everything(client: socket.socket) -> bytes:
    return b"".join(iter(lambda: client.recv(4096), b""))


@pytest.mark.parametrize(
    "half",
    [
        b"",
        b"GET /v1/jo",
        b"GET / HTTP/1.1\r\nHost: a\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf",
    ],
)
def test_who_stops_in_the_middle_is_let_go(tmp_path: Path, half: bytes) -> None:
    def conversation(client: socket.socket) -> None:
        client.sendall(half)
        assert everything(client).startswith(b"HTTP/1.1 408 Request Timeout")

    talk(tmp_path / "sock", conversation)


def test_a_head_that_comes_byte_by_byte_has_its_limit_too(tmp_path: Path) -> None:
    def conversation(client: socket.socket) -> None:
        client.settimeout(0.02)
        client.sendall(b"GET / HTTP/1.1\r\nX: ")
        while True:
            try:
                assert client.recv(4096).startswith(b"HTTP/1.1 408")
                return
            except TimeoutError:
                client.sendall(b"a")

    talk(tmp_path / "sock", conversation)


def test_a_body_may_take_its_time_as_long_as_it_comes(tmp_path: Path) -> None:
    def conversation(client: socket.socket) -> None:
        client.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 40\r\nConnection: close\r\n\r\n")
        client.settimeout(0.05)
        for _ in range(40):
            try:
                raise AssertionError(client.recv(4096))
            except TimeoutError:
                client.sendall(b"a")
        client.settimeout(60)
        assert everything(client).startswith(b"HTTP/1.1 200")

    talk(tmp_path / "sock", conversation, 1.0)
