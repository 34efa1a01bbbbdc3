"""Whoever is killed, whenever: every acknowledged job runs exactly once, undisturbed, and its end is recorded."""

from pathlib import Path

import pytest
from tests.cluster.chaos import killable_cluster
from tests.cluster.storm import DAEMONS, Storm
from tests.waiting import wait_until

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("seed", "victims"),
    [
        (1, ("controller", "controller", "controller")),
        (2, ("agent", "agent", "agent")),
        (3, ("nats", "nats")),
        (4, ("all", "all")),
        (5, ("spawner", "nats", "agent", "controller", "all")),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, tuple) else f"seed{value}",
)
def test_killed_daemons_lose_no_job_and_run_none_twice(tmp_path: Path, seed: int, victims: tuple[str, ...]) -> None:
    with killable_cluster(tmp_path / "cluster") as cluster:
        Storm(cluster, seed, victims).blow()
        cluster.stop()
        wait_until(lambda: not cluster.daemon_processes(), 60, "no process is left behind")


__all__ = ["DAEMONS"]


def test_a_killed_shepherd_takes_no_job_of_another_cluster_with_it(tmp_path: Path) -> None:
    """Job 1 of both runs on the same node name, on the same machine."""
    with killable_cluster(tmp_path / "one") as one, killable_cluster(tmp_path / "other") as other:
        with one.client() as client, other.client() as other_client:
            assert client.submit(one.job("sleep 1000")) == other_client.submit(other.job("sleep 1000")) == [1]
            wait_until(lambda: one.job_processes() and other.job_processes(), what="both run")
            wait_until(lambda: len(other.job_processes()) >= 2, what="the script's sleep runs")
            bystanders = other.job_processes()
            left = set(one.job_processes())
            one.kill_shepherds()
            wait_until(
                lambda: not left & set(one.job_processes()), what="what the shepherd left is killed"
            )  # it runs again at once
            assert set(bystanders) <= set(other.job_processes())
            assert other_client.job(1)["state"] == "RUNNING"
            other_client.cancel(1)
            assert other_client.wait(1, 30)[0]["state"] == "CANCELLED"


def test_what_a_job_has_sent_away_or_multiplied_ends_with_it(tmp_path: Path) -> None:
    """Grandchildren in sessions of their own, a small fork bomb, and an output that cannot be opened."""
    away = "setsid sh -c 'setsid sleep 1000 & trap \"\" TERM HUP; sleep 1001' &\nsleep 0.01"
    bomb = "i=0; while [ $i -lt 300 ]; do (sleep 1000; sleep 1000) & i=$((i+1)); done"
    with killable_cluster(tmp_path / "cluster") as cluster, cluster.client() as client:
        fine = client.submit([cluster.job(f"{away}\nexit 4"), cluster.job(f"{bomb}\nexit 5")])
        nowhere = client.submit(cluster.job("true", stdout="/dev/null/out"))
        assert [row["exit_code"] for row in client.wait(fine, 60)] == [[4, 0], [5, 0]]
        assert [(row["state"], row["exit_code"]) for row in client.wait(nowhere, 60)] == [("FAILED", [0, 53])]
        assert not cluster.job_processes()
        [running] = client.submit(cluster.job(f"trap '' TERM\n{away}\n{bomb}\nwait"))
        wait_until(lambda: len(cluster.job_processes()) > 300, what="all children run")
        client.cancel(running, signal=9)
        assert client.wait(running, 60)[0]["state"] == "CANCELLED"
        assert not cluster.job_processes()
