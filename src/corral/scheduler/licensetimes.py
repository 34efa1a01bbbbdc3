"""How many of each licence are free, from now to the end of time?"""

import bisect

from corral.scheduler.licenses import Pool
from corral.syntax.licenses import Licenses

FOREVER = float("inf")


class LicenseTimes:
    """Of each name the moments at which its number changes, and how many are free from then on."""

    def __init__(self, pool: Pool, now: float) -> None:
        self.now = now
        self._times: dict[str, list[float]] = {name: [now] for name in pool.total}
        self._free: dict[str, list[int]] = {name: [pool.free(name)] for name in pool.total}

    def change(self, licenses: Licenses, start: float, end: float, sign: int) -> None:
        """So many fewer (1) or more (-1) are free between then and then."""
        for name, count in licenses:
            if name not in self._times:
                continue
            times, free = self._times[name], self._free[name]
            first = self._moment(times, free, max(start, self.now))
            last = self._moment(times, free, end) if end < FOREVER else len(times)
            for at in range(first, last):
                free[at] -= sign * count

    def release(self, licenses: Licenses, end: float) -> None:
        """Who has them gives them back."""
        self.change(licenses, end, FOREVER, -1)

    def least(self, name: str, start: float, end: float) -> int:
        """So many are free all the time between."""
        times = self._times.get(name)
        if times is None:
            return 0
        first = max(0, bisect.bisect_right(times, start) - 1)
        last = max(first + 1, bisect.bisect_left(times, end))
        return min(self._free[name][first:last])

    def has(self, licenses: Licenses, start: float, end: float) -> bool:
        """Are they free all the time between?"""
        return all(self.least(name, start, end) >= count for name, count in licenses)

    def pool(self, licenses: Licenses, start: float, end: float) -> Pool:
        """Of these licences what is free all the time between."""
        return Pool({name: self.least(name, start, end) for name, _ in licenses})

    def moments(self, licenses: Licenses) -> list[float]:
        """When some of these get free, or are taken."""
        return [time for name, _ in licenses for time in self._times.get(name, ())]

    def _moment(self, times: list[float], free: list[int], time: float) -> int:
        at = bisect.bisect_left(times, time)
        if at == len(times) or times[at] != time:
            times.insert(at, time)
            free.insert(at, free[at - 1])
        return at
