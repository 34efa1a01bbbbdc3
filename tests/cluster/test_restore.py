"""What happens when the record is replaced by a backup that is older than what the nodes have done since?"""

import os
import signal
import sqlite3
from collections.abc import Callable

from tests.cluster.live import LiveCluster, wait_until


def kill_controller(cluster: LiveCluster) -> None:
    process = int((cluster.directory / "controller.lock").read_text())
    os.kill(process, signal.SIGKILL)
    wait_until(lambda: not os.path.exists(f"/proc/{process}"))


def copy(cluster: LiveCluster, source: str, target: str) -> None:
    """As `sqlite3 corral.db ".backup ..."` does."""
    with (
        sqlite3.connect(cluster.directory / source) as old,
        sqlite3.connect(cluster.directory / target) as new,
    ):
        old.backup(new)
    old.close()
    new.close()


def test_a_cluster_goes_on_from_an_old_backup(make_cluster: Callable[..., LiveCluster]) -> None:
    cluster = make_cluster()
    go, end = cluster.work / "go", cluster.work / "end"
    nodes = ("--nodes=2", "--cpus=8", "--mem=8000", "--prefix=n1")
    cluster.up(*nodes)
    waits = "while [ ! -e %s ]; do sleep 0.05; done"
    running = cluster.submit("--wrap", waits % end)
    ends = cluster.submit("--no-requeue", "--wrap", waits % go)
    again = cluster.submit("--wrap", waits % go + "; echo run $SLURM_RESTART_COUNT >> again")
    cluster.wait_for(again, "RUNNING")
    copy(cluster, "corral.db", "backup.db")

    # What the backup does not know: jobs that end, jobs that come, and two more controllers.
    go.touch()
    for job in (ends, again):
        cluster.wait_for(job, "COMPLETED")
    forgotten = cluster.submit("--wrap", f"touch forgotten; {waits % end}")
    wait_until((cluster.work / "forgotten").exists)
    for _ in range(2):
        kill_controller(cluster)
        cluster.up(*nodes)

    kill_controller(cluster)
    for name in ("corral.db", "corral.db-wal", "corral.db-shm"):
        (cluster.directory / name).unlink(missing_ok=True)
    (cluster.directory / "backup.db").rename(cluster.directory / "corral.db")
    cluster.up(*nodes)

    new = [cluster.submit("--wrap", f"echo new {number} > new-{number}") for number in range(3)]
    for number, job in enumerate(new):
        cluster.wait_for(job, "COMPLETED")
        assert (cluster.work / f"new-{number}").read_text() == f"new {number}\n"
    cluster.wait_for(ends, "NODE_FAIL")  # how it ended nobody knows any more
    cluster.wait_for(again, "COMPLETED")  # it has run once more
    assert (cluster.work / "again").read_text().splitlines() == ["run", "run 1"]
    assert cluster.state(running) == "RUNNING"
    end.touch()
    cluster.wait_for(running, "COMPLETED")
    assert forgotten not in cluster.text("squeue", "-h", "-o%i").split()
    assert int(cluster.submit("--wrap", "true")) > int(forgotten)
