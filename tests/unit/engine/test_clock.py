"""A clock that is set back breaks nothing: nothing ends before it began, and what is due comes."""

import pytest
from tests.builders import Cluster, cluster, job, nodes

from corral.engine.engine import Engine
from corral.model.job import JobState
from corral.model.step import BATCH
from corral.protocol import requests as rq
from corral.protocol.orders import EndJob, LaunchStep
from corral.protocol.reports import KnownStep


@pytest.fixture
def c() -> Cluster:
    return cluster(nodes("n[1-2]", cpus=4))


def test_a_job_does_not_end_before_it_began(c: Cluster) -> None:
    one = c.at(5000).run(job(time=100000))
    c.at(100).finish(one)
    assert c.job(one).state is JobState.COMPLETED
    assert c.job(one).end_time >= c.job(one).start_time
    assert c.step(one).end_time >= c.step(one).start_time
    c.check()


def test_a_cancelled_job_neither(c: Cluster) -> None:
    running = c.at(5000).run(job(time=100000))
    waiting = c.add(job(time=100000, hold=True))
    c.at(100).cancel(running, waiting)
    assert c.states(running, waiting) == ["CANCELLED", "CANCELLED"]
    assert c.job(running).end_time >= c.job(running).start_time
    assert c.job(waiting).end_time >= c.job(waiting).submit_time
    c.check()


def test_a_suspension_is_never_negative(c: Cluster) -> None:
    one = c.at(5000).run(job(time=100000))
    c.ask(rq.SuspendJobs(ids=(str(one),)), rq.Caller(uid=0, gid=0, user="root", group="root", role="administrator"))
    assert c.job(one).state is JobState.SUSPENDED
    c.at(100).ask(
        rq.ResumeJobs(ids=(str(one),)), rq.Caller(uid=0, gid=0, user="root", group="root", role="administrator")
    )
    assert c.job(one).suspended_seconds == 0.0


def test_the_next_look_does_not_wait_until_the_old_time_comes_again(c: Cluster) -> None:
    c.at(5000)
    c.now = 1100.0
    assert c.engine.next_wake(c.now) == c.now  # however often it is asked meanwhile


def test_a_silent_node_is_still_noticed(c: Cluster) -> None:
    c.at(5000)
    c.silent = {"n1"}
    timeout = c.engine.config.timeouts.node
    c.at(100).at(100 + timeout + 1)
    assert not c.node("n1").up
    assert c.node("n2").up


def test_the_end_of_a_job_is_sent_again(c: Cluster) -> None:
    c.cleans = False
    one = c.at(5000).run(job(time=100000))
    c.cancel(one)
    c.orders(EndJob)
    c.at(100)
    for second in range(101, 200):
        c.at(second)
    assert c.orders(EndJob)


def test_nor_is_it_forgotten_by_the_next_controller(c: Cluster) -> None:
    c.cleans = False
    one = c.at(5000).run(job(time=100000))
    c.at(100).cancel(one)
    c.engine = Engine(c.engine.config, c.state, 2)
    c.engine.start(c.now)
    c.orders(EndJob)
    for second in range(101, 200):
        c.at(second)
    assert c.orders(EndJob)


def test_a_lost_launch_is_sent_again(c: Cluster) -> None:
    one = c.at(5000).run(job(time=100000))
    c.orders(LaunchStep)
    name = c.job(one).allocation.nodes[0].node  # type: ignore[union-attr]
    c.at(100).beat(name, steps=())
    assert [order.key.step for order in c.orders(LaunchStep)] == [BATCH]
    key = c.step(one).key
    c.beat(name, steps=(KnownStep(name, key, False),))
    assert c.orders(LaunchStep) == []


def test_who_could_not_be_heard_is_not_silent(c: Cluster) -> None:
    """The clock is set forward by an hour, or the controller was stopped for so long."""
    c.at(5000)
    c.now = 8600.0
    c.engine.away(3600.0, c.now)
    c.engine.tick(c.now)
    assert c.node("n1").up
    c.silent = {"n1"}
    c.at(8600 + c.engine.config.timeouts.node + 10)
    assert not c.node("n1").up
