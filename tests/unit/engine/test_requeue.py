"""Jobs that run again: by their exit code, after a delay, and held."""

import pytest
from tests.builders import ANN, OPERATOR, ROOT, cluster, job, node, nodes

from corral.engine.state import ClusterState
from corral.model.job import JobState, Owner
from corral.model.reason import Reason
from corral.protocol import requests as rq
from corral.protocol.replies import Done, Rejected


@pytest.mark.parametrize("requeue", [True, False])
def test_an_exit_code_may_ask_for_another_run(requeue: bool) -> None:
    c = cluster(nodes("n1", cpus=8), requeue_exit="100-102,7")
    number = c.run(job(requeue=requeue))
    c.finish(number, 101)
    assert (c.job(number).state, c.job(number).restarts, c.job(number).exit_status.code) == (JobState.PENDING, 1, 101)
    c.cycle().finish(number, 8)
    assert c.job(number).state is JobState.FAILED


def test_or_for_a_look_at_it() -> None:
    c = cluster(nodes("n1", cpus=8), requeue_exit_hold="110")
    number = c.run(job())
    c.finish(number, 110).cycle()
    found = c.job(number)
    assert (found.state, found.reason, found.special_exit) == (JobState.PENDING, Reason.HELD_USER, True)
    c.ask(rq.ReleaseJobs(ids=(str(number),)))
    assert not c.cycle().job(number).special_exit
    assert c.job(number).state is JobState.RUNNING
    c.check()


def test_a_requeued_job_waits_as_long_as_configured() -> None:
    c = cluster(nodes("n1", cpus=8), scheduling={"requeue_delay": 120})
    number = c.run(job())
    c.ask(rq.RequeueJobs(ids=(str(number),)))
    assert c.cycle().reason(number) is Reason.BEGIN_TIME
    assert c.at(119).cycle().running() == []
    assert c.at(121).cycle().running() == [number]
    c.check()


def test_a_running_job_is_held_for_when_it_comes_back() -> None:
    c = cluster(nodes("n1", cpus=8))
    number = c.run(job())
    c.ask(rq.HoldJobs(ids=(str(number),)))
    assert c.job(number).state is JobState.RUNNING
    c.ask(rq.RequeueJobs(ids=(str(number),)))
    assert c.cycle().reason(number) is Reason.HELD_USER
    c.check()
    c.ask(rq.ReleaseJobs(ids=(str(number),)))
    assert c.cycle().running() == [number]


@pytest.mark.parametrize(("by", "as_user", "reason"), [
    (ANN, False, Reason.HELD_USER), (OPERATOR, False, Reason.HELD_ADMIN), (OPERATOR, True, Reason.HELD_USER),
])  # fmt: skip
def test_who_holds(by: rq.Caller, as_user: bool, reason: Reason) -> None:
    c = cluster(nodes("n1", cpus=8))
    number = c.add(job(begin_time=9e9))
    c.ask(rq.HoldJobs(ids=(str(number),), by_user=as_user), by)
    assert c.reason(number) is reason


@pytest.mark.parametrize(("request_", "reason", "special"), [
    ({"hold": True}, Reason.REQUEUED_HELD, False), ({"special_exit": True}, Reason.REQUEUED_SPECIAL_EXIT, True),
])  # fmt: skip
def test_requeued_and_held(request_: dict[str, bool], reason: Reason, special: bool) -> None:
    c = cluster(nodes("n1", cpus=8))
    number = c.run(job())
    c.finish(number)
    c.ask(rq.RequeueJobs(ids=(str(number),), **request_))
    assert (c.cycle().reason(number), c.job(number).special_exit) == (reason, special)
    assert ClusterState.load(c.engine.state.dump()).held == {number}


def test_nobody_submits_for_somebody_else_but_an_administrator() -> None:
    c = cluster(nodes("n1", cpus=8))
    request = rq.SubmitJobs(jobs=(rq.NewJob(spec=job()),), user="root")
    root = Owner(uid=0, gid=0, user="root", group="root")
    for caller in (ANN, OPERATOR):
        reply = c.engine.handle(request, 1000.0, caller, root).reply
        assert isinstance(reply, Rejected)
        assert reply.code == "denied"
    ann = Owner(uid=ANN.uid, gid=ANN.gid, user=ANN.user, group=ANN.group)
    assert not isinstance(c.engine.handle(request, 1000.0, ROOT, ann).reply, Rejected)


def test_incomplete_leaves_alone_what_does_not_run() -> None:
    c = cluster(node("n1", cpus=4))
    running, waiting, ended = c.run(job(requeue=True)), c.add(job(hold=True)), c.run(job(requeue=True))
    c.finish(ended)
    ids = tuple(str(number) for number in (running, waiting, ended))
    assert c.ask(rq.RequeueJobs(ids=ids, incomplete=True)) == Done()
    assert c.states(running, waiting, ended) == ["PENDING", "PENDING", "COMPLETED"]
    assert (c.job(running).restarts, c.job(ended).restarts) == (1, 0)
