"""When is which object to be looked at again?"""

import heapq

from corral.model.kube.meta import ObjectKey


class Wakes:
    """One time for each object; the last one said holds."""

    def __init__(self) -> None:
        self._at: dict[ObjectKey, float] = {}
        self._heap: list[tuple[float, ObjectKey]] = []

    def set(self, key: ObjectKey, at: float) -> None:
        if self._at.get(key) != at:
            self._at[key] = at
            heapq.heappush(self._heap, (at, key))

    def set_no_later(self, key: ObjectKey, at: float) -> None:
        if self._at.get(key, float("inf")) > at:
            self.set(key, at)

    def clear(self, key: ObjectKey) -> None:
        self._at.pop(key, None)

    def due(self, now: float) -> list[ObjectKey]:
        """Those whose time has come; it is said no more."""
        found = []
        while self._heap and self._heap[0][0] <= now:
            at, key = heapq.heappop(self._heap)
            if self._at.get(key) == at:
                del self._at[key]
                found.append(key)
        return found

    def next(self) -> float:
        while self._heap and self._at.get(self._heap[0][1]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else float("inf")

    def all_by(self, now: float) -> None:
        """The clock has been set back: nothing waits for what was its future."""
        self._at = dict.fromkeys(self._at, now)
        self._heap = sorted((now, key) for key in self._at)
