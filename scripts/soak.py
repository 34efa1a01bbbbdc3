"""Crashes for as long as wanted: daemons are killed at random moments while jobs run and are submitted; everything is checked.

    scripts/soak.py [--minutes 30] [--seed N] [--rounds-per-cluster 10] [--keep]

Each round has a seed of its own, which is printed; `--seed N --minutes 0` plays the round N alone.
"""

import argparse
import random
import shutil
import sys
import tempfile
import time
import traceback
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.cluster.chaos import KillableCluster, killable_cluster, wait_until
from tests.cluster.storm import DAEMONS, Storm


def main() -> int:
    parser = argparse.ArgumentParser(description="Kill daemons at random moments, for as long as wanted.")
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument(
        "--seed", type=int, default=None, help="of the first round; each following one has the next number"
    )
    parser.add_argument("--rounds-per-cluster", type=int, default=10)
    parser.add_argument("--keep", action="store_true", help="keep the directories of rounds with findings")
    arguments = parser.parse_args()
    seed = random.SystemRandom().randrange(1_000_000) if arguments.seed is None else arguments.seed
    ends = time.monotonic() + arguments.minutes * 60
    rounds = failed = 0
    while not rounds or time.monotonic() < ends:
        most = arguments.rounds_per_cluster if arguments.minutes else 1
        played, finding = play(seed, most, ends, arguments.keep)
        rounds, seed, failed = rounds + played, seed + played, failed + bool(finding)
        if finding:
            print(finding, flush=True)
    print(f"{rounds} rounds, {failed} with findings")
    return 1 if failed else 0


def play(seed: int, most: int, ends: float, keep: bool) -> tuple[int, str]:
    """Rounds on one cluster, until one of them finds something: how many, and what."""
    place = Path(tempfile.mkdtemp(prefix="corral-soak-"))
    played, finding = 0, ""
    try:
        with killable_cluster(place / "cluster") as cluster:
            while played < most and not finding and (not played or time.monotonic() < ends):
                finding = play_round(cluster, seed + played)
                played += 1
            cluster.stop()
            if not finding:
                wait_until(lambda: not cluster.daemon_processes(), 10, "no process is left behind")
    except Exception:
        finding = finding or f"seed {seed + max(0, played - 1)}: {traceback.format_exc()}"
        played = max(played, 1)
    if finding and keep:
        finding += f"\n(kept in {place})"
    else:
        shutil.rmtree(place, ignore_errors=True)
    return played, finding


def play_round(cluster: KillableCluster, seed: int) -> str:
    chance = random.Random(seed)
    victims = tuple(chance.choice((*DAEMONS, "all")) for _ in range(chance.randrange(1, 9)))
    began = time.monotonic()
    print(f"seed {seed}: {' '.join(victims)} ...", end=" ", flush=True)
    try:
        Storm(cluster, seed, victims).blow()
    except Exception as error:
        print("FINDINGS", flush=True)
        return f"seed {seed}: {victims}: {type(error).__name__}: {error}\n{cluster.words()[-2000:]}"
    print(f"good ({time.monotonic() - began:.1f} s, controller {resident_mb(cluster)} MB)", flush=True)
    return ""


def resident_mb(cluster: KillableCluster) -> int:
    for line in Path(f"/proc/{cluster.controller_pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) >> 10
    return 0


if __name__ == "__main__":
    sys.exit(main())
