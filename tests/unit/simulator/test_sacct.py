"""Reading dumps of the accounting."""

from pathlib import Path

import pytest

from corral.errors import BadWorkload
from corral.model.job import UNLIMITED
from corral.simulator.workloads import sacct
from corral.simulator.workloads.work import Workload

GOLDEN = Path(__file__).parents[2] / "golden" / "sacct" / "ALL.txt"
HEAD = "JobID|User|Submit|Start|ElapsedRaw|TimelimitRaw|ReqNodes|ReqCPUS|ReqTRES|ReqMem|JobName"


def read(tmp_path: Path, *lines: str, head: str = HEAD) -> Workload:
    path = tmp_path / "dump.txt"
    path.write_text("\n".join((head, *lines)) + "\n")
    return sacct.read(path)


def row(**fields: str) -> str:
    known = {
        "JobID": "7", "User": "ann", "Submit": "2026-11-24T00:00:10", "Start": "2026-11-24T00:01:00", "ElapsedRaw": "60",
        "TimelimitRaw": "5", "ReqNodes": "2", "ReqCPUS": "8", "ReqTRES": "billing=8,cpu=8,mem=4G,node=2", "ReqMem": "4G",
        "JobName": "x",
    }  # fmt: skip
    return "|".join((known | fields)[name] for name in HEAD.split("|"))


def test_what_the_real_sacct_prints_is_read() -> None:
    found = sacct.read(GOLDEN)
    first = found.jobs[0]  # type: ignore[index]
    assert (first.number, first.user, first.spec.ntasks, first.spec.nodes_min, first.spec.partition) == (
        126, "root", 2, 1, "batch",
    )  # fmt: skip
    assert (first.spec.memory_per_node_mb, first.spec.time_limit) == (64000, UNLIMITED)
    assert [job.number for job in found.jobs] == [126, 132, 134, 147]


def test_a_job_asks_for_what_it_asked_for(tmp_path: Path) -> None:
    [job] = read(tmp_path, row(ReqTRES="cpu=8,mem=4G,gres/gpu=4,gres/gpu:h100=4,node=2")).jobs
    assert (job.spec.nodes_min, job.spec.nodes_max, job.spec.ntasks) == (2, 2, 8)
    assert (job.spec.memory_per_node_mb, job.spec.gpus_per_node[0].count) == (2048, 2)
    assert (job.spec.time_limit, job.seconds, job.user) == (300, 60, "ann")


def test_times_are_seconds_apart_whatever_the_zone_of_who_reads(tmp_path: Path) -> None:
    first, second = read(tmp_path, row(), row(JobID="8", Submit="2026-11-24T01:00:10")).jobs
    assert second.submit - first.submit == 3600
    [third] = read(tmp_path, row(Submit="1795478410")).jobs
    assert third.submit == first.submit


def test_steps_are_passed_over_and_what_never_ran_is_counted(tmp_path: Path) -> None:
    found = read(
        tmp_path, row(), row(JobID="7.batch"), row(JobID="7.0"), row(JobID="9", Start="Unknown", ElapsedRaw="0")
    )
    assert len(found.jobs) == 1
    assert found.left_out == {"never ran": 1}


def test_elements_and_components_are_jobs(tmp_path: Path) -> None:
    assert [job.number for job in read(tmp_path, row(JobID="7_3"), row(JobID="8+1")).jobs] == [7, 8]


@pytest.mark.parametrize(("text", "per_node"), [("4G", 2048), ("100Mc", 400), ("3Gn", 3072), ("0", None), ("", None)])
def test_memory_as_older_and_newer_ones_print_it(tmp_path: Path, text: str, per_node: int | None) -> None:
    [job] = read(tmp_path, row(ReqTRES="", ReqMem=text)).jobs
    assert job.spec.memory_per_node_mb == per_node


def test_a_separator_in_a_name_is_no_field(tmp_path: Path) -> None:
    [job] = read(tmp_path, row(JobName="a|b|c")).jobs
    assert job.spec.ntasks == 8


@pytest.mark.parametrize(
    ("line", "column", "problem"),
    [
        (row(Submit="yesterday"), 7, "submit: 'yesterday' is no time: 2030-01-31T16:00:00 is one"),
        (row(JobID="x7"), 1, "jobid: 'x7' is no job id"),
        (row(ReqNodes="two"), 52, "reqnodes: 'two' is no number"),
        ("7|ann", 6, "a line has 11 fields, as the first: here are 2"),
    ],
)
def test_a_bad_line_is_refused_with_its_place(tmp_path: Path, line: str, column: int, problem: str) -> None:
    with pytest.raises(BadWorkload) as refused:
        read(tmp_path, line)
    assert (refused.value.line, refused.value.column, refused.value.problem) == (2, column, problem)


def test_a_field_that_is_needed_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(BadWorkload, match="there is no field submit"):
        read(tmp_path, head="JobID|ElapsedRaw|ReqCPUS")
