"""An answer on its way from the job to the browser."""

import asyncio
import os
import socket
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from corral.proxy.inner import MOST_WAITING, Inner
from corral.proxy.messages import TO_THE_END, BadMessage, Body

Scene = Callable[[Inner, socket.socket, asyncio.StreamWriter, socket.socket], Coroutine[Any, Any, None]]


def play(scene: Scene) -> None:
    """With the job's end, and a browser's that reads when the scene does."""

    async def played() -> None:
        loop = asyncio.get_running_loop()
        job, ours = socket.socketpair()
        browser, towards = socket.socketpair()
        for sock in (job, ours, browser, towards):
            sock.setblocking(False)
        _, inner = await loop.create_connection(lambda: Inner(1000), sock=ours)
        _, writer = await asyncio.open_connection(sock=towards)
        try:
            await asyncio.wait_for(scene(inner, job, writer, browser), 60)
        finally:
            inner.close()
            writer.close()
            job.close()
            browser.close()

    asyncio.run(played())


def test_a_long_answer_waits_for_a_slow_browser_and_comes_whole() -> None:
    data = os.urandom(8 * MOST_WAITING)

    async def scene(inner: Inner, job: socket.socket, writer: asyncio.StreamWriter, browser: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        sending = asyncio.ensure_future(loop.sock_sendall(job, b"HTTP/1.1 200 OK\r\n\r\n" + data))
        assert await inner.head() == b"HTTP/1.1 200 OK"
        pouring = asyncio.ensure_future(inner.pour(writer, Body(len(data))))
        got = bytearray()
        while len(got) < len(data):
            assert writer.transport.get_write_buffer_size() < 2 * MOST_WAITING
            got += await loop.sock_recv(browser, 100_000)
        assert bytes(got) == data
        assert await pouring
        await sending

    play(scene)


def test_what_stands_behind_the_end_is_nobodys() -> None:
    async def scene(inner: Inner, job: socket.socket, writer: asyncio.StreamWriter, browser: socket.socket) -> None:
        job.send(b"HTTP/1.1 200 OK\r\n\r\nbodyHTTP/1.1 200 hidden")
        await inner.head()
        assert not await inner.pour(writer, Body(4))
        assert await asyncio.get_running_loop().sock_recv(browser, 100) == b"body"

    play(scene)


def test_half_an_answer_is_known_as_such() -> None:
    async def scene(inner: Inner, job: socket.socket, writer: asyncio.StreamWriter, browser: socket.socket) -> None:
        job.send(b"HTTP/1.1 200 OK\r\n\r\nbo")
        job.shutdown(socket.SHUT_WR)
        await inner.head()
        assert not await inner.pour(writer, Body(4))
        assert await inner.head() == b""

    play(scene)


def test_a_body_without_a_length_ends_with_the_connection() -> None:
    async def scene(inner: Inner, job: socket.socket, writer: asyncio.StreamWriter, browser: socket.socket) -> None:
        job.send(b"HTTP/1.1 200 OK\r\n\r\nall")
        job.close()
        await inner.head()
        assert not await inner.pour(writer, Body(TO_THE_END))
        assert await asyncio.get_running_loop().sock_recv(browser, 100) == b"all"

    play(scene)


def test_a_head_that_does_not_end_is_refused() -> None:
    async def scene(inner: Inner, job: socket.socket, writer: asyncio.StreamWriter, browser: socket.socket) -> None:
        job.send(b"x" * 2000)
        with pytest.raises(BadMessage):
            await inner.head()

    play(scene)
