from typing import Any

from tests.builders import OPERATOR, ROOT, cluster, job, nodes

from corral.model.job import UNLIMITED, JobKind, StartedBy
from corral.model.partition import Partition, PartitionState
from corral.model.reason import Reason
from corral.protocol import requests as rq


def test_first_come_first_served() -> None:
    c = cluster(nodes("n1"))
    c.submit(job(4), job(4), job(4)).cycle()
    assert c.running() == [1]
    c.finish(1).cycle()
    assert c.running() == [2]
    c.check()


def test_the_higher_priority_goes_first() -> None:
    c = cluster(nodes("n1"))
    c.submit(job(4)).cycle()
    c.submit(job(4), job(4, priority=(1 << 32)), by=ROOT)
    c.finish(1).cycle()
    assert c.running() == [3]


def test_nice_jobs_let_others_pass() -> None:
    c = cluster(nodes("n1"))
    c.submit(job(4, nice=100), job(4)).cycle()
    assert c.running() == [2]


def test_the_first_waits_for_resources_and_the_others_for_the_first() -> None:
    c = cluster(nodes("n1"))
    c.submit(job(4), job(4), job(4), job(4)).cycle()
    assert [c.reason(i) for i in (2, 3, 4)] == [Reason.RESOURCES, Reason.PRIORITY, Reason.PRIORITY]
    c.finish(1).cycle()
    assert [c.reason(i) for i in (3, 4)] == [Reason.RESOURCES, Reason.PRIORITY]
    c.submit(job(4, priority=1 << 32), by=ROOT).cycle()
    assert [c.reason(i) for i in (5, 3, 4)] == [Reason.RESOURCES, Reason.PRIORITY, Reason.PRIORITY]


def test_a_waiting_job_has_a_planned_start() -> None:
    c = cluster(nodes("n[1-2]"))
    c.submit(job(4, time=100), job(4, time=50), job(4, nodes=2, time=10)).cycle()
    assert c.job(3).expected_start == 1100.0
    assert c.job(3).expected_nodes == "n[1-2]"


def test_a_short_job_fills_the_gap_before_a_big_one() -> None:
    c = cluster(nodes("n[1-2]"))
    c.submit(job(4, time=100), job(4, nodes=2, time=200), job(4, time=100)).cycle()
    assert c.running() == [1, 3]


def test_of_each_job_is_known_how_it_got_its_turn() -> None:
    c = cluster(nodes("n[1-2]"))
    c.submit(job(4, time=100), job(4, nodes=2, time=200), job(4, time=100)).cycle()
    assert [c.job(number).started_by for number in (1, 3)] == [StartedBy.TURN, StartedBy.GAP]
    alone = cluster(nodes("n1"))
    waits = alone.run(job(4, kind=JobKind.SALLOC))
    late = alone.add(job(4, kind=JobKind.SALLOC))
    alone.cycle().cancel(waits)
    alone.clean(waits, "n1").cycle()
    assert [alone.job(number).started_by for number in (waits, late)] == [StartedBy.SUBMISSION, StartedBy.TURN]


def test_a_long_job_does_not_delay_the_first_one_waiting() -> None:
    c = cluster(nodes("n[1-2]"))
    c.submit(job(4, time=100), job(4, nodes=2, time=200), job(4, time=101)).cycle()
    assert c.running() == [1]
    assert c.reason(3) is Reason.PRIORITY


def test_a_long_job_may_take_a_node_that_nothing_is_planned_for() -> None:
    c = cluster(nodes("n[1-3]"))
    c.submit(job(4, time=100, nodelist="n1"), job(4, nodelist="n1"), job(4, time=10**6)).cycle()
    assert c.running() == [1, 3]


def test_a_job_may_shrink_to_fit_the_gap() -> None:
    c = cluster(nodes("n[1-2]"))
    c.submit(job(4, time=100), job(4, nodes=2, time=200), job(4, time=300, time_min=60)).cycle()
    assert c.running() == [1, 3]
    assert c.job(3).time_limit == 100


def test_without_backfill_all_wait_behind_the_first() -> None:
    c = cluster(nodes("n[1-2]"), scheduling={"backfill": False})
    c.submit(job(4, time=100), job(4, nodes=2, time=200), job(4, time=10)).cycle()
    assert c.running() == [1]


def test_jobs_without_a_limit_do_not_starve_a_big_one() -> None:
    c = cluster(nodes("n[1-2]"))
    c.submit(job(4, time=UNLIMITED), job(4, nodes=2, time=UNLIMITED), job(4, time=UNLIMITED)).cycle()
    assert c.running() == [1]


