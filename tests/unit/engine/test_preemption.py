"""Who makes room for whom, when, and what becomes of both."""

from typing import Any

import pytest
from tests.accounts import limit, qos
from tests.builders import ANN, BATCH, ROOT, Cluster, cluster, job, nodes, srun

from corral.engine.engine import Engine
from corral.engine.state import ClusterState
from corral.model.cluster import Preemption
from corral.model.job import JobId, JobKind, JobState
from corral.model.partition import Partition
from corral.model.reason import Reason
from corral.model.step import StepKey
from corral.protocol import orders as od
from corral.protocol import reports as rp
from corral.protocol import requests as rq
from corral.protocol.events import JobRequeued
from corral.protocol.replies import WouldStart


def by_qos(
    names: str = "n1", cpus: int = 4, mode: str = "REQUEUE", low: dict[str, Any] | None = None, **fields: Any
) -> Cluster:
    """`high` may preempt `low`."""
    config = {name: fields.pop(name) for name in ("exempt_time", "strict_order", "send_user_signal") if name in fields}
    c = cluster(nodes(names, cpus=cpus), preemption=Preemption(type="qos", mode=mode, **config), **fields)
    qos(c, "low", **(low or {}))
    qos(c, "high", preempt=("=low",))
    return c


def by_tier(low: str = "", mode: str = "REQUEUE", names: str = "n1", share: str = "NO", **fields: Any) -> Cluster:
    partitions = (
        Partition(name="lo", default=True, preempt_mode=low, oversubscribe=share, **fields),
        Partition(name="hi", priority_tier=10),
    )
    return cluster(nodes(names, cpus=4), preemption=Preemption(type="partition_prio", mode=mode), partition=partitions)


def test_a_job_whose_qos_may_has_others_queued_again_and_gets_their_place() -> None:
    c = by_qos()
    low = c.run(job(cpus=4, qos="low"))
    high = c.add(job(cpus=4, qos="high"))
    c.cycle()
    assert c.states(low, high) == ["PENDING", "PENDING"]
    assert c.job(low).restarts == 1
    c.cycle()
    assert c.states(low, high) == ["PENDING", "RUNNING"]
    assert [event.ended.state for event in c.events if isinstance(event, JobRequeued)] == [JobState.PREEMPTED]
    c.check()


def test_its_steps_are_told_that_it_is_preempted() -> None:
    c = by_qos()
    c.cleans = False
    low = c.run(job(cpus=4, qos="low"))
    c.add(job(cpus=4, qos="high"))
    c.cycle()
    (order,) = c.orders(od.EndJob)
    assert (order.job, order.reason, order.kill_after) == (low, "preempted", 30.0)
    assert c.job(low).state is JobState.COMPLETING


def test_a_job_that_may_not_be_requeued_is_cancelled() -> None:
    c = by_qos()
    low = c.run(job(cpus=4, qos="low", requeue=False))
    c.add(job(cpus=4, qos="high"))
    c.cycle()
    assert c.job(low).state is JobState.PREEMPTED
    assert str(c.job(low).exit_status) == "0:15"


def test_the_mode_of_the_victims_qos_comes_before_the_clusters() -> None:
    c = by_qos(low={"preempt_mode": "cancel"})
    low = c.run(job(cpus=4, qos="low"))
    c.add(job(cpus=4, qos="high"))
    c.cycle()
    assert c.job(low).state is JobState.PREEMPTED


def test_priority_alone_preempts_nobody() -> None:
    c = by_qos()
    low = c.run(job(cpus=4, qos="low"))
    c.add(job(cpus=4, priority=10**9), by=ROOT)
    c.cycle()
    assert c.job(low).state is JobState.RUNNING


def test_nothing_is_preempted_for_a_job_that_would_still_not_fit() -> None:
    c = by_qos("n[1-2]")
    low = c.run(job(cpus=4, qos="low"))
    c.run(job(cpus=4))
    high = c.add(job(cpus=4, nodes=2, qos="high"))
    c.cycle()
    assert c.job(low).state is JobState.RUNNING
    assert c.reason(high) is Reason.RESOURCES


