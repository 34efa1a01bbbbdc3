"""Whoever is killed, whenever: every acknowledged job runs exactly once, undisturbed, and its end is recorded."""

from pathlib import Path

import pytest
from tests.cluster.chaos import killable_cluster, wait_until
from tests.cluster.storm import DAEMONS, Storm

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
        wait_until(lambda: not cluster.daemon_processes(), 5, "no process is left behind")


__all__ = ["DAEMONS"]
