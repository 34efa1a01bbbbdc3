"""When does which node break down, and for how long? From a seed; of a cluster of any size one at a time is known."""

import random
from collections.abc import Iterator, Sequence

HOUR = 3600.0


def breakdowns(
    seed: int, nodes: Sequence[str], begins: float, hours_between: float, hours_down: float = 1.0
) -> Iterator[tuple[float, str, float]]:
    """When, which, and for how many seconds: each node every so many hours in the mean, and down for an exponential time."""
    chance = random.Random(f"breakdowns {seed}")
    now = begins
    while nodes:
        now += chance.expovariate(len(nodes) / (hours_between * HOUR))
        yield now, nodes[chance.randrange(len(nodes))], max(1.0, chance.expovariate(1 / (hours_down * HOUR)))
