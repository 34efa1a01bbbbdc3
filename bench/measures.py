"""What is measured, on whichever cluster it is given: each function returns a figure, its unit, and whether more is better."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from clusters import NODES, Cluster, until

SBATCH = ("sbatch", "-o", "/dev/null", "--mem=100", "--wrap", "true")
now = time.perf_counter


@dataclass(frozen=True)
class Measure:
    name: str
    function: Callable[[Cluster], float]
    unit: str
    more_is_better: bool
    goal: float  #: Corral's figure over the real one's to reach (for rates), or the most times its duration


def left(cluster: Cluster) -> int:
    return len(cluster.run("squeue", "-h", "-t", "PD,R,CG", "-o", "%i").split())


def drain(cluster: Cluster) -> None:
    until(lambda: not left(cluster), 300, 0.05)


def timed(cluster: Cluster, *command: str) -> float:
    begin = now()
    cluster.run(*command, quiet=True)
    return now() - begin


def clear(cluster: Cluster) -> None:
    """Cancel all and wait; a partition that is down keeps the scheduler away meanwhile."""
    cluster.run("scontrol", "update", "partitionname=batch", "state=down")
    for _ in range(5):
        cluster.run("scancel", "--state=pending", check=False)
        cluster.run("scancel", "--state=running", check=False)
        try:
            until(lambda: not left(cluster), 20, 0.1)
            break
        except TimeoutError:
            continue
    cluster.run("scontrol", "update", "partitionname=batch", "state=up")


def _median(cluster: Cluster, runs: int, *command: str) -> float:
    return sorted(timed(cluster, *command) for _ in range(runs))[runs // 2] * 1000


def array_rate(cluster: Cluster, jobs: int = 2000) -> float:
    begin = now()
    cluster.run(SBATCH[0], f"--array=1-{jobs}", *SBATCH[1:])
    drain(cluster)
    return jobs / (now() - begin)


def single_rate(cluster: Cluster, jobs: int = 2000) -> float:
    cluster.run("scontrol", "update", "partitionname=batch", "state=down")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: timed(cluster, *SBATCH), range(jobs)))
    begin = now()
    cluster.run("scontrol", "update", "partitionname=batch", "state=up")
    drain(cluster)
    return jobs / (now() - begin)


def _held(cluster: Cluster, count: int, workers: int) -> float:
    command = (*SBATCH[:-2], "-H", *SBATCH[-2:])
    begin = now()
    if workers == 1:
        for _ in range(count):
            timed(cluster, *command)
    else:
        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(lambda _: timed(cluster, *command), range(count)))
    rate = count / (now() - begin)
    cluster.run("scancel", "--state=pending", check=False)
    drain(cluster)
    return rate


def submit_one_by_one(cluster: Cluster) -> float:
    return _held(cluster, 200, 1)


def submit_eight_at_once(cluster: Cluster) -> float:
    return _held(cluster, 400, 8)


def _one_held(cluster: Cluster) -> str:
    return cluster.run(*SBATCH[:-2], "-H", "--parsable", *SBATCH[-2:]).strip().split(";")[0]


def sbatch_latency(cluster: Cluster) -> float:
    figure = _median(cluster, 15, *SBATCH[:-2], "-H", *SBATCH[-2:])
    clear(cluster)
    return figure


def squeue_one_latency(cluster: Cluster) -> float:
    figure = _median(cluster, 15, "squeue", "-j", _one_held(cluster))
    clear(cluster)
    return figure


def sinfo_latency(cluster: Cluster) -> float:
    return _median(cluster, 15, "sinfo")


def scontrol_latency(cluster: Cluster) -> float:
    figure = _median(cluster, 15, "scontrol", "show", "job", _one_held(cluster))
    clear(cluster)
    return figure


def fill(cluster: Cluster, pending: int, running: int) -> None:
    """Long jobs, and others behind them that want every node for themselves."""
    for _ in range(running):
        cluster.run("sbatch", "-o", "/dev/null", "--mem=100", "--wrap", "sleep 100000")
    until(lambda: len(cluster.run("squeue", "-h", "-t", "R", "-o", "%i").split()) >= running)
    if cluster.name == "corral":  # the filling is not measured, so the quick way
        code = (
            "import corral\n"
            f"corral.Client().submit([corral.job('true', stdout='/dev/null', memory_per_node_mb=100, nodes_min={NODES},"
            f" nodes_max={NODES}, exclusive=True)] * {pending})\n"
        )
        cluster.run(sys.executable, "-c", code)
        return
    command = ("sbatch", "-o", "/dev/null", "--mem=100", "-N", str(NODES), "--exclusive", "--wrap", "true")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: timed(cluster, *command), range(pending)))


def squeue_many(cluster: Cluster, jobs: int = 10_000) -> float:
    fill(cluster, jobs, 1)
    figure = _median(cluster, 7, "squeue")
    clear(cluster)
    return figure


def squeue_elements(cluster: Cluster, arrays: int = 10) -> float:
    """A thousand held elements in each: whole arrays, as they were sent."""
    for _ in range(arrays):
        cluster.run(*SBATCH[:-2], "-H", "--array=1-1000", *SBATCH[-2:])
    figure = _median(cluster, 7, "squeue", "-r")
    clear(cluster)
    return figure


def srun_idle(cluster: Cluster) -> float:
    figures = []
    for _ in range(11):
        drain(cluster)
        figures.append(timed(cluster, "srun", "--mem=100", "true"))
    return sorted(figures)[5] * 1000


def _inside(cluster: Cluster, allocation: tuple[str, ...], command: str, runs: int) -> float:
    script = f"for i in $(seq {runs}); do s=$(date +%s%N); {command}; echo $(( $(date +%s%N) - s )); done"
    text = cluster.run("salloc", "-Q", *allocation, "--mem=100", "bash", "-c", script)
    figures = sorted(int(line) for line in text.split())
    drain(cluster)
    return figures[len(figures) // 2] / 1e6


def srun_inside(cluster: Cluster) -> float:
    return _inside(cluster, ("-N1", "-n1"), "srun true", 25)


def srun_wide(cluster: Cluster) -> float:
    return _inside(cluster, ("-N2", "-n32"), "srun -n 32 -N 2 true", 11)


MPI_PROGRAM = "#include <mpi.h>\nint main(int c, char **v) { MPI_Init(&c, &v); MPI_Finalize(); return 0; }\n"


def mpi_start(cluster: Cluster) -> float:
    """64 ranks of MPICH on ten nodes, from srun to the last one's end (packages mpich and libmpich-dev)."""
    with tempfile.TemporaryDirectory(prefix="corral-bench-") as directory:
        source, program = f"{directory}/start.c", f"{directory}/start"
        Path(source).write_text(MPI_PROGRAM)
        subprocess.run(["mpicc.mpich", "-o", program, source], check=True)
        figures = []
        for _ in range(3):
            drain(cluster)
            figures.append(timed(cluster, "srun", "--mpi=pmi2", "-N10", "-n64", "--mem=4000", program))
    return sorted(figures)[1] * 1000


