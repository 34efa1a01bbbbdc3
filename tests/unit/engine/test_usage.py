"""What is charged to whom: it grows while jobs run, halves with time, and is the same after a restart."""

import pytest
from tests.accounts import account, change, done, limit, qos, user
from tests.builders import BOB, ROOT, Cluster, cluster, job, nodes

from corral.engine.rules import bucket_of
from corral.engine.state import ClusterState
from corral.model.cluster import Accounting, Preemption, PriorityWeights
from corral.model.partition import Partition
from corral.protocol import requests as rq

HALF = 1000.0


def charged(half_life: float = 0.0) -> Cluster:
    c = cluster(nodes("n[1-4]", cpus=16, gpus=4), priority=PriorityWeights(decay_half_life=half_life, fair_share=1000))
    account(c, "physics")
    account(c, "chem", parent="physics")
    user(c, "ann", "chem")
    user(c, "bob", "chem")
    return c


def used(c: Cluster, account: str, user: str = "", resource: str = "billing") -> float:
    one = c.state.books.find(account, user) if user else c.state.books.account_of(account)
    assert one is not None
    return c.state.meter.used(bucket_of(one.id), c.now).seconds.get(resource, 0.0)


def test_a_job_is_charged_while_it_runs_up_to_the_root() -> None:
    """Four CPUs, and two GPUs that count as 16 each."""
    c = charged()
    running = c.run(job(4, gpus=2, time=10000))
    c.at(100)
    assert [used(c, name) for name in ("chem", "physics", "root")] == [3600.0] * 3
    assert (used(c, "chem", "ann"), used(c, "chem", "bob")) == (3600.0, 0.0)
    assert used(c, "chem", resource="gres/gpu") == 200.0
    c.finish(running)
    c.at(500)
    assert used(c, "chem") == 3600.0


def test_what_was_used_halves() -> None:
    c = charged(HALF)
    running = c.run(job(1, time=100000))
    c.at(1).finish(running)
    once = used(c, "chem")
    c.at(1 + HALF)
    assert used(c, "chem") == pytest.approx(once / 2)


def test_a_job_that_runs_for_ever_uses_as_much_as_decays() -> None:
    c = charged(HALF)
    c.run(job(1, time=None))
    c.at(100 * HALF)
    assert used(c, "chem") == pytest.approx(HALF / 0.6931471805599453, rel=1e-6)


def test_a_suspended_job_is_not_charged() -> None:
    c = charged()
    running = c.run(job(1, time=10000))
    c.at(10).ask(rq.SuspendJobs(ids=(str(running),)), ROOT)
    c.at(1000)
    assert used(c, "chem") == pytest.approx(10.0)


def test_a_qos_says_what_its_time_costs() -> None:
    c = charged()
    qos(c, "cheap", usage_factor=0.5)
    limit(c, "user", "ann", qos=("+cheap",))
    c.run(job(2, qos="cheap", time=10000))
    c.at(100)
    assert used(c, "chem") == 100.0


def test_a_partition_says_what_its_resources_cost() -> None:
    weights = {"cpu": 1.0, "mem": 2.0, "gres/gpu": 10.0}
    c = cluster(
        nodes("n1", cpus=16, gpus=4, memory=4096),
        priority=PriorityWeights(decay_half_life=0.0),
        partition=(Partition(name="batch", default=True, billing_weights=weights),),
        accounting=Accounting(enforce=("limits",)),
    )
    account(c, "chem", grp_tres={"billing": 40})
    user(c, "ann", "chem")
    running = c.run(job(2, gpus=3, memory_per_node_mb=2048, time=10000))
    assert c.job(running).allocation.billed == 2 + 2 * 2 + 3 * 10  # type: ignore[union-attr]
    waits = c.add(job(1, gpus=1))
    c.cycle()
    assert c.reason(waits) == "AssocGrpBilling"
    c.at(10)
    assert used(c, "chem") == 360.0
    c.check()


