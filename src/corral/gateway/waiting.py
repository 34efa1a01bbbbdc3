"""What waits for a replica, and how is it told when there is one? Bounded in number and in time."""

import asyncio
from collections.abc import Callable

from corral.model.kube.meta import ObjectKey
from corral.protocol.routes import Target

#: A replica that does not take a connection yet is tried again so many seconds later.
_AGAIN_SECONDS = 0.05
_CONNECT_SECONDS = 3.0


class GivenUp(Exception):
    """It has waited long enough, or too many wait already."""


class Waiting:
    """All that wait, for all services."""

    def __init__(self, most: int, seconds: float, on_first: Callable[[], None]) -> None:
        self._most, self._seconds = most, seconds
        self._on_first = on_first
        self.held: dict[ObjectKey, int] = {}
        self._ready: dict[ObjectKey, asyncio.Event] = {}

    def changed(self, key: ObjectKey) -> None:
        """Look again: its replicas are others."""
        if (event := self._ready.get(key)) is not None:
            event.set()

    async def connection(
        self, key: ObjectKey, targets: Callable[[], tuple[Target, ...]]
    ) -> tuple[Target, tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        """To the first of them that takes it, as soon as there is one. GivenUp says why there is none."""
        if not targets() and self.held.get(key, 0) >= self._most:
            raise GivenUp(f"{self._most} requests wait for it already")
        self.held[key] = self.held.get(key, 0) + 1
        event = self._ready.setdefault(key, asyncio.Event())
        if self.held[key] == 1 and not targets():
            self._on_first()
        try:
            async with asyncio.timeout(self._seconds):
                while True:
                    event.clear()
                    for target in targets():
                        try:
                            async with asyncio.timeout(_CONNECT_SECONDS):
                                return target, await asyncio.open_connection(target.host, target.port)
                        except (OSError, TimeoutError):
                            pass
                    try:
                        await asyncio.wait_for(event.wait(), _AGAIN_SECONDS if targets() else None)
                    except TimeoutError:
                        pass
        except TimeoutError:
            raise GivenUp(f"none has become ready in {self._seconds:g} seconds") from None
        finally:
            self.held[key] -= 1
            if not self.held[key]:
                del self.held[key]
                self._ready.pop(key, None)
