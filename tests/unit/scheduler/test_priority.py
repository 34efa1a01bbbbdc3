"""What makes a job stand further in front."""

from typing import Any

import pytest
from tests.accounts import account, limit, qos, user
from tests.builders import ANN, BOB, OPERATOR, ROOT, Cluster, cluster, gpus, job, node, nodes

from corral.engine import ranking
from corral.model.cluster import Accounting, PriorityWeights
from corral.model.partition import Partition
from corral.protocol import requests as rq
from corral.scheduler import priority
from corral.scheduler.priority import BASE_PRIORITY


def weighing(names: str = "n[1-4]", **weights: Any) -> Cluster:
    c = cluster(nodes(names), priority=PriorityWeights(**weights))
    c.submit(job(4, nodes=4, time=10**6)).cycle()
    return c


def priorities(c: Cluster, *jobs: int) -> list[int]:
    return [c.job(job_id).priority for job_id in jobs]


def test_without_weights_there_is_one_priority_lowered_by_nice() -> None:
    c = weighing()
    c.submit(job(), job(4, nodes=4), job(nice=100))
    assert priorities(c, 2, 3, 4) == [BASE_PRIORITY, BASE_PRIORITY, BASE_PRIORITY - 100]
    assert priorities(c.at(1000), 2) == [BASE_PRIORITY]


def test_a_job_gets_older_until_the_greatest_age() -> None:
    c = weighing(age=1000, max_age=100.0)
    c.submit(job(4))
    assert priorities(c, 2) == [1]
    assert priorities(c.at(50), 2) == [500]
    assert priorities(c.at(70), 2) == [500]
    assert priorities(c.at(85), 2) == [850]
    assert priorities(c.at(500), 2) == [1000]
    assert c.state.queue == [(-1000, 1000.0, 2)]


def test_age_counts_from_when_it_could_have_started() -> None:
    c = weighing(age=1000, max_age=100.0)
    c.submit(job(4, begin_time=1050.0), job(4, dependency="afterany:1"), job(4, hold=True))
    assert priorities(c.at(60).cycle().at(100), 2, 3, 4) == [500, 1, 0]


def test_aged_jobs_start_in_the_new_order() -> None:
    c = cluster(nodes("n1"), priority=PriorityWeights(age=1000, job_size=100, max_age=100.0))
    c.submit(job(4, time=10**6)).cycle()
    small = c.add(job(1))
    big = c.at(60).add(job(4))
    assert priorities(c.at(91), small, big) == [972, 410]
    assert c.finish(1).cycle().running() == [small]


def test_large_jobs_stand_in_front_when_size_weighs() -> None:
    c = weighing(job_size=1000)
    c.submit(job(1), job(4, nodes=2), job(4, nodes=4))
    assert priorities(c, 2, 3, 4) == [156, 500, 1000]


def test_the_partition_weighs_beside_the_largest_factor() -> None:
    low, high = Partition(name="low", default=True), Partition(name="high", priority_job_factor=4)
    c = cluster(nodes("n1"), partition=(low, high), priority=PriorityWeights(partition=1000))
    c.submit(job(), job(partition="high"), job(partition="low,high"))
    assert priorities(c, 1, 2, 3) == [250, 1000, 1000]
    c.ask(rq.UpdateJob(id="1", changes={"partition": "high"}), ROOT)
    assert priorities(c, 1) == [1000]


def test_what_is_asked_for_weighs_as_its_share() -> None:
    weights = PriorityWeights(tres={"cpu": 100, "mem": 1000, "gres/gpu": 10000})
    c = cluster(node("n1", cpus=4, memory=1000, gpus=8), priority=weights)
    c.submit(job(2), job(1, memory_per_node_mb=500), job(1, gres=gpus(4)), job(1, gpus=gpus(2)))
    assert priorities(c, 1, 2, 3, 4) == [50, 525, 5025, 2525]


