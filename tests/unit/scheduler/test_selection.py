"""What is given out: cores or whole nodes, with memory or without."""

from typing import Any

import pytest
from tests.builders import Cluster, cluster, job, node, nodes

from corral.model.job import JobSpec
from corral.protocol import requests as rq
from corral.protocol.replies import Rejected


def with_rules(*inventories: Any, **rules: Any) -> Cluster:
    return cluster([*inventories], scheduling=rules)


def test_whole_nodes() -> None:
    c = with_rules(*nodes("n[1-2]", cpus=4), select="nodes")
    one, two = c.run(job(1)), c.run(job(1))
    assert [c.job(number).allocation.node_names for number in (one, two)] == [("n1",), ("n2",)]  # type: ignore[union-attr]
    assert c.job(one).allocation.cpu_count == 4  # type: ignore[union-attr]
    assert c.job(c.add(job(1))).is_pending
    c.check()


def test_memory_that_is_not_counted_is_had_by_several() -> None:
    c = with_rules(node("n1", cpus=4, memory=1000), count_memory=False)
    first, second = c.run(job(1, memory_per_node_mb=1000)), c.run(job(1, memory_per_cpu_mb=800))
    assert [c.job(number).allocation.memory_mb for number in (first, second)] == [0, 0]  # type: ignore[union-attr]
    c.check()


def test_but_it_says_how_large_the_nodes_are() -> None:
    c = with_rules(node("n1", memory=1000), node("n2", memory=4000), count_memory=False)
    large = c.run(job(1, memory_per_node_mb=2000))
    assert c.job(large).allocation.node_names == ("n2",)  # type: ignore[union-attr]
    refused = c.ask(rq.SubmitJobs(jobs=(rq.NewJob(spec=job(1, memory_per_node_mb=5000)),)))
    assert isinstance(refused, Rejected)
    assert refused.detail == "Memory specification can not be satisfied"


@pytest.mark.parametrize(("spec", "cpus"), [(job(ntasks=2), 4), (job(ntasks=2, threads_per_core=2), 2)])
def test_a_core_for_each_task(spec: JobSpec, cpus: int) -> None:
    large = node("n1", cpus=8, sockets=1, cores_per_socket=4, threads_per_core=2)
    c = with_rules(large, one_task_per_core=True)
    assert len(c.job(c.run(spec)).allocation.nodes[0].cpus) == cpus  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("rule", "distribution", "cpus"),
    [("cyclic", "", (0, 4)), ("block", "", (0, 1)), ("block", "block:cyclic", (0, 4)), ("block", "cyclic", (0, 1))],
)
def test_the_order_of_sockets(rule: str, distribution: str, cpus: tuple[int, ...]) -> None:
    c = with_rules(node("n1", cpus=8, sockets=2, cores_per_socket=4), core_order=rule)
    number = c.run(job(ntasks=2, distribution=distribution))
    assert c.job(number).allocation.nodes[0].cpus == cpus  # type: ignore[union-attr]
