"""OverSubscribe: who shares CPUs with whom, and how many at once."""

import pytest
from tests.builders import ANN, BOB, Cluster, cluster, job, nodes

from corral.model.partition import Partition, oversubscribe
from corral.model.reason import Reason


def shared(kind: str, cpus: int = 4) -> Cluster:
    both = (Partition(name="batch", default=True, oversubscribe=kind), Partition(name="other"))
    return cluster(nodes("n1", cpus=cpus), partition=both)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("no", "NO"), ("Exclusive", "EXCLUSIVE"), ("YES", "YES:4"), ("FORCE", "FORCE:4"), ("force:2", "FORCE:2"),
        ("YES:0", "EXCLUSIVE"), ("maybe", None), ("NO:2", None), ("FORCE:x", None), ("FORCE:-1", None), ("YES:99999999999", None),
    ],
)  # fmt: skip
def test_how_it_is_written(text: str, written: str | None) -> None:
    assert oversubscribe(text) == written


def test_forced_jobs_share_each_cpu_up_to_the_number() -> None:
    c = shared("FORCE:2")
    first, second = c.run(job(4)), c.run(job(4))
    assert c.cpus(first) == c.cpus(second) == {"n1": 4}
    third = c.add(job(1))
    c.cycle()
    assert c.reason(third) is Reason.RESOURCES
    c.finish(first)
    c.cycle()
    assert c.cpus(third) == {"n1": 1}
    c.check()


def test_cpus_that_nobody_has_come_first() -> None:
    c = shared("FORCE:2")
    ids = [c.job(c.run(job(2))).allocation.nodes[0].cpus for _ in range(3)]  # type: ignore[union-attr]
    assert ids[0] == (0, 1)
    assert ids[1] == (2, 3)
    c.check()


def test_who_does_not_ask_for_it_shares_nothing_where_it_is_a_choice() -> None:
    c = shared("YES:3")
    c.run(job(4, oversubscribe=True))
    c.run(job(4, oversubscribe=True))
    alone = c.add(job(1))
    c.cycle()
    assert c.reason(alone) is Reason.RESOURCES
    c.check()


def test_jobs_of_another_partition_do_not_share() -> None:
    c = shared("FORCE:4")
    c.run(job(3))
    c.run(job(1, partition="other"))
    late = c.add(job(1, partition="other"))
    c.cycle()
    assert c.reason(late) is Reason.RESOURCES
    assert c.cpus(c.run(job(3))) == {"n1": 3}  # beside the first, not on the other partition's CPU
    c.check()


def test_an_exclusive_job_shares_not_even_where_all_must() -> None:
    c = shared("FORCE:4")
    c.run(job(1, exclusive=True))
    late = c.add(job(1))
    c.cycle()
    assert c.reason(late) is Reason.RESOURCES


def test_memory_is_not_shared() -> None:
    c = shared("FORCE:4")
    c.run(job(1, memory_per_node_mb=700))
    late = c.add(job(1, memory_per_node_mb=700))
    c.cycle()
    assert c.reason(late) is Reason.RESOURCES


def test_a_user_may_want_nodes_without_others() -> None:
    c = cluster(nodes("n[1-2]", cpus=4))
    c.run(job(1), by=BOB)
    own = c.add(job(1, exclusive_user=True), by=ANN)
    c.cycle()
    assert c.cpus(own) == {"n2": 1}
    again = c.add(job(1), by=ANN)
    c.cycle()
    others = c.add(job(1, nodelist="n2"), by=BOB)
    c.cycle()
    assert c.reason(others) is Reason.RESOURCES
    assert c.job(again).is_active
    c.check()
