"""Jobs that have the same CPUs take turns where PreemptMode has GANG."""

from tests.builders import ANN, OPERATOR, Cluster, cluster, job, nodes

from corral.engine.engine import Engine
from corral.engine.state import ClusterState
from corral.model.cluster import Preemption
from corral.model.partition import Partition
from corral.protocol import orders as od
from corral.protocol import requests as rq


def turns(share: str = "FORCE:2", mode: str = "GANG", names: str = "n1", kind: str = "none") -> Cluster:
    partitions = (
        Partition(name="batch", default=True, oversubscribe=share),
        Partition(name="hi", priority_tier=10),
    )
    preemption = Preemption(mode=mode, time_slice=30, type=kind)  # type: ignore[arg-type]
    return cluster(nodes(names, cpus=4), preemption=preemption, partition=partitions)


def two(c: Cluster) -> tuple[int, int]:
    first, second = c.add(job(cpus=4, time=10**6)), c.add(job(cpus=4, time=10**6))
    c.cycle()
    return first, second


def test_the_second_waits_for_its_turn_and_each_has_the_cpus_for_a_slice() -> None:
    c = turns()
    first, second = two(c)
    assert c.states(first, second) == ["RUNNING", "SUSPENDED"]
    assert c.engine.next_wake(c.now) <= c.now + 30
    c.at(30)
    assert c.states(first, second) == ["SUSPENDED", "RUNNING"]
    c.at(60)
    assert c.states(first, second) == ["RUNNING", "SUSPENDED"]
    assert [(one.job, one.thaw) for one in c.orders(od.SuspendJob)] == [
        (second, False), (second, True), (first, False), (first, True), (second, False),
    ]  # fmt: skip
    assert (c.job(first).suspended_seconds, c.job(second).suspended_seconds) == (30, 30)
    c.check()


def test_without_gang_they_run_side_by_side() -> None:
    c = turns(mode="OFF")
    assert c.states(*two(c)) == ["RUNNING", "RUNNING"]


def test_who_waits_goes_on_at_once_when_the_other_ends() -> None:
    c = turns()
    first, second = two(c)
    c.at(10).finish(first).cycle()
    assert c.states(second) == ["RUNNING"]
    c.at(40)
    assert c.states(second) == ["RUNNING"]


def test_jobs_on_cpus_of_their_own_do_not_wait() -> None:
    c = turns(names="n[1-2]")
    assert c.states(*two(c)) == ["RUNNING", "RUNNING"]
    third = c.add(job(cpus=4, time=10**6))
    c.cycle()
    assert c.states(1, 2, third).count("SUSPENDED") == 1
    c.at(30)
    assert c.states(1, 2, third).count("SUSPENDED") == 1


def test_all_of_three_get_a_turn() -> None:
    c = turns(share="FORCE:3")
    jobs = [c.add(job(cpus=4, time=10**6)) for _ in range(3)]
    c.cycle()
    ran = set()
    for slice_number in range(3):
        c.at(30 * slice_number)
        running = [one for one in jobs if c.states(one) == ["RUNNING"]]
        assert len(running) == 1
        ran.update(running)
    assert ran == set(jobs)


def test_suspended_time_does_not_count_against_the_limit() -> None:
    c = turns()
    first, second = c.add(job(cpus=4, time=50)), c.add(job(cpus=4, time=50))
    c.cycle()
    for seconds in (30, 60, 79):
        c.at(seconds)
    assert c.states(first, second) == ["RUNNING", "SUSPENDED"]
    c.at(80)
    assert c.states(first) == ["TIMEOUT"]


def test_one_that_somebody_has_suspended_takes_no_turns() -> None:
    c = turns()
    first, second = two(c)
    c.ask(rq.SuspendJobs(ids=(str(second),)), OPERATOR)
    c.at(30)
    assert c.states(first, second) == ["RUNNING", "SUSPENDED"]
    c.ask(rq.ResumeJobs(ids=(str(second),)), OPERATOR)
    c.cycle()
    assert c.states(first, second) == ["RUNNING", "SUSPENDED"]


def test_one_that_waits_for_its_turn_is_not_resumed_by_hand() -> None:
    c = turns()
    first, second = two(c)
    reply = c.ask(rq.ResumeJobs(ids=(str(second),)), OPERATOR)
    assert "disabled" in str(reply)
    assert c.states(first, second) == ["RUNNING", "SUSPENDED"]


def test_one_that_waits_can_be_cancelled() -> None:
    c = turns()
    first, second = two(c)
    c.cancel(second, by=ANN)
    assert c.states(first, second) == ["RUNNING", "CANCELLED"]
    c.check()


def test_turns_go_on_after_a_restart() -> None:
    c = turns()
    first, second = two(c)
    c.engine = Engine(c.engine.config, ClusterState.load(c.state.dump()), term=2)
    c._take(c.engine.start(c.now))
    for seconds in (1, 31, 61):
        c.at(seconds).cycle()
        assert sorted(c.states(first, second)) == ["RUNNING", "SUSPENDED"]


def test_a_job_of_a_higher_tier_suspends_all_that_share_its_cpus() -> None:
    c = turns(mode="SUSPEND,GANG", kind="partition_prio")
    first, second = two(c)
    high = c.add(job(cpus=4, partition="hi"))
    c.cycle().cycle()
    assert c.states(first, second, high) == ["SUSPENDED", "SUSPENDED", "RUNNING"]
    c.at(40)
    assert c.states(first, second, high) == ["SUSPENDED", "SUSPENDED", "RUNNING"]
    c.check()
    c.finish(high).cycle()
    c.cycle()
    assert sorted(c.states(first, second)) == ["RUNNING", "SUSPENDED"]
    c.check()
