"""PostgreSQL as the store of a live cluster: it may go away while jobs run, and the controller may be killed; nothing is lost."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cluster.live import LiveCluster, wait_until
from tests.postgres import PostgresServer, programs

pytestmark = pytest.mark.skipif(programs() is None, reason="needs PostgreSQL")


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    made = PostgresServer()
    made.start()
    yield made
    made.close()


@pytest.fixture
def cluster(server: PostgresServer, tmp_path: Path) -> Iterator[LiveCluster]:
    live = LiveCluster(tmp_path, f'[store]\nurl = "{server.new_database()}"\n')
    live.up("--nodes=2", "--cpus=4")
    yield live
    live.down()


def test_a_database_that_goes_and_comes_back(server: PostgresServer, cluster: LiveCluster) -> None:
    go = cluster.work / "go"
    running = cluster.submit("--wrap", f"until test -e {go}; do sleep 0.05; done")
    cluster.wait_for(running, "RUNNING")
    server.stop("immediate")
    try:
        refused = cluster.run("sbatch", "--wrap", "true", check=False)
        assert refused.returncode != 0
        assert "cannot record changes now" in refused.stderr
        go.touch()  # it ends while nobody can write that down
        done = cluster.run("sacct", "-j", running, check=False)
        assert done.returncode != 0
        assert "The store cannot be" in done.stderr
    finally:
        server.start()
    cluster.wait_for(running, "COMPLETED")
    after = wait_until(lambda: cluster.run("sbatch", "--parsable", "--wrap", "true", check=False).stdout.strip())
    assert int(after) == int(running) + 1
    cluster.wait_for(after, "COMPLETED")


def test_a_killed_controller_goes_on(cluster: LiveCluster) -> None:
    go = cluster.work / "go"
    running = cluster.submit("--wrap", f"until test -e {go}; do sleep 0.05; done")
    waiting = cluster.submit("--hold", "--wrap", "true")
    cluster.wait_for(running, "RUNNING")
    cluster.kill("controller.lock")
    cluster.up()
    assert cluster.text("squeue", "-h", "-o", "%i %T", "-S", "i").splitlines() == [
        f"{running} RUNNING",
        f"{waiting} PENDING",
    ]
    go.touch()
    cluster.wait_for(running, "COMPLETED")
    cluster.run("scontrol", "release", waiting)
    cluster.wait_for(waiting, "COMPLETED")
