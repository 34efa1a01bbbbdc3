"""Jobs of the Lublin-Feitelson model."""

from itertools import islice, pairwise
from statistics import mean, median

from corral.simulator.machines import of_one_kind
from corral.simulator.workloads.lublin import Synthetic, workload


def test_the_same_seed_makes_the_same_jobs_and_another_others() -> None:
    assert list(Synthetic(50, 64, 3)) == list(Synthetic(50, 64, 3))
    assert list(Synthetic(50, 64, 3)) != list(Synthetic(50, 64, 4))
    assert list(Synthetic(20, 64, 3)) == list(islice(Synthetic(50, 64, 3), 20))


def test_they_are_as_those_of_the_published_program() -> None:
    """Of its 10,000 jobs for 256 processors: mean run time 4863 s, median 137 s, 22.1 processors, 86 % powers of two."""
    jobs = list(Synthetic(10_000, 256, 1))
    sizes = [job.spec.ntasks or 0 for job in jobs]
    assert 4400 < mean(job.seconds for job in jobs) < 5300
    assert 110 < median(job.seconds for job in jobs) < 165
    assert 20.5 < mean(sizes) < 24
    assert 0.84 < mean(size & (size - 1) == 0 for size in sizes) < 0.88
    assert max(sizes) <= 256


def test_they_come_in_order_and_more_by_day() -> None:
    jobs = list(Synthetic(5000, 256, 1))
    assert all(a.submit <= b.submit for a, b in pairwise(jobs))
    hours = [int(job.submit // 3600) % 24 for job in jobs]
    assert sum(hours.count(hour) for hour in (13, 14, 15)) > 3 * sum(hours.count(hour) for hour in (4, 5, 6))


def test_limits_may_be_longer_than_the_runs() -> None:
    jobs = list(Synthetic(200, 64, 1, overestimate=3.0))
    assert all(job.seconds <= (job.spec.time_limit or 0) <= max(3 * job.seconds + 900, 60) for job in jobs)
    assert all((job.spec.time_limit or 0) % 60 == 0 for job in jobs)
    assert all(job.spec.time_limit == job.seconds for job in Synthetic(200, 64, 1))


def test_none_is_larger_than_the_machine_or_than_is_said() -> None:
    nodes = of_one_kind(4, 4)
    assert max(job.spec.ntasks or 0 for job in workload(500, nodes, 1).jobs) <= 16
    assert max(job.spec.ntasks or 0 for job in workload(500, nodes, 1, largest=5).jobs) <= 5
    assert {job.spec.ntasks for job in workload(50, of_one_kind(1, 1), 1).jobs} == {1}