def test_a_planned_start_is_never_later_than_it_was() -> None:
    c = cluster(nodes("n[1-4]"))
    c.submit(*(job(4, time=50 + 10 * i) for i in range(3)), job(4, nodes=4)).cycle()
    planned = c.job(4).expected_start
    for i in range(8):
        c.submit(job(1 + i % 4, time=5 + 30 * i)).at(5.0 * i).cycle()
        assert 0 < c.job(4).expected_start <= planned
        planned = c.job(4).expected_start


def two_partitions(**fields: Any) -> Any:
    return cluster(
        nodes("n[1-4]"),
        partition=(
            Partition(name="left", nodes="n[1-2]", default=True),
            Partition(name="right", nodes="n[3-4]", **fields),
        ),
    )


def test_partitions_do_not_wait_for_each_other() -> None:
    c = two_partitions()
    c.submit(job(4, nodes=2), job(4, nodes=2), job(4, nodes=2, partition="right")).cycle()
    assert c.running() == [1, 3]
    c.submit(job(4, partition="right"), job(4, partition="right")).cycle()
    assert [c.reason(i) for i in (2, 4, 5)] == [Reason.RESOURCES, Reason.RESOURCES, Reason.PRIORITY]


def test_each_partition_protects_its_first_waiting_job() -> None:
    c = two_partitions()
    c.submit(job(4, nodes=2), job(4, nodes=2)).cycle()
    c.submit(job(4, partition="right", time=100), job(4, nodes=2, partition="right")).cycle()
    late = c.add(job(4, partition="right", time=10**6))
    assert c.cycle().reason(late) is Reason.PRIORITY


def test_the_first_partition_that_can_start_it_wins() -> None:
    c = two_partitions()
    c.run(job(4, nodes=2))
    either = c.run(job(4, partition="left,right"))
    assert c.job(either).partition == "right"
    c.check()


def test_a_partition_that_is_down_starts_nothing() -> None:
    c = two_partitions(state=PartitionState.DOWN)
    waiting = c.add(job(1, partition="right"))
    assert c.cycle().reason(waiting) is Reason.PARTITION_DOWN
    c.ask(rq.UpdatePartition(name="right", changes={}, state=PartitionState.UP), OPERATOR)
    assert c.cycle().running() == [waiting]


def test_too_many_nodes_wait_for_a_larger_cluster() -> None:
    c = cluster(nodes("n[1-2]"))
    big = c.add(job(nodes=3))
    assert c.cycle().reason(big) is Reason.PARTITION_NODE_LIMIT
    assert c.run(job(nodes=2)) == 2
    c.inventories["n3"] = nodes("n3")[0]
    c.register("n3").finish(2).cycle()
    assert c.running() == [1]


def test_a_job_for_nodes_that_are_away_does_not_hold_up_the_others() -> None:
    c = cluster(nodes("n[1-2]"))
    c.ask(rq.UpdateNodes(nodes="n2", state="drain", reason="disk"), OPERATOR)
    named, both = c.add(job(nodelist="n2")), c.add(job(nodes=2))
    small = c.add(job(4, time=UNLIMITED))
    assert c.cycle().running() == [small]
    assert c.reason(named) is Reason.REQ_NODE_NOT_AVAIL
    assert c.job(named).reason_text == "UnavailableNodes:n2"
    assert c.reason(both) is Reason.RESOURCES
    assert c.job(both).reason_text.startswith("Nodes required for job are DOWN")


def test_nothing_wants_a_cycle_when_nothing_has_changed() -> None:
    c = cluster(nodes("n1"))
    c.submit(job(4), job(4)).cycle()
    c.cycle()
    assert not c.engine.wants_cycle


def test_of_many_waiting_jobs_each_has_a_reason() -> None:
    c = cluster(nodes("n1"))
    c.submit(job(4), *(job(1 + i % 4, time=100 + i % 3) for i in range(60))).cycle()
    assert {str(c.reason(i)) for i in range(2, 62)} == {"Resources", "Priority"}
    c.finish(1)
    while c.running() or c.state.queue:
        c.cycle()
        for running in c.running():
            c.finish(running)
    c.check()


def test_on_a_full_cluster_starts_are_planned_once_a_second() -> None:
    c = cluster(nodes("n1"))
    c.tick().submit(job(4, time=100)).cycle()
    late = c.add(job(4))
    assert (c.cycle().reason(late), c.job(late).expected_start) == (Reason.RESOURCES, 0.0)
    assert c.engine.next_wake(c.now) == 1001.0
    assert c.at(1).engine.wants_cycle
    assert c.cycle().job(late).expected_start == 1100.0
    another = c.add(job(4))
    assert c.cycle().job(late).expected_start == 1100.0
    assert c.at(2).cycle().job(another).expected_start == 1200.0
