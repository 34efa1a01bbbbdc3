"""What makes a job stand further in front."""

from typing import Any

from tests.builders import ANN, OPERATOR, ROOT, Cluster, cluster, gpus, job, node, nodes

from corral.model.cluster import PriorityWeights
from corral.model.partition import Partition
from corral.protocol import requests as rq
from corral.scheduler.priority import BASE_PRIORITY


def weighing(names: str = "n[1-4]", **weights: Any) -> Cluster:
    c = cluster(nodes(names), priority=PriorityWeights(**weights))
    c.submit(job(4, nodes=4, time=10**6)).cycle()
    return c


def priorities(c: Cluster, *jobs: int) -> list[int]:
    return [c.job(job_id).priority for job_id in jobs]


def test_without_weights_there_is_one_priority_lowered_by_nice() -> None:
    c = weighing()
    c.submit(job(), job(4, nodes=4), job(nice=100))
    assert priorities(c, 2, 3, 4) == [BASE_PRIORITY, BASE_PRIORITY, BASE_PRIORITY - 100]
    assert priorities(c.at(1000), 2) == [BASE_PRIORITY]


def test_a_job_gets_older_until_the_greatest_age() -> None:
    c = weighing(age=1000, max_age=100.0)
    c.submit(job(4))
    assert priorities(c, 2) == [1]
    assert priorities(c.at(50), 2) == [500]
    assert priorities(c.at(70), 2) == [500]
    assert priorities(c.at(85), 2) == [850]
    assert priorities(c.at(500), 2) == [1000]
    assert c.state.queue == [(-1000, 1000.0, 2)]


def test_age_counts_from_when_it_could_have_started() -> None:
    c = weighing(age=1000, max_age=100.0)
    c.submit(job(4, begin_time=1050.0), job(4, dependency="afterany:1"), job(4, hold=True))
    assert priorities(c.at(60).cycle().at(100), 2, 3, 4) == [500, 1, 0]


def test_aged_jobs_start_in_the_new_order() -> None:
    c = cluster(nodes("n1"), priority=PriorityWeights(age=1000, job_size=100, max_age=100.0))
    c.submit(job(4, time=10**6)).cycle()
    small = c.add(job(1))
    big = c.at(60).add(job(4))
    assert priorities(c.at(91), small, big) == [972, 410]
    assert c.finish(1).cycle().running() == [small]


def test_large_jobs_stand_in_front_when_size_weighs() -> None:
    c = weighing(job_size=1000)
    c.submit(job(1), job(4, nodes=2), job(4, nodes=4))
    assert priorities(c, 2, 3, 4) == [156, 500, 1000]


def test_the_partition_weighs_beside_the_largest_factor() -> None:
    low, high = Partition(name="low", default=True), Partition(name="high", priority_job_factor=4)
    c = cluster(nodes("n1"), partition=(low, high), priority=PriorityWeights(partition=1000))
    c.submit(job(), job(partition="high"), job(partition="low,high"))
    assert priorities(c, 1, 2, 3) == [250, 1000, 1000]
    c.ask(rq.UpdateJob(id="1", changes={"partition": "high"}), ROOT)
    assert priorities(c, 1) == [1000]


def test_what_is_asked_for_weighs_as_its_share() -> None:
    weights = PriorityWeights(tres={"cpu": 100, "mem": 1000, "gres/gpu": 10000})
    c = cluster(node("n1", cpus=4, memory=1000, gpus=8), priority=weights)
    c.submit(job(2), job(1, memory_per_node_mb=500), job(1, gres=gpus(4)), job(1, gpus=gpus(2)))
    assert priorities(c, 1, 2, 3, 4) == [50, 525, 5025, 2525]


def test_nice_is_taken_off_and_priority_is_never_nothing() -> None:
    c = weighing(job_size=1000)
    c.submit(job(4, nodes=4, nice=100), job(1, nice=10**6))
    assert priorities(c, 2, 3) == [900, 1]
    c.ask(rq.UpdateJob(id="2", changes={"nice": "300"}), ANN)
    assert priorities(c, 2) == [700]
    c.ask(rq.UpdateJob(id="2", changes={"nice": "0"}), ANN)  # what its owner has taken off may come back
    assert priorities(c, 2) == [1000]
    c.ask(rq.UpdateJob(id="2", changes={"nice": "-100"}), ANN)
    assert priorities(c, 2) == [1000]
    c.ask(rq.UpdateJob(id="2", changes={"nice": "-100"}), OPERATOR)
    assert priorities(c, 2) == [1100]


def test_a_priority_that_was_set_does_not_change_until_it_is_released() -> None:
    c = weighing(age=1000, max_age=100.0)
    c.submit(job(4, priority=77), by=ROOT)
    c.submit(job(4))
    c.ask(rq.UpdateJob(id="3", changes={"priority": "88"}), ROOT)
    assert priorities(c.at(100), 2, 3) == [77, 88]
    c.ask(rq.HoldJobs(ids=("2",)), ROOT)
    c.ask(rq.ReleaseJobs(ids=("2",)), ROOT)
    assert priorities(c.at(200), 2) == [1000]
