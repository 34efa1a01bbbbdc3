"""How long does sacct take when a million jobs have ended?

    python bench/history.py [--jobs N] [--url postgresql://...] [--dir DIR] [--keep]

fills a store with so many ended jobs of a hundred users over a year, starts a cluster on it, and takes the time of the commands that
people use: a user's last week, the last hour of everybody, one job, ten thousand jobs, and reports of the year.
"""

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from corral.model.job import ExitStatus, JobState
from corral.model.step import BATCH
from corral.model.usage import of_task
from corral.store.choice import open_store
from corral.store.interface import Batch
from corral.store.rollup import add_run
from corral.store.rows import Run, StepRun

COMMANDS = Path(sys.executable).parent
YEAR = 365 * 86400
_STATES = (JobState.COMPLETED,) * 17 + (JobState.FAILED, JobState.CANCELLED, JobState.TIMEOUT)


def jobs(count: int, now: float, users: list[str]) -> Iterator[tuple[Run, list[StepRun]]]:
    """In the order of their submission, evenly over the year before `now`."""
    chance = random.Random(1)
    for number in range(1, count + 1):
        submit = now - YEAR + number * (YEAR - 60) / count
        start = submit + chance.expovariate(1 / 300)
        end = min(now - 1, start + chance.expovariate(1 / 3600))
        start = min(start, end)
        user, state, cpus = chance.choice(users), chance.choice(_STATES), chance.choice((1, 2, 4, 8, 64))
        node = f"node{chance.randrange(1, 101):03}"
        tres = f"cpu={cpus},mem={cpus * 4}G,node=1,billing={cpus}"
        status = ExitStatus(1, 0) if state is JobState.FAILED else ExitStatus()
        run = Run(
            job=number, name=f"train-{number % 97}", user=user, uid=1000 + users.index(user), group="users", gid=100,
            account=f"project{number % 20}", partition="batch", qos="normal", state=state, submit=submit, eligible=submit, start=start,
            end=end, time_limit=86400, exit_status=status, nodes=node, node_count=1, node_names=(node,), cpus=cpus, ntasks=1,
            req_cpus=cpus, req_nodes=1, req_mem=f"{cpus * 4}G", tres_req=tres, tres_alloc=tres, work_dir=f"/home/{user}/runs/{number}",
            submit_line="sbatch --cpus-per-task=8 --mem=32G train.sh --lr 3e-4 --epochs 90",
        )  # fmt: skip
        used = of_task(0, 1_000_000, 50_000, (1050, 1 << 30, 1 << 31, 3, 5_000_000, 7_000_000))
        places = {
            "nodes": node,
            "node_count": 1,
            "cpus": cpus,
            "ntasks": 1,
            "start": start,
            "end": end,
            "state": state,
            "used": used,
        }
        yield (
            run,
            [
                StepRun(job=number, step=number_of, name=name, **places)
                for number_of, name in ((BATCH, "batch"), (0, "python"))
            ],
        )


def fill(url: str, path: Path, count: int, users: list[str]) -> None:
    store = open_store(url, path)
    now, pending, began = time.time(), Batch(), time.monotonic()
    for run, steps in jobs(count, now, users):
        pending.runs.append(run)
        add_run(pending.usage, run)
        pending.steps += steps
        if len(pending.runs) >= 20_000:
            store.append(pending).result()
            pending = Batch()
    store.append(pending).result()
    store.close()
    print(f"{count} jobs and {2 * count} steps written in {time.monotonic() - began:.0f} s")


def measure(environment: dict[str, str], *command: str) -> None:
    best, lines = 1e9, 0
    for _ in range(5):
        began = time.monotonic()
        done = subprocess.run(command, env=environment, capture_output=True, check=True)
        best, lines = min(best, time.monotonic() - began), done.stdout.count(b"\n")
    print(f"{best * 1000:7.0f} ms  {lines:7} lines  {' '.join(command)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=1_000_000)
    parser.add_argument("--url", default="", help="of a PostgreSQL database; SQLite without")
    parser.add_argument("--dir", type=Path, help="the cluster's state directory (default: a temporary one)")
    parser.add_argument("--keep", action="store_true", help="leave the filled store where it is, and use it again")
    given = parser.parse_args()
    directory = given.dir or Path(tempfile.mkdtemp(prefix="corral-history-"))
    directory.mkdir(parents=True, exist_ok=True)
    users = ["root", *(f"user{number:02}" for number in range(1, 100))]
    is_filled = directory / "filled"
    if not is_filled.exists():
        fill(given.url, directory / "corral.db", given.jobs, users)
        is_filled.touch()
    first = f"first_job_id = {given.jobs + 1}\nprivate_data = []\n"
    (directory / "corral.toml").write_text(first + (f'[store]\nurl = "{given.url}"\n' if given.url else ""))
    environment = {
        **os.environ,
        "CORRAL_ENDPOINT": f"unix://{directory}/corral.sock",
        "PATH": f"{COMMANDS}:{os.environ['PATH']}",
    }
    subprocess.run(
        ["corral", "up", "--dir", str(directory), "--nodes", "2"],
        env=environment,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    try:
        middle = str(given.jobs // 2)
        ten_thousand = f"now-{10_000 * YEAR // given.jobs}"
        for options in (
            ("-u", "root", "-S", "now-7days"), ("-u", "root", "-S", "now-7days", "-X"), ("-u", "root", "-S", "now-7days", "-l", "-P"),
            ("-a", "-S", "now-1hour"), ("-j", middle), ("-a", "-X", "-S", ten_thousand), ("-a", "-S", ten_thousand),
            ("-a", "-X", "-s", "F", "-S", "now-7days", "-E", "now"), ("-A", "project7", "-a", "-X", "-S", "now-7days"),
        ):  # fmt: skip
            measure(environment, "sacct", *options)
        year = ("start=now-365days", "end=now")
        measure(environment, "sreport", "cluster", "AccountUtilizationByUser", *year)
        measure(environment, "sreport", "cluster", "Utilization", *year)
    finally:
        subprocess.run(
            ["corral", "down", "--dir", str(directory)], env=environment, check=True, stdout=subprocess.DEVNULL
        )
        if not given.keep:
            shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
