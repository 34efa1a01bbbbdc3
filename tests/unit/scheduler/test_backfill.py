"""Planned starts of several waiting jobs, and what may begin beside them."""

import random
from typing import Any

import pytest
from tests.builders import BOB, ROOT, Cluster, cluster, gpus, job, node, nodes, partitions

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


# -- bounds of how far it goes


def planned(c: Cluster, *jobs: int) -> list[bool]:
    return [bool(c.job(number).expected_start) for number in jobs]


def full(**policy: Any) -> Cluster:
    """Its only node is taken."""
    c = cluster(nodes("n1"), scheduling={"backfill": "conservative", **policy})
    c.submit(job(4, time=100)).cycle()
    return c


def test_only_so_many_of_one_partition_are_planned_for() -> None:
    c = full(backfill_plans_per_partition=2)
    c.submit(*[job(4)] * 4).at(2).cycle()
    assert planned(c, 2, 3, 4, 5) == [True, True, False, False]


def test_a_young_job_holds_nobody_up() -> None:
    c = cluster(nodes("n[1-2]"), scheduling={"backfill_min_age": 60})
    c.submit(job(4, time=100)).cycle()
    c.submit(job(4, nodes=2), job(4, time=1000)).cycle()
    assert c.running() == [1, 3]
    c.at(70).cycle()
    assert planned(c, 2) == [True]


def test_a_job_of_little_priority_holds_nobody_up() -> None:
    c = cluster(nodes("n[1-2]"), scheduling={"backfill_min_priority": 2**40})
    c.submit(job(4, time=100), job(4, nodes=2), job(4, time=1000)).cycle()
    assert c.running() == [1, 3]


def test_only_so_many_jobs_of_a_user_are_looked_at_behind_others() -> None:
    c = full(backfill_max_per_user=1)
    c.submit(*[job(4)] * 3).submit(job(4, time=50), by=BOB).at(2).cycle()
    assert planned(c, 2, 3, 4, 5) == [True, True, False, True]
    assert c.reason(4) is Reason.PRIORITY


def test_only_so_many_jobs_of_a_partition_are_looked_at_behind_others() -> None:
    c = full(backfill_max_per_partition=2)
    c.submit(*[job(4)] * 4).at(2).cycle()
    assert planned(c, 2, 3, 4, 5) == [True, True, True, False]


def test_so_many_elements_of_an_array_are_planned_for() -> None:
    c = full(backfill_max_array=3)
    c.submit(job(4, time=10, array="0-9"), job(4, time=10)).at(2).cycle()
    assert [c.job(number).expected_start - 1000 for number in (2, 3)] == [100, 130]


def test_planned_starts_can_prefer_nodes_that_are_in_use() -> None:
    for busy_first, expected in ((False, "n1"), (True, "n3")):
        c = cluster(
            nodes("n[1-3]"), scheduling={"backfill_busy_nodes": busy_first, "placement": "spread"}, licenses={"x": 1}
        )
        c.submit(job(1, time=10, nodelist="n3", licenses="x"), job(4, time=100, nodelist="n2")).cycle()
        c.submit(job(1, time=10, licenses="x")).cycle()
        assert c.job(3).expected_nodes == expected


def test_ends_can_be_rounded_up() -> None:
    c = full(backfill_resolution=60.0)
    c.submit(job(4)).at(2).cycle()
    assert c.job(2).expected_start % 60 == 0
    assert c.job(2).expected_start >= 1100


def test_a_job_of_two_partitions_is_planned_where_it_starts_first() -> None:
    both = partitions(Partition(name="a", default=True, nodes="n1"), Partition(name="b", nodes="n2"))
    c = cluster(nodes("n[1-2]"), **both)
    c.submit(job(4, time=100, partition="a"), job(4, time=50, partition="b"), job(4, partition="a,b")).cycle()
    assert (c.job(3).expected_start - 1000, c.job(3).expected_nodes) == (50, "n2")


def test_a_job_that_may_be_shorter_fills_the_gap_as_far_as_it_goes() -> None:
    c = cluster(nodes("n[1-2]"))
    c.submit(job(4, time=100), job(4, nodes=2), job(4, time=500, time_min=50)).cycle()
    assert c.running() == [1, 3]
    assert c.job(3).time_limit == 100