def sbatch_to_end(cluster: Cluster) -> float:
    figures = []
    for _ in range(9):
        drain(cluster)
        begin = now()
        cluster.run(*SBATCH)
        until(lambda: not left(cluster), 60, 0.0)
        figures.append(now() - begin)
    return sorted(figures)[4] * 1000


def restart(cluster: Cluster, jobs: int = 10_000) -> float:
    """SIGKILL the controller under so many pending and 100 running jobs: until squeue has them all again."""
    fill(cluster, jobs, 100)
    time.sleep(8)  # the real one saves its state every few seconds; let it
    pid = cluster.controller()
    os.kill(pid, signal.SIGKILL)
    until(lambda: not _lives(pid), 10, 0.005)
    begin = now()
    subprocess.run(
        cluster.restart, env=cluster.environment, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    until(lambda: len(cluster.run("squeue", "-h", "-o", "%t", check=False).split()) >= jobs + 100, 120, 0.02)
    figure = now() - begin
    clear(cluster)
    return figure


def _lives(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/status") as file:
            return "State:\tZ" not in file.read()
    except OSError:
        return False


def controller_memory(cluster: Cluster, jobs: int = 10_000) -> float:
    """PSS in MiB with so many pending jobs."""
    fill(cluster, jobs, 1)
    figure = pss(cluster.controller())
    clear(cluster)
    return figure


def pss(pid: int) -> float:
    with open(f"/proc/{pid}/smaps_rollup") as file:
        found = re.search(r"^Pss:\s+(\d+)", file.read(), re.MULTILINE)
    assert found is not None
    return int(found.group(1)) / 1024


MEASURES = [
    Measure("2,000 x true as one array, to the last end", array_rate, "jobs/s", True, 5),
    Measure("2,000 single jobs released at once, to the last end", single_rate, "jobs/s", True, 5),
    Measure("submissions, one process after another", submit_one_by_one, "jobs/s", True, 0.25),
    Measure("submissions, eight processes at once", submit_eight_at_once, "jobs/s", True, 0.25),
    Measure("sbatch as a process", sbatch_latency, "ms", False, 0),
    Measure("squeue -j as a process", squeue_one_latency, "ms", False, 0),
    Measure("sinfo as a process", sinfo_latency, "ms", False, 0),
    Measure("scontrol show job as a process", scontrol_latency, "ms", False, 0),
    Measure("squeue of 10,000 pending jobs", squeue_many, "ms", False, 1),
    Measure("squeue -r of 10,000 waiting elements", squeue_elements, "ms", False, 1.5),
    Measure("srun true on an idle cluster", srun_idle, "ms", False, 2),
    Measure("srun true inside an allocation", srun_inside, "ms", False, 2),
    Measure("srun -n 32 -N 2 true inside an allocation", srun_wide, "ms", False, 1),
    Measure("MPI start of 64 ranks on ten nodes", mpi_start, "ms", False, 2),
    Measure("sbatch --wrap true on an idle cluster, to its end", sbatch_to_end, "ms", False, 0.3),
    Measure("controller killed under 10,100 jobs, until squeue answers", restart, "s", False, 1.5),
    Measure("controller memory with 10,000 pending jobs", controller_memory, "MiB", False, 0),
]
