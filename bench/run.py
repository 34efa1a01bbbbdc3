#!/usr/bin/env python3
"""The same work on Corral and on the real Slurm, in turn, in one run: both figures and their ratio.

    python bench/run.py [--only WORD ...] [--rounds 3] [--corral-only] [--install]

The machine is noisy: only the ratio of figures from one run counts. Slurm is Debian's slurm-wlm (root needed; --install gets it).
"""

from __future__ import annotations

import argparse
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import clusters
from measures import MEASURES, Measure


def bulk_rate(cluster: clusters.Cluster, jobs: int = 10_000) -> float:
    """Submissions per second through the SDK in one call; Slurm has nothing like it."""
    code = (
        "import time, corral\n"
        "client = corral.Client()\n"
        f"begin = time.perf_counter(); ids = client.submit([corral.job('true', hold=True, memory_per_node_mb=100)] * {jobs})\n"
        f"took = time.perf_counter() - begin; assert len(ids) == {jobs}; print({jobs} / took)\n"
    )
    figure = float(cluster.run(sys.executable, "-c", code))
    cluster.run("scancel", "--state=pending", check=False)
    clusters.until(lambda: not cluster.run("squeue", "-h").strip(), 60)
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", default=[], help="measures whose name contains one of these")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--corral-only", action="store_true")
    parser.add_argument("--install", action="store_true", help="apt-get install slurm-wlm first")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the clusters are stopped
    if arguments.install:
        packages = ["slurm-wlm", "slurm-wlm-basic-plugins", "munge"]
        subprocess.run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages], check=True)
    with ExitStack() as stack:
        root = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="corral-bench-")))
        ours = stack.enter_context(clusters.corral(root / "corral"))
        theirs = None
        if not arguments.corral_only:
            if not clusters.slurm_is_here():
                sys.exit("bench: no Slurm here (or not root): use --install as root, or --corral-only")
            theirs = stack.enter_context(clusters.slurm(root / "slurm"))
        print(f"{'what':58} {'corral':>10} {'slurm':>10} {'ratio':>7}  goal", flush=True)
        for measure in MEASURES:
            if not arguments.only or any(word in measure.name for word in arguments.only):
                compare(measure, ours, theirs, arguments.rounds)
        if not arguments.only or any(word in "submissions through the SDK in bulk" for word in arguments.only):
            figures = [bulk_rate(ours) for _ in range(arguments.rounds)]
            print(
                f"{'submissions through the SDK in bulk (jobs/s)':58} {statistics.median(figures):10.1f} {'-':>10} {'-':>7}  5000",
                flush=True,
            )
        if not arguments.only or "idle" in arguments.only:
            print(
                f"{'idle: CPU of all daemons (% of a core)':58} {idle_share(ours, root / 'corral'):10.2f} {'-':>10} {'-':>7}  < 1",
                flush=True,
            )


def compare(measure: Measure, ours: clusters.Cluster, theirs: clusters.Cluster | None, rounds: int) -> None:
    """Rounds in turn, medians."""
    mine, other = [], []
    for _ in range(rounds):
        mine.append(measure.function(ours))
        if theirs is not None:
            other.append(measure.function(theirs))
    ours_median = statistics.median(mine)
    name = f"{measure.name} ({measure.unit})"
    if not other:
        print(f"{name:58} {ours_median:10.1f}", flush=True)
        return
    theirs_median = statistics.median(other)
    ratio = ours_median / theirs_median
    goal = f"{'>=' if measure.more_is_better else '<='} {measure.goal}x" if measure.goal else ""
    print(f"{name:58} {ours_median:10.1f} {theirs_median:10.1f} {ratio:6.2f}x  {goal}", flush=True)


def idle_share(cluster: clusters.Cluster, directory: Path, seconds: float = 10.0) -> float:
    """CPU seconds of every process of the cluster over so many seconds with nothing to do."""
    pids = subprocess.run(["pgrep", "-f", str(directory)], capture_output=True, text=True, check=False).stdout.split()

    def used() -> float:
        total = 0
        for pid in pids:
            try:
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            total += int(fields[11]) + int(fields[12])
        return total / 100

    before = used()
    time.sleep(seconds)
    return (used() - before) / seconds * 100


if __name__ == "__main__":
    main()