def test_nice_is_taken_off_and_priority_is_never_nothing() -> None:
    c = weighing(job_size=1000)
    c.submit(job(4, nodes=4, nice=100), job(1, nice=10**6))
    assert priorities(c, 2, 3) == [900, 1]
    c.ask(rq.UpdateJob(id="2", changes={"nice": "300"}), ANN)
    assert priorities(c, 2) == [700]
    c.ask(rq.UpdateJob(id="2", changes={"nice": "0"}), ANN)  # what its owner has taken off may come back
    assert priorities(c, 2) == [1000]
    c.ask(rq.UpdateJob(id="2", changes={"nice": "-100"}), ANN)
    assert priorities(c, 2) == [1000]
    c.ask(rq.UpdateJob(id="2", changes={"nice": "-100"}), OPERATOR)
    assert priorities(c, 2) == [1100]


def test_a_priority_that_was_set_does_not_change_until_it_is_released() -> None:
    c = weighing(age=1000, max_age=100.0)
    c.submit(job(4, priority=77), by=ROOT)
    c.submit(job(4))
    c.ask(rq.UpdateJob(id="3", changes={"priority": "88"}), ROOT)
    assert priorities(c.at(100), 2, 3) == [77, 88]
    c.ask(rq.HoldJobs(ids=("2",)), ROOT)
    c.ask(rq.ReleaseJobs(ids=("2",)), ROOT)
    assert priorities(c.at(200), 2) == [1000]


# -- beside what sprio of the real one showed of the same jobs

PLAIN = {"cpu": 1.0}  # as Slurm charges where nothing is said
HALF = Partition(name="half", nodes="n[1-2]", priority_job_factor=5, billing_weights=PLAIN)
THIRD = Partition(name="third", nodes="n1", priority_job_factor=10, max_time=3600, billing_weights=PLAIN)
SIX = {"age": 1000, "assoc": 1000, "fair_share": 1000, "job_size": 1000, "qos": 1000, "partition": 1000}
TRES = {"cpu": 1000, "mem": 2000, "gres/gpu": 3000, "billing": 50}
MEM = {"memory_per_node_mb": 64000}


def physics(**weights: Any) -> Cluster:
    """root > physics (priority 5) > chem, bio (priority 2); ann in chem, bob in bio (priority 3) and chem."""
    config = {"accounting": Accounting(enforce=("associations", "limits", "qos"))}
    c = cluster(
        nodes("n[1-4]", cpus=16, memory=64000, gpus=8),
        partition=(Partition(name="batch", default=True, billing_weights=PLAIN), HALF, THIRD),
        priority=PriorityWeights(**weights),
        **config,
    )
    account(c, "physics", priority=5)
    account(c, "chem", parent="physics", shares=20)
    account(c, "bio", parent="physics", shares=5, priority=2)
    qos(c, "high", priority=100)
    qos(c, "low", priority=25)
    every = ("=normal", "=high", "=low")
    user(c, "ann", "chem", "bio", default_account="chem", qos=every, default_qos="normal")
    user(c, "bob", "bio", qos=every, priority=3, default_qos="normal")
    return c


def sums(c: Cluster, job_id: int) -> dict[str, float]:
    """What sprio shows, by partition."""
    ctx, record = c.engine.ctx, c.job(job_id)
    nice = c.state.spec(record).nice
    found = {}
    for name in record.partition.split(","):
        shares = ranking.factors_of(ctx, record, name, ranking.totals(ctx), c.now)
        found[name] = int(priority.points_of(ctx.config.priority, shares) - nice)
    return found


