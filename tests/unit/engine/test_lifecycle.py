"""From submission to the end, and every way an end can come."""

import pytest
from tests.builders import ANN, BOB, OPERATOR, Cluster, cluster, job, nodes, srun

from corral.model.job import UNLIMITED, ExitStatus, JobKind, JobState
from corral.model.reason import Reason
from corral.model.step import BATCH, EndCause
from corral.protocol import requests as rq
from corral.protocol.orders import EndJob, LaunchStep, SignalTasks, SuspendJob
from corral.protocol.replies import Done, Rejected


@pytest.fixture
def c() -> Cluster:
    return cluster(nodes("n[1-2]", cpus=4))


def test_a_batch_job_runs_and_completes(c: Cluster) -> None:
    number = c.run(job(4, nodes=2))
    (launch,) = c.orders(LaunchStep)
    assert (launch.node, launch.key.step, launch.term) == ("n1", BATCH, 1)
    c.at(30).finish(number)
    ended = c.job(number)
    assert (ended.state, ended.exit_status, ended.start_time, ended.end_time) == (
        JobState.COMPLETED, ExitStatus(0, 0), 1000.0, 1030.0,
    )  # fmt: skip
    assert c.step(number).state is JobState.COMPLETED
    assert not c.orders(EndJob)
    c.check()


def test_an_exit_code_fails_the_job(c: Cluster) -> None:
    number = c.run(job())
    c.finish(number, 3)
    assert (c.job(number).state, c.reason(number), str(c.job(number).exit_status)) == (
        JobState.FAILED, Reason.NON_ZERO_EXIT_CODE, "3:0",
    )  # fmt: skip
    c.check()


def test_a_signal_fails_it_too(c: Cluster) -> None:
    number = c.run(job())
    c.finish(number, signal=9)
    assert (c.job(number).state, c.reason(number), str(c.job(number).exit_status)) == (
        JobState.FAILED, Reason.JOB_LAUNCH_FAILURE, "0:9",
    )  # fmt: skip
    assert c.step(number).state is JobState.CANCELLED


@pytest.mark.parametrize(
    ("cause", "state"),
    [
        (EndCause.OUT_OF_MEMORY, JobState.OUT_OF_MEMORY),
        (EndCause.LAUNCH_FAILED, JobState.FAILED),
        (EndCause.CANCELLED, JobState.CANCELLED),
    ],
)
def test_the_cause_decides(c: Cluster, cause: EndCause, state: JobState) -> None:
    number = c.run(job())
    c.finish(number, signal=9, cause=cause)
    assert c.job(number).state is state
    c.check()


def test_after_mpi_abort_the_job_of_its_own_srun_has_failed_and_its_step_is_cancelled(c: Cluster) -> None:
    number = c.run(job(kind=JobKind.SRUN, ntasks=2, step=srun(2)))
    c.finish(number, signal=9, step=0, cause=EndCause.ABORTED)
    assert (c.job(number).state, c.reason(number)) == (JobState.FAILED, Reason.JOB_LAUNCH_FAILURE)
    assert c.step(number, 0).state is JobState.CANCELLED
    c.check()


def test_a_report_that_comes_twice_changes_nothing(c: Cluster) -> None:
    number = c.run(job())
    c.finish(number)
    before = len(c.events)
    c.finish(number, 1)
    assert len(c.events) == before
    assert c.job(number).state is JobState.COMPLETED


def test_a_script_that_leaves_steps_behind_has_them_ended(c: Cluster) -> None:
    c.cleans = False
    number = c.run(job(4))
    c.ask(rq.CreateStep(job=str(number), spec=srun(4)))
    c.finish(number)
    assert c.job(number).state is JobState.COMPLETING
    assert [(order.node, order.job) for order in c.orders(EndJob)] == [("n1", number)]
    c.finish(number, signal=9, step=0, cause=EndCause.CANCELLED)
    c.clean(number)
    assert c.job(number).state is JobState.COMPLETED
    assert c.step(number, 0).state is JobState.CANCELLED
    c.check()


# -- cancel


def test_a_waiting_job_is_cancelled(c: Cluster) -> None:
    number = c.add(job())
    assert c.cancel(number) == Done()
    ended = c.job(number)
    assert (ended.state, ended.cancelled_by, ended.end_time) == (JobState.CANCELLED, 1000, 1000.0)
    c.check()


