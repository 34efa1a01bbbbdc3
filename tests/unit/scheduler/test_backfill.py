"""Planned starts of several waiting jobs, and what may begin beside them."""

import random

import pytest
from tests.builders import ROOT, cluster, gpus, job, node, nodes, partitions

from corral.model.partition import Partition
from corral.model.reason import Reason


def test_several_waiting_jobs_have_a_planned_start_one_after_the_other() -> None:
    c = cluster(nodes("n[1-2]"))
    c.submit(job(4, time=100), job(4, time=50), *[job(4, nodes=2, time=10)] * 3, job(4, nodes=2, time=20)).cycle()
    assert [c.job(i).expected_start - 1000 for i in (3, 4, 5, 6)] == [100, 110, 120, 130]
    assert [c.reason(i) for i in (3, 4)] == [Reason.RESOURCES, Reason.PRIORITY]


def test_waiting_jobs_are_planned_side_by_side() -> None:
    c = cluster(nodes("n[1-2]"))
    c.submit(job(4, time=100), job(4, time=50), job(4, time=1000), job(4, time=30)).cycle()
    assert [(c.job(i).expected_start - 1000, c.job(i).expected_nodes) for i in (3, 4)] == [(50, "n2"), (100, "n1")]


def test_a_job_is_planned_into_the_gap_before_a_planned_one() -> None:
    c = cluster(nodes("n[1-2]"))
    c.submit(job(4, time=100), job(4, time=50), job(4, nodes=2, time=10), job(4, time=50), job(4, time=51)).cycle()
    assert [c.job(i).expected_start - 1000 for i in (3, 4, 5)] == [100, 50, 110]


def test_a_backfilled_job_delays_no_planned_one() -> None:
    c = cluster(nodes("n[1-3]"))
    c.submit(job(4, time=100), job(4, time=50))
    c.submit(job(4, nodes=3, time=10), job(4, nodes=2, time=10))
    c.submit(job(4, time=51), job(4, time=50)).cycle()
    assert c.running() == [1, 2, 6]
    assert [c.job(i).expected_start for i in (3, 4)] == [1100, 1050]


def test_what_a_plan_leaves_over_may_be_taken() -> None:
    c = cluster(node("n1", cpus=8, gpus=1))
    c.submit(job(1, gres=gpus(1)), job(2, gres=gpus(1)), job(5, time=10**6), job(2, time=10**6)).cycle()
    assert c.running() == [1, 3]
    assert c.job(2).expected_start == 1100


def test_nothing_is_planned_beyond_the_window() -> None:
    c = cluster(nodes("n[1-2]"), scheduling={"backfill_window": 60})
    c.submit(job(4, time=61), job(4, nodes=2), job(4, time=1000)).cycle()
    assert c.running() == [1, 3]
    assert c.job(2).expected_start == 0.0
    c = cluster(nodes("n[1-2]"), scheduling={"backfill_window": 61})
    c.submit(job(4, time=61), job(4, nodes=2), job(4, time=1000)).cycle()
    assert c.running() == [1]


def test_so_many_starts_are_planned() -> None:
    c = cluster(nodes("n1"), scheduling={"backfill_max_jobs": 2})
    c.submit(job(4), job(4), job(3), job(2), job(4)).cycle()
    assert [bool(c.job(i).expected_start) for i in (2, 3, 4, 5)] == [True, True, False, False]
    assert [c.reason(i) for i in (2, 3, 4, 5)] == [Reason.RESOURCES, *[Reason.PRIORITY] * 3]


def test_a_plan_that_is_gone_is_not_shown_any_more() -> None:
    c = cluster(nodes("n1"), scheduling={"backfill_max_jobs": 2})
    c.submit(job(4), *[job(4)] * 3).cycle()
    assert [bool(c.job(i).expected_start) for i in (2, 3, 4)] == [True, True, False]
    c.submit(job(4, time=5), job(4, time=6), by=ROOT).cycle()
    assert [bool(c.job(i).expected_start) for i in (2, 3, 4)] == [True, True, False]
    c.cancel(2)
    c.at(2).cycle()
    assert [bool(c.job(i).expected_start) for i in (3, 4)] == [True, True]


@pytest.mark.parametrize("seed", range(20))
def test_no_planned_start_is_ever_delayed(seed: int) -> None:
    """Whatever comes later, the first in the queue starts when it was planned, or earlier."""
    dice = random.Random(seed)
    c = cluster(nodes("n[1-4]", cpus=4, gpus=2))
    best: dict[int, float] = {}
    for moment in range(0, 400, 10):
        for _ in range(dice.randrange(3)):
            c.submit(
                job(
                    dice.randint(1, 4), time=dice.choice([20, 50, 100, 300]), nodes=dice.choice([None, 1, 2, 4]),
                    gres=gpus(dice.choice([0, 0, 1, 2])),
                )
            )  # fmt: skip
        c.at(float(moment)).cycle()
        for job_id, record in c.state.jobs.items():
            first = c.reason(job_id) is Reason.RESOURCES and record.is_pending
            if record.expected_start and (first or job_id in best):
                assert record.expected_start <= best.get(job_id, float("inf")), (moment, job_id)
            if first:
                best[job_id] = record.expected_start
    assert best


def test_easy_plans_for_the_first_that_waits_in_each_partition() -> None:
    c = cluster(
        nodes("n[1-2]"), scheduling={"backfill": "easy"}, **partitions(Partition(name="a", default=True), Partition(name="b"))
    )  # fmt: skip
    c.submit(job(4, nodes=2))
    c.submit(*[job(4, partition=name) for name in ("a", "a", "b", "b")]).cycle()
    assert [bool(c.job(i).expected_start) for i in (2, 3, 4, 5)] == [True, False, True, False]


def test_conservative_plans_for_all() -> None:
    c = cluster(nodes("n1"), scheduling={"backfill": "conservative", "backfill_max_jobs": 1})
    c.submit(*[job(4, time=100)] * 30).cycle()
    assert [c.job(i).expected_start - 1000 for i in range(2, 31)] == [100.0 * i for i in range(1, 30)]
