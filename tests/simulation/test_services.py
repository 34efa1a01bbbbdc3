"""Services under faults: bounds hold after each turn, no name runs twice, everything comes to rest, nothing is left.

Each seed is one cluster and its misfortune. A failure names its seed; `ServiceSimulation(seed).run()` shows it again.
"""

import os
from collections import Counter

import pytest

from corral.simulator.faults import MORE_CHARACTERS
from corral.simulator.services import ServiceSimulation, run


def test_seeds_of_each_character() -> None:
    characters, seen = Counter[str](), Counter[str]()
    for seed in range(150):
        simulation = ServiceSimulation(seed)
        try:
            simulation.run()
        except AssertionError as error:
            raise AssertionError(f"services, seed {seed}: {error}") from error
        characters[simulation.character] += 1
        seen += simulation.seen
        seen["crashes"] += simulation.crashes
    assert set(characters) == set(MORE_CHARACTERS)
    assert seen["crashes"] > 50  # one in which nothing goes wrong would find nothing
    assert seen["taken"] > 300
    for kind in (
        "ResourceQuota",
        "PodDisruptionBudget",
        "HorizontalPodAutoscaler",
        "orphaned",
        "daemons",
        "drained under a budget",
    ):
        assert seen[kind], kind
    assert any(what.startswith("refused: Cannot evict") for what in seen)


def test_the_same_seed_gives_the_same_record() -> None:
    assert [run(seed) for seed in range(5)] == [run(seed) for seed in range(5)]


@pytest.mark.skipif(not os.environ.get("CORRAL_EXPLORE"), reason="a long run: CORRAL_EXPLORE=1")
@pytest.mark.parametrize("first", range(1000, 3000, 100))
def test_more_seeds(first: int) -> None:
    for seed in range(first, first + 100):
        run(seed)