def test_no_more_are_preempted_than_must_be() -> None:
    c = by_qos("n[1-2]")
    lows = [c.run(job(cpus=1, qos="low")) for _ in range(8)]
    c.add(job(cpus=2, qos="high"))
    c.cycle()
    assert sum(c.job(one).restarts for one in lows) == 2


def test_one_large_job_goes_rather_than_many_small_ones() -> None:
    c = by_qos("n[1-2]")
    small = [c.run(job(cpus=1, qos="low")) for _ in range(4)]
    large = c.run(job(cpus=4, qos="low"))
    c.add(job(cpus=4, qos="high"))
    c.cycle()
    assert [c.job(one).restarts for one in (*small, large)] == [0, 0, 0, 0, 1]


def test_the_young_go_before_the_old() -> None:
    c = by_qos("n[1-2]")
    old = c.run(job(cpus=4, qos="low", time=10**6))
    c.at(3600)
    young = c.run(job(cpus=4, qos="low", time=10**6))
    c.at(3700)
    c.add(job(cpus=4, qos="high"))
    c.cycle()
    assert [c.job(one).restarts for one in (old, young)] == [0, 1]


def test_who_can_be_queued_again_goes_before_who_would_be_lost() -> None:
    c = by_qos("n[1-2]")
    old = c.run(job(cpus=4, qos="low", time=10**6))
    c.at(3600)
    lost = c.run(job(cpus=4, qos="low", requeue=False))
    c.add(job(cpus=4, qos="high"))
    c.cycle()
    assert c.states(old, lost) == ["PENDING", "RUNNING"]


def test_strict_order_has_those_of_the_lowest_qos_go_first() -> None:
    def first(strict: bool) -> list[int]:
        c = by_qos("n[1-2]", strict_order=strict)
        qos(c, "mid", priority=50)
        limit(c, "qos", "high", preempt=("+mid",))
        low = c.run(job(cpus=4, qos="low", time=10**6))
        c.at(3600)
        mid = c.run(job(cpus=4, qos="mid", time=10**6))
        c.add(job(cpus=4, qos="high"))
        c.cycle()
        return [c.job(one).restarts for one in (low, mid)]

    assert first(False) == [0, 1]
    assert first(True) == [1, 0]


def test_what_is_promised_nobody_else_gets() -> None:
    c = by_qos(low={"grace_time": 60})
    low = c.run(job(cpus=4, qos="low", time=10**6))
    high = c.add(job(cpus=4, qos="high"))
    c.cycle()
    urgent = c.add(job(cpus=1, qos="normal", priority=10**9))
    c.finish(low)
    c.cycle()
    assert c.states(high, urgent) == ["RUNNING", "PENDING"]


def test_what_the_promise_leaves_is_free_for_others_when_the_victim_is_gone() -> None:
    c = by_qos()
    c.run(job(cpus=4, qos="low"))
    high = c.add(job(cpus=2, qos="high"))
    c.cycle()
    other = c.add(job(cpus=2))
    c.cycle()
    assert c.states(high, other) == ["RUNNING", "RUNNING"]


def test_the_promise_ends_with_the_job() -> None:
    c = by_qos(low={"grace_time": 60})
    low = c.run(job(cpus=4, qos="low", time=10**6))
    high = c.add(job(cpus=4, qos="high"))
    c.cycle()
    c.cancel(high)
    c.finish(low)
    other = c.run(job(cpus=4))
    assert c.states(high, other) == ["CANCELLED", "RUNNING"]


def test_a_held_job_gives_its_promise_back() -> None:
    c = by_qos(low={"grace_time": 60})
    low = c.run(job(cpus=4, qos="low", time=10**6))
    high = c.add(job(cpus=4, qos="high"))
    c.cycle()
    c.ask(rq.HoldJobs(ids=(str(high),)))
    c.finish(low)
    c.run(job(cpus=4))
    assert c.job(high).promises == ()