def test_a_running_job_is_told_to_end(c: Cluster) -> None:
    c.cleans = False
    number = c.run(job(4, nodes=2))
    c.cancel(number)
    assert [(o.node, o.kill_after) for o in c.orders(EndJob)] == [("n1", 30.0), ("n2", 30.0)]
    assert c.job(number).state is JobState.COMPLETING
    c.finish(number, signal=15, cause=EndCause.CANCELLED).clean(number, "n1")
    assert c.job(number).state is JobState.COMPLETING
    assert not c.state.ledger.can_take(c.job(number).allocation)  # type: ignore[arg-type]
    c.clean(number, "n2")
    assert (c.job(number).state, str(c.job(number).exit_status)) == (JobState.CANCELLED, "0:15")
    c.check()


def test_to_cancel_twice_is_an_error_for_a_single_id(c: Cluster) -> None:
    number = c.add(job())
    c.cancel(number)
    reply = c.cancel(number)
    assert isinstance(reply, Done)
    assert reply.errors == (f"Kill job error on job id {number}: Job/step already completing or completed",)


def test_kill_comes_at_once_with_signal_nine(c: Cluster) -> None:
    number = c.run(job())
    c.cancel(number, signal=9)
    assert [o.kill_after for o in c.orders(EndJob)] == [0.0]


def test_another_signal_goes_to_the_steps(c: Cluster) -> None:
    number = c.run(job())
    c.cancel(number, signal=10)
    (order,) = c.orders(SignalTasks)
    assert (order.signal, order.batch_too, order.only_batch, order.step) == (10, False, False, None)
    c.cancel(number, signal=10, full=True)
    assert c.orders(SignalTasks)[0].batch_too
    c.cancel(number, signal=10, batch=True)
    assert c.orders(SignalTasks)[0].only_batch
    assert c.job(number).state is JobState.RUNNING


def test_all_jobs_of_a_user(c: Cluster) -> None:
    c.submit(job(), job()).cycle().submit(job(1, name="x"), by=BOB)
    c.ask(rq.CancelJobs(selection=rq.JobSelection(users=("ann",))), OPERATOR)
    assert c.states(1, 2, 3) == ["CANCELLED", "CANCELLED", "PENDING"]
    c.ask(rq.CancelJobs(selection=rq.JobSelection(names=("x",))), BOB)
    assert c.states(3) == ["CANCELLED"]


def test_all_jobs_with_a_wckey(c: Cluster) -> None:
    c.submit(job(1, wckey="nightly"), job(1))
    c.ask(rq.CancelJobs(selection=rq.JobSelection(wckeys=("nightly",))), ANN)
    assert c.states(1, 2) == ["CANCELLED", "PENDING"]


def test_cancel_needs_to_be_told_what(c: Cluster) -> None:
    assert isinstance(c.ask(rq.CancelJobs(selection=rq.JobSelection())), Rejected)


def test_a_job_being_requeued_can_still_be_cancelled(c: Cluster) -> None:
    c.cleans = False
    number = c.run(job())
    c.ask(rq.RequeueJobs(ids=(str(number),)))
    c.cancel(number)
    c.clean(number)
    assert c.job(number).state is JobState.CANCELLED
    c.check()


# -- who may


@pytest.mark.parametrize("by", [ANN, OPERATOR])
def test_owners_and_operators_may_touch_a_job(c: Cluster, by: rq.Caller) -> None:
    number = c.add(job())
    assert c.cancel(number, by=by) == Done()


def test_others_may_not(c: Cluster) -> None:
    c.cleans = False
    number = c.run(job())
    before = (len(c.events), c.state.dump())
    text = str(number)
    for request in (
        rq.CancelJobs(selection=rq.JobSelection(ids=(text,))),
        rq.HoldJobs(ids=(text,)),
        rq.ReleaseJobs(ids=(text,)),
        rq.RequeueJobs(ids=(text,)),
        rq.SuspendJobs(ids=(text,)),
        rq.UpdateJob(id=text, changes={"timelimit": "1"}),
        rq.CreateStep(job=text, spec=srun()),
        rq.SignalStep(job=number, step=BATCH),
        rq.CompleteJob(job=number),
        rq.UpdateNodes(nodes="n1", state="down"),
        rq.UpdatePartition(name="batch", changes={"maxtime": "1"}),
        rq.NewClusterNodes(nodes=()),
    ):
        reply = c.ask(request, BOB)
        said = reply.error if isinstance(reply, Rejected) else str(getattr(reply, "errors", ""))
        assert "Access/permission denied" in said or "Invalid user id" in said, request
    assert (len(c.events), c.state.dump()) == before


