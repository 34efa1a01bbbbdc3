"""scontrol top, with the numbers that the real one came to."""

from typing import Any

import pytest
from tests.builders import ANN, BOB, OPERATOR, Cluster, cluster, job, nodes

from corral.protocol import requests as rq
from corral.protocol.replies import Rejected


def waiting(*priorities: int, **fields: Any) -> Cluster:
    c = cluster(nodes("n1", cpus=4), **fields)
    for priority in priorities:
        number = c.add(job(begin_time=9e9))
        c.ask(rq.UpdateJob(id=str(number), changes={"priority": str(priority)}), OPERATOR)
    return c


def top(c: Cluster, *ids: object, by: rq.Caller = OPERATOR) -> str:
    reply = c.ask(rq.TopJobs(ids=tuple(map(str, ids))), by)
    c.check()
    return reply.error if isinstance(reply, Rejected) else ""


def ranks(c: Cluster) -> list[tuple[int, int | None]]:
    return [(c.job(number).priority, c.job(number).nice) for number in (1, 2, 3)]


def test_what_some_gain_the_others_lose() -> None:
    c = waiting(1000, 500, 200)
    assert top(c, 3) == ""
    assert ranks(c) == [(600, 400), (100, 400), (1000, -800)]
    assert top(c, 2, 1) == ""
    assert ranks(c) == [(600, 400), (1000, -500), (100, 100)]


def test_other_users_jobs_stay_where_they_are() -> None:
    c = waiting(1000, 500)
    other = c.add(job(begin_time=9e9), by=BOB)
    before = c.job(other)
    assert top(c, 2) == ""
    assert c.job(other) == before


@pytest.mark.parametrize("allowed", [True, False])
def test_users_may_where_the_cluster_lets_them(allowed: bool) -> None:
    c = waiting(1000, 500, scheduling={"enable_user_top": allowed})
    assert top(c, 2, by=ANN) == ("" if allowed else "Access/permission denied")
    assert top(c, 2, by=BOB) == "Access/permission denied"


def test_which_jobs_cannot_be_on_top() -> None:
    c = waiting(1000, 500)
    held, running = c.add(job(hold=True)), c.run(job())
    before = [c.job(number) for number in (1, 2)]
    assert top(c, held) == "Job is in held state, pending scheduler release"
    assert top(c, running) == "Job is no longer pending execution"
    assert top(c, 2, 99) == "Invalid job id specified"
    assert [c.job(number) for number in (1, 2)] == before