def test_a_promise_on_a_node_that_is_gone_is_broken() -> None:
    c = by_qos("n[1-2]", low={"grace_time": 60})
    low = c.run(job(cpus=4, qos="low", time=10**6, nodelist="n1"))
    other = c.run(job(cpus=4, qos="low", time=10**6))
    high = c.add(job(cpus=4, qos="high"))
    c.cycle()
    where = c.job(high).expected_nodes
    c.ask(rq.UpdateNodes(nodes=where, state="drain", reason="x"), ROOT)
    c.cycle()
    c.cycle()
    assert c.job(high).expected_nodes not in ("", where)
    assert c.job(low).preempted is not None
    assert c.job(other).preempted is not None
    c.check()


def test_the_preemptor_is_expected_when_the_grace_is_over() -> None:
    c = by_qos(low={"grace_time": 60})
    c.run(job(cpus=4, qos="low", time=10**6))
    high = c.add(job(cpus=4, qos="high"))
    c.cycle()
    assert (c.job(high).expected_start, c.job(high).expected_nodes) == (c.now + 60, "n1")
    assert c.reason(high) is Reason.RESOURCES


# -- grace


def test_with_a_grace_time_steps_get_sigcont_and_sigterm_at_once_and_the_end_later() -> None:
    c = by_qos(low={"grace_time": 60})
    low = c.run(job(cpus=4, qos="low", time=10**6))
    c.add(job(cpus=4, qos="high"))
    c.cycle()
    assert [(one.signal, one.batch_too) for one in c.orders(od.SignalTasks)] == [(18, False), (15, False)]
    c.at(59.9).cycle()
    assert c.job(low).state is JobState.RUNNING
    c.at(60).cycle()
    assert c.job(low).restarts == 1


def test_a_jobs_own_signal_comes_before_the_end_of_its_grace() -> None:
    c = by_qos(low={"grace_time": 60})
    c.run(job(cpus=4, qos="low", time=10**6, signal=(10, 20, True)))
    c.add(job(cpus=4, qos="high"))
    c.cycle()
    c.orders(od.SignalTasks)
    c.at(39.9)
    assert c.orders(od.SignalTasks) == []
    c.at(40)
    assert [(one.signal, one.only_batch) for one in c.orders(od.SignalTasks)] == [(10, True)]


def test_send_user_signal_sends_it_at_once_in_the_place_of_sigterm() -> None:
    c = by_qos(low={"grace_time": 60}, send_user_signal=True)
    c.run(job(cpus=4, qos="low", time=10**6, signal=(10, 20, True)))
    c.add(job(cpus=4, qos="high"))
    c.cycle()
    assert [(one.signal, one.only_batch) for one in c.orders(od.SignalTasks)] == [(10, True)]
    c.at(59)
    assert c.orders(od.SignalTasks) == []


def test_a_script_that_ends_well_in_its_grace_is_completed() -> None:
    c = by_qos(low={"grace_time": 60})
    low = c.run(job(cpus=4, qos="low", time=10**6))
    c.add(job(cpus=4, qos="high"))
    c.cycle().finish(low)
    assert c.job(low).state is JobState.COMPLETED


@pytest.mark.parametrize("how", [{"code": 143}, {"signal": 15}])
def test_a_script_that_dies_of_the_signal_is_queued_again(how: dict[str, int]) -> None:
    c = by_qos(low={"grace_time": 60})
    low = c.run(job(cpus=4, qos="low", time=10**6))
    c.add(job(cpus=4, qos="high"))
    c.cycle().finish(low, **how)
    assert c.states(low) == ["PENDING"]
    assert c.job(low).restarts == 1


