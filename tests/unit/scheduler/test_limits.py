from typing import Any

import pytest
from tests.builders import ANN, BOB, OPERATOR, Cluster, cluster, job, nodes

from corral.model.job import UNLIMITED, JobSpec, JobState
from corral.model.partition import Partition
from corral.model.reason import Reason
from corral.protocol import requests as rq
from corral.protocol.replies import Rejected


def limited(names: str = "n[1-2]", **fields: Any) -> Cluster:
    return cluster(nodes(names), partition=(Partition(name="batch", default=True, **fields),))


def change(c: Cluster, **changes: str) -> None:
    c.ask(rq.UpdatePartition(name="batch", changes=changes), OPERATOR)


@pytest.mark.parametrize(
    ("limits", "spec", "reason"),
    [
        ({"max_time": 60}, job(time=61), Reason.PARTITION_TIME_LIMIT),
        ({"max_time": 60}, job(time=UNLIMITED), Reason.PARTITION_TIME_LIMIT),
        ({"max_nodes": 1}, job(nodes=2), Reason.PARTITION_NODE_LIMIT),
        ({"min_nodes": 2}, job(nodes=1), Reason.PARTITION_NODE_LIMIT),
        ({"max_memory_per_node_mb": 500}, job(memory_per_node_mb=501), Reason.MAX_MEM_PER_LIMIT),
        ({"max_memory_per_node_mb": 500}, job(2, memory_per_cpu_mb=251), Reason.MAX_MEM_PER_LIMIT),
    ],
)  # fmt: skip
def test_a_job_beyond_a_limit_waits_and_says_which(limits: dict[str, Any], spec: JobSpec, reason: Reason) -> None:
    c = limited(**limits)
    waiting = c.add(spec)
    assert c.cycle().reason(waiting) is reason
    assert c.run(job(nodes=2) if "min_nodes" in limits else job(time=60)) == 2
    c.check()


def test_it_starts_when_the_limit_is_raised() -> None:
    c = limited(max_time=60, max_nodes=1)
    waiting = c.add(job(time=600, nodes=2))
    assert c.cycle().reason(waiting) is Reason.PARTITION_TIME_LIMIT
    change(c, maxtime="10")
    assert c.cycle().reason(waiting) is Reason.PARTITION_NODE_LIMIT
    change(c, maxnodes="UNLIMITED")
    assert c.cycle().running() == [waiting]


def test_the_limit_is_the_default_time() -> None:
    c = limited(max_time=60)
    assert c.job(c.run(job(time=None))).time_limit == 60
    c = limited(max_time=60, default_time=90)
    assert c.job(c.run(job(time=None))).time_limit == 60


def test_a_job_that_may_be_shorter_can_fit_the_limit_of_time() -> None:
    c = limited(max_time=60)
    waiting = c.add(job(time=600, time_min=30))
    assert c.job(waiting).is_pending
    assert c.cycle().job(waiting).time_limit == 60


def test_another_of_its_partitions_may_allow_it() -> None:
    short, long = Partition(name="short", max_time=60, default=True), Partition(name="long")
    c = cluster(nodes("n1"), partition=(short, long))
    assert c.job(c.run(job(time=100, partition="short,long"))).partition == "long"


def test_a_job_gets_at_least_the_least_nodes_and_at_most_the_most() -> None:
    c = limited("n[1-4]", min_nodes=2, max_nodes=3)
    assert len(c.where(c.run(job()))) == 2
    c = limited("n[1-4]", max_nodes=3)
    assert len(c.where(c.run(job(nodes=(1, 4))))) == 3


def test_jobs_of_a_partition_leave_cpus_of_each_node_to_others() -> None:
    low, high = Partition(name="low", max_cpus_per_node=3, default=True), Partition(name="high")
    c = cluster(nodes("n1"), partition=(low, high))
    c.run(job(2))
    waiting = c.add(job(2))
    assert c.cycle().job(waiting).is_pending
    c.run(job(1))
    c.run(job(1, partition="high"))
    assert c.finish(1).cycle().job(waiting).is_active
    assert isinstance(c.ask(rq.SubmitJobs(jobs=(rq.NewJob(spec=job(4)),))), Rejected)
    c.check()


def test_jobs_in_a_higher_tier_are_considered_first() -> None:
    low, high = Partition(name="low", default=True), Partition(name="high", priority_tier=2)
    c = cluster(nodes("n1"), partition=(low, high))
    c.run(job(4))
    c.submit(job(4), job(4, partition="high", nice=1000))
    assert c.finish(1).cycle().running() == [3]


def test_a_node_has_one_user_only() -> None:
    c = limited(exclusive_user=True)
    first = c.run(job(1), by=ANN)
    second = c.run(job(1), by=BOB)
    third = c.run(job(1), by=ANN)
    assert (c.where(first), c.where(second), c.where(third)) == ({"n1": 1}, {"n2": 1}, {"n1": 1})
    c.finish(second).finish(first)
    waiting = c.add(job(nodes=2), by=BOB)
    assert c.cycle().job(waiting).is_pending
    assert c.finish(third).cycle().running() == [waiting]
    c.check()


def test_least_loaded_nodes() -> None:
    c = limited(lln=True)
    assert [c.where(c.run(job(1))) for _ in range(3)] == [{"n1": 1}, {"n2": 1}, {"n1": 1}]


def test_a_partition_of_whole_nodes() -> None:
    c = limited(oversubscribe="EXCLUSIVE")
    assert [c.cpus(c.run(job(1))) for _ in range(2)] == [{"n1": 4}, {"n2": 4}]


@pytest.mark.parametrize(
    ("limits", "allowed", "refused"),
    [
        ({"deny_accounts": ("physics",)}, {"account": "biology"}, {"account": "physics"}),
        ({"allow_qos": ("high",)}, {"qos": "high"}, {"qos": "low"}),
        ({"allow_qos": ("high",)}, {"qos": "high"}, {}),
    ],
)
def test_who_may_not_use_a_partition_waits_and_reads_why(
    limits: dict[str, Any], allowed: dict[str, str], refused: dict[str, str]
) -> None:
    c = limited(**limits)
    first, second = c.add(job(**allowed)), c.add(job(**refused))  # type: ignore[arg-type]
    c.cycle()
    assert c.job(first).state is JobState.RUNNING
    assert c.job(second).reason in (Reason.ACCOUNT_NOT_ALLOWED, Reason.QOS_NOT_ALLOWED)
    assert "not permitted to use this partition (batch" in c.job(second).reason_text


def test_what_is_not_there_yet_is_refused() -> None:
    c = limited()
    assert isinstance(c.ask(rq.UpdatePartition(name="batch", changes={"gracetime": "-1"}), OPERATOR), Rejected)
    assert isinstance(
        c.ask(rq.UpdatePartition(name="batch", changes={"oversubscribe": "SOMETIMES"}), OPERATOR), Rejected
    )
    change(c, gracetime="0", oversubscribe="exclusive")
    assert c.cpus(c.run(job(1))) == {"n1": 4}
