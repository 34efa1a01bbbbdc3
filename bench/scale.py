#!/usr/bin/env python3
"""What do the same commands cost on a thousand nodes? A live cluster of so many virtual nodes on this machine.

    python bench/scale.py [--nodes 1000] [--jobs 100000]

All nodes are in one agent's process, and are real to the controller: each registers, beats, takes launches and reports. A job on
all of them keeps the cluster full, so that the others wait and are planned for. Seconds are those of a clock unless "processor" is said.
"""

from __future__ import annotations

import argparse
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import clusters
from jobcost import daemons
from measures import timed

_PAGE_MB = 1 / 1024


class Bench:
    """One cluster, and the lines that are printed of it."""

    def __init__(self, cluster: clusters.Cluster, directory: Path, nodes: int, jobs: int) -> None:
        self.cluster, self.directory, self.nodes, self.jobs = cluster, directory, nodes, jobs

    def say(self, what: str, figure: str) -> None:
        print(f"  {what:62} {figure}", flush=True)

    def time(self, *command: str, what: str = "") -> None:
        """The quickest of three."""
        self._show(what or " ".join(command), min(self._measured(*command) for _ in range(3)))

    def once(self, *command: str, what: str = "") -> None:
        self._show(what or " ".join(command), self._measured(*command))

    def _measured(self, *command: str) -> tuple[float, float, float]:
        """Seconds of the clock, of the command's processor time, of the controller's."""
        pid = self.cluster.controller()
        own, controllers = children(), processor(pid)
        seconds = timed(self.cluster, *command)
        return seconds, children() - own, processor(pid) - controllers

    def _show(self, what: str, figures: tuple[float, float, float]) -> None:
        self.say(what, "{:6.2f} s; processor {:.3f}, controller {:.3f} s".format(*figures))

    def memory(self, when: str) -> None:
        parts = {name: pss(pid) for name, pid in daemons(self.cluster, self.directory).items()}
        self.say(f"memory (PSS) {when}", ", ".join(f"{name} {size:.0f}" for name, size in parts.items()) + " MiB")

    def idle(self, when: str, seconds: float = 20.0) -> None:
        parts = daemons(self.cluster, self.directory)
        before = {name: processor(pid) for name, pid in parts.items()}
        time.sleep(seconds)
        used = {name: (processor(pid) - before[name]) / seconds * 100 for name, pid in parts.items()}
        self.say(f"processor {when}", ", ".join(f"{name} {share:.1f}" for name, share in used.items()) + " % of a core")

    def record(self, when: str) -> None:
        size = sum(file.stat().st_size for file in self.directory.glob("corral.db*"))
        self.say(f"database {when}", f"{size / 2**20:.0f} MiB")

    def cycles(self, seconds: float) -> None:
        """Of the cycles of some seconds from now."""
        self.cluster.run("sdiag", "--reset")
        time.sleep(seconds)
        words = dict(line.strip().split(":", 1) for line in self.cluster.run("sdiag").splitlines() if ":" in line)
        last, most = (int(words[name].split()[0]) / 1e6 for name in ("Last cycle", "Max cycle"))
        self.say(f"a cycle; the longest of {seconds:.0f} s", f"{last:.3f} s; {most:.3f} s")

    def restart(self, when: str) -> None:
        os.kill(self.cluster.controller(), signal.SIGKILL)
        began = time.perf_counter()
        subprocess.run(self.cluster.restart, env=self.cluster.environment, check=True, stdout=subprocess.DEVNULL)
        self.cluster.run("squeue", "-h", "-t", "R")
        used = processor(self.cluster.controller())
        self.say(
            f"controller killed {when}: until squeue answers; its processor",
            f"{time.perf_counter() - began:.1f} s; {used:.1f} s",
        )


def pss(pid: int) -> float:
    """MiB."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * _PAGE_MB
    return 0.0


def children() -> float:
    """Processor seconds of all children so far."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def processor(pid: int) -> float:
    """Seconds so far, of all its threads."""
    return sum(int(file.read_text().split()[0]) for file in Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1e9


def play(bench: Bench) -> None:
    nodes, jobs, cluster = bench.nodes, bench.jobs, bench.cluster
    names = sorted(set(cluster.run("sinfo", "-h", "-N", "-o", "%N").split()))
    half = nodes // 2
    first = ",".join(names[:half])
    bench.memory("of an idle cluster")
    bench.idle("of an idle cluster")
    for command in (
        "sinfo",
        "sinfo -N -l",
        "scontrol show node",
        f"scontrol show node {names[half]}",
        "corral get nodes",
    ):
        bench.time(*command.split())
    wide = min(200, nodes)
    bench.time("srun", "-N", str(wide), "hostname", what=f"srun hostname on {wide} nodes")
    bench.once("scontrol", "update", f"nodename={first}", "state=drain", "reason=trial", what=f"drain of {half} nodes")
    bench.once("scontrol", "update", f"nodename={first}", "state=resume", what="resume of them")

    print(f"all nodes full; {jobs} waiting elements of an array, and as many single jobs")
    cluster.run("sbatch", "-N", str(nodes), "--exclusive", "--mem=0", "-o", "/dev/null", "--wrap", "sleep 100000")
    clusters.until(lambda: "alloc" in cluster.run("sinfo", "-h", "-o", "%T"))
    waits = ["-o", "/dev/null", "--time=60", "--wrap", "true"]
    bench.once("sbatch", f"--array=0-{jobs - 1}", *waits, what=f"sbatch --array=0-{jobs - 1}")
    bench.time("squeue")
    bench.time("squeue", "-r")
    bench.once("scancel", "--state=pending", "--name=wrap", what="scancel of the array")
    began, used = time.perf_counter(), processor(cluster.controller())
    subprocess.run([sys.executable, "-c", BULK, str(jobs)], env=cluster.environment, check=True)
    seconds, used = time.perf_counter() - began, processor(cluster.controller()) - used
    bench.say(f"{jobs} single jobs by the SDK; the controller's processor", f"{seconds:.1f} s; {used:.1f} s")
    bench.memory("with them")
    bench.record("with them")
    bench.cycles(20)
    bench.time("squeue")
    bench.time("squeue", "-t", "R")
    bench.time("sinfo")
    bench.time("sbatch", "-H", *waits, what="sbatch")
    bench.time("squeue", "--start", "-h", "-j", "5")
    bench.idle("with them")
    bench.restart("with them")
    bench.once("scancel", "--state=pending", what="scancel of all of them")
    bench.record("then")
    bench.memory("then")


#: Jobs of so many sizes and time limits.
SHAPES = 500
BULK = f"""
import sys
import corral
from corral.client.client import job

jobs = int(sys.argv[1])
with corral.Client() as cluster:
    for start in range(0, jobs, 10_000):
        numbers = range(start, min(jobs, start + 10_000))
        cluster.submit([job("true", stdout="/dev/null", ntasks=1 + n % 16, time_limit=60 * (1 + n % {SHAPES})) for n in numbers])
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=1000)
    parser.add_argument("--jobs", type=int, default=100_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="corral-bench-") as directory:
        began = time.perf_counter()
        with clusters.corral(Path(directory) / "c", arguments.nodes) as cluster:
            print(
                f"{arguments.nodes} nodes are up after {time.perf_counter() - began:.1f} s (load {os.getloadavg()[0]:.0f})"
            )
            play(Bench(cluster, Path(directory) / "c", arguments.nodes, arguments.jobs))


if __name__ == "__main__":
    main()
