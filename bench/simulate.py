"""How fast is `corral simulate`, and what does it say of the published traces? No daemons.

.venv/bin/python bench/simulate.py TRACES [--only nasa lublin growth] [--most-nodes 100000] [--jobs-per-node 10] [--plot growth.svg]

TRACES: a directory with nasa_ipsc_1993.swf.gz and lublin_256.swf.gz of the Parallel Workloads Archive.
growth: synthetic work on 1,000 nodes and more, each size in a process of its own; the plot is written as SVG.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import msgspec

from corral.simulator import plots
from corral.simulator.machines import of_one_kind
from corral.simulator.metrics import measure
from corral.simulator.policies import policy_of
from corral.simulator.replay import Replay
from corral.simulator.workloads import swf
from corral.simulator.workloads.lublin import Synthetic

#: CPUs of a node, and of the largest job.
CPUS, LARGEST = 64, 4096
#: About how full the cluster is to be.
SHARE = 0.8
#: Seconds between two cycles, as on a cluster to which many jobs come.
INTERVAL = 10.0


def nasa(traces: Path) -> None:
    workload = swf.read(traces / "nasa_ipsc_1993.swf.gz")
    seconds, elapsed, outcome = timed(workload.nodes, workload.jobs, policy_of("conservative").config)
    found = measure(outcome)
    print("nasa_ipsc_1993, conservative backfill                  Corral   reach")
    print(f"  jobs                                                 {found.jobs:6}   18239")
    print(f"  seconds ({seconds:.1f} of one processor)                       {elapsed:6.1f}   under 10")
    print(
        f"  mean bounded slowdown {found.slowdown.mean:.3f}, mean wait {found.wait.mean:.1f} s, utilisation {found.utilisation:.2%}"
    )


def lublin(traces: Path) -> None:
    workload = swf.read(traces / "lublin_256.swf.gz")
    print(f"lublin_256, {len(workload.jobs):,} jobs{'':20}mean bounded slowdown   mean wait, s   utilisation   seconds")
    for name in ("easy", "conservative", "fcfs"):
        seconds, _, outcome = timed(workload.nodes, workload.jobs, policy_of(name).config)
        found = measure(outcome)
        print(
            f"  {name:36} {found.slowdown.mean:24.2f} {found.wait.mean:14.1f} {found.utilisation:13.2%} {seconds:9.1f}"
        )


def timed(nodes, jobs, config):
    """Processor seconds, seconds, what came out."""
    began, at = time.process_time(), time.monotonic()
    outcome = Replay(config, nodes, jobs).run()
    return time.process_time() - began, time.monotonic() - at, outcome


def one_size(nodes: int, jobs: int, policy: str) -> None:
    """Run in a process of its own: prints what it cost as JSON."""
    machine = of_one_kind(nodes, CPUS)
    work = Synthetic(jobs, LARGEST, seed=1, overestimate=3.0)
    sample = [job for job, _ in zip(work, range(20_000), strict=False)]
    wanted = sum((job.spec.ntasks or 1) * job.seconds for job in sample) / (sample[-1].submit - sample[0].submit)
    load = SHARE * nodes * CPUS / wanted
    faster = (
        type(job)(number=job.number, submit=job.submit / load, seconds=job.seconds, spec=job.spec, user=job.user)
        for job in work
    )
    chosen = policy_of(policy)
    scheduling = msgspec.structs.replace(chosen.config.scheduling, cycle_interval=INTERVAL)
    config = msgspec.structs.replace(chosen.config, scheduling=scheduling)
    seconds, elapsed, outcome = timed(machine, faster, config)
    found = measure(outcome)
    figures = {
        "nodes": nodes, "jobs": found.jobs, "seconds": seconds, "elapsed": elapsed, "per_second": found.jobs / seconds,
        "memory_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, "utilisation": found.utilisation,
        "wait": found.wait.mean,
    }  # fmt: skip
    print(json.dumps(figures))


def growth(most: int, per_node: float, policy: str, plot: Path | None) -> None:
    sizes = [size for size in (1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000) if size <= most]
    print("reach: 1,000,000 jobs on 100,000 nodes in less than 8 GB")
    print(f"{'nodes':>8} {'jobs':>10} {'jobs/s':>8} {'seconds':>9} {'GB':>6} {'utilisation':>12}")
    rows = []
    for size in sizes:
        command = [sys.executable, __file__, "--size", str(size), str(int(size * per_node)), policy]
        ran = subprocess.run(command, capture_output=True, check=False, text=True, env=os.environ)
        if ran.returncode:
            print(f"{size:8,}  failed: {ran.stderr.strip().splitlines()[-1] if ran.stderr else ran.returncode}")
            break
        row = json.loads(ran.stdout)
        rows.append(row)
        print(
            f"{row['nodes']:8,} {row['jobs']:10,} {row['per_second']:8.0f} {row['seconds']:9.1f} "
            f"{row['memory_gb']:6.2f} {row['utilisation']:12.1%}",
            flush=True,
        )
    if plot is not None and rows:
        points = [("jobs a second", [(float(row["nodes"]), row["per_second"]) for row in rows])]
        plot.write_text(plots.alone(plots.lines(points, "nodes", "jobs simulated a second", log=True)))
        print(f"the plot is in {plot}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("traces", type=Path, nargs="?")
    parser.add_argument("--only", nargs="+", choices=("nasa", "lublin", "growth"), default=("nasa", "lublin", "growth"))
    parser.add_argument("--most-nodes", type=int, default=100_000)
    parser.add_argument("--jobs-per-node", type=float, default=10.0)
    parser.add_argument("--policy", default="easy")
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--size", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.size:
        one_size(int(given.size[0]), int(given.size[1]), given.size[2])
        return
    if given.traces is None and set(given.only) != {"growth"}:
        parser.error("where are the traces?")
    if "nasa" in given.only:
        nasa(given.traces)
    if "lublin" in given.only:
        lublin(given.traces)
    if "growth" in given.only:
        growth(given.most_nodes, given.jobs_per_node, given.policy, given.plot)


if __name__ == "__main__":
    main()