def test_a_controller_that_starts_anew_goes_on_with_the_grace() -> None:
    c = by_qos(low={"grace_time": 60})
    low = c.run(job(cpus=4, qos="low", time=10**6))
    high = c.add(job(cpus=4, qos="high"))
    c.cycle()
    c.orders(od.SignalTasks)
    c.engine = Engine(c.engine.config, ClusterState.load(c.state.dump()), term=2)
    c._take(c.engine.start(c.now))
    c.register(steps=(rp.KnownStep("n1", StepKey(JobId(low), BATCH, 0), False),))
    assert [one.signal for one in c.orders(od.SignalTasks)] == [18, 15]
    c.at(60).cycle()
    c.cycle()
    assert c.states(low, high) == ["PENDING", "RUNNING"]


# -- exempt


def test_a_job_has_its_guaranteed_time() -> None:
    c = by_qos(exempt_time=100.0)
    low = c.run(job(cpus=4, qos="low", time=10**6))
    c.add(job(cpus=4, qos="high"))
    c.cycle()
    assert c.job(low).restarts == 0
    assert c.engine.next_wake(c.now) <= c.now + 100
    c.at(100)
    assert c.engine.wants_cycle
    c.cycle()
    assert c.job(low).restarts == 1


def test_the_guaranteed_time_of_a_qos_comes_before_the_clusters() -> None:
    c = by_qos(exempt_time=100.0, low={"preempt_exempt_time": 0})
    low = c.run(job(cpus=4, qos="low"))
    c.add(job(cpus=4, qos="high"))
    c.cycle()
    assert c.job(low).restarts == 1


# -- partitions


def test_jobs_of_a_higher_tier_preempt_those_of_a_lower_one() -> None:
    c = by_tier()
    low = c.run(job(cpus=4))
    high = c.add(job(cpus=4, partition="hi"))
    c.cycle()
    c.cycle()
    assert c.states(low, high) == ["PENDING", "RUNNING"]


def test_a_partition_with_mode_off_keeps_its_jobs() -> None:
    c = by_tier(low="OFF")
    low = c.run(job(cpus=4))
    c.add(job(cpus=4, partition="hi"))
    c.cycle()
    assert c.states(low) == ["RUNNING"]


def test_the_grace_time_is_the_partitions() -> None:
    c = by_tier(low="CANCEL", grace_time=20)
    low = c.run(job(cpus=4, time=10**6))
    c.add(job(cpus=4, partition="hi"))
    c.cycle()
    c.at(20)
    assert c.states(low) == ["PREEMPTED"]


# -- arrays, heterogeneous jobs, several at once


def test_elements_of_an_array_preempt_each_for_itself() -> None:
    c = by_qos("n[1-2]", low={"grace_time": 30})
    lows = [c.run(job(cpus=4, qos="low", time=10**6)) for _ in range(2)]
    array = c.add(job(cpus=4, qos="high", array="0-2"))
    c.cycle()
    assert [one.element for one in c.job(array).promises] == [0, 1]
    c.at(30).cycle()
    c.cycle()
    assert c.states(*lows) == ["PENDING", "PENDING"]
    assert [c.element(array, i).state for i in range(3)] == [JobState.RUNNING, JobState.RUNNING, JobState.PENDING]
    c.check()


def test_all_components_of_a_heterogeneous_job_go_together() -> None:
    c = by_qos("n[1-2]", low={"preempt_mode": "cancel"})
    specs = [job(cpus=4, qos="low"), job(cpus=4, qos="low")]
    c.ask(rq.SubmitJobs(jobs=tuple(rq.NewJob(spec=spec) for spec in specs), het=True), ANN)
    c.cycle()
    c.add(job(cpus=4, qos="high"))
    c.cycle()
    assert c.states(1, 2) == ["PREEMPTED", "PREEMPTED"]


def test_a_het_job_stays_when_one_of_its_components_may() -> None:
    c = by_qos("n[1-2]")
    specs = [job(cpus=4, qos="low"), job(cpus=4)]
    c.ask(rq.SubmitJobs(jobs=tuple(rq.NewJob(spec=spec) for spec in specs), het=True), ANN)
    c.cycle()
    c.add(job(cpus=4, qos="high"))
    c.cycle()
    assert c.states(1, 2) == ["RUNNING", "RUNNING"]


