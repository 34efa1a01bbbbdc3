"""sprio against what the real one printed of the same jobs."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.unit.cli.fakecluster import GOLDEN, FakeCluster, golden

WEIGHTS = {
    "age": 1000, "fair_share": 2000, "job_size": 3000, "partition": 4000, "qos": 5000, "max_age": 3600.0,
    "tres": {"cpu": 100, "mem": 200, "gres/gpu": 300},
}  # fmt: skip
SMALL = {"cpu": 1 / 160, "mem": 2000 / 640000, "gres/gpu": 0.0}


def job(id: int, partition: str, points: float, **given: Any) -> dict[str, Any]:
    return {
        "id": id, "user": "root", "partition": partition, "priority": points, "set": False, "nice": 0, "site": 0, "age": 0.0, "assoc": 0.0,
        "fair_share": 1.0, "job_size": 0.053125, "partition_share": 1.0 if partition == "long" else 0.5, "qos": 0.0, "tres": SMALL,
    } | given  # fmt: skip


#: The jobs of tests/golden/sprio.
JOBS = [
    job(2, "batch", 4380.625, job_size=0.125, tres={"cpu": 8 / 160, "mem": 2000 / 640000, "gres/gpu": 0.0}),
    job(3, "long", 6175.625, tres=SMALL | {"gres/gpu": 4 / 80}), job(4, "batch", 4060.625, nice=100), job(5, "batch", 4160.625),
    job(5, "long", 6160.625), job(8, "batch", 4160.625),
    job(9, "batch", 77, set=True, fair_share=0.0, job_size=0.0, partition_share=0.0, tres={}),
    job(10, "batch", 2160.625, user="nobody", fair_share=0.0),
]  # fmt: skip


EVERY: dict[str, Any] = json.loads((GOLDEN / "sprio" / "every-factor.json").read_text())


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[FakeCluster]:
    with FakeCluster().serving(tmp_path) as fake:
        fake.priorities = {"weights": WEIGHTS, "jobs": JOBS}
        yield fake


@pytest.mark.parametrize(
    ("argv", "file"),
    [
        ([], "default"), (["-l"], "l"), (["-w"], "w"), (["-n"], "n"), (["-l", "-n"], "ln"), (["-w", "-n"], "wn"), (["-w", "-l"], "wl"),
        (["-w", "-l", "-n"], "wln"), (["-u", "nobody"], "unobody"), (["-n", "-u", "nobody"], "n-unobody"), (["-p", "long"], "plong"),
        (["-h", "-j3"], "h-j3"), (["-j9999"], "j9999"), (["-S", "-y", "-o", "%i|%Y|%y"], "S-y"),
        (["-j3", "-o", "|%a|%b|%c|%f|%i|%j|%N|%p|%q|%r|%t|%u|%y|%Y|%S|%T|%B|%F"], "letters-j3"),
    ],
)  # fmt: skip
def test_it_prints_what_slurm_prints(cluster: FakeCluster, argv: list[str], file: str) -> None:
    done = cluster.run("sprio", *argv)
    assert (done.stdout, done.stderr, done.returncode) == (golden(f"sprio/{file}.txt"), "", 0)


def test_without_weights_there_are_no_shares_to_show(cluster: FakeCluster) -> None:
    cluster.priorities = {"weights": {}, "jobs": [job(1, "batch", 1.0)]}
    assert cluster.run("sprio").stdout == (
        "          JOBID PARTITION   PRIORITY       SITE\n              1 batch              1          0\n"
    )


@pytest.mark.parametrize(
    ("argv", "error"),
    [
        (["-j", "abc"], "sprio: error: Invalid job id: abc\n"), (["-j", "8_1"], "sprio: error: Invalid job id: 8_1\n"),
        (["foo"], "sprio: error: Unrecognized option: foo\n"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused(cluster: FakeCluster, argv: list[str], error: str) -> None:
    done = cluster.run("sprio", *argv)
    assert (done.stderr, done.returncode) == (error, 1)


def test_an_unknown_letter_is_told_and_left_out(cluster: FakeCluster) -> None:
    done = cluster.run("sprio", "-j", "3", "-o", "|%d|%i")
    assert (done.stdout, done.stderr) == ("|JOBID\n|3\n", "sprio: error: Invalid job format specification: d\n")


def test_the_format_may_come_from_the_environment(cluster: FakeCluster) -> None:
    assert cluster.run("sprio", "-j", "3", SPRIO_FORMAT="%i %Y").stdout == "JOBID PRIORITY\n3 6175\n"


@pytest.mark.parametrize("run", EVERY["runs"], ids=lambda run: " ".join(run["argv"]) or "alone")
def test_every_factor_is_shown_as_slurm_shows_it(cluster: FakeCluster, run: dict[str, Any]) -> None:
    """Also associations, sites, several partitions; sorted and chosen in every way."""
    cluster.priorities = EVERY["answer"]
    done = cluster.run("sprio", *run["argv"])
    assert (done.stdout, done.stderr, done.returncode) == (run["out"], run["err"], run["rc"])


def test_of_a_priority_without_factors_there_is_nothing_to_show(cluster: FakeCluster) -> None:
    cluster.priorities = {"type": "basic", "weights": {}, "jobs": []}
    done = cluster.run("sprio", "-l")
    assert (done.stdout, done.stderr, done.returncode) == (
        "", "You are not running a supported priority plugin\n(priority/basic).\nOnly 'priority/multifactor' is supported.\n", 1,
    )  # fmt: skip
