"""How many requests come to a service, and how long does each take there?

Requests come as a curve says, with noise from a seed. A service has so many ready replicas, each of which answers so many requests at a
time; what finds no free place waits in line. A request's latency is its wait and its service time. Time passes in steps of a second: all
that come in one step are treated alike.
"""

import bisect
import math
import random
from collections import deque

import msgspec

STEP = 1.0


class Curve(msgspec.Struct, frozen=True):
    """Requests per second by the time of the day: points, and straight lines between them."""

    times: tuple[float, ...]  #: seconds, ascending, the first is 0
    rates: tuple[float, ...]

    def at(self, time: float) -> float:
        """It goes round after the last point and one step more."""
        period = self.times[-1] + (self.times[1] - self.times[0])
        time %= period
        place = bisect.bisect_right(self.times, time) - 1
        begins, here = self.times[place], self.rates[place]
        after = place + 1
        ends, there = (self.times[after], self.rates[after]) if after < len(self.times) else (period, self.rates[0])
        return here + (there - here) * (time - begins) / (ends - begins)


def curve_of(text: str, peak: float) -> Curve:
    """Lines `minute,share`; `#` begins a comment. `peak`: requests per second where the share is 1."""
    points = [line.split(",") for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return Curve(tuple(60.0 * float(minute) for minute, _ in points), tuple(peak * float(share) for _, share in points))


class Noise:
    """Minutes that are busier or quieter than the curve, and a few sudden bursts."""

    def __init__(
        self, seed: int, sigma: float = 0.08, bursts: int = 6, height: float = 1.35, span: float = 86400.0
    ) -> None:
        self._chance = random.Random(seed)
        self._sigma, self._height = sigma, height
        self._bursts = sorted(self._chance.uniform(0, span) for _ in range(bursts))
        self._minute, self._factor = -1, 1.0

    def arrivals(self, rate: float, time: float) -> int:
        """In one step."""
        minute = int(time // 60)
        if minute != self._minute:
            self._minute, self._factor = minute, math.exp(self._chance.gauss(0.0, self._sigma))
        place = bisect.bisect_right(self._bursts, time) - 1
        burst = self._height if place >= 0 and time - self._bursts[place] < 120.0 else 1.0
        return self._poisson(rate * self._factor * burst * STEP)

    def _poisson(self, mean: float) -> int:
        if mean > 30.0:
            return max(0, round(self._chance.gauss(mean, math.sqrt(mean))))
        limit, count, product = math.exp(-mean), 0, self._chance.random()
        while product > limit:
            count += 1
            product *= self._chance.random()
        return count


class Station:
    """The line of requests before the replicas of one service."""

    def __init__(self, service_seconds: float, concurrency: int, target_seconds: float) -> None:
        self.service_seconds, self.concurrency, self.target = service_seconds, concurrency, target_seconds
        self.waiting: deque[tuple[float, int]] = deque()  #: when they came, how many
        self.in_service = 0.0
        self.came = self.good = self.late = 0

    @property
    def queued(self) -> int:
        return sum(count for _, count in self.waiting)

    @property
    def in_flight(self) -> float:
        return self.in_service + self.queued

    def step(self, arrivals: int, replicas: int, now: float) -> None:
        """A second has gone by, in which so many came, and so many replicas were ready."""
        self.came += arrivals
        if arrivals:
            self.waiting.append((now, arrivals))
        self.in_service *= max(0.0, 1.0 - STEP / self.service_seconds)
        free = int(replicas * self.concurrency - self.in_service + 1e-6)
        while free > 0 and self.waiting:
            since, count = self.waiting[0]
            begin = min(count, free)
            free -= begin
            self.in_service += begin
            if now - since + self.service_seconds <= self.target:
                self.good += begin
            else:
                self.late += begin
            if begin == count:
                self.waiting.popleft()
            else:
                self.waiting[0] = (since, count - begin)

    @property
    def good_share(self) -> float:
        """Of all that came; those that wait still are not good."""
        return self.good / self.came if self.came else 1.0
