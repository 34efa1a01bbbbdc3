"""How many replicas do the requests ask for: in quiet times, and in a rush?

As Knative does it. What counts is the mean over a minute. Should the last six seconds alone ask for twice as many replicas as are ready,
it is a rush: until a minute has gone by without that, the six seconds count, and no replica is taken away.
"""

import msgspec

from corral.services.replicas import by_share

STABLE, PANIC = 60.0, 6.0
#: Of the ready replicas: so many times as many must be asked for.
THRESHOLD = 2.0


class Rush(msgspec.Struct):
    """Of one autoscaler."""

    since: float = 0.0  #: when it was last seen; 0.0 = there is none
    most: int = 0  #: replicas that it has asked for


def asked(rush: Rush, there: int, ready: int, stable: float, lately: float, target: float, now: float) -> int:
    """`stable`, `lately`: the load over a minute and over six seconds, of all replicas. `target`: of one."""
    calm = by_share(there, there, stable, target)
    hurried = by_share(there, there, lately, target)
    if lately / target >= THRESHOLD * max(1, ready):
        rush.since = now
    elif rush.since and now - rush.since > STABLE:
        rush.since, rush.most = 0.0, 0
    if not rush.since:
        return calm
    rush.most = max(rush.most, hurried, there)
    return max(rush.most, calm)
