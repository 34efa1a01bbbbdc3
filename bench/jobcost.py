#!/usr/bin/env python3
"""How much processor time does one short job cost, everything together? That can be said on a loaded machine too, as rates cannot.

    python bench/jobcost.py [--jobs 2000] [--rounds 3]

Needs root, and the control groups' cpuacct (version 1): all daemons, shepherds and jobs are counted by the kernel in one group.
The daemons' own time is told beside that; what is left are shepherds and the jobs' shells. The last line says what such a
shell costs by itself.
PYTHONPATH may lead to the source of another version, to compare two in turn.
"""

from __future__ import annotations

import argparse
import os
import resource
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
            parts = daemons(ours, Path(directory) / "c")
            rounds = [cost(ours, group, parts, arguments.jobs) for _ in range(arguments.rounds + 1)][
                1:
            ]  # the first warms up
            costs = [sum(used.values()) for used in rounds]
            for name in rounds[0]:
                print(f"  {name:24} {statistics.median(used[name] for used in rounds):.3f} ms")
            print(f"  {'a shell of its own':24} {shell():.3f} ms")
        print(
            f"{statistics.median(costs):.2f} ms of processor for each of {arguments.jobs} jobs (load {os.getloadavg()[0]:.0f})"
        )
    finally:
        (_ROOT / "cgroup.procs").write_text("0")
        clusters.until(lambda: not (group / "cgroup.procs").read_text(), 10)
        group.rmdir()


def daemons(cluster: clusters.Cluster, directory: Path) -> dict[str, int]:
    """The process of each."""
    marks = {"nats-server": "message server", "spawner_process": "spawner", "corral.agent": "agent"}
    found = {"controller": cluster.controller()}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            command = Path(f"/proc/{name}/cmdline").read_bytes().decode(errors="replace")
        except OSError:
            continue
        if str(directory) in command:
            part = next((part for mark, part in marks.items() if mark in command), "")
            if part:
                found.setdefault(part, int(name))
    return found


def usage(group: Path, parts: dict[str, int]) -> dict[str, int]:
    """Nanoseconds of processor so far."""
    used = {
        name: sum(int(file.read_text().split()[0]) for file in Path(f"/proc/{pid}/task").glob("*/schedstat"))
        for name, pid in parts.items()
    }
    everything = int((group / "cpuacct.usage").read_text())
    looks = resource.getrusage(resource.RUSAGE_CHILDREN)
    used["sbatch, squeue"] = int((looks.ru_utime + looks.ru_stime) * 1e9)
    return used | {"shepherds, shells": everything - sum(used.values())}


def shell(runs: int = 200) -> float:
    """What a batch script of `true` takes, started as a shepherd starts it."""
    with tempfile.TemporaryDirectory(prefix="corral-bench-", dir="/dev/shm") as directory:
        script = Path(directory) / "script"
        script.write_text("#!/bin/sh\ntrue\n")
        script.chmod(0o755)
        begin = resource.getrusage(resource.RUSAGE_CHILDREN)
        for _ in range(runs):
            os.waitpid(os.posix_spawn(script, [str(script)], dict(os.environ)), 0)
        end = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (end.ru_utime + end.ru_stime - begin.ru_utime - begin.ru_stime) * 1000 / runs


def cost(cluster: clusters.Cluster, group: Path, parts: dict[str, int], jobs: int) -> dict[str, float]:
    """Milliseconds of a job, by part; the looks at whether they are over are few."""
    before, began = usage(group, parts), time.monotonic()
    cluster.run(SBATCH[0], f"--array=1-{jobs}", *SBATCH[1:])
    time.sleep(jobs / 2000)
    drain_slowly(cluster)
    after = usage(group, parts)
    used = {name: (after[name] - before[name]) / 1e6 / jobs for name in after}
    print(f"  {jobs / (time.monotonic() - began):.0f} jobs/s, {sum(used.values()):.2f} ms", flush=True)
    return used


def drain_slowly(cluster: clusters.Cluster) -> None:
    clusters.until(lambda: not subprocess.run(
        ["squeue", "-h", "-o", "%i"], env=cluster.environment, capture_output=True, check=True
    ).stdout, 300, 0.25)  # fmt: skip


if __name__ == "__main__":
    main()
