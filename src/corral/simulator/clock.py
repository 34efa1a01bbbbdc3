"""What happens next, and when is that? Time that passes by being asked."""

import heapq
from collections.abc import Callable
from typing import Any


class VirtualClock:
    """A queue of things to do. Those of one moment happen in the order in which they were put in."""

    def __init__(self, now: float) -> None:
        self.now = now
        self._queue: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._count = 0

    def after(self, delay: float, do: Callable[..., None], *arguments: Any) -> None:
        self._count += 1
        heapq.heappush(self._queue, (self.now + delay, self._count, do, arguments))

    def step(self) -> bool:
        """Go on to the next thing, and do it; False when there is none."""
        if not self._queue:
            return False
        self.now, _, do, arguments = heapq.heappop(self._queue)
        do(*arguments)
        return True