def test_a_second_preemptor_takes_others() -> None:
    c = by_qos("n[1-2]", low={"grace_time": 30})
    lows = [c.run(job(cpus=4, qos="low", time=10**6)) for _ in range(2)]
    c.submit(job(cpus=4, qos="high"), job(cpus=4, qos="high"))
    c.cycle()
    assert all(c.job(one).preempted is not None for one in lows)
    c.at(30).cycle()
    c.cycle()
    assert sorted(c.states(3, 4)) == ["RUNNING", "RUNNING"]


def test_who_is_about_to_be_gone_anyhow_is_waited_for() -> None:
    c = by_qos("n[1-2]")
    c.cleans = False
    ends = c.run(job(cpus=4))
    low = c.run(job(cpus=4, qos="low"))
    c.cancel(ends)
    c.add(job(cpus=4, qos="high"))
    c.cycle()
    assert c.job(low).state is JobState.RUNNING


def test_an_srun_of_its_own_is_cancelled() -> None:
    c = by_qos()
    low = c.run(job(cpus=4, qos="low", kind=JobKind.SRUN, step=srun()))
    c.add(job(cpus=4, qos="high"))
    c.cycle()
    assert c.states(low) == ["PREEMPTED"]


# -- within one QOS


def test_within_a_qos_the_higher_priority_preempts_the_lower() -> None:
    c = by_qos(low={"preempt_mode": "requeue,within"})
    jobs = []
    for priority in (10, 20, 30):
        jobs.append(c.add(job(cpus=4, qos="low", priority=priority), by=ROOT))
        c.cycle().cycle()
    assert c.states(*jobs) == ["PENDING", "PENDING", "RUNNING"]


def test_nobody_preempts_a_job_that_it_has_made_room_for() -> None:
    c = by_qos(low={"preempt_mode": "requeue,within"})
    first = c.add(job(cpus=4, qos="low", priority=10), by=ROOT)
    c.cycle()
    second = c.add(job(cpus=4, qos="low", priority=20), by=ROOT)
    c.cycle().cycle()
    c.ask(rq.UpdateJob(id=str(first), changes={"priority": "99"}), ROOT)
    c.cycle().cycle()
    assert c.states(first, second) == ["PENDING", "RUNNING"]


# -- suspend


def test_a_suspended_job_lends_its_cpus_and_goes_on_afterwards() -> None:
    c = by_tier(low="SUSPEND", mode="SUSPEND,GANG", share="FORCE:1")
    low = c.run(job(cpus=4, memory_per_node_mb=300))
    high = c.add(job(cpus=4, partition="hi", memory_per_node_mb=300))
    c.cycle()
    assert c.states(low) == ["SUSPENDED"]
    c.cycle()
    assert c.states(low, high) == ["SUSPENDED", "RUNNING"]
    assert c.state.ledger.free_memory[0] == 400
    c.check()
    assert [one.thaw for one in c.orders(od.SuspendJob)] == [False]
    c.at(10).finish(high).cycle()
    assert c.states(low) == ["RUNNING"]
    assert c.job(low).suspended_seconds == 10
    assert [one.thaw for one in c.orders(od.SuspendJob)] == [True]
    c.check()


def test_a_suspended_jobs_cpus_are_not_for_those_who_may_not_preempt_it() -> None:
    c = by_tier(low="SUSPEND", mode="SUSPEND,GANG", share="FORCE:1")
    low = c.run(job(cpus=4))
    high = c.add(job(cpus=4, partition="hi"))
    c.cycle().cycle()
    other = c.add(job(cpus=4))
    c.finish(high).cycle()
    assert c.states(low, other) == ["RUNNING", "PENDING"]


