"""Reading traces in the Standard Workload Format."""

import gzip
from pathlib import Path

import pytest

from corral.errors import BadWorkload
from corral.simulator.workloads import swf

HEADER = "; MaxNodes: 4\n; MaxProcs: 8\n"


def line(number: int = 1, submit: int = 0, run: int = 60, used: int = 2, asked: int = -1, time: int = -1) -> str:
    return f"{number} {submit} -1 {run} {used} -1 -1 {asked} {time} -1 1 7 3 -1 -1 -1 -1 -1\n"


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "t.swf"
    path.write_text(text)
    return path


def test_a_job_asks_for_what_it_used_where_nothing_else_is_known(tmp_path: Path) -> None:
    [job] = swf.read(written(tmp_path, HEADER + line())).jobs
    assert (job.spec.ntasks, job.spec.time_limit, job.seconds, job.user) == (2, 60, 60, "user7")


def test_what_was_asked_for_comes_first(tmp_path: Path) -> None:
    [job] = swf.read(written(tmp_path, HEADER + line(asked=4, time=100))).jobs
    assert (job.spec.ntasks, job.spec.time_limit, job.seconds) == (4, 100, 60)


def test_a_limit_is_never_none(tmp_path: Path) -> None:
    [job] = swf.read(written(tmp_path, line(run=0))).jobs
    assert (job.spec.time_limit, job.seconds) == (1, 0)


def test_the_header_says_which_machine_it_is(tmp_path: Path) -> None:
    nodes = swf.read(written(tmp_path, HEADER + line())).nodes
    assert [(node.name, node.cpus) for node in nodes] == [("n1", 2), ("n2", 2), ("n3", 2), ("n4", 2)]


def test_without_a_header_it_is_as_large_as_its_largest_job(tmp_path: Path) -> None:
    assert len(swf.read(written(tmp_path, line(used=2) + line(used=5))).nodes) == 5


def test_seventeen_columns_will_do(tmp_path: Path) -> None:
    [job] = swf.read(written(tmp_path, line().rsplit(" ", 1)[0] + "\n")).jobs
    assert job.spec.ntasks == 2


def test_compressed_ones_are_read_by_what_they_are(tmp_path: Path) -> None:
    path = tmp_path / "t.swf"
    path.write_bytes(gzip.compress((HEADER + line()).encode()))
    assert len(swf.read(path).jobs) == 1


def test_jobs_that_say_too_little_are_counted(tmp_path: Path) -> None:
    found = swf.read(written(tmp_path, line(run=-1) + line(used=-1) + line(used=0) + line()))
    assert found.left_out == {"no run time": 1, "no processors": 2}
    assert len(found.jobs) == 1


def test_jobs_come_in_the_order_of_submission(tmp_path: Path) -> None:
    found = swf.read(written(tmp_path, line(1, 20) + line(2, 10) + line(3, 10)))
    assert [job.number for job in found.jobs] == [2, 3, 1]


@pytest.mark.parametrize(
    ("text", "row", "column", "problem"),
    [
        ("1 2 3\n", 1, 6, "a job has 18 columns (or 17, without the last): here are 3"),
        (HEADER + line().rstrip() + " 9\n", 3, 49, "a job has 18 columns (or 17, without the last): here are 19"),
        (line().replace("60", "6x"), 1, 8, "'6x' is no number"),
        (line().replace("60", "nan"), 1, 8, "'nan' is no number"),
        (line().replace("60", "1e999"), 1, 8, "'1e999' is no number"),
        (line().replace("60", "6_0"), 1, 8, "'6_0' is no number"),
        (line(submit=-5), 1, 3, "'-5' is less than 0"),
    ],
)
def test_a_bad_line_is_refused_with_its_place(tmp_path: Path, text: str, row: int, column: int, problem: str) -> None:
    with pytest.raises(BadWorkload) as refused:
        swf.read(written(tmp_path, text))
    assert (refused.value.line, refused.value.column, refused.value.problem) == (row, column, problem)


def test_a_broken_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.swf"
    path.write_bytes(gzip.compress(line().encode() * 10)[:-12])
    with pytest.raises(BadWorkload, match="the file cannot be read"):
        swf.read(path)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadWorkload, match="No such file"):
        swf.read(tmp_path / "none.swf")