def test_a_selection_by_name_leaves_others_jobs_alone(c: Cluster) -> None:
    c.submit(job(name="x")).submit(job(name="x"), by=BOB)
    assert c.ask(rq.CancelJobs(selection=rq.JobSelection(names=("x",))), BOB) == Done()
    assert c.states(1, 2) == ["PENDING", "CANCELLED"]


# -- hold and release


def test_a_held_job_waits_until_it_is_released(c: Cluster) -> None:
    number = c.add(job(hold=True))
    assert c.cycle().reason(number) is Reason.HELD_USER
    c.ask(rq.ReleaseJobs(ids=(str(number),)))
    assert c.cycle().running() == [number]
    c.check()


def test_an_operators_hold_is_not_the_users_to_release(c: Cluster) -> None:
    number = c.add(job())
    c.ask(rq.HoldJobs(ids=(str(number),)), OPERATOR)
    assert c.reason(number) is Reason.HELD_ADMIN
    c.ask(rq.HoldJobs(ids=(str(number),), by_user=True))
    reply = c.ask(rq.ReleaseJobs(ids=(str(number),)))
    assert isinstance(reply, Done)
    assert reply.errors == ("1: Access/permission denied",)
    assert c.cycle().running() == []
    c.ask(rq.ReleaseJobs(ids=(str(number),)), OPERATOR)
    assert c.cycle().running() == [number]


def test_uhold_is_the_users_to_release(c: Cluster) -> None:
    number = c.add(job())
    c.ask(rq.HoldJobs(ids=(str(number),), by_user=True), OPERATOR)
    c.ask(rq.ReleaseJobs(ids=(str(number),)))
    assert c.cycle().running() == [number]


def test_to_release_what_is_not_held_changes_nothing(c: Cluster) -> None:
    number = c.add(job(nice=7))
    before = len(c.events)
    assert c.ask(rq.ReleaseJobs(ids=(str(number),))) == Done()
    assert len(c.events) == before


# -- requeue


def test_a_requeued_job_runs_once_more_under_another_key(c: Cluster) -> None:
    number = c.run(job())
    c.ask(rq.RequeueJobs(ids=(str(number),)))
    assert (c.job(number).state, c.job(number).restarts) == (JobState.PENDING, 1)
    c.cycle().finish(number)
    assert c.job(number).state is JobState.COMPLETED
    assert [o.key.restart for o in c.orders(LaunchStep)] == [0, 1]
    c.check()


def test_requeue_and_hold(c: Cluster) -> None:
    number = c.run(job())
    c.ask(rq.RequeueJobs(ids=(str(number),), hold=True))
    assert c.cycle().reason(number) is Reason.REQUEUED_HELD
    waiting = c.add(job())
    reply = c.ask(rq.RequeueJobs(ids=(str(waiting),), hold=True))
    assert reply == Done(
        errors=(f"{waiting}: Job is pending execution",), outcomes=((str(waiting), "Job is pending execution"),)
    )
    c.check()


def test_an_ended_job_can_be_requeued(c: Cluster) -> None:
    number = c.run(job())
    c.finish(number, 1).ask(rq.RequeueJobs(ids=(str(number),)))
    assert c.job(number).state is JobState.PENDING
    c.cycle().finish(number).check()


def test_no_requeue(c: Cluster) -> None:
    number = c.run(job(requeue=False))
    reply = c.ask(rq.RequeueJobs(ids=(str(number),)))
    assert isinstance(reply, Done)
    assert reply.errors == ("1: Requested operation is presently disabled",)
    assert c.job(number).state is JobState.RUNNING


def test_a_requeued_job_may_go_to_any_of_its_partitions_again() -> None:
    from corral.model.partition import Partition

    c = cluster(
        nodes("n[1-2]"),
        partition=(Partition(name="a", nodes="n1", default=True), Partition(name="b", nodes="n2")),
    )
    number = c.run(job(4, partition="a,b"))
    c.ask(rq.RequeueJobs(ids=(str(number),)))
    c.run(
        job(4, partition="a", priority=1 << 33),
        by=rq.Caller(uid=0, gid=0, user="root", group="root", role="administrator"),
    )
    assert c.job(number).partition == "b"


# -- suspend and resume


