"""seff: how well has a job used what it had? The report of the well-known script of that name."""

from __future__ import annotations

import sys

from corral.cli import command, getopt, query
from corral.cli.getopt import NO
from corral.cli.run import Exit, Program
from corral.cli.run import main as run
from corral.client.connection import Connection
from corral.errors import InvalidJobId, Refused, Unreachable
from corral.syntax import jobid
from corral.syntax.size import parse_printed

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from typing import Any, NoReturn

    Row = dict[str, Any]

OPTIONS = (("d", "d", NO), ("h", "h", NO), ("v", "v", NO))

_USAGE = """\
Usage: seff [Options] <Jobid>
       Options:
       -h    Help menu
       -v    Version
       -d    Debug mode: display raw Slurm data
"""
_FIELDS = (
    "job_id", "array_job_id", "array_task_id", "step", "cluster", "user", "group", "state", "exit_code", "cpus", "node_count",
    "tres_alloc", "memory_per_cpu", "elapsed", "user_seconds", "system_seconds", "usage",
)  # fmt: skip
_WARNING = (
    "WARNING: Efficiency statistics can only be obtained after the job has ended "
    "as seff tool is based on the accounting database data.\n"
)


def main() -> NoReturn:
    program = Program("seff")
    run(program, lambda argv: Seff(program, argv).main())


class Seff:
    """One call of the command."""

    def __init__(self, program: Program, argv: list[str]) -> None:
        self.program = program
        try:
            found, self.words = getopt.parse(argv, OPTIONS)
        except getopt.GetoptError as error:
            raise Exit(1, f"seff: {error}") from None
        self.given = {name for name, _ in found}

    def main(self) -> int:
        if "v" in self.given:
            sys.stdout.write("seff Version 2.1\n")
            return 1
        if "h" in self.given or len(self.words) != 1:
            sys.stdout.write(_USAGE)
            return 1
        rows = self._rows(self.words[0])
        if not rows:
            raise Exit(2, "Job not found.")
        job = rows[0]
        if job["array_job_id"] and job["array_task_id"] is None:
            raise Exit(3, f"Badly formatted array jobid {job['array_job_id']} with task_id = -2")
        steps = [row for row in rows[1:] if row["job_id"] == job["job_id"] and row["step"] is not None]
        sys.stdout.write(report(job, steps, "d" in self.given))
        return 0

    def _rows(self, word: str) -> list[Row]:
        try:
            wanted = str(jobid.parse(word)._replace(step=""))
        except InvalidJobId:
            raise Exit(2, "Job not found.") from None
        path = query.url("/v1/history", ids=wanted, steps=True, fields=_FIELDS)
        try:
            with Connection() as connection:
                return query.Rows(connection.request("GET", path)).dicts()
        except Unreachable as error:
            raise command.unreachable("seff: error", error) from None
        except Refused as error:
            raise self.program.failed(str(error), 1) from None


def report(job: Row, steps: list[Row], debug: bool) -> str:
    cpus, nodes = job["cpus"] or 1, job["node_count"] or 1
    used = round(sum(step["user_seconds"] + step["system_seconds"] for step in steps))
    memory, most, average = _memory(steps)
    shown_id = f"{job['array_job_id']}_{job['array_task_id']}" if job["array_job_id"] else ""
    lines = [f"Job ID: {job['job_id']}"]
    if shown_id:
        lines.append(f"Array Job ID: {shown_id}")
    is_over = job["state"] not in ("PENDING", "RUNNING")
    lines += [
        f"Cluster: {job['cluster']}",
        f"User/Group: {job['user']}/{job['group']}",
        f"State: {job['state']} (exit code {job['exit_code'][0]})" if is_over else f"State: {job['state']}",
    ]
    lines += ["Cores: 1"] if cpus == 1 else [f"Nodes: {nodes}", f"Cores per node: {cpus // nodes}"]
    if job["state"] == "PENDING":
        lines.append("Efficiency not available for jobs in the PENDING state.")
    else:
        lines += _efficiency(job, cpus, nodes, used, memory)
        if most > average > 0:
            lines.append(
                "The task which had the largest memory consumption differs by "
                f"{most / average * 100:.2f}% from the average task max memory consumption"
            )
    text = "\n".join(lines) + "\n"
    if job["state"] == "RUNNING":
        text += _WARNING
    return _raw(job, shown_id, used, memory) + text if debug else text


def _efficiency(job: Row, cpus: int, nodes: int, used: int, memory: float) -> list[str]:
    wall = int(job["elapsed"])
    had = _allocated(job["tres_alloc"])
    share = f"{kilobytes(had / cpus)}/core" if job["memory_per_cpu"] else f"{kilobytes(had / nodes)}/node"
    return [
        f"CPU Utilized: {span(used)}",
        f"CPU Efficiency: {_percent(used, wall * cpus)} of {span(wall * cpus)} core-walltime",
        f"Job Wall-clock time: {span(wall)}",
        f"Memory Utilized: {kilobytes(memory)}",
        f"Memory Efficiency: {_percent(memory, had)} of {kilobytes(had)} ({share})",
    ]


def _memory(steps: list[Row]) -> tuple[float, float, float]:
    """Kilobytes of all tasks of the step with most; and the most and the average of its tasks, in bytes."""
    largest = max((step["usage"]["mem"] for step in steps if step["usage"]), key=lambda mem: mem["total"], default=None)
    return (largest["total"] / 1024, largest["max"], largest["ave"]) if largest else (0.0, 0.0, 0.0)


def _allocated(tres: str) -> float:
    """Kilobytes."""
    for part in tres.split(","):
        if part.startswith("mem="):
            return float(parse_printed(part[4:])) * 1024
    return 0.0


def _percent(part: float, whole: float) -> str:
    return f"{part / whole * 100 if whole else 0.0:.2f}%"


def _raw(job: Row, shown_id: str, used: int, memory: float) -> str:
    values = (
        job["job_id"], shown_id, job["user"], job["group"], job["state"], job["cluster"], job["cpus"], job["node_count"],
        int(_allocated(job["tres_alloc"])), int(not job["memory_per_cpu"]), used, int(job["elapsed"]), memory, job["exit_code"][0],
    )  # fmt: skip
    head = (
        "JobID ArrayJobID User Group State Clustername Ncpus Nnodes Ntasks Reqmem PerNode Cput Walltime Mem ExitStatus"
    )
    return f"Slurm data: {head}\nSlurm data: {' '.join(map(str, values))}\n\n"


def span(seconds: int) -> str:
    """1-02:03:04"""
    days, rest = divmod(seconds, 86400)
    return (f"{days}-" if days else "") + f"{rest // 3600:02}:{rest % 3600 // 60:02}:{rest % 60:02}"


def kilobytes(size: float) -> str:
    """62.50 GB; nothing is 0.00 MB."""
    if not size:
        return "0.00 MB"
    letters = "KMGTPE"
    step = 0
    while size >= 1024 and step < len(letters) - 1:
        size, step = size / 1024, step + 1
    return f"{size:.2f} {letters[step]}B"
