import pytest
from tests.builders import ANN, BOB, Cluster, cluster, job, nodes

from corral.engine import dependencies
from corral.model.job import JobState
from corral.model.reason import Reason
from corral.protocol import requests as rq
from corral.protocol.replies import Rejected


@pytest.fixture
def c() -> Cluster:
    return cluster(nodes("n1", cpus=8))


@pytest.mark.parametrize(
    ("kind", "code", "begins"),
    [
        ("afterok", 0, True),
        ("afterok", 1, False),
        ("afternotok", 0, False),
        ("afternotok", 1, True),
        ("afterany", 0, True),
        ("afterany", 1, True),
    ],
)
def test_after_the_end_of_another(c: Cluster, kind: str, code: int, begins: bool) -> None:
    first = c.run(job())
    second = c.add(job(dependency=f"{kind}:{first}"))
    assert c.cycle().reason(second) is Reason.DEPENDENCY
    assert c.job(second).eligible_time == 0.0
    c.at(10).finish(first, code).cycle()
    if begins:
        assert c.job(second).state is JobState.RUNNING
        assert c.job(second).eligible_time == 1010.0
    else:
        assert c.reason(second) is Reason.DEPENDENCY_NEVER_SATISFIED
    c.check()


def test_after_the_start_of_another(c: Cluster) -> None:
    first = c.add(job(hold=True))
    second = c.add(job(dependency=f"after:{first}"))
    assert c.cycle().running() == []
    c.ask(rq.ReleaseJobs(ids=(str(first),)))
    c.cycle().cycle()
    assert c.running() == [first, second]


def test_after_an_array_that_was_cancelled_before_it_began(c: Cluster) -> None:
    array = c.add(job(hold=True, array="1-3"))
    second = c.add(job(dependency=f"after:{array}"))
    c.cancel(array)
    assert c.cycle().running() == [second]


def test_some_minutes_after_the_start(c: Cluster) -> None:
    first = c.run(job(time=1000))
    c.submit(job(dependency=f"after:{first}+2"))
    assert c.at(119).cycle().running() == [first]
    assert c.at(120).cycle().running() == [first, 2]


def test_a_cancelled_job_is_not_ok(c: Cluster) -> None:
    first = c.add(job(hold=True))
    second = c.add(job(dependency=f"afterok:{first}"))
    c.cancel(first)
    assert c.cycle().reason(second) is Reason.DEPENDENCY_NEVER_SATISFIED


def test_all_of_them_or_any(c: Cluster) -> None:
    one, two = c.run(job()), c.run(job())
    both = c.add(job(dependency=f"afterok:{one},afterok:{two}"))
    either = c.add(job(dependency=f"afterok:{one}?afterok:{two}"))
    c.finish(two).cycle()
    assert c.states(both, either) == ["PENDING", "RUNNING"]
    c.finish(one).cycle()
    assert c.states(both) == ["RUNNING"]


def test_any_of_them_waits_as_long_as_one_may_still_come(c: Cluster) -> None:
    one, two = c.run(job()), c.run(job())
    either = c.add(job(dependency=f"afterok:{one}?afterok:{two}"))
    c.finish(one, 1).cycle()
    assert c.reason(either) is Reason.DEPENDENCY
    c.finish(two, 1).cycle()
    assert c.reason(either) is Reason.DEPENDENCY_NEVER_SATISFIED


def test_a_whole_array(c: Cluster) -> None:
    array = c.add(job(4, array="1-3"))
    after = c.add(job(dependency=f"afterok:{array}"))
    while c.cycle().running() and c.job(after).state is JobState.PENDING:
        assert c.job(after).state is JobState.PENDING
        c.finish(c.running()[0])
    assert all(c.element(array, i).state is JobState.COMPLETED for i in (1, 2, 3))
    assert c.job(after).state is JobState.RUNNING


def test_one_element_of_an_array(c: Cluster) -> None:
    array = c.add(job(4, array="1-3"))
    c.cycle()
    after = c.add(job(dependency=f"afterok:{array}_2"))
    c.finish(c.element(array, 1).id).cycle()
    assert c.job(after).state is JobState.PENDING
    c.finish(c.element(array, 2).id).cycle()
    assert c.job(after).state is JobState.RUNNING


