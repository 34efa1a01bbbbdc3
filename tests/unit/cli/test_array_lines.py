"""The lines of arrays: merged as the real squeue merges them, and one for each element."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.cli.fakecluster import FakeCluster, job

from corral.syntax import arrayspec


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[FakeCluster]:
    with FakeCluster().serving(tmp_path) as fake:
        yield fake


def head(**given):
    return job(25, "x", array_job_id=25, array_waiting=[[1, 37, 3]], array_throttle=2, **given)


def element(id: int, task: int, **given):
    return job(id, given.pop("name", "x"), array_job_id=25, array_task_id=task, **given)


@pytest.mark.parametrize(
    ("limit", "shown"),
    [
        (None, "25_[1,4,7,10,13,16,19,22,25,28,|1,4,7,10,13,16,19,22,25,28,31,34,37,40"),
        ("0", "25_[1,4,7,10,13,16,19,22,25,28,31,34,37,40]|1,4,7,10,13,16,19,22,25,28,31,34,37,40"),
        ("-3", "25_[1,4,7,10,13,16,19,22,25,28,31,34,37,40]|1,4,7,10,13,16,19,22,25,28,31,34,37,40"),
        ("x", "25_[1,4,7,10,13,16,19,22,25,28,31,34,37,40]|1,4,7,10,13,16,19,22,25,28,31,34,37,40"),
        ("1", "25_[]|"),
        ("8", "25_[1,4,7,1]|1,4,7,1"),
    ],
)
def test_merged_elements_have_no_step_and_no_limit_and_are_cut_without_a_mark(
    cluster: FakeCluster, limit, shown
) -> None:
    cluster.jobs = [head(), element(26, 40)]
    more = {} if limit is None else {"SLURM_BITSTR_LEN": limit}
    assert cluster.run("squeue", "-h", "-o", "%i|%K", **more).stdout == shown + "\n"


def test_elements_of_another_name_or_partition_and_those_that_run_keep_their_lines(cluster: FakeCluster) -> None:
    cluster.jobs = [head(), element(26, 40, name="y"), element(27, 43, partition="z"), element(28, 46, state="RUNNING")]
    assert cluster.run("squeue", "-h", "-o", "%K", "-S", "i").stdout.split() == ["40", "43", "46", "1-37:3%2"]


def test_without_a_rest_that_waits_each_element_has_its_line(cluster: FakeCluster) -> None:
    cluster.jobs = [element(26, 40), job(27, "x", array_job_id=25, array_waiting=[[41, 43, 2]])]
    assert cluster.run("squeue", "-h", "-o", "%i").stdout.split() == ["25_40", "25_41", "25_43"]


@pytest.mark.parametrize("last", [13, 999])
def test_each_element_s_line_is_as_that_of_a_record_of_its_own(cluster: FakeCluster, last: int) -> None:
    name = "100%_%s"
    together = [job(25, name, array_job_id=25, array_waiting=[[1, 9, 4], [12, last, 1]])]
    apart = [element(25, n, name=name) for n in (1, 5, 9, *range(12, last + 1))]
    for option in (
        ("-o", "%.18i|%9P|%.5j|%K x%%|%R"),
        ("-o", "%A %j"),
        ("-O", "jobarrayid:8,name,arraytaskid:.3,reasonlist:4"),
    ):
        cluster.jobs = apart
        wanted = cluster.run("squeue", "-h", "-r", *option).stdout
        cluster.jobs = together
        assert cluster.run("squeue", "-h", "-r", *option).stdout == wanted


@pytest.mark.parametrize(
    "indices", [range(5), range(0, 40, 3), [1, 2, 3, 7, 9, 11, 13], [5], range(3, 30, 9), [1, 3, 4]]
)
def test_ranges_fold_as_their_elements_do(indices) -> None:
    from corral.model import ranges

    assert arrayspec.fold_ranges(ranges.ranges_of(indices), 3, 12) == arrayspec.fold(indices, 3, 12)
