"""How soon does a controller answer that has 5,000 nodes and 10,000 waiting jobs to schedule all the time?

    python bench/responsive.py [--nodes 5000] [--jobs 10000] [--seconds 20]

The state is made without daemons (cycle.py) and written into a store; a controller starts on it. Its nodes are not there: they hear
nothing and say nothing. Every sbatch makes it schedule again. The real Slurm 22.05 with such a load needed up to 1.1 s for either command.
"""

import argparse
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cycle
from clusters import until

from corral.model.cluster import Scheduling
from corral.protocol import requests as rq
from corral.store.choice import open_store

CONFIG = """\
cluster = "bench"
[timeouts]
node = 1e6
[[partition]]
name = "batch"
default = true
[[partition]]
name = "long"
[[partition]]
name = "gpu"
"""


def prepare(directory: Path, nodes: int, jobs: int) -> None:
    world = cycle.World(nodes, Scheduling())
    world.fill(random.Random(2), 0.97)
    dice = random.Random(1)
    shapes = world.shapes(dice, 2000)
    me = rq.Caller(uid=os.getuid(), gid=os.getgid(), user="me", group="me")
    world.now = time.time() - 3600
    specs = [rq.NewJob(spec=dice.choice(shapes)) for _ in range(jobs)]
    for at in range(0, jobs, 1000):
        world.engine.handle(rq.SubmitJobs(jobs=tuple(specs[at : at + 1000])), world.now, me)
    (directory / "corral.toml").write_text(CONFIG)
    store = open_store("", directory / "corral.db")
    store.next_term()
    store.write_snapshot(world.engine.state.dump(), 0, set()).result()
    store.close()


def timed(command: list[str], environment: dict[str, str], text: str | None = None) -> float:
    began = time.perf_counter()
    subprocess.run(command, env=environment, check=True, input=text, stdout=subprocess.PIPE, text=True)
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=5000)
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=20.0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="corral-responsive-") as name:
        directory = Path(name)
        prepare(directory, given.nodes, given.jobs)
        programs = Path(sys.executable).parent
        environment = dict(
            os.environ, PATH=f"{programs}:{os.environ['PATH']}", CORRAL_ENDPOINT=f"unix://{directory}/corral.sock"
        )
        controller = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "corral.controller",
                "--dir",
                str(directory),
                "--config",
                str(directory / "corral.toml"),
            ],
            env=environment,
        )
        try:
            until(lambda: (directory / "corral.sock").exists() and subprocess.run(
                ["squeue", "-h", "-j", "1"], env=environment, capture_output=True, check=False).returncode in (0, 1), 60)  # fmt: skip
            first = subprocess.run(
                ["squeue", "-h", "-t", "PD", "-o", "%i"], env=environment, capture_output=True, text=True, check=True
            ).stdout.split()[0]
            found: dict[str, list[float]] = {"squeue -j": [], "sbatch": [], "squeue --help": []}
            ends = time.monotonic() + given.seconds
            while time.monotonic() < ends:
                found["sbatch"].append(timed(["sbatch", "-N2", "-n2"], environment, "#!/bin/sh\ntrue\n"))
                for _ in range(4):
                    found["squeue -j"].append(timed(["squeue", "-h", "-j", first], environment))
                found["squeue --help"].append(timed(["squeue", "--help"], environment))
            diagnosis = subprocess.run(["sdiag"], env=environment, capture_output=True, text=True, check=True).stdout
        finally:
            controller.send_signal(signal.SIGTERM)
            controller.wait(30)
    for what, times in found.items():
        times.sort()
        share = times[int(len(times) * 0.95)]
        print(
            f"{what:<14} {statistics.median(times) * 1000:6.0f} ms in the middle, {share * 1000:6.0f} ms for 19 of 20,"
            f" {times[-1] * 1000:6.0f} ms at most, of {len(times)}"
        )  # fmt: skip
    print("\n".join(line for line in diagnosis.splitlines() if "ycle" in line or "tarted" in line)[:1500])


if __name__ == "__main__":
    main()