def test_element_after_element(c: Cluster) -> None:
    first = c.add(job(4, array="1-3"))
    second = c.add(job(4, array="1-3", dependency=f"aftercorr:{first}"))
    c.cycle()
    c.finish(c.element(first, 2).id).cycle()
    assert c.element(second, 2).state in (JobState.RUNNING, JobState.PENDING)
    c.finish(c.element(first, 1).id, 1).cycle()
    for _ in range(4):
        for member in c.running():
            c.finish(member)
        c.cycle()
    ended = {i: str(c.element(second, i).state) for i in (2, 3)}
    assert ended == {2: "COMPLETED", 3: "COMPLETED"}
    waiting = c.element(second, 1)
    assert waiting.reason is Reason.DEPENDENCY_NEVER_SATISFIED
    c.check()


def test_singleton_waits_for_all_of_its_name(c: Cluster) -> None:
    c.submit(job(name="x"), job(name="x", dependency="singleton"), job(name="y", dependency="singleton")).cycle()
    c.submit(job(name="x", dependency="singleton"), by=BOB).cycle()
    assert c.running() == [1, 3, 4]
    c.finish(1).cycle()
    assert c.running() == [2, 3, 4]
    c.check()


def test_singleton_and_a_change_of_name(c: Cluster) -> None:
    c.submit(job(name="x"), job(name="x", dependency="singleton")).cycle()
    c.ask(rq.UpdateJob(id="1", changes={"name": "z"}), ANN)
    c.cycle()
    assert c.running() == [1, 2]
    c.finish(1)
    c.at(400)
    c.submit(job(name="x", dependency="singleton"), job(name="z", dependency="singleton")).cycle()
    c.check()


def test_singleton_waits_for_the_elements_of_an_array(c: Cluster) -> None:
    array = c.add(job(1, name="x", array="1-3"))
    after = c.add(job(name="x", dependency="singleton"))
    c.cycle()
    c.finish(array)  # the last one: it has the array's id
    c.cycle()
    assert c.job(after).state is JobState.PENDING
    for member in c.running():
        c.finish(member)
    assert c.cycle().running() == [after]


def test_a_job_that_is_over_and_forgotten_counts_as_met(c: Cluster) -> None:
    first = c.run(job())
    c.finish(first).at(400)
    assert c.run(job(dependency=f"afterok:{first}")) == 2


@pytest.mark.parametrize("kind", ["afterok", "afternotok", "afterany", "after"])
def test_a_job_that_nobody_knows_counts_as_met(c: Cluster, kind: str) -> None:
    assert c.run(job(dependency=f"{kind}:77")) == 1


def test_without_burst_buffers_a_job_has_given_its_back_when_it_ends(c: Cluster) -> None:
    first = c.run(job())
    waiting = c.add(job(dependency=f"afterburstbuffer:{first}"))
    assert c.cycle().reason(waiting) is Reason.DEPENDENCY
    c.finish(first, 1)
    assert c.cycle().job(waiting).state is JobState.RUNNING


def test_a_circle_is_refused(c: Cluster) -> None:
    first, second, third = c.add(job(hold=True)), c.add(job(hold=True)), c.add(job(hold=True))
    c.ask(rq.UpdateJob(id=str(first), changes={"dependency": f"afterok:{second}"}))
    c.ask(rq.UpdateJob(id=str(second), changes={"dependency": f"afterok:{third}"}))
    reply = c.ask(rq.UpdateJob(id=str(third), changes={"dependency": f"afterany:{first}"}))
    assert isinstance(reply, Rejected)
    assert reply.error == "Circular job dependency"


