#!/usr/bin/env python3
"""The lecture hall: fifty people each type `srun --gres=gpu:1 --pty bash` at once. When has each a prompt?

    python bench/lecture.py [--people 50] [--rounds 3] [--corral-only]

Ten virtual nodes with eight GPUs each; beside Slurm where it is installed (as bench/run.py).
With more people than GPUs, those who wait must be told of a planned start.
"""

from __future__ import annotations

import argparse
import os
import pty
import select
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import clusters

PROMPT = b"ready> "


class Person:
    """Someone at a terminal."""

    def __init__(self, cluster: clusters.Cluster, srun: str, minutes: int) -> None:
        self.terminal, inner = pty.openpty()
        self.began = time.perf_counter()
        self.process = subprocess.Popen(
            [srun, "--gres=gpu:1", "--mem=100", f"--time={minutes}", "--pty", "bash", "--norc"],
            env={**cluster.environment, "PS1": PROMPT.decode(), "TERM": "dumb"},
            stdin=inner, stdout=inner, stderr=inner, start_new_session=True,
        )  # fmt: skip
        os.close(inner)
        self.seen = b""
        self.ready_after: float | None = None

    def read(self) -> None:
        try:
            self.seen += os.read(self.terminal, 4096)
        except OSError:  # srun has gone
            pass
        if self.ready_after is None and PROMPT in self.seen:
            self.ready_after = time.perf_counter() - self.began

    def leave(self) -> None:
        os.write(self.terminal, b"exit\n")

    def gone(self) -> None:
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
        os.close(self.terminal)


def lecture(cluster: clusters.Cluster, people: int, seconds: float) -> tuple[list[float], int, int]:
    """(when each prompt came, how many wait in the queue, how many of them have a planned start)."""
    srun = next(p for d in cluster.environment["PATH"].split(":") if os.access(p := os.path.join(d, "srun"), os.X_OK))
    seated = min(people, clusters.NODES * clusters.GPUS)
    hall = [Person(cluster, srun, minutes=90) for _ in range(people)]
    terminals = {one.terminal: one for one in hall}
    end = time.perf_counter() + seconds
    while sum(one.ready_after is not None for one in hall) < seated and time.perf_counter() < end:
        for fd in select.select(list(terminals), [], [], 0.2)[0]:
            terminals[fd].read()
    waiting = planned = 0
    if people > seated:
        clusters.until(
            lambda: (
                len(starts := cluster.run("squeue", "-h", "--start", "-o", "%S").split()) == people - seated
                and "N/A" not in starts
            ),
            seconds,
        )
        starts = cluster.run("squeue", "-h", "--start", "-o", "%S").split()
        waiting, planned = len(starts), sum(start != "N/A" for start in starts)
    prompts = sorted(one.ready_after for one in hall if one.ready_after is not None)
    for one in hall:
        if one.ready_after is None:
            one.process.send_signal(signal.SIGINT)
            one.process.send_signal(signal.SIGINT)
        else:
            one.leave()
    for one in hall:
        one.gone()
    cluster.run("scancel", "--state=pending", check=False)
    clusters.until(lambda: not cluster.run("squeue", "-h").strip(), 120)
    return prompts, waiting, planned


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=120, help="until a prompt is waited for no longer")
    parser.add_argument("--corral-only", action="store_true")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with ExitStack() as stack:
        root = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="corral-lecture-")))
        both = [stack.enter_context(clusters.corral(root / "corral"))]
        if not arguments.corral_only:
            if not clusters.slurm_is_here():
                sys.exit("bench: no Slurm here (or not root): --corral-only")
            both.append(stack.enter_context(clusters.slurm(root / "slurm")))
        lasts: dict[str, list[float]] = {one.name: [] for one in both}
        for _ in range(arguments.rounds):
            for cluster in both:
                prompts, waiting, planned = lecture(cluster, arguments.people, arguments.seconds)
                lasts[cluster.name].append(prompts[-1])
                print(
                    f"{cluster.name:7} {len(prompts)} prompts: first {prompts[0]:5.2f} s, median {statistics.median(prompts):5.2f} s, "
                    f"last {prompts[-1]:5.2f} s; {waiting} wait, {planned} with a planned start; load {os.getloadavg()[0]:.1f}",
                    flush=True,
                )  # fmt: skip
        for name, found in lasts.items():
            print(f"{name}: last prompt after {statistics.median(found):.2f} s in the median of {len(found)}")


if __name__ == "__main__":
    main()
