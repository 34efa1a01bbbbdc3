import pytest
from tests.builders import OPERATOR, cluster, job, nodes

from corral.controller import values
from corral.engine.launch import array_bounds
from corral.model import ranges
from corral.model.job import JobSpec, JobState
from corral.model.reason import Reason
from corral.protocol import requests as rq
from corral.protocol.orders import LaunchStep
from corral.protocol.replies import Done, Rejected


def test_each_element_becomes_a_job_when_it_starts() -> None:
    c = cluster(nodes("n1"))
    array = c.add(job(2, array="1-5"))
    c.cycle()
    assert [c.element(array, i).state for i in (1, 2)] == [JobState.RUNNING] * 2
    assert list(ranges.members(c.job(array).array_waiting)) == [3, 4, 5]
    assert c.job(array).state is JobState.PENDING
    c.check()


def test_the_last_element_keeps_the_arrays_own_id() -> None:
    c = cluster(nodes("n1"))
    array = c.add(job(1, array="1-3"))
    c.cycle()
    assert [c.element(array, i).id for i in (1, 2, 3)] == [2, 3, 1]
    for member in c.running():
        c.finish(member)
    assert {c.element(array, i).state for i in (1, 2, 3)} == {JobState.COMPLETED}
    c.check()


def test_an_element_knows_its_number() -> None:
    c = cluster(nodes("n1"))
    c.submit(job(4, array="0-31:4%8")).cycle()
    (launch,) = c.orders(LaunchStep)
    context = launch.job
    assert (context.array_task_id, context.array_task_count, context.array_task_min, context.array_task_max) == (
        0,
        8,
        0,
        28,
    )
    assert context.array_task_step == 4


@pytest.mark.parametrize(
    ("text", "step"),
    [("5,7", 1), ("1,3,5,7,9,11,13", 1), ("3", 1), ("1-5:2,8", 2), ("3,5-9:2", 2), ("1-5:2,6-10:3", 2), ("1-9:4%2", 4)],
)
def test_the_step_of_an_array_is_the_first_that_is_written(text: str, step: int) -> None:
    assert array_bounds(JobSpec(array=text))[3] == step


def test_the_throttle() -> None:
    c = cluster(nodes("n1"))
    array = c.add(job(1, array="1-9%2"))
    c.cycle()
    assert len(c.running()) == 2
    assert c.reason(array) is Reason.ARRAY_TASK_LIMIT
    c.cycle()
    assert len(c.running()) == 2
    c.finish(c.running()[0]).cycle()
    assert len(c.running()) == 2
    c.ask(rq.UpdateJob(id=str(array), changes={"arraytaskthrottle": "3"}))
    assert len(c.cycle().running()) == 3
    c.check()


def test_the_throttle_holds_for_requeued_elements_too() -> None:
    c = cluster(nodes("n1"))
    array = c.add(job(1, array="1-4%1"))
    first = c.cycle().running()[0]
    c.ask(rq.RequeueJobs(ids=(str(first),)))
    for _ in range(3):
        assert len(c.cycle().running()) == 1
    c.check()
    while c.running():
        c.finish(c.running()[0]).cycle()
    assert {c.element(array, i).state for i in range(1, 5)} == {JobState.COMPLETED}


def test_waiting_elements_are_cancelled_one_by_one_or_all() -> None:
    c = cluster(nodes("n1"))
    array = c.add(job(4, array="1-6"))
    c.cycle()
    assert c.cancel(f"{array}_3") == Done()
    assert c.cancel(f"{array}_[4-5]") == Done()
    assert [c.element(array, i).state for i in (1, 3, 4, 5)] == [JobState.RUNNING, *[JobState.CANCELLED] * 3]
    assert list(ranges.members(c.job(array).array_waiting)) == [2, 6]
    c.check()
    assert c.cancel(array) == Done()
    assert c.running() == []
    assert not c.state.queue
    c.check()


def test_to_cancel_all_waiting_elements_by_number_costs_one_record() -> None:
    c = cluster(nodes("n1"))
    array = c.add(job(4, array="0-999"))
    before = len(c.events)
    c.cancel(f"{array}_[0-999]")
    assert len(c.events) == before + 1
    assert c.job(array).state is JobState.CANCELLED


def test_the_step_of_a_waiting_element_is_nothing_to_cancel() -> None:
    c = cluster(nodes("n1"))
    array = c.add(job(4, array="0-1"))
    c.cancel(f"{array}_1.0")
    assert c.job(array).state is JobState.PENDING


def test_one_element_is_held_and_released() -> None:
    c = cluster(nodes("n1"))
    array = c.add(job(1, array="1-3"))
    c.ask(rq.HoldJobs(ids=(f"{array}_2",)))
    c.cycle()
    assert [str(c.element(array, i).state) for i in (1, 2, 3)] == ["RUNNING", "PENDING", "RUNNING"]
    c.ask(rq.ReleaseJobs(ids=(f"{array}_2",)))
    c.cycle()
    assert c.element(array, 2).state is JobState.RUNNING
    c.check()


def test_an_element_is_requeued_by_itself() -> None:
    c = cluster(nodes("n1"))
    array = c.add(job(1, array="1-3"))
    c.cycle().ask(rq.RequeueJobs(ids=(f"{array}_2",)))
    assert c.element(array, 2).state is JobState.PENDING
    c.cycle()
    assert (c.element(array, 2).state, c.element(array, 2).restarts) == (JobState.RUNNING, 1)
    c.check()