def test_each_factor_is_as_the_real_one_has_it() -> None:
    c = physics(**(SIX | {"fair_share": 0}), tres=TRES)
    cases = [
        (job(ntasks=4, time=6000, **MEM), ANN, {"batch": 1821}),
        (job(3, nodes=2, time=6000, qos="high", **MEM), ANN, {"batch": 3495}),
        (job(account="bio", qos="low", gpus=3, time=6000, memory_per_node_mb=4000), ANN, {"batch": 1211}),
        (
            job(account="bio", partition="half,third,batch", ntasks=3, time=3000, **MEM), ANN,
            {"half": 2146, "third": 3745, "batch": 1197},
        ),
        (job(account="bio", partition="third", ntasks=3, nice=7, time=1800, **MEM), ANN, {"third": 3738}),
        (job(account="bio", ntasks=17, time=1800, **MEM), BOB, {"batch": 1736}),
        (job(ntasks=2, time=1800, **MEM), ANN, {"batch": 1773}),
    ]  # fmt: skip
    for spec, who, expected in cases:
        assert sums(c, c.add(spec, who)) == expected


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ((), (297, 200, 1000, 400)),
        (("NO_NORMAL_PART",), (297, 2000, 1000, 400)),
        (("NO_NORMAL_QOS",), (297, 200, 100_000, 400)),
        (("NO_NORMAL_ASSOC",), (297, 200, 1000, 2000)),
        (("NO_NORMAL_ALL",), (297, 2000, 100_000, 2000)),
    ],
)
def test_a_factor_may_be_left_as_it_is(flags: tuple[str, ...], expected: tuple[int, ...]) -> None:
    c = physics(**SIX, flags=flags)
    record = c.job(c.add(job(3, nodes=2, account="bio", qos="high", partition="half")))
    c.ask(rq.UpdatePartition(name="half", changes={"priorityjobfactor": "2"}), ROOT)
    found = ranking.factors_of(c.engine.ctx, record, "half", ranking.totals(c.engine.ctx), c.now)
    shares = (found.job_size, found.partition, found.qos, found.assoc)
    assert tuple(round(1000 * share) for share in shares) == expected


def test_without_normalisation_the_amounts_themselves_weigh() -> None:
    c = physics(tres={"cpu": 10, "gres/gpu": 100}, flags=("NO_NORMAL_TRES",))
    assert priorities(c, c.add(job(4, gpus=2))) == [240]


def test_small_jobs_stand_in_front_when_they_are_favoured() -> None:
    c = weighing(job_size=1000, favor_small=True)
    c.submit(job(1), job(4, nodes=2), job(4, nodes=4))
    assert priorities(c, 2, 3, 4) == [843, 500, 1]


def test_size_may_be_relative_to_time() -> None:
    """A job of half the cluster for two minutes counts as much as one of a quarter for one."""
    c = weighing(job_size=1000, flags=("SMALL_RELATIVE_TO_TIME",))
    c.submit(job(4, nodes=2, time=120), job(4, nodes=1, time=60), job(4, nodes=4, time=60))
    assert priorities(c, 2, 3, 4) == [250, 250, 1000]


def test_age_may_count_from_submission_whatever_the_job_waits_for() -> None:
    c = weighing(age=1000, max_age=100.0, flags=("ACCRUE_ALWAYS",))
    c.submit(job(4, begin_time=1060.0))
    assert priorities(c.at(60).cycle().at(100), 2) == [1000]


def test_priorities_may_only_grow() -> None:
    for flags, expected in (((), 30), (("INCR_ONLY",), 1000)):
        c = physics(qos=1000, flags=flags)
        c.submit(job(16, nodes=4, exclusive=True, time=10**6)).cycle()
        waiting = c.add(job(qos="high"))
        limit(c, "qos", "low", priority=3333)
        assert priorities(c.at(60), waiting) == [expected]


def test_jobs_that_run_may_be_ranked_too() -> None:
    for flags, expected in (((), 1), (("CALCULATE_RUNNING",), 500)):
        c = weighing(age=1000, max_age=100.0, flags=flags)
        assert priorities(c.at(50), 1) == [expected]


def test_who_comes_first_is_served_first_with_the_basic_type() -> None:
    c = weighing(type="basic", age=1000)
    c.submit(job(4), job(4, nice=100), job(1))
    c.ask(rq.HoldJobs(ids=("2",)), ROOT)
    c.ask(rq.ReleaseJobs(ids=("2",)), ROOT)
    top = 0xFFFF0000
    assert priorities(c.at(100), 2, 3, 4) == [top - 2, top - 103, top - 4]


def test_an_operator_may_add_points() -> None:
    c = weighing(job_size=1000)
    waiting = c.add(job(4, nodes=4))
    c.ask(rq.UpdateJob(id=str(waiting), changes={"sitefactor": "50"}), OPERATOR)
    c.ask(rq.UpdateJob(id=str(waiting), changes={"sitefactor": "9000"}), ANN)
    assert priorities(c, waiting) == [1050]
    c.ask(rq.UpdateJob(id=str(waiting), changes={"nice": "20"}), ANN)
    assert priorities(c, waiting) == [1030]
