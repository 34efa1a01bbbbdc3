#!/usr/bin/env python3
"""How long does sacct take for ten thousand jobs, beside that of a Slurm with a slurmdbd?

    SLURM_CONF=/etc/slurm/slurm.conf python bench/accounting.py [--jobs 10000] [--partition batch] [--rounds 7]

The real one is a Slurm of your own that runs already, whose SLURM_CONF is given: its partition is put down, so many jobs are sent
there and cancelled, and it is put up again. Corral starts on ten virtual nodes and gets the same. Only use a Slurm made for it.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import clusters
from measures import now, timed


def fill(cluster: clusters.Cluster, partition: str, jobs: int) -> None:
    """Jobs that could have begun, and were cancelled: a line each."""
    cluster.run("scontrol", "update", f"partitionname={partition}", "state=down")
    if cluster.name == "corral":
        job = f"corral.job('true', stdout='/dev/null', memory_per_node_mb=100, partition='{partition}')"
        cluster.run(sys.executable, "-c", f"import corral; corral.Client().submit([{job}] * {jobs})")
    else:
        command = ("sbatch", "-p", partition, "-o", "/dev/null", "--mem=100", "--wrap", "true")
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda _: timed(cluster, *command), range(jobs)))
    cluster.run("scancel", "-p", partition, "--state=pending")
    cluster.run("scontrol", "update", f"partitionname={partition}", "state=up")
    clusters.until(lambda: len(listed(cluster)) >= jobs, 120, 1.0)


def listed(cluster: clusters.Cluster) -> list[str]:
    return cluster.run("sacct", "-a", "-n", "-X").splitlines()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--partition", default="batch", help="of the real one")
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    if "SLURM_CONF" not in os.environ:
        sys.exit("bench: SLURM_CONF has to name the configuration of a running Slurm with accounting")
    environment = dict(os.environ, PATH=f"/usr/bin:/usr/sbin:{os.environ['PATH']}")
    theirs = clusters.Cluster("slurm", environment, lambda: 0, [])
    with tempfile.TemporaryDirectory(prefix="corral-bench-") as root, clusters.corral(Path(root) / "corral") as ours:
        fill(ours, "batch", arguments.jobs)
        fill(theirs, arguments.partition, arguments.jobs)
        figures: dict[str, list[float]] = {"corral": [], "slurm": []}
        for _ in range(arguments.rounds):  # in turn
            for cluster in (ours, theirs):
                begin = now()
                count = len(cluster.run("sacct", "-a").splitlines()) - 2
                figures[cluster.name].append((now() - begin) / count * arguments.jobs * 1000)
        mine, other = (statistics.median(figures[name]) for name in ("corral", "slurm"))
        print(f"sacct of {arguments.jobs} jobs: corral {mine:.0f} ms, slurm {other:.0f} ms, ratio {mine / other:.2f}")


if __name__ == "__main__":
    main()
