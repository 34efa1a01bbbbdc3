"""Ports that steps have to themselves (srun --resv-ports)."""

from typing import Any

import pytest
from tests.builders import Cluster, cluster, job, nodes, srun

from corral.engine.engine import Engine
from corral.engine.state import ClusterState
from corral.model.job import JobKind
from corral.model.reason import Reason
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


def held(c: Cluster, *jobs: int) -> list[str]:
    return [c.job(number).ports for number in jobs]


def test_a_jobs_ports_are_free_on_all_its_nodes_and_its_steps_have_them() -> None:
    c = cluster(nodes("n[1-2]", cpus=4), step_ports="12000-12003")
    c.submit(job(ntasks=1, time=1000, ports=2), job(ntasks=4, nodes=2, time=1000, ports=2)).cycle()
    assert held(c, 1, 2) == ["12000-12001", "12002-12003"]
    assert [order.job.ports for order in c.orders(LaunchStep)] == ["12000-12001", "12002-12003"]
    own = c.ask(rq.CreateStep(job="1", spec=srun(1, exact=True)))
    assert isinstance(own, StepCreated)
    assert own.step.ports == "12000-12001"
    more = c.ask(rq.CreateStep(job="1", spec=srun(1, overlap=True, resv_ports=1)))
    assert isinstance(more, Rejected)
    assert more.code == "busy"


def test_who_finds_too_few_waits_until_some_come_back() -> None:
    c = cluster(nodes("n1", cpus=8), step_ports="12000-12003")
    c.submit(*[job(ntasks=1, time=1000, ports=3) for _ in range(3)]).cycle()
    assert held(c, 1, 2, 3) == ["12000-12002", "", ""]
    assert [c.reason(number) for number in (2, 3)] == [Reason.MPI_PORTS_BUSY] * 2
    c.cycle()
    assert not c.engine.ctx.wants_cycle
    c.finish(1)
    assert c.engine.ctx.wants_cycle
    c.cycle()
    assert [bool(ports) for ports in held(c, 2, 3)] == [True, False]
    assert c.reason(3) is Reason.MPI_PORTS_BUSY


def test_who_waits_for_ports_has_a_planned_start() -> None:
    c = cluster(nodes("n[1-2]", cpus=8), step_ports="12000-12003")
    c.submit(*[job(ntasks=1, nodelist="n1", time=time, ports=2) for time in (1000, 500)]).cycle()
    c.submit(job(ntasks=1, nodelist="n1", time=60, ports=1), job(ntasks=1, nodelist="n1", time=60, ports=3)).cycle()
    assert [c.reason(number) for number in (3, 4)] == [Reason.MPI_PORTS_BUSY] * 2
    shown = [(c.job(number).expected_start, c.job(number).expected_nodes) for number in (3, 4)]
    assert shown == [(c.job(2).start_time + 500, "n1"), (c.job(1).start_time + 1000, "n1")]
    c.finish(2)
    c.cycle()
    assert c.states(3) == ["RUNNING"]
    assert c.job(3).expected_start == 0.0


def test_the_end_of_a_step_with_ports_of_its_own_is_enough() -> None:
    c = cluster(nodes("n1", cpus=8), step_ports="12000-12003")
    c.run(job(ntasks=1, time=1000))
    c.ask(rq.CreateStep(job="1", spec=srun(1, resv_ports=3)))
    c.submit(job(ntasks=1, time=1000, ports=2)).cycle()
    assert c.reason(2) is Reason.MPI_PORTS_BUSY
    c.finish(1, step=0)
    c.tick()
    assert c.engine.ctx.wants_cycle
    c.cycle()
    assert held(c, 2) == ["12000,12003"]


def test_ports_stay_given_over_a_restart() -> None:
    c = cluster(nodes("n1", cpus=8), step_ports="12000-12003")
    c.submit(job(ntasks=1, time=1000, ports=3), job(ntasks=1, time=1000, ports=2)).cycle()
    c.engine = Engine(c.engine.config, ClusterState.load(c.state.dump()), term=2)
    c.register()
    c.submit(job(ntasks=1, time=1000, ports=1)).cycle()
    assert held(c, 1, 2, 3) == ["12000-12002", "", "12003"]
    c.finish(1)
    c.cycle()
    assert held(c, 2) == ["12000-12001"]


def test_each_element_of_an_array_has_its_own() -> None:
    c = cluster(nodes("n1", cpus=8), step_ports="12000-12003")
    c.submit(job(ntasks=1, time=1000, ports=2, array="0-2")).cycle()
    assert {c.element(1, task).ports for task in (0, 1)} == {"12000-12001", "12002-12003"}


def test_a_requeued_job_gives_them_back() -> None:
    c = cluster(nodes("n1", cpus=8), step_ports="12000-12003")
    c.run(job(ntasks=1, time=1000, ports=3))
    c.ask(rq.RequeueJobs(ids=("1",), hold=True))
    assert c.job(1).is_pending
    assert held(c, 1) == [""]


def test_of_a_heterogeneous_job_or_beyond_all_they_are_refused() -> None:
    c = cluster(nodes("n1", cpus=8), step_ports="12000-12003")
    parts = tuple(rq.NewJob(spec=job(ntasks=1, ports=number)) for number in (0, 1))
    refused = c.ask(rq.SubmitJobs(jobs=parts, het=True))
    assert isinstance(refused, Rejected)
    assert "--ports is not supported" in refused.error
    assert isinstance(c.ask(rq.SubmitJobs(jobs=(rq.NewJob(spec=job(ntasks=1, ports=5)),))), Rejected)
