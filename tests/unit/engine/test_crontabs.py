"""Jobs of a crontab: they come back."""

import pytest
from tests.builders import ANN, BOB, ROOT, Cluster, cluster, job, nodes

from corral.engine.state import ClusterState
from corral.model.job import JobState, Owner
from corral.model.reason import Reason
from corral.protocol import requests as rq
from corral.protocol.replies import Done, Rejected, Submitted

TEXT = "#SCRON -t 1\n* * * * * one\n* * * * * two\n"
LINES = ((0, 1), (2, 2))


@pytest.fixture
def c() -> Cluster:
    return cluster(nodes("n1", cpus=8))


def crontab(c: Cluster, text: str = TEXT, *specs: str, by: rq.Caller = ANN) -> tuple[int, ...]:
    jobs = tuple(rq.NewJob(spec=job(cron=spec, cron_lines=LINES[i])) for i, spec in enumerate(specs))
    reply = c.ask(rq.SubmitJobs(jobs=jobs, crontab=text), by)
    assert isinstance(reply, Submitted), reply
    return reply.ids


def test_each_line_waits_for_its_time(c: Cluster) -> None:
    first, second = crontab(c, TEXT, "* * * * *", "*/30 * * * *")
    assert c.cycle().reason(first) is Reason.BEGIN_TIME
    assert c.job(first).eligible_time == 1020.0  # the clock begins at 1000
    assert c.job(second).eligible_time == 1800.0
    assert c.at(20).cycle().running() == [first]
    c.check()


@pytest.mark.parametrize("code", [0, 1])
def test_and_when_it_has_run_for_its_next_one(c: Cluster, code: int) -> None:
    (number,) = crontab(c, TEXT, "* * * * *")
    c.at(20).cycle().at(95).finish(number, code)
    assert (c.job(number).state, c.reason(number), c.job(number).eligible_time) == (
        JobState.PENDING, Reason.BEGIN_TIME, 1140.0,
    )  # fmt: skip
    assert c.at(141).cycle().running() == [number]
    c.check()


def test_cancelling_needs_a_word_more(c: Cluster) -> None:
    first, second = crontab(c, TEXT, "* * * * *", "* * * * *")
    reply = c.cancel(first)
    assert isinstance(reply, Done)
    assert reply.errors == (f"Kill job error on job id {first}: Cannot cancel scrontab jobs without --cron flag.",)
    assert c.ask(rq.CancelJobs(selection=rq.JobSelection(users=("ann",)))) == Done()
    assert c.states(first, second) == ["PENDING", "PENDING"]
    c.cancel(first, cron=True)
    assert c.states(first, second) == ["CANCELLED", "PENDING"]
    assert c.state.crontabs[ANN.uid].shown() == "#DISABLED: #SCRON -t 1\n#DISABLED: * * * * * one\n* * * * * two\n"


def test_a_running_one_that_is_cancelled_does_not_come_back(c: Cluster) -> None:
    (number,) = crontab(c, TEXT, "* * * * *")
    c.at(20).cycle()
    c.cancel(number, cron=True)
    assert c.job(number).state is JobState.CANCELLED
    c.check()


def test_a_new_crontab_takes_the_place_of_the_old_one(c: Cluster) -> None:
    running, waiting = crontab(c, TEXT, "* * * * *", "*/30 * * * *")
    c.at(20).cycle()
    (other,) = crontab(c, "@daily x\n", "0 0 * * *")
    assert c.states(running, waiting, other) == ["RUNNING", "CANCELLED", "PENDING"]
    c.finish(running)
    assert c.job(running).state is JobState.COMPLETED
    crontab(c, "")
    assert c.state.crontabs == {}
    assert c.job(other).state is JobState.CANCELLED
    c.check()


def test_it_outlives_a_restart(c: Cluster) -> None:
    crontab(c, TEXT, "* * * * *")
    loaded = ClusterState.load(c.state.dump())
    assert loaded.crontabs == c.state.crontabs


def test_a_bad_line_changes_nothing(c: Cluster) -> None:
    crontab(c, TEXT, "* * * * *")
    before = c.state.dump()
    for spec in (
        job(cron="61 * * * *"),
        job(cron="* * * * *", partition="nowhere"),
        job(cron="* * * * *", array="1-3"),
        job(),
    ):
        reply = c.ask(rq.SubmitJobs(jobs=(rq.NewJob(spec=job(cron="* * * * *")), rq.NewJob(spec=spec)), crontab="x"))
        assert isinstance(reply, Rejected)
        assert reply.index == 1
    assert c.state.dump() == before


def test_each_user_has_an_own_one(c: Cluster) -> None:
    crontab(c, TEXT, "* * * * *")
    crontab(c, "other\n\n", "* * * * *", by=BOB)
    assert {uid: found.text for uid, found in c.state.crontabs.items()} == {ANN.uid: TEXT, BOB.uid: "other\n\n"}
    ann = Owner(uid=ANN.uid, gid=ANN.gid, user=ANN.user, group=ANN.group)
    request = rq.SubmitJobs(jobs=(), crontab="", user="ann")
    assert isinstance(c.engine.handle(request, c.now, BOB, ann).reply, Rejected)
    assert not isinstance(c.engine.handle(request, c.now, ROOT, ann).reply, Rejected)
    assert set(c.state.crontabs) == {BOB.uid}


@pytest.mark.parametrize("lines", [(-1, 0), (1, 0), (0, 1 << 60)])
def test_lines_that_there_are_not(c: Cluster, lines: tuple[int, int]) -> None:
    jobs = (rq.NewJob(spec=job(cron="* * * * *", cron_lines=lines)),)
    assert isinstance(c.ask(rq.SubmitJobs(jobs=jobs, crontab=TEXT)), Rejected)