def test_a_failure_is_not_forgotten_while_somebody_waits_for_it(c: Cluster) -> None:
    first = c.run(job())
    second = c.add(job(dependency=f"afterok:{first}"))
    either = c.add(job(dependency=f"afterok:{first}?afterok:{c.add(job(hold=True))}"))
    c.finish(first, 1).cycle().at(1000).cycle()
    assert c.reason(second) is Reason.DEPENDENCY_NEVER_SATISFIED
    assert c.reason(either) is Reason.DEPENDENCY
    c.cancel(second, either)
    c.cycle().at(2000)
    assert first not in c.engine.state.jobs


@pytest.mark.parametrize(("configured", "asked", "ends"), [
    (False, None, False), (True, None, True), (False, True, True), (True, False, False),
])  # fmt: skip
def test_what_can_never_be_satisfied_ends_where_that_is_wanted(
    configured: bool, asked: bool | None, ends: bool
) -> None:
    c = cluster(nodes("n1", cpus=8), scheduling={"kill_invalid_depend": configured})
    first = c.run(job())
    second = c.add(job(dependency=f"afterok:{first}", kill_on_invalid_dep=asked))
    c.finish(first, 1).cycle()
    assert c.job(second).state is (JobState.CANCELLED if ends else JobState.PENDING)
    assert c.reason(second) is Reason.DEPENDENCY_NEVER_SATISFIED
    c.check()


def test_an_element_without_a_counterpart_looks_at_the_whole_array(c: Cluster) -> None:
    first = c.add(job(1, array="1-2"))
    second = c.add(job(1, array="1-3", dependency=f"aftercorr:{first}"))
    c.cycle()
    c.finish(c.element(first, 1).id, 1).finish(c.element(first, 2).id).cycle()
    assert c.element(second, 2).state is JobState.RUNNING
    assert [c.element(second, i).reason for i in (1, 3)] == [Reason.DEPENDENCY_NEVER_SATISFIED] * 2


def test_what_is_still_waited_for_is_shown_one_by_one(c: Cluster) -> None:
    good, bad, array = c.run(job()), c.run(job()), c.add(job(hold=True, array="1-3"))
    waiting = c.add(job(dependency=f"afterok:{good}:{bad},afterany:{array},afterok:{array}_2,after:{array}+5"))
    c.finish(good).finish(bad, 1).cycle()
    shown = dependencies.left(c.engine.state, c.job(waiting), c.now)
    assert shown == (
        f"afterok:{bad}(failed),afterany:{array}_*(unfulfilled),afterok:{array}_2(unfulfilled),after:{array}_*+5(unfulfilled)"
    )


def test_a_chain_goes_through(c: Cluster) -> None:
    last = c.add(job())
    for _ in range(20):
        last = c.add(job(dependency=f"afterok:{last}"))
    for number in range(1, 22):
        assert c.cycle().running() == [number]
        c.finish(number)
    c.check()


def test_a_dependency_can_be_taken_away(c: Cluster) -> None:
    first = c.run(job())
    second = c.add(job(dependency=f"afterok:{first}"))
    c.ask(rq.UpdateJob(id=str(second), changes={"dependency": ""}))
    assert c.cycle().running() == [first, second]


def test_a_job_cannot_wait_for_itself(c: Cluster) -> None:
    number = c.add(job(hold=True))
    reply = c.ask(rq.UpdateJob(id=str(number), changes={"dependency": f"afterok:{number}"}))
    assert isinstance(reply, Rejected)


def test_a_job_that_was_cancelled_before_its_turn_still_depends_when_queued_again(c: Cluster) -> None:
    first = c.run(job())
    second = c.add(job(dependency=f"afterok:{first}"))
    c.cancel(second)
    c.ask(rq.RequeueJobs(ids=(str(second),)))
    assert c.cycle().reason(second) is Reason.DEPENDENCY
    c.finish(first).cycle()
    assert c.job(second).state is JobState.RUNNING
    c.check()


def test_what_an_array_waits_for_element_by_element_has_not_failed_with_others(c: Cluster) -> None:
    first = c.add(job(array="1-4", hold=True))
    second = c.add(job(array="1-2", dependency=f"aftercorr:{first}"))
    c.cancel(f"{first}_[3-4]")
    assert dependencies.left(c.state, c.job(second), c.now) == f"aftercorr:{first}_*(unfulfilled)"