def test_usage_can_be_forgotten() -> None:
    c = charged()
    c.run(job(1, time=10000))
    c.run(job(1, time=10000), BOB)
    c.at(100)
    done(change(c, "reset", "user", {"names": ("ann",), "accounts": ("chem",)}))
    assert (used(c, "chem", "ann"), used(c, "chem", "bob"), used(c, "root")) == (0.0, 100.0, 100.0)
    done(change(c, "reset", "account", {"names": ("chem",)}))
    assert (used(c, "chem", "bob"), used(c, "chem"), used(c, "root")) == (0.0, 0.0, 0.0)


def test_a_restart_finds_the_same() -> None:
    c = charged(HALF)
    c.run(job(2, time=10000))
    c.at(50)
    c.run(job(1, time=10000), BOB)
    again = ClusterState.load(c.state.dump())
    c.check()
    for one in c.state.books.associations:
        assert again.meter.used(bucket_of(one), c.now + 500) == c.state.meter.used(bucket_of(one), c.now + 500)


def test_who_has_used_less_stands_further_in_front() -> None:
    c = charged(HALF)
    c.run(job(4, time=10000))
    c.at(100)
    first, second = c.add(job(16, nodes=4)), c.add(job(16, nodes=4), BOB)
    assert c.job(second).priority > c.job(first).priority


def test_priorities_follow_usage_while_jobs_wait() -> None:
    c = charged(HALF)
    for _ in range(4):
        c.run(job(16, time=10000))
    anns, bobs = c.add(job(16)), c.add(job(16), BOB)
    c.cycle()
    c.at(60)
    assert c.job(bobs).priority > c.job(anns).priority
    assert [key[2] for key in c.state.queue] == [bobs, anns]


def preempting(half_life: float = 0.0, grace: int = 0) -> Cluster:
    """Ann's jobs of QOS `low` make room for Bob's of `high`."""
    c = cluster(
        nodes("n1", cpus=4), priority=PriorityWeights(decay_half_life=half_life, fair_share=1000),
        preemption=Preemption(type="qos", mode="REQUEUE"),
    )  # fmt: skip
    account(c, "chem")
    qos(c, "low", grace_time=grace)
    qos(c, "high", preempt=("=low",))
    for name in ("ann", "bob"):
        user(c, name, "chem", qos=("+low", "+high", "+normal"))
    return c


@pytest.mark.parametrize("half_life", [0.0, HALF])
def test_the_time_of_a_preempted_run_is_charged_to_nobody(half_life: float) -> None:
    c = preempting(half_life)
    first = c.run(job(4, time=10000))
    c.at(500).finish(first)
    before = used(c, "chem", "ann")
    c.run(job(4, time=10000, qos="low"))
    c.at(1500)
    assert used(c, "chem", "ann") > before
    c.add(job(4, time=10000, qos="high"), by=BOB)
    c.cycle()
    decayed = before * (0.5 if half_life else 1.0)
    assert used(c, "chem", "ann") == pytest.approx(decayed)
    assert used(c, "chem") == pytest.approx(decayed)
    assert c.state.meter.used(("qos", "low"), c.now).seconds.get("billing", 0.0) == pytest.approx(0.0, abs=1e-6)
    c.check()


def test_one_that_dies_in_its_grace_time_is_not_charged_either() -> None:
    c = preempting(grace=60)
    low = c.run(job(4, time=10000, qos="low"))
    c.at(100)
    c.add(job(4, time=10000, qos="high"), by=BOB)
    c.cycle()
    c.at(120).finish(low, signal=15)
    assert used(c, "chem", "ann") == 0.0


def test_what_was_forgotten_is_not_given_back() -> None:
    c = preempting()
    c.run(job(2, time=10000, qos="normal"))
    c.run(job(2, time=10000, qos="low"))
    c.at(100)
    done(change(c, "reset", "account", {"names": ("chem",)}))
    c.at(200)
    c.add(job(2, time=10000, qos="high"), by=BOB)
    c.cycle()
    assert used(c, "chem", "ann") == 200.0
    assert used(c, "chem") == 200.0
