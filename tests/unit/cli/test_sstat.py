"""sstat against what the real one printed of the same step."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.unit.cli.fakecluster import FakeCluster, golden

from corral.cli import fields, sstat_columns


def amount(total: int, most: tuple[int, str, int], least: tuple[int, str, int]) -> dict[str, Any]:
    return {
        "total": total, "ave": total // 2, "max": most[0], "max_node": most[1], "max_task": most[2], "min": least[0],
        "min_node": least[1], "min_task": least[2],
    }  # fmt: skip


FIRST, SECOND = "dgx0180", "dgx0181"
USAGE = {
    "tasks": 2, "node": FIRST, "cpu": amount(0, (0, SECOND, 0), (0, FIRST, 0)),
    "mem": amount(90275840, (60850176, SECOND, 1), (29425664, FIRST, 0)),
    "vmem": amount(101990400, (66723840, SECOND, 1), (35266560, FIRST, 0)),
    "pages": amount(0, (0, FIRST, 0), (0, FIRST, 0)), "read": amount(88236, (44118, FIRST, 0), (44118, FIRST, 0)),
    "written": amount(73400322, (52428801, SECOND, 1), (20971521, FIRST, 0)),
}  # fmt: skip


def step(job: int, name: str, number: int) -> dict[str, Any]:
    return {"job": job, "step": number, "text": f"{job}.{name}"}


def sample(job: int, name: str, pids: dict[str, list[int]], missing: tuple[str, ...] = ()) -> dict[str, Any]:
    return {
        "job": job, "text": f"{job}.{name}", "nodes": "dgx[0180-0181]" if len(pids) > 1 else FIRST, "ntasks": 2,
        "usage": USAGE, "pids": pids, "missing": list(missing),
    }  # fmt: skip


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[FakeCluster]:
    with FakeCluster().serving(tmp_path) as fake:
        fake.jobs = [fake.jobs[0] | {"id": 29, "array_job_id": None}]
        fake.steps = [step(29, "batch", -5), step(29, "0", 0), step(29, "1", 1)]
        fake.usage = [
            sample(29, "batch", {FIRST: [7]}),
            sample(29, "0", {FIRST: [14440], SECOND: [14438]}),
            sample(29, "1", {FIRST: [9]}),
        ]
        yield fake


def test_it_prints_what_slurm_prints(cluster: FakeCluster) -> None:
    every = ",".join(golden("sstat/helpformat.txt").split())
    cases = golden("sstat/one.txt").split("$ ")[1:]
    for case in cases:
        line, _, expected = case.partition("\n")
        argv = line.split() + (["-o", every] if "-P" in line else [])
        # How fast the CPUs ran is not measured.
        for measured, not_here in (("|2.60M|", "|0|"), ("|2600K|", "|0|"), ("     2.60M ", "         0 ")):
            expected = expected.replace(measured, not_here)
        done = cluster.run(*argv)
        assert (done.stdout, done.stderr) == (expected, "")
    assert len(cases) == 4


def test_the_fields_are_slurms() -> None:
    assert fields.help_lines(sstat_columns.FIELDS) == golden("sstat/helpformat.txt")
    for line in golden("sstat/fields.tsv").splitlines()[1:]:
        name, header, width = line.split("\t")
        (field,) = fields.parse(sstat_columns.FIELDS, name)
        assert (f"|{field.header()} |", field.width + 1) == (header, int(width))


def ids(cluster: FakeCluster, *argv: str) -> list[str]:
    return cluster.run("sstat", "-n", "-P", "-o", "jobid", *argv).stdout.split()


def test_which_steps(cluster: FakeCluster) -> None:
    assert ids(cluster, "-j", "29") == ids(cluster, "29") == ["29.0"]
    assert ids(cluster, "-a", "-j", "29") == ["29.batch", "29.0", "29.1"]
    assert ids(cluster, "-j", "29.1,29.batch") == ids(cluster, "-j", "29.1", "29.batch") == ["29.1", "29.batch"]


def test_a_job_with_its_script_alone_shows_nothing(cluster: FakeCluster) -> None:
    cluster.steps = [step(29, "batch", -5)]
    assert ids(cluster, "-j", "29") == []
    assert ids(cluster, "-a", "-j", "29") == ["29.batch"]


@pytest.mark.parametrize(
    ("argv", "status", "text"),
    [
        ([], 1, "sstat: error: You didn't give me any jobs to stat.\n"),
        (["-j", ""], 1, "sstat: error: You didn't give me any jobs to stat.\n"),
        (["-j", "x"], 1, "sstat: fatal: Bad job/step specified: x\n"), (["-j", "1.x"], 1, "sstat: fatal: Bad step specified: 1\n"),
        (["-j", "29.7"], 0, "sstat: error: StepId=29.7 not found running.\n"),
        (["-j", "999"], 0, "sstat: error: couldn't get steps for job 999\n"),
        (["-o", "foo", "-j", "29"], 1, 'sstat: error: Invalid field requested: "foo"\n'),
        (["--zzz"], 1, "sstat: unrecognized option '--zzz'\n"), (["-j"], 1, "sstat: option requires an argument -- 'j'\n"),
    ],
)  # fmt: skip
def test_what_it_says(cluster: FakeCluster, argv: list[str], status: int, text: str) -> None:
    done = cluster.run("sstat", "-n", *argv)
    assert (done.returncode, done.stderr) == (status, text)


def test_a_job_that_waits(cluster: FakeCluster) -> None:
    cluster.steps = []
    assert cluster.run("sstat", "-n", "-j", "29").stderr == "sstat: error: No steps running for job 29\n"


def test_a_node_that_does_not_answer_is_named(cluster: FakeCluster) -> None:
    cluster.usage = [sample(29, "0", {FIRST: [1]}, missing=(SECOND,))]
    done = cluster.run("sstat", "-n", "-P", "-o", "jobid", "-j", "29")
    assert done.stdout == "29.0\n"
    assert "there was an error with the request to dgx0181" in done.stderr
