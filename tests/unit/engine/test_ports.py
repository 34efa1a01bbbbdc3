"""Ports that steps have to themselves (srun --resv-ports)."""

from typing import Any

import pytest
from tests.builders import Cluster, cluster, job, nodes, srun

from corral.model.job import JobKind
from corral.protocol import requests as rq
from corral.protocol.orders import LaunchStep
from corral.protocol.replies import Rejected, StepCreated


@pytest.fixture
def c() -> Cluster:
    c = cluster(nodes("n[1-2]", cpus=4), step_ports="12000-12003,12010")
    c.run(job(ntasks=8, nodes=2, time=100_000))
    return c


def make(c: Cluster, ports: int, **fields: Any) -> Any:
    reply = c.ask(rq.CreateStep(job="1", spec=srun(1, exact=True, resv_ports=ports, **fields)))
    return reply.step if isinstance(reply, StepCreated) else reply


def test_steps_of_a_node_have_different_ports_and_are_told(c: Cluster) -> None:
    assert [make(c, 2, nodelist="n1").ports for _ in range(2)] == ["12000-12001", "12002-12003"]
    assert [order.ports for order in c.orders(LaunchStep)][-2:] == ["12000-12001", "12002-12003"]
    assert make(c, 2, nodelist="n1").code == "busy"
    assert make(c, 1, nodelist="n1").ports == "12010"


def test_steps_of_different_nodes_may_have_the_same(c: Cluster) -> None:
    make(c, 4, nodelist="n1")
    assert make(c, 5, nodelist="n2").ports == "12000-12003,12010"


def test_ports_come_back_last(c: Cluster) -> None:
    make(c, 2, nodelist="n1")
    c.finish(1, step=0)
    assert make(c, 2, nodelist="n1").ports == "12002-12003"
    assert make(c, 2, nodelist="n1").ports == "12000,12010"


def test_more_than_there_are_never_will_be(c: Cluster) -> None:
    refused = make(c, 6)
    assert (refused.code, refused.error) == ("invalid", "Requires more ports than can be reserved")
    alone = job(kind=JobKind.SRUN, step=srun(1, resv_ports=6))
    assert isinstance(c.ask(rq.SubmitJobs(jobs=(rq.NewJob(spec=alone),))), Rejected)


def test_where_none_are_configured() -> None:
    c = cluster(nodes("n1", cpus=4))
    c.run(job(ntasks=1))
    assert "step_ports" in make(c, 1).detail
    assert make(c, 0).ports == ""