def test_suspended_time_does_not_count_against_the_limit(c: Cluster) -> None:
    number = c.run(job(time=100))
    c.at(50).ask(rq.SuspendJobs(ids=(str(number),)), OPERATOR)
    assert [(o.node, o.thaw) for o in c.orders(SuspendJob)] == [("n1", False)]
    c.at(500)
    assert c.job(number).state is JobState.SUSPENDED
    c.ask(rq.ResumeJobs(ids=(str(number),)), OPERATOR)
    assert c.orders(SuspendJob)[0].thaw
    c.at(549)
    assert c.job(number).state is JobState.RUNNING
    c.at(551)
    assert c.job(number).state is JobState.TIMEOUT
    c.check()


def test_only_operators_suspend(c: Cluster) -> None:
    number = c.run(job())
    c.ask(rq.SuspendJobs(ids=(str(number),)))
    assert c.job(number).state is JobState.RUNNING


def test_a_suspended_job_may_be_cancelled(c: Cluster) -> None:
    number = c.run(job())
    c.ask(rq.SuspendJobs(ids=(str(number),)), OPERATOR)
    c.at(10).cancel(number)
    assert (c.job(number).state, c.job(number).suspended_seconds) == (JobState.CANCELLED, 10.0)
    c.check()


def test_others_have_the_cpus_of_a_suspended_job_but_not_its_memory() -> None:
    c = cluster(nodes("n1", cpus=4))
    first = c.run(job(4, memory_per_node_mb=600))
    c.ask(rq.SuspendJobs(ids=(str(first),)), OPERATOR)
    large, small = c.add(job(4, memory_per_node_mb=600)), c.run(job(4, memory_per_node_mb=300))
    assert c.states(first, large, small) == ["SUSPENDED", "PENDING", "RUNNING"]
    c.check()


def test_a_job_that_is_resumed_runs_beside_who_has_its_cpus_and_has_them_again_afterwards() -> None:
    c = cluster(nodes("n1", cpus=4))
    first = c.run(job(4))
    c.ask(rq.SuspendJobs(ids=(str(first),)), OPERATOR)
    second, third = c.run(job(4)), c.add(job(4))
    c.ask(rq.ResumeJobs(ids=(str(first),)), OPERATOR)
    c.cycle()
    assert c.states(first, second, third) == ["RUNNING", "RUNNING", "PENDING"]
    c.check()
    c.finish(second)
    c.cycle()
    assert c.states(first, second, third) == ["RUNNING", "COMPLETED", "PENDING"]
    c.check()
    c.finish(first)
    c.cycle()
    assert c.states(first, third) == ["COMPLETED", "RUNNING"]
    c.check()


# -- the clock


def test_a_job_that_runs_into_its_limit_times_out(c: Cluster) -> None:
    number = c.run(job(time=100))
    c.at(99.9)
    assert c.job(number).state is JobState.RUNNING
    assert c.engine.next_wake(c.now) <= 1100.0
    c.at(100)
    (order,) = c.orders(EndJob)
    assert (order.reason, order.kill_after) == ("time_limit", 30.0)
    assert (c.job(number).state, c.reason(number)) == (JobState.TIMEOUT, Reason.TIME_LIMIT)
    c.check()


def test_no_limit_no_timeout(c: Cluster) -> None:
    number = c.run(job(time=UNLIMITED))
    c.at(10**7)
    assert c.job(number).state is JobState.RUNNING


def test_limits_are_whole_minutes_as_the_real_ones() -> None:
    c = cluster(nodes("n1"), scheduling={"time_limit_step": 60})
    assert c.job(c.add(job(time=61))).time_limit == 120


@pytest.mark.parametrize("only_batch", [True, False])
def test_a_warning_before_the_limit(c: Cluster, only_batch: bool) -> None:
    number = c.run(job(time=100, signal=(10, 30, only_batch)))
    c.at(69)
    assert not c.orders(SignalTasks)
    assert c.engine.next_wake(c.now) <= 1070.0
    c.at(70).at(71)
    (order,) = c.orders(SignalTasks)
    assert (order.signal, order.only_batch) == (10, only_batch)
    assert c.job(number).warned


def test_begin(c: Cluster) -> None:
    number = c.add(job(begin_time=1060.0))
    assert c.cycle().reason(number) is Reason.BEGIN_TIME
    c.at(59).cycle()
    assert c.running() == []
    assert c.engine.next_wake(c.now) <= 1060.0
    assert c.at(60).cycle().running() == [number]
    c.check()


def test_deadline(c: Cluster) -> None:
    c.run(job(4, nodes=2, time=1000))
    number = c.add(job(time=60, deadline=1100.0))
    c.at(30).cycle()
    assert c.job(number).state is JobState.PENDING
    c.at(45)
    assert c.job(number).state is JobState.DEADLINE
    c.check()


