"""Which processes here belong to which job (scontrol listpids, pidinfo)? Each has the step it began in in its first environment."""

from __future__ import annotations

import os
import re
import sys
import time

from corral.cli.run import Exit

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from corral.client.connection import Connection

_MARK = b"CORRAL_STEP"
_GROUP = re.compile(r"/corral-[^/]*/[^/]+\.job_(\d+)\.\d+/step_")
_A_YEAR = 365 * 86400
_HEADER = "PID      JOBID    STEPID   LOCALID GLOBALID\n"


def listpids(connect: Callable[[], Connection], keyword: str, words: list[str]) -> int:
    """[JOB[.STEP] [NODE]]: those that may be looked at."""
    if len(words) > 2:
        raise Exit(1, f"too many arguments for keyword:{keyword}")
    job, _, step = words[0].partition(".") if words else ("", "", "")
    if job and not job.isdigit():
        raise Exit(1, f'"{words[0]}" does not look like a jobid')
    if step and not step.isdigit():
        raise Exit(1, f'"{words[0]}" does not look like a stepid')
    node = words[1] if len(words) > 1 else os.environ.get("SLURMD_NODENAME", "")
    rows = [
        row
        for row in _processes()
        if (not job or row[1] == job) and (not step or row[2] == step) and (not node or row[0] == node)
    ]
    rows.sort(key=lambda row: (int(row[1]), row[2] != "batch", row[2].zfill(10), row[4] == "-", row[3]))
    sys.stdout.write(_HEADER)
    for _, of_job, of_step, pid, local, rank in rows:
        sys.stdout.write(f"{pid:<8} {of_job:<8} {of_step:<8} {local:<7} {rank:<8}\n")
    if job and not rows:
        if not node:
            raise Exit(1, f"There are no steps for job {job} on node (null).")
        what = f"StepId={job}.{step}" if step else f"JobId={job}"
        raise Exit(1, f"{what} does not exist on node {node}.")
    return 0


def _processes() -> Iterator[tuple[str, str, str, int, str, str]]:
    """Node, job, step, process, and of a task itself its number on the node and in the step."""
    own = os.environ.get("CORRAL_ENDPOINT", "").encode()
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/environ", "rb") as file:
                pairs = (entry.partition(b"=") for entry in file.read().split(b"\0"))
                variables = {key: value for key, _, value in pairs}
        except OSError:
            continue
        mark = variables.get(_MARK, b"").decode(errors="replace")
        if not mark or (own and variables.get(b"CORRAL_ENDPOINT", own) != own):
            continue
        node, _, key = mark.rpartition("/")
        job, step, _ = key.split(".")
        if int(step) <= -1000:  # no step of the user's: it carries a file
            continue
        is_task = variables.get(b"SLURM_TASK_PID", b"").lstrip(b"0") == name.encode()
        local = variables.get(b"SLURM_LOCALID", b"0").decode() if is_task else "-"
        rank = variables.get(b"SLURM_PROCID", b"0").decode() if is_task else "-"
        yield node, job, {"-5": "batch", "-4": "extern", "-6": "interactive"}.get(step, step), int(name), local, rank


def pidinfo(connect: Callable[[], Connection], keyword: str, words: list[str]) -> int:
    """PID: until when does its job run?"""
    if len(words) != 1:
        raise Exit(1, f"{'too many arguments' if words else 'missing argument'} for keyword:{keyword}")
    job = _job_of(words[0])
    if not job:
        raise Exit(1, "Failed to locate job for requested pid")
    from corral.cli import query

    (row,) = query.rows(connect(), f"/v1/jobs/{job}", ["start_time", "end_time"]).dicts()
    end = row["end_time"] or row["start_time"] + _A_YEAR
    sys.stdout.write(
        f"Slurm JobId={job} ends at {time.strftime('%a %b %d %H:%M:%S %Y', time.localtime(end))}\n"
        f"Job remaining time is {max(0, int(end - time.time()))} seconds\n"
    )
    return 0


def _job_of(pid: str) -> str:
    """Its cgroup says it to everybody, its environment to who may read that."""
    if not pid.isdigit():
        return ""
    try:
        with open(f"/proc/{pid}/cgroup") as file:
            group = _GROUP.search(file.read())
    except OSError:
        return ""
    if group is not None:
        return group[1]
    return next((job for _, job, _, known, _, _ in _processes() if known == int(pid)), "")


__all__ = ["listpids", "pidinfo"]
