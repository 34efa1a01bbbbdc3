#!/usr/bin/env python3
"""How much processor time does one short job cost, everything together? That can be said on a loaded machine too, as rates cannot.

    python bench/jobcost.py [--jobs 2000] [--rounds 3]

Needs root, and the control groups' cpuacct (version 1): all daemons, shepherds and jobs are counted by the kernel in one group.
PYTHONPATH may lead to the source of another version, to compare two in turn.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import clusters
from measures import SBATCH

_ROOT = Path("/sys/fs/cgroup/cpuacct")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    group = _ROOT / f"corral-bench-{os.getpid()}"
    try:
        group.mkdir()
    except OSError as error:
        sys.exit(f"jobcost: {group}: {error.strerror} (needs root, and control groups of version 1)")
    (group / "cgroup.procs").write_text(
        "0"
    )  # what is started from here on is counted; and so is this program, which only waits
    try:
        with (
            tempfile.TemporaryDirectory(prefix="corral-bench-") as directory,
            clusters.corral(Path(directory) / "c") as ours,
        ):
            costs = [cost(ours, group, arguments.jobs) for _ in range(arguments.rounds + 1)][1:]  # the first warms up
        print(
            f"{statistics.median(costs):.2f} ms of processor for each of {arguments.jobs} jobs (load {os.getloadavg()[0]:.0f})"
        )
    finally:
        (_ROOT / "cgroup.procs").write_text("0")
        clusters.until(lambda: not (group / "cgroup.procs").read_text(), 10)
        group.rmdir()


def cost(cluster: clusters.Cluster, group: Path, jobs: int) -> float:
    """Milliseconds; the looks at whether they are over are few."""
    before, began = int((group / "cpuacct.usage").read_text()), time.monotonic()
    cluster.run(SBATCH[0], f"--array=1-{jobs}", *SBATCH[1:])
    time.sleep(jobs / 2000)
    drain_slowly(cluster)
    used = (int((group / "cpuacct.usage").read_text()) - before) / 1e6 / jobs
    print(f"  {jobs / (time.monotonic() - began):.0f} jobs/s, {used:.2f} ms", flush=True)
    return used


def drain_slowly(cluster: clusters.Cluster) -> None:
    clusters.until(lambda: not subprocess.run(
        ["squeue", "-h", "-o", "%i"], env=cluster.environment, capture_output=True, check=True
    ).stdout, 300, 0.25)  # fmt: skip


if __name__ == "__main__":
    main()
