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


def test_all_letters_at_once(cluster: FakeCluster) -> None:
    by_letter, by_name = cluster.run("sinfo", "-o", "%all").stdout, cluster.run("sinfo", "-O", "all").stdout
    assert by_letter == by_name
    head = by_letter.splitlines()[0]
    assert head.startswith(
        "AVAIL|ACTIVE_FEATURES|CPUS|TMP_DISK|FREE_MEM|AVAIL_FEATURES|GROUPS|OVERSUBSCRIBE|TIMELIMIT|"
    )
    assert head.endswith("|ALLOCNODES |STATE |USER |CLUSTER |SOCKETS |CORES |THREADS ")


@pytest.mark.parametrize(
    ("form", "shown"), [("%5P", "batc*"), ("%.5P", "batc*"), ("%3P", "ba*"), ("%7P|", "batch* |"), ("%5R", "batch")]
)
def test_the_star_of_the_default_partition_is_not_cut(cluster: FakeCluster, form: str, shown: str) -> None:
    assert cluster.run("sinfo", "-h", "-o", form).stdout == shown + "\n"


def test_nodes_that_there_are_none_of_have_no_line(cluster: FakeCluster) -> None:
    assert cluster.run("sinfo", "-N", "-d").stdout == "NODELIST   NODES PARTITION STATE \n"


@pytest.mark.parametrize("option", ["-s", "-N", "-R"])
def test_the_format_of_the_environment_is_for_the_plain_listing(cluster: FakeCluster, option: str) -> None:
    assert cluster.run("sinfo", option, SINFO_FORMAT="%P").stdout == cluster.run("sinfo", option).stdout


def test_letters_that_are_no_key_leave_the_order(cluster: FakeCluster) -> None:
    assert cluster.run("sinfo", "-N", "-S", "k").stdout == cluster.run("sinfo", "-N").stdout
