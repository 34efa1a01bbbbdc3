"""When does the scheduler run? Soon after something has changed, never when nothing has, and never all the time.

A cycle may take a second: it is done in slices, between which messages are handled and users answered. It works on a snapshot;
what it finds is committed in pieces, and what has changed meanwhile is left to the next one.
"""

from collections.abc import Callable, Generator
from typing import Any

#: Seconds that a cycle may take before others get their turn.
SLICE = 0.005
#: So many starts are committed at once.
STARTS = 16


class Cycle:
    """One that is under way."""

    def __init__(self, snapshot: Any, schedule: Callable[[Any, float], Generator[None, None, Any]], now: float) -> None:
        self.waiting = sum(len(group.queue) for group in snapshot.pending)
        self.seconds = 0.0  #: that it has taken so far
        self.plan: Any = None
        self._steps = schedule(snapshot, now)
        self._pieces: list[Any] = []

    def advance(self, commit: Callable[[Any], None], clock: Callable[[], float]) -> bool:
        """For one slice; has it ended?"""
        began = clock()
        ends = began + SLICE
        try:
            while self.plan is None and clock() < ends:
                try:
                    next(self._steps)
                except StopIteration as found:
                    self.plan = found.value
                    self._pieces = self.plan.pieces(STARTS)[::-1]
            while self._pieces and clock() < ends:
                commit(self._pieces.pop())
        finally:
            self.seconds += clock() - began
        return self.plan is not None and not self._pieces


class CycleTimer:
    """Times are seconds of the monotonic clock."""

    def __init__(self, interval: float, share: float = 0.5) -> None:
        self._interval = interval
        self._share = share  #: of the time, that cycles may take when there is always something to do
        self._earliest = 0.0
        self.runs = 0
        self.seconds = 0.0
        self.longest = 0.0

    def due_in(self, now: float) -> float:
        """Seconds until a cycle may begin."""
        return max(0.0, self._earliest - now)

    def has_run(self, began: float, ended: float) -> None:
        took = ended - began
        self._earliest = max(began + self._interval, ended + took * (1.0 / self._share - 1.0))
        self.runs += 1
        self.seconds += took
        self.longest = max(self.longest, took)

    def postpone(self, until: float) -> None:
        """No cycle before then."""
        self._earliest = max(self._earliest, until)
