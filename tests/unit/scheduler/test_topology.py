"""Which switches a job is under: the lowest that has enough, as few leaves as possible, and how long it waits for that."""

import pytest
from tests.builders import Cluster, cluster, job, nodes

from corral.config.checks import BadValue, check
from corral.model.cluster import ClusterConfig
from corral.model.reason import Reason
from corral.model.topology import Switch, Topology
from corral.protocol import requests as rq
from corral.protocol.replies import WouldStart

TREE = (
    Switch(name="s1", nodes="n[1-4]"),
    Switch(name="s2", nodes="n[5-8]"),
    Switch(name="s3", nodes="n[9-10]"),
    Switch(name="top", switches="s[1-3]"),
)


def tree() -> Cluster:
    return cluster(nodes("n[1-10]", cpus=4), switch=TREE)


def names(c: Cluster, number: int) -> list[str]:
    return list(c.where(number))


def test_a_job_fits_under_one_leaf_if_it_can() -> None:
    c = tree()
    c.run(job(4, nodes=3))
    assert names(c, c.run(job(4, nodes=3))) == ["n5", "n6", "n7"]
    c.check()


def test_the_smallest_leaf_that_has_enough_is_taken() -> None:
    c = tree()
    assert names(c, c.run(job(4, nodes=2))) == ["n9", "n10"]


def test_over_several_leaves_the_largest_come_first() -> None:
    c = tree()
    assert names(c, c.run(job(4, nodes=6))) == ["n1", "n2", "n3", "n4", "n9", "n10"]


def test_it_waits_for_few_switches_and_then_no_longer() -> None:
    c = tree()
    c.run(job(4, nodelist="n1"))
    c.run(job(4, nodelist="n5"))
    wide = c.add(job(4, nodes=4, switches=1, switches_wait=60))
    c.cycle()
    assert c.reason(wide) is Reason.RESOURCES
    c.at(59)
    c.cycle()
    assert c.job(wide).is_pending
    c.at(61)
    assert c.engine.wants_cycle
    c.cycle()
    assert len(names(c, wide)) == 4
    c.check()


def test_it_does_not_wait_longer_than_the_cluster_lets_it() -> None:
    c = cluster(nodes("n[1-10]", cpus=4), switch=TREE, scheduling={"max_switch_wait": 10})
    wide = c.add(job(4, nodes=6, switches=1, switches_wait=3600))
    c.cycle()
    assert c.job(wide).is_pending
    c.at(11)
    c.cycle()
    assert c.job(wide).is_active


def test_named_nodes_come_with_neighbours_under_their_switch() -> None:
    c = tree()
    assert names(c, c.run(job(4, nodes=3, nodelist="n6"))) == ["n5", "n6", "n7"]


def test_addresses() -> None:
    topology = Topology(TREE)
    assert topology.address("n9") == ("top.s3.n9", "switch.switch.node")
    assert topology.level == {"s1": 0, "s2": 0, "s3": 0, "top": 1}


@pytest.mark.parametrize(
    ("switches", "words"),
    [
        ([Switch(name="a", nodes="n1"), Switch(name="a", nodes="n2")], "a name of its own"),
        ([Switch(name="a")], "either"),
        ([Switch(name="a", switches="b")], "there is no switch b"),
        ([Switch(name="a", nodes="n1"), Switch(name="b", nodes="n1")], "n1 is at a and b"),
        ([Switch(name="a", switches="b"), Switch(name="b", switches="a")], "above itself"),
        ([Switch(name="a", switches="a")], "above itself"),
        (
            [Switch(name="l", nodes="n1"), Switch(name="a", switches="l"), Switch(name="b", switches="l")],
            "is below a and b",
        ),
    ],
)
def test_a_tree_that_is_none_is_refused(switches: list[Switch], words: str) -> None:
    with pytest.raises(BadValue, match=words):
        check(ClusterConfig(switch=tuple(switches)), {})


def test_asked_when_it_would_start_it_does_not_wait_for_switches_for_ever() -> None:
    c = tree()
    asked = rq.SubmitJobs(jobs=(rq.NewJob(spec=job(4, nodes=6, switches=1)),), test_only=True)
    reply = c.ask(asked)
    assert isinstance(reply, WouldStart)
    assert reply.start == c.now