def test_a_hundred_thousand_elements_cost_as_much_as_one() -> None:
    c = cluster(nodes("n1"), timeouts={"min_job_age": 0.0})
    array = c.add(job(1, array="0-99999"))
    assert len(c.state.dump()) < 3000
    for _ in range(3):
        c.cycle()
        for member in c.running():
            c.finish(member)
    assert ranges.count(c.job(array).array_waiting) == 99988
    c.check()


def test_an_array_is_kept_together_until_all_of_it_is_old() -> None:
    c = cluster(nodes("n1"))
    array = c.add(job(4, array="1-3", time=1000))
    c.cycle()
    failed = c.running()[0]
    c.finish(failed, 1).cycle()
    c.finish(c.running()[0]).cycle().at(400)
    assert c.element(array, 1).state is JobState.FAILED  # a dependency on the array would need to know
    last = c.running()[0]
    c.finish(last).at(600)
    assert {j.array_task_id for j in c.state.jobs.values()} == {3}
    c.at(801)
    assert not c.state.jobs
    c.check()


def test_several_that_share_a_fate_are_one_record() -> None:
    c = cluster(nodes("n1", cpus=4))
    array = c.add(job(4, array="0-99999", hold=True))
    before = len(c.events)
    c.cancel(f"{array}_[10-9999]")
    c.ask(rq.HoldJobs(ids=(f"{array}_[20000-29999]",)), OPERATOR)
    c.ask(rq.UpdateJob(id=f"{array}_[30000-39999]", changes={"name": "x"}))
    assert len(c.events) - before < 8
    assert c.element(array, 500).state is JobState.CANCELLED
    assert c.element(array, 25000).reason is Reason.HELD_ADMIN
    assert c.state.spec(c.element(array, 35000)).name == "x"
    assert c.state.waiting == 100000 - 9990
    c.check()


def test_a_part_runs_element_by_element_under_the_throttle_of_the_whole() -> None:
    c = cluster(nodes("n1", cpus=8))
    array = c.add(job(1, array="0-5%2", hold=True))
    c.ask(rq.HoldJobs(ids=(f"{array}_[2-3]",)))
    c.ask(rq.ReleaseJobs(ids=(str(array),)))
    seen = []
    for _ in range(8):
        c.cycle()
        assert len(c.running()) <= 2
        for number in c.running():
            seen.append(c.job(number).array_task_id)
            c.finish(number)
    assert sorted(seen) == [0, 1, 2, 3, 4, 5]
    c.check()


def test_what_was_cancelled_before_it_began_comes_back_only_by_name() -> None:
    c = cluster(nodes("n1", cpus=4))
    array = c.add(job(1, array="0-9", hold=True))
    waiting = c.add(job(dependency=f"afterok:{array}_4"))
    c.cancel(f"{array}_[3-5]")
    assert c.cycle().reason(waiting) is Reason.DEPENDENCY_NEVER_SATISFIED
    c.ask(rq.RequeueJobs(ids=(str(array),)))
    assert c.element(array, 4).state is JobState.CANCELLED
    c.ask(rq.RequeueJobs(ids=(f"{array}_4",)))
    assert (c.element(array, 4).state, c.element(array, 5).state) == (JobState.PENDING, JobState.CANCELLED)
    c.check()


def test_elements_that_the_throttle_holds_back_are_eligible_when_they_start() -> None:
    c = cluster(nodes("n1"))
    array = c.add(job(1, array="1-3%1"))
    c.cycle()
    first = c.element(array, 1)
    assert values.eligible_time(first) == first.submit_time
    assert values.eligible_time(c.job(array)) == 0.0
    c.at(20).finish(first.id).cycle()
    second = c.element(array, 2)
    assert second.eligible_time == second.start_time > second.submit_time
    c.check()


@pytest.mark.parametrize(
    ("ids", "problem"),
    [
        (("1_[0-999999]",), "1000000 array elements are too many for one request (at most 200000)"),
        (("1_[0-99999:2,7]",) * 5, "250005 array elements are too many"),
        (("1",) * 100_001, "100001 ids are too many for one request (at most 100000)"),
    ],
)
def test_a_request_names_a_bounded_number_of_things(ids: tuple[str, ...], problem: str) -> None:
    c = cluster(nodes("n1"))
    array = c.add(job(1, array="0-9", hold=True))
    one_by_one = (rq.UpdateJob(id=ids[0], changes={"nice": "5"}),) if len(ids) == 1 else ()
    for request in (
        rq.HoldJobs(ids=ids),
        rq.CancelJobs(selection=rq.JobSelection(ids=ids)),
        rq.TopJobs(ids=ids),
        *one_by_one,
    ):
        reply = c.ask(request, OPERATOR)
        assert isinstance(reply, Rejected)
        assert problem in reply.error
    assert list(ranges.members(c.job(array).array_waiting)) == [*range(10)]


def test_an_id_that_is_named_often_is_meant_once() -> None:
    c = cluster(nodes("n1"))
    array = c.add(job(1, array="0-9"))
    assert c.ask(rq.HoldJobs(ids=(str(array),) * 1000)) == Done()
    assert c.job(array).held_by == "user"
