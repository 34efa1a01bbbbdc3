"""How long does `corral why` take on 5,000 nodes with 10,000 waiting jobs of 2,000 shapes? No daemons: what the controller does.

    python bench/why.py [--nodes 5000] [--jobs 10000] [--shapes 2000] [--asked 40] [--profile]

`in the loop` is what the controller's one thread is kept from everything else; the rest is done in another thread. Times are processor
milliseconds of one core. To reach: 200 ms in all.
"""

import argparse
import cProfile
import gc
import pstats
import random
import time
from pathlib import Path
from sys import path

path.insert(0, str(Path(__file__).parent))

import cycle

from corral.engine.explaining import inquiry
from corral.engine.explanation import explanation
from corral.engine.idle_nodes import explained, node_inquiry
from corral.engine.rivals import everybody
from corral.model.cluster import Scheduling
from corral.model.job import JobId


def line(what: str, loop: list[float], rest: list[float]) -> None:
    both = sorted(one + other for one, other in zip(loop, rest, strict=True))
    most = max(loop)
    print(
        f"{what:<32} median {both[len(both) // 2]:5.0f} ms, at most {both[-1]:5.0f} ms; in the loop at most {most:4.0f} ms",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=5000)
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--shapes", type=int, default=2000)
    parser.add_argument("--asked", type=int, default=40)
    parser.add_argument("--profile", action="store_true")
    given = parser.parse_args()
    world, dice = cycle.World(given.nodes, Scheduling()), random.Random(1)
    world.fill(random.Random(2), 0.97)
    shapes = world.shapes(dice, given.shapes)
    world.submit([dice.choice(shapes) for _ in range(given.jobs)])
    while world.cycle()[0].starts:
        pass
    state, view = world.engine.state, world.engine.pending
    queue = [JobId(key[2]) for key in state.queue]
    print(f"{len(state.active)} running, {len(queue)} waiting of {len(view.groups)} shapes")
    gc.collect()
    gc.freeze()  # as the controller does
    gc.set_threshold(50_000, 20, 50)
    profile = cProfile.Profile()
    for what, asked in (
        ("the first ten", queue[:10]),
        ("jobs from all over the queue", [dice.choice(queue) for _ in range(given.asked)]),
        ("the last ten", queue[-10:]),
    ):
        loop, rest, suggested, tried = [], [], 0, 0
        for number in asked:
            began = time.process_time()
            found = inquiry(view, state.jobs[number], None, world.now, everybody)
            taken = time.process_time()
            if given.profile:
                profile.enable()
            why = explanation(found)
            profile.disable()
            loop.append((taken - began) * 1000)
            rest.append((time.process_time() - taken) * 1000)
            suggested, tried = suggested + len(why.suggestions), tried + why.tried
        line(what, loop, rest)
        print(f"{'':<32} {tried / len(asked):.1f} changes tried, {suggested / len(asked):.1f} help")
    loop, rest = [], []
    for name in [dice.choice(state.ledger.names) for _ in range(20)]:
        began = time.process_time()
        seen = node_inquiry(view, name, world.now, everybody)
        taken = time.process_time()
        explained(seen)
        loop.append((taken - began) * 1000)
        rest.append((time.process_time() - taken) * 1000)
    line("nodes", loop, rest)
    if given.profile:
        pstats.Stats(profile).sort_stats("tottime").print_stats(30)


if __name__ == "__main__":
    main()
