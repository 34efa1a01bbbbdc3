"""What is asked of the scheduler again, and what of its plans still holds when they are committed?"""

import pytest
from tests.builders import ROOT, cluster, job, nodes

from corral.model.reason import Reason
from corral.protocol import requests as rq


def test_a_cycle_after_which_nothing_has_happened_is_not_done_again() -> None:
    c = cluster(nodes("n1"))
    c.submit(job(4), job(4)).cycle()
    c.at(5).cycle()
    assert c.engine.snapshot(c.now).same is not None
    c.submit(job(1))
    assert c.engine.snapshot(c.now).same is None


def test_a_plan_holds_only_as_long_as_no_job_should_have_ended() -> None:
    c = cluster(nodes("n1"))
    c.submit(job(4, time=100), job(4)).cycle()
    c.at(5).cycle()
    assert c.engine.snapshot(c.now + 94).same is not None
    assert c.engine.snapshot(c.now + 95).same is None


def test_jobs_that_entered_between_two_cycles_are_seen_even_when_priorities_were_looked_at() -> None:
    c = cluster(nodes("n1"))
    c.cycle().cycle()
    c.submit(job(1))
    c.engine.pending.reprioritise(c.now)
    c.cycle()
    assert c.running() == [1]


@pytest.mark.parametrize(
    "change", [{"timelimit": "0:50"}, {"numcpus": "1"}, {"name": "other"}], ids=["limit", "cpus", "name"]
)
def test_a_job_that_was_changed_while_a_cycle_ran_does_not_start_by_its_plan(change: dict[str, str]) -> None:
    c = cluster(nodes("n1"))
    c.submit(job(2), job(1))
    plan = c.plan()
    c.ask(rq.UpdateJob(id="1", changes=change), ROOT)
    c._take(c.engine.commit(plan, c.now))
    assert c.running() == [2]
    assert c.engine.wants_cycle
    c.cycle()
    assert c.running() == [1, 2]


def test_what_was_taken_while_a_cycle_ran_is_not_given_twice() -> None:
    c = cluster(nodes("n[1-2]"))
    c.submit(job(4), job(4))
    plan = c.plan()
    c.ask(rq.UpdateNodes(nodes="n1", state="drain", reason="fan"), ROOT)
    c._take(c.engine.commit(plan, c.now))
    assert c.running() == [2]
    c.check()


def test_elements_of_an_array_start_in_several_pieces_of_a_plan() -> None:
    c = cluster(nodes("n[1-2]"))
    c.submit(job(1, array="0-7"))
    pieces = c.plan().pieces(3)
    assert [len(piece.starts) for piece in pieces] == [3, 3, 2]
    for piece in pieces:
        c._take(c.engine.commit(piece, c.now))
    assert len(c.running()) == 8
    c.check()


def test_nothing_starts_by_a_plan_made_under_other_rules() -> None:
    c = cluster(nodes("n1"))
    c.submit(job(1))
    plan = c.plan()
    c.ask(rq.UpdatePartition(name="batch", changes={"state": "DOWN"}), ROOT)
    c._take(c.engine.commit(plan, c.now))
    assert c.running() == []
    c.cycle()
    assert c.reason(1) is Reason.PARTITION_DOWN