def test_the_next_preemptor_comes_before_the_suspended_one_goes_on() -> None:
    c = by_tier(low="SUSPEND", mode="SUSPEND,GANG", share="FORCE:1")
    low = c.run(job(cpus=4))
    high = c.add(job(cpus=4, partition="hi"))
    c.cycle().cycle()
    again = c.add(job(cpus=4, partition="hi"))
    c.cycle()
    c.finish(high).cycle()
    c.cycle()
    assert c.states(low, again) == ["SUSPENDED", "RUNNING"]
    c.finish(again).cycle()
    assert c.states(low) == ["RUNNING"]
    assert [one.thaw for one in c.orders(od.SuspendJob)] == [False, True]


def test_nobody_is_suspended_where_cpus_are_not_shared() -> None:
    c = by_tier(low="SUSPEND", mode="SUSPEND,GANG")
    low = c.run(job(cpus=4))
    c.add(job(cpus=4, partition="hi"))
    c.cycle()
    assert c.states(low) == ["RUNNING"]


def test_a_suspended_job_can_be_cancelled() -> None:
    c = by_tier(low="SUSPEND", mode="SUSPEND,GANG", share="FORCE:1")
    low = c.run(job(cpus=4))
    c.add(job(cpus=4, partition="hi"))
    c.cycle().cycle()
    c.cancel(low)
    assert c.states(low) == ["CANCELLED"]
    c.check()


def test_promises_survive_a_restart() -> None:
    c = by_qos(low={"grace_time": 60})
    c.run(job(cpus=4, qos="low", time=10**6))
    high = c.add(job(cpus=4, qos="high"))
    c.cycle()
    loaded = ClusterState.load(c.state.dump())
    assert loaded.jobs[JobId(high)].promises == c.job(high).promises
    assert BATCH in loaded.steps[JobId(1)]


# -- --test-only


def test_test_only_says_who_would_have_to_go_and_changes_nothing() -> None:
    c = by_qos("n[1-2]", low={"grace_time": 60})
    lows = [c.run(job(cpus=4, qos="low", time=10**6)) for _ in range(2)]
    before = len(c.events)
    wanted = rq.NewJob(spec=job(cpus=4, nodes=2, qos="high"))
    reply = c.ask(rq.SubmitJobs(jobs=(wanted,), test_only=True))
    assert isinstance(reply, WouldStart)
    assert (reply.start, reply.preempts, reply.nodes) == (c.now + 60, tuple(lows), "n[1-2]")
    assert len(c.events) == before


def test_test_only_preempts_nobody_when_there_is_room() -> None:
    c = by_qos("n[1-2]")
    c.run(job(cpus=4, qos="low"))
    reply = c.ask(rq.SubmitJobs(jobs=(rq.NewJob(spec=job(cpus=4, qos="high")),), test_only=True))
    assert isinstance(reply, WouldStart)
    assert (reply.start, reply.preempts) == (c.now, ())


def test_of_very_many_who_preempt_each_cycle_serves_some() -> None:
    c = by_qos("n1", cpus=400)
    lows = [c.run(job(cpus=1, qos="low")) for _ in range(400)]
    for _ in range(200):
        c.submit(job(cpus=2, qos="high"))
    c.cycle()
    assert c.engine.wants_cycle
    assert 0 < sum(c.job(one).restarts for one in lows) < 400
    for _ in range(5):
        c.cycle()
    assert sum(c.job(one).restarts for one in lows) == 400
    assert len(c.running()) == 200


def test_a_job_that_is_suspended_in_its_grace_goes_all_the_same() -> None:
    c = by_qos(low={"grace_time": 60})
    low = c.run(job(cpus=4, qos="low"))
    c.add(job(cpus=4, qos="high"))
    c.cycle()
    c.ask(rq.SuspendJobs(ids=(str(low),)), ROOT)
    assert c.states(low) == ["SUSPENDED"]
    c.at(59)
    assert c.states(low) == ["SUSPENDED"]
    c.at(61)
    assert c.states(low) == ["PENDING"]
    c.check()