def test_ended_jobs_are_forgotten_after_a_while(c: Cluster) -> None:
    number = c.run(job())
    c.finish(number).at(299)
    assert number in c.state.jobs
    c.at(301)
    assert number not in c.state.jobs
    assert not c.state.specs
    assert c.add(job()) == 2
    c.check()


def test_a_signalled_job_is_killed_when_kill_wait_is_over_however_often_it_is_told(c: Cluster) -> None:
    c.cleans = False
    number = c.run(job())
    c.cancel(number)
    key = c.step(number).key
    from corral.protocol.reports import KnownStep

    c.orders(EndJob)
    for at in range(5, 65, 5):
        c.at(at).beat(steps=(KnownStep("n1", key, False),))
    again = c.orders(EndJob)
    assert all(order.kill_after == 0.0 for order in again)
    assert len(again) == 2


def test_an_order_to_end_that_was_lost_is_said_again(c: Cluster) -> None:
    c.cleans = False
    number = c.run(job(4, nodes=2))
    c.cancel(number)
    c.orders(EndJob)
    c.at(6).beat("n1").at(6.1).beat("n2")
    assert [(o.node, o.kill_after) for o in c.orders(EndJob)] == [("n1", 24.0), ("n2", pytest.approx(23.9))]
    c.at(11.5).beat("n1").at(11.6).beat("n2")
    assert [o.node for o in c.orders(EndJob)] == ["n1", "n2"]


# -- srun and salloc


def test_the_allocation_of_an_srun_ends_with_its_step(c: Cluster) -> None:
    number = c.run(job(kind=JobKind.SRUN, ntasks=5, nodes=2, step=srun(5)))
    assert sorted((o.node, len(o.tasks)) for o in c.orders(LaunchStep)) == [("n1", 4), ("n2", 1)]
    c.finish(number, 2, step=0, node="n1")
    assert c.job(number).state is JobState.RUNNING
    c.finish(number, 0, step=0, node="n2")
    assert (c.job(number).state, str(c.job(number).exit_status)) == (JobState.FAILED, "2:0")
    c.check()


def test_an_salloc_ends_when_its_client_says_so(c: Cluster) -> None:
    number = c.run(job(kind=JobKind.SALLOC))
    assert not c.orders(LaunchStep)
    c.ask(rq.CompleteJob(job=number, status=3 << 8))
    assert (c.job(number).state, str(c.job(number).exit_status)) == (JobState.FAILED, "3:0")
    c.check()


def test_a_batch_job_does_not_end_by_its_clients_word(c: Cluster) -> None:
    number = c.run(job())
    assert isinstance(c.ask(rq.CompleteJob(job=number)), Rejected)
    assert c.job(number).state is JobState.RUNNING


def test_interactive_jobs_are_not_requeued(c: Cluster) -> None:
    number = c.run(job(kind=JobKind.SALLOC))
    c.ask(rq.RequeueJobs(ids=(str(number),)))
    assert c.job(number).state is JobState.RUNNING


def test_a_step_that_cannot_be_made_fails_the_job(c: Cluster) -> None:
    number = c.add(job(kind=JobKind.SRUN, ntasks=1, nodes=1, step=srun(9)))
    c.cycle()
    assert (c.job(number).state, c.reason(number)) == (JobState.FAILED, Reason.JOB_LAUNCH_FAILURE)
    c.check()


def test_the_failure_to_launch_on_one_node_ends_the_step_everywhere(c: Cluster) -> None:
    number = c.run(job(kind=JobKind.SRUN, ntasks=8, nodes=2, step=srun(8)))
    c.finish(number, step=0, node="n1", cause=EndCause.LAUNCH_FAILED, message="no such file")
    assert [o.node for o in c.orders(SignalTasks)] == ["n2"]
    c.finish(number, signal=15, step=0, node="n2", cause=EndCause.CANCELLED)
    assert (c.job(number).state, c.reason(number)) == (JobState.FAILED, Reason.JOB_LAUNCH_FAILURE)
    c.check()


def test_parts_of_the_time_limit_are_told_where_mail_is_wanted() -> None:
    c = cluster(nodes("n1", cpus=4))
    number = c.run(job(time=100, mail_types=("TIME_LIMIT_50", "TIME_LIMIT_90")))
    told = [c.at(seconds).job(number).limit_told for seconds in (49, 51, 79, 91)]
    assert told == [0, 50, 50, 90]
    c.check()
