"""sinfo against what the real one printed of the same nodes."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.cli.fakecluster import COMPLETING, DRAINED, MIXED, FakeCluster, golden, nodes

BUSY = nodes(**{f"dgx018{number}": MIXED | {"cpus_alloc": 1} for number in range(6)})
PART = nodes(dgx0185=MIXED, dgx0186=MIXED, dgx0187=DRAINED, dgx0188=COMPLETING)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[FakeCluster]:
    with FakeCluster().serving(tmp_path) as fake:
        yield fake


@pytest.mark.parametrize(
    ("argv", "rows", "file"),
    [
        ([], nodes(), "default.txt"), (["-N"], nodes(), "N.txt"), (["-s"], nodes(), "s.txt"), (["-R"], nodes(), "R.txt"),
        ([], BUSY, "busy-default.txt"), (["-N"], BUSY, "busy-N.txt"), (["-s"], BUSY, "busy-s.txt"), ([], PART, "drain-down.txt"),
        (["-s"], PART, "drain-down-s.txt"), (["-R"], PART, "R-drain-down.txt"),
    ],
)  # fmt: skip
def test_it_prints_what_slurm_prints(
    cluster: FakeCluster, argv: list[str], rows: list[dict[str, object]], file: str
) -> None:
    cluster.nodes = rows
    done = cluster.run("sinfo", *argv)
    assert (done.stdout, done.stderr) == (golden(f"sinfo/{file}"), "")


@pytest.mark.parametrize(
    ("argv", "rows", "file"),
    [
        (["-l"], nodes(), "l.txt"), (["-Nl"], nodes(), "Nl.txt"), (["-Rl"], nodes(), "Rl.txt"), (["-l"], BUSY, "busy-l.txt"),
        (["-N", "-l"], BUSY, "busy-Nl.txt"), (["-l"], PART, "drain-down-l.txt"), (["-Nl"], PART, "drain-down-Nl.txt"),
        (["-Rl"], PART, "Rl-drain-down.txt"),
    ],
)  # fmt: skip
def test_long_begins_with_the_date(
    cluster: FakeCluster, argv: list[str], rows: list[dict[str, object]], file: str
) -> None:
    cluster.nodes = rows
    done = cluster.run("sinfo", *argv)
    assert (done.stdout.split("\n", 1)[1], done.stderr) == (golden(f"sinfo/{file}").split("\n", 1)[1], "")
