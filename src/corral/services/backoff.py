"""When may a Pod that has failed be made anew? At once if it has lived; later and later if they fail one after the other.

The Pods that have ended are the memory of that: they are kept as long as they count.
"""

import math

from corral.model.kube.pod import Pod
from corral.services.waits import over_at

_FIRST, _LONGEST = 10.0, 300.0  #: seconds between tries
_REMEMBERED = 1800.0
_ROUNDS = 6  #: so many in a row, and the wait is the longest
_LIVED = 600.0  #: who has run so long has not failed at the start


def next_try(pod: Pod, ended_at: float, before: int, now: float) -> tuple[int, float]:
    """For a Pod whose name is given again, so that it is not kept: how many have failed one after the other, with the `before` before it;
    and when the next one may come.
    """
    made = pod.metadata.creation_timestamp
    if ended_at - made >= _LIVED:
        return 0, 0.0
    return before + 1, over_at(made, min(_FIRST * 2.0 ** min(before, 10), _LONGEST), now)


class Failures:
    def __init__(self, ended: list[Pod], now: float) -> None:
        self._all, self._now = ended, now
        self._since = now - _REMEMBERED
        self.counted = [pod for pod in ended if pod.metadata.creation_timestamp > self._since]
        self.next_look = min((pod.metadata.creation_timestamp + _REMEMBERED for pod in self.counted), default=math.inf)

    def may_create_at(self, wanted: int) -> float:
        """0.0 = nothing has failed. As many as are wanted make one round."""
        if not self.counted:
            return 0.0
        rounds = math.ceil(len(self.counted) / max(wanted, 1))
        last = max(pod.metadata.creation_timestamp for pod in self.counted)
        return over_at(last, min(_FIRST * 2.0 ** min(rounds - 1, 10), _LONGEST), self._now)

    def forgotten(self, wanted: int) -> list[Pod]:
        """Those that say nothing any more: too old, or more than are needed to wait the longest."""
        old = [pod for pod in self._all if pod.metadata.creation_timestamp <= self._since]
        by_age = sorted(self.counted, key=lambda pod: (pod.metadata.creation_timestamp, pod.metadata.name))
        return old + by_age[: max(len(by_age) - _ROUNDS * max(wanted, 1), 0)]
