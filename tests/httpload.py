"""A steady load of HTTP requests, and what became of each: python -m tests.httpload URL --rate 500 --seconds 10 prints JSON.

Requests are sent when they are due, whether those before are answered or not, over connections that are kept open. What was written and
not answered counts as failed, also on a connection that the server has closed meanwhile: nothing is sent twice. SIGTERM ends it early.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import signal
import sys
from collections import Counter
from time import perf_counter
from urllib.parse import urlsplit

import uvloop


class Load:
    def __init__(self, url: str, host: str = "", body: bytes = b"", timeout: float = 10.0) -> None:
        parts = urlsplit(url)
        self._address = parts.hostname or "127.0.0.1", parts.port or 80
        head = f"{'POST' if body else 'GET'} {parts.path or '/'} HTTP/1.1\r\nHost: {host or parts.netloc}\r\n"
        self._request = (head + (f"Content-Length: {len(body)}\r\n" if body else "") + "\r\n").encode() + body
        self._timeout = timeout
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self.outcomes: Counter[str] = Counter()
        self.bodies: Counter[str] = Counter()
        self.seconds: list[float] = []
        self.failures: list[tuple[float, str]] = []
        self.last_failed = 0.0  #: when it was sent
        self.connections = 0
        self.under_way = self.under_way_then = 0  #: requests, now and when the first failed
        self._is_told = False

    def stop(self) -> None:
        """Send no more; what is under way is waited for."""
        self._is_told = True

    async def one(self, since: float) -> None:
        began = perf_counter()
        self.under_way += 1
        try:
            async with asyncio.timeout(self._timeout):
                status, body, connection = await self._exchange()
        except (TimeoutError, OSError, ValueError, IndexError, asyncio.IncompleteReadError) as error:
            self.outcomes["failed"] += 1
            self.under_way_then = self.under_way_then or self.under_way
            self.last_failed = max(self.last_failed, began)
            self.failures.append((round(began - since, 3), f"{type(error).__name__}: {error}"))
            return
        finally:
            self.under_way -= 1
        self.seconds.append(perf_counter() - began)
        self.outcomes[status] += 1
        if status != "200":
            self.failures.append((round(began - since, 3), status))
        self.bodies[body[:40].decode("latin-1")] += 1
        if connection is not None:
            self._idle.append(connection)

    async def _exchange(
        self,
    ) -> tuple[str, bytes, tuple[asyncio.StreamReader, asyncio.StreamWriter] | None]:
        while self._idle:
            reader, writer = self._idle.pop()
            if not reader.at_eof() and not writer.is_closing():
                break
            writer.close()
        else:
            self.connections += 1
            reader, writer = await asyncio.open_connection(*self._address)
        try:
            writer.write(self._request)
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
            length = int(head.partition("content-length:")[2].split("\r\n")[0])
            body = await reader.readexactly(length)
        except BaseException:
            writer.close()
            raise
        if "connection: close" in head:
            writer.close()
            return head.split(" ")[1], body, None
        return head.split(" ")[1], body, (reader, writer)

    async def steady(self, rate: float, seconds: float) -> None:
        """So many a second."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self.stop)
        began, since, sent = loop.time(), perf_counter(), 0
        tasks: set[asyncio.Task[None]] = set()
        while loop.time() < began + seconds and not self._is_told:
            while sent < (loop.time() - began) * rate:
                sent += 1
                task = asyncio.create_task(self.one(since))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
            await asyncio.sleep(0.001)
        if tasks:
            await asyncio.wait(tasks)

    async def closed(self, connections: int, seconds: float, pause: float = 0.0) -> None:
        """So many at a time, each as soon as the one before is answered, or a pause later: by chance up to twice as long."""
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self.stop)
        ends, since = perf_counter() + seconds, perf_counter()

        async def go() -> None:
            while perf_counter() < ends and not self._is_told:
                await self.one(since)
                if pause:
                    await asyncio.sleep(2 * pause * random.random())

        await asyncio.gather(*(go() for _ in range(connections)))

    def report(self) -> dict[str, object]:
        ordered = sorted(self.seconds)

        def at(share: float) -> float:
            return round(1000 * ordered[int(share * (len(ordered) - 1))], 3) if ordered else 0.0

        return {
            "requests": sum(self.outcomes.values()),
            "failed": sum(self.outcomes.values()) - self.outcomes["200"],
            "outcomes": dict(self.outcomes),
            "bodies": dict(self.bodies),
            "connections": self.connections,
            "p50_ms": at(0.5),
            "p99_ms": at(0.99),
            "most_ms": at(1.0),
            "failures": self.failures[:20],
            "last_failed": self.last_failed,
            "under_way_then": self.under_way_then,
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--host", default="")
    parser.add_argument("--rate", type=float, default=0.0, help="requests a second")
    parser.add_argument("--connections", type=int, default=10, help="without --rate: so many at a time")
    parser.add_argument("--pause", type=float, default=0.0, help="seconds between two of a connection")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--timeout", type=float, default=10.0)
    parser.add_argument("--body", default="")
    given = parser.parse_args()
    load = Load(given.url, given.host, given.body.encode(), given.timeout)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(
            load.steady(given.rate, given.seconds)
            if given.rate
            else load.closed(given.connections, given.seconds, given.pause)
        )
    json.dump(load.report(), sys.stdout)
    print()


if __name__ == "__main__":
    main()
