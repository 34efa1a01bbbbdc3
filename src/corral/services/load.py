"""How much traffic has each service had lately, and what do its Pods use?

What gateways count and nodes measure. It is no record: after a restart it begins anew, and who decides by it waits until it has seen
enough. Traffic is kept for the last minute, a sum for each second in which some gateway has reported; a service that a report does not
mention had none. Seconds in which nobody reported say nothing.
"""

from collections import deque
from collections.abc import Iterable

import msgspec

from corral.protocol.requests import ServiceLoad
from corral.services.replicas import Measured

#: Knative's windows: the one that counts in quiet times, and the one in which a rush is noticed.
STABLE, PANIC = 60.0, 6.0
#: A measurement that is older than this is none.
STALE = 90.0
#: When no gateway was heard for so long, nobody knows how many requests there are.
SILENT = 15.0
#: What nobody has spoken of for so long is forgotten.
FORGOTTEN = 3600.0

ServiceKey = tuple[str, str]  #: namespace, name


class _Second(msgspec.Struct):
    at: float
    in_flight: dict[str, float]  #: by gateway
    requests: int = 0


class Window:
    """Of one service."""

    def __init__(self, since: float) -> None:
        self.since = since
        self.busy = 0.0  #: when there was a request last; 0.0 = never
        self.held: dict[str, int] = {}  #: by gateway, now
        self._seconds: deque[_Second] = deque()

    def note(self, load: ServiceLoad, source: str, now: float) -> None:
        second = float(int(now))
        if not self._seconds or self._seconds[-1].at < second:
            self._seconds.append(_Second(second, {}))
        last = self._seconds[-1]
        last.in_flight[source] = load.in_flight
        last.requests += load.requests
        self.held[source] = load.held
        if load.in_flight > 0 or load.requests or load.held:
            self.busy = now
        while self._seconds[0].at < now - STABLE - 2:
            self._seconds.popleft()

    @property
    def holds(self) -> int:
        """Requests that wait for a replica."""
        return sum(self.held.values())

    def is_busy(self, now: float) -> bool:
        """Has there been a request lately?"""
        return self.busy > now - STABLE

    def in_flight(self, after: float) -> float:
        return sum(sum(one.in_flight.values()) for one in self._seconds if one.at > after)

    def requests(self, after: float) -> int:
        return sum(one.requests for one in self._seconds if one.at > after)


class Loads:
    """Of all services and Pods, and what was asked of others."""

    def __init__(self) -> None:
        self.windows: dict[ServiceKey, Window] = {}
        self.usage: dict[
            tuple[str, str], dict[str, Measured]
        ] = {}  #: namespace, Pod -> by what: cpu, memory, nvidia.com/gpu
        self.external: dict[str, Measured] = {}  #: by query
        self.failed: dict[str, str] = {}  #: likewise, why there is no answer
        self._beats: deque[float] = deque()  #: seconds in which a gateway has reported

    # -- traffic

    def reported(self, loads: Iterable[ServiceLoad], source: str, now: float) -> list[ServiceKey]:
        """One report of one gateway. Services for which somebody waits now and nobody did before, or that were quiet."""
        second = float(int(now))
        if not self._beats or self._beats[-1] < second:
            self._beats.append(second)
        while self._beats[0] < now - STABLE - 2:
            self._beats.popleft()
        named: set[ServiceKey] = set()
        waking = []
        for load in loads:
            key = load.namespace, load.service
            window = self.windows.get(key)
            if window is None:
                window = self.windows[key] = Window(now)
            before, was_busy = window.holds, window.is_busy(now)
            window.note(load, source, now)
            named.add(key)
            if (window.holds and not before) or (window.is_busy(now) and not was_busy):
                waking.append(key)
        for key, window in self.windows.items():
            if window.held.get(source) and key not in named:
                window.held[source] = 0
        return waking

    @property
    def heard(self) -> float:
        """When a gateway reported last; 0.0 = none ever has."""
        return self._beats[-1] if self._beats else 0.0

    def is_silent(self, now: float) -> bool:
        return self.heard < now - SILENT

    def in_flight(self, key: ServiceKey, span: float, now: float) -> float | None:
        """On average; None = nobody has reported."""
        return self._mean(key, span, now, of_requests=False)

    def per_second(self, key: ServiceKey, span: float, now: float) -> float | None:
        return self._mean(key, span, now, of_requests=True)

    def _mean(self, key: ServiceKey, span: float, now: float, *, of_requests: bool) -> float | None:
        after = now - span
        window = self.windows.get(key)
        if window is not None:
            after = max(after, int(window.since) - 1.0)
        beats = [beat for beat in self._beats if beat > after]
        if not beats:
            return None
        if window is None:
            return 0.0
        if of_requests:  # counted since the report before: gaps between reports are in it
            return window.requests(after) / max(1.0, beats[-1] - max(after, beats[0] - 1.0))
        return window.in_flight(after) / len(beats)

    # -- measurements

    def pod_uses(self, namespace: str, pod: str, used: dict[str, float], now: float) -> None:
        self.usage[namespace, pod] = {name: Measured(value, now) for name, value in used.items()}

    def of_pods(self, namespace: str, names: Iterable[str], what: str, now: float) -> dict[str, Measured]:
        """What of these was seen lately."""
        found = {}
        for name in names:
            seen = self.usage.get((namespace, name), {}).get(what)
            if seen is not None and seen.at > now - STALE:
                found[name] = seen
        return found

    def answered(self, query: str, value: float | None, problem: str, now: float) -> None:
        if value is None:
            self.failed[query] = problem
        else:
            self.external[query] = Measured(value, now)
            self.failed.pop(query, None)

    def value_of(self, query: str, now: float) -> float | str:
        """The answer, or why there is none."""
        seen = self.external.get(query)
        if seen is not None and seen.at > now - STALE:
            return seen.value
        return self.failed.get(query, "no answer has come yet")

    def forget(self, now: float) -> None:
        """What nobody has spoken of for an hour."""
        self.windows = {
            key: window for key, window in self.windows.items() if max(window.busy, window.since) > now - FORGOTTEN
        }
        self.usage = {
            key: used for key, used in self.usage.items() if max(seen.at for seen in used.values()) > now - FORGOTTEN
        }
        self.external = {query: seen for query, seen in self.external.items() if seen.at > now - FORGOTTEN}
