"""Licences of the cluster: who may ask for them, who gets them, who waits."""

from typing import Any

import pytest
from tests.builders import ROOT, Cluster, cluster, configuration, job, nodes

from corral.engine.effects import Effects
from corral.model.job import JobState
from corral.model.reason import Reason
from corral.protocol import requests as rq
from corral.protocol.replies import Done, Rejected


def licensed(**licenses: int) -> Cluster:
    return cluster(nodes("n[1-2]", cpus=4), licenses=licenses)


def ask(c: Cluster, text: str) -> Any:
    return c.ask(rq.SubmitJobs(jobs=(rq.NewJob(spec=job(1, licenses=text)),)))


@pytest.mark.parametrize("text", ["nope", "matlab:11", "matlab:6,matlab:5", "matlab:x", "matlab:2|ansys:1"])
def test_what_there_never_is_is_refused(text: str) -> None:
    reply = ask(licensed(matlab=10, ansys=4), text)
    assert isinstance(reply, Rejected)
    assert reply.error == "Invalid license specification"


def test_a_job_without_a_free_licence_waits_and_says_so() -> None:
    c = licensed(matlab=3)
    c.submit(
        job(1, licenses="matlab:2"), job(1, licenses="matlab:3"), job(1, time=200, licenses="matlab"), job(1)
    ).cycle()
    assert c.running() == [1, 4]  # the third would delay the second
    assert [c.reason(i) for i in (2, 3)] == [Reason.LICENSES, Reason.PRIORITY]
    c.finish(1).cycle()
    assert c.running() == [2, 4]
    c.check()


def test_a_shorter_job_takes_a_licence_that_is_free_until_then() -> None:
    c = licensed(matlab=3)
    c.submit(job(1, time=100, licenses="matlab:2"), job(1, licenses="matlab:3"))
    c.submit(job(1, time=101, licenses="matlab"), job(1, time=100, licenses="matlab")).cycle()
    assert c.running() == [1, 4]
    assert c.job(2).expected_start == 1100


def test_an_array_takes_as_many_as_there_are() -> None:
    c = licensed(matlab=3)
    c.submit(job(1, array="0-7", licenses="matlab")).cycle()
    assert len(c.running()) == 3
    c.check()


def test_the_operator_may_have_fewer_and_jobs_keep_theirs() -> None:
    c = licensed(matlab=3)
    held = c.run(job(1, licenses="matlab:3"))
    out = Effects()
    c.engine.configure(configuration(licenses={"matlab": 1}), c.now, out)
    waits = c.add(job(1, licenses="matlab"))
    c.cycle()
    assert (c.job(held).state, c.reason(waits)) == (JobState.RUNNING, Reason.LICENSES)
    c.finish(held).cycle()
    assert c.job(waits).state is JobState.RUNNING


def test_a_running_job_may_get_others() -> None:
    c = licensed(matlab=3, ansys=1)
    held = c.run(job(1, licenses="matlab:2"))
    assert isinstance(c.ask(rq.UpdateJob(id=str(held), changes={"licenses": "matlab:3,ansys"}), ROOT), Done)
    waits = c.add(job(1, licenses="ansys"))
    c.cycle()
    assert c.reason(waits) is Reason.LICENSES
    assert isinstance(c.ask(rq.UpdateJob(id=str(held), changes={"licenses": "matlab:4"}), ROOT), Rejected)
    c.check()


def test_a_requeued_job_gives_them_back() -> None:
    c = licensed(matlab=1)
    first = c.run(job(1, licenses="matlab"))
    c.ask(rq.RequeueJobs(ids=(str(first),), hold=True))
    second = c.run(job(1, licenses="matlab"))
    assert c.job(second).state is JobState.RUNNING
    c.check()
