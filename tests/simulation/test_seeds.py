"""The engine under faults: lost, doubled and late messages, nodes and controllers that die.

Each seed is one small cluster and its misfortune. A failure names its seed; `Simulation(seed).run()` shows it again.
"""

import os
import subprocess
import sys
from collections import Counter

import pytest

from corral.protocol import events as ev
from corral.simulator.loop import Simulation, run

SEEDS = 1000
CHUNK = 50


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_all_work_ends_and_nothing_runs_twice(first: int) -> None:
    for seed in range(first, first + CHUNK):
        run(seed)


def test_some_seeds_of_each_character() -> None:
    characters = Counter[str]()
    for seed in range(2000, 2030):
        simulation = Simulation(seed)
        try:
            simulation.run()
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error
        characters[simulation.character] += 1
    assert len(characters) == 6


def test_the_same_seed_gives_the_same_record() -> None:
    assert [run(seed) for seed in range(5)] == [run(seed) for seed in range(5)]


def test_not_even_the_order_of_sets_makes_a_difference() -> None:
    code = "from corral.simulator.loop import run; print([run(seed) for seed in (3, 5, 8, 13)])"
    found = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(sys.path)},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for hash_seed in ("0", "1", "2")
    }
    assert len(found) == 1


def test_faults_do_happen() -> None:
    """A simulation in which nothing goes wrong would find nothing."""
    seen = Counter[str]()
    for seed in range(60):
        simulation = Simulation(seed)
        simulation.run()
        seen["crashes"] += simulation.crashes
        for event in simulation.record:
            seen[type(event).__name__] += 1
            if isinstance(event, ev.JobRequeued):
                seen[f"requeued {event.ended.state}"] += 1
            if isinstance(event, ev.NodeChanged):
                seen[f"node {event.what}"] += 1
    assert seen["crashes"] > 10
    assert seen["requeued NODE_FAIL"] > 5
    assert seen["node down"] > 10
    assert seen["StepCreated"] > 1000
