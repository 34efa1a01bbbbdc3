"""squeue against what the real one printed of the same jobs."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.cli.fakecluster import FakeCluster, golden, queue


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[FakeCluster]:
    with FakeCluster().serving(tmp_path) as fake:
        yield fake


def same_lines(shown: str, expected: str) -> None:
    """Jobs that sort equal stand in no certain order in the golden files."""
    assert shown.startswith(" " * 15 + "JOBID") == expected.startswith(" " * 15 + "JOBID")
    assert sorted(shown.splitlines()) == sorted(expected.splitlines())


@pytest.mark.parametrize(
    ("argv", "file"),
    [
        ([], "-a.txt"), (["-a"], "-a.txt"), (["-h"], "-h.txt"), (["-r"], "--array.txt"), (["-S", "i"], "-Si.txt"),
        (["-S", "-p,i"], "-S-p_i.txt"), (["-j", "110,112"], "-j110_112.txt"), (["-j112_1"], "-j112_1.txt"),
        (["-n", "train"], "-ntrain.txt"), (["-o", "%i"], "-o%i.txt"), (["-pbatch"], "-pbatch.txt"), (["--me"], "--me.txt"),
        (["-u", "nobody"], "-unobody.txt"), (["-wdgx0180"], "-wdgx0180.txt"), (["--start"], "--start.txt"),
        (["--noconvert", "-o", "%m"], "--noconvert-o%m.txt"), (["-O", "jobid,name"], "-Ojobid_name.txt"),
    ],
)  # fmt: skip
def test_it_prints_what_slurm_prints(cluster: FakeCluster, argv: list[str], file: str) -> None:
    if "--start" in argv:  # taken before the scheduler had planned
        cluster.jobs = [row | ({"expected_start": 0.0} if row["id"] in (115, 121) else {}) for row in cluster.jobs]
    done = cluster.run("squeue", *argv)
    assert done.stderr == ""
    same_lines(done.stdout, golden(f"squeue/{file}"))


@pytest.mark.parametrize(
    ("argv", "file"), [(["-l"], "-l.txt"), (["-l", "-r"], "-l-r.txt"), (["-tPD", "-l"], "-tPD-l.txt")]
)
def test_long_begins_with_the_date(cluster: FakeCluster, argv: list[str], file: str) -> None:
    cluster.jobs = queue(ran=3)
    done = cluster.run("squeue", *argv)
    date, rest = done.stdout.split("\n", 1)
    assert len(date) == len("Tue Nov 24 00:45:43 2026")
    same_lines(rest, golden(f"squeue/{file}").split("\n", 1)[1])
