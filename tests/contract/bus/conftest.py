"""Two message planes that must behave alike: the one in memory and a real NATS server."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest

from corral.bus.credentials import ClusterKeys
from corral.bus.interface import Bus
from corral.bus.memory import MemoryBroker, MemoryBus
from corral.bus.nats import NatsBus
from corral.bus.permissions import EVERYTHING, Permissions
from corral.bus.server import RunningServer, start_server


class Plane(Protocol):
    def bus(self, permissions: Permissions = EVERYTHING) -> Bus: ...

    async def kill(self) -> None: ...

    async def restart(self) -> None: ...


class MemoryPlane:
    def __init__(self) -> None:
        self.broker = MemoryBroker()

    def bus(self, permissions: Permissions = EVERYTHING) -> Bus:
        return MemoryBus(self.broker, permissions)

    async def kill(self) -> None:
        self.broker.stop()

    async def restart(self) -> None:
        await self.broker.start()


class NatsPlane:
    def __init__(self, server: RunningServer, keys: ClusterKeys) -> None:
        self.server, self.keys = server, keys

    def bus(self, permissions: Permissions = EVERYTHING) -> Bus:
        return NatsBus(self.server.url, self.keys.user_jwt("test", permissions))

    async def kill(self) -> None:
        kill(self.server)

    async def restart(self) -> None:
        self.server = start_server(self.server.directory, self.keys)


def kill(server: RunningServer) -> None:
    os.kill(server.pid, signal.SIGKILL)
    server.stop()  # waits until it is gone
    assert not server.is_alive()


async def until(condition: Callable[[], object], timeout: float = 60.0) -> None:
    async with asyncio.timeout(timeout):
        while not condition():  # noqa: ASYNC110 - any condition, also one that another process brings about
            await asyncio.sleep(0.002)


class Play:
    """Runs a story, with buses that are closed at its end."""

    def __init__(self, make_plane: Callable[[], Plane]) -> None:
        self._make_plane = make_plane

    def __call__(self, story: Callable[..., Awaitable[None]], count: int = 2, **kwargs: Any) -> None:
        async def run() -> None:
            plane = self._make_plane()
            buses = [plane.bus() for _ in range(count)]
            try:
                for bus in buses:
                    await bus.connect(timeout=60)
                await story(plane, *buses, **kwargs)
            finally:
                for bus in buses:
                    await bus.close()

        asyncio.run(asyncio.wait_for(run(), 30))


@pytest.fixture
def keys() -> ClusterKeys:
    return ClusterKeys.create("test")


@pytest.fixture
def server(tmp_path: Path, keys: ClusterKeys) -> Iterator[RunningServer]:
    running = start_server(tmp_path / "nats", keys)
    yield running
    stop_whatever_runs(tmp_path / "nats")


def stop_whatever_runs(directory: Path) -> None:
    from corral.bus.server import running_server

    if (running := running_server(directory)) is not None:
        running.stop()


@pytest.fixture(params=["memory", "nats"])
def play(request: pytest.FixtureRequest) -> Play:
    if request.param == "memory":
        return Play(MemoryPlane)
    server: RunningServer = request.getfixturevalue("server")
    keys: ClusterKeys = request.getfixturevalue("keys")
    return Play(lambda: NatsPlane(server, keys))


@pytest.fixture(name="until")
def until_fixture() -> Callable[..., Awaitable[None]]:
    return until


@pytest.fixture(name="kill")
def kill_fixture() -> Callable[[RunningServer], None]:
    return kill
