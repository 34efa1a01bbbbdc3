"""A Pod that did not run while the cluster was down is not charged for it, and its time does not run on."""

import pytest
from tests.accounts import account, user
from tests.builders import ANN, Cluster, cluster, nodes

from corral.engine.engine import Engine
from corral.engine.rules import bucket_of
from corral.engine.state import ClusterState
from corral.model.cluster import PriorityWeights
from corral.model.job import Job
from corral.model.kube.meta import ObjectKey, ObjectMeta
from corral.model.kube.pod import Container, Pod, PodSpec
from corral.model.step import StepKey
from corral.protocol import orders as od
from corral.protocol import reports as rp
from corral.protocol import requests as rq

DAY = 86_400.0
HALF = 10_000.0


def running(half_life: float) -> Cluster:
    """A Pod of Ann's, for 100 seconds."""
    c = cluster(nodes("n1", cpus=1), priority=PriorityWeights(decay_half_life=half_life, fair_share=1000))
    account(c, "chem")
    user(c, "ann", "chem")
    spec = PodSpec(containers=(Container(name="main", command=("serve",)),))
    c.ask(rq.PutObjects(objects=(Pod(metadata=ObjectMeta(name="web", namespace="default"), spec=spec),)), ANN)
    c.cycle()
    c.report(rp.ContainerStarted(agent="agent", node="n1", key=StepKey(job(c).id, 0), time=c.now))
    return c.at(100).beat(steps=(rp.KnownStep("n1", StepKey(job(c).id, 0), False),))


def job(c: Cluster) -> Job:
    pod = c.state.objects.get(ObjectKey("Pod", "default", "web"))
    assert isinstance(pod, Pod)
    return c.job(pod.status.job)


def next_controller(c: Cluster, at: float, *steps: rp.KnownStep) -> None:
    """It goes on from the snapshot of the one before, and the agent says what it runs."""
    c.engine = Engine(c.engine.config, ClusterState.load(c.state.dump()), 2)
    c.now = 1000.0 + at
    c._take(c.engine.start(c.now))
    c.register(steps=steps, instance="2")


def used(c: Cluster) -> float:
    one = c.state.books.find("chem", "ann")
    assert one is not None
    return c.state.meter.used(bucket_of(one.id), c.now).seconds.get("cpu", 0.0)


def seconds(c: Cluster) -> float:
    return c.now - job(c).start_time - job(c).suspended_seconds


@pytest.mark.parametrize("half_life", [0.0, HALF])
def test_a_pod_that_was_down_with_the_cluster_is_not_charged(half_life: float) -> None:
    c = running(half_life)
    before = used(c)
    c.orders(od.LaunchStep)
    next_controller(c, DAY)
    assert seconds(c) == pytest.approx(100.0)
    assert used(c) == pytest.approx(before * (0.5 ** ((DAY - 100) / HALF) if half_life else 1.0), abs=1e-3)
    [launch] = c.orders(od.LaunchStep)
    assert c.state.steps_of(job(c).id)[launch.key.step].start_time == c.now
    c.at(DAY + 50)
    assert seconds(c) == pytest.approx(150.0)
    assert used(c) > 40.0
    once = job(c).suspended_seconds
    c.register(instance="3")  # its agent alone was away
    assert job(c).suspended_seconds == once
    c.check()


def test_one_that_ran_on_while_the_controller_was_away_is() -> None:
    c = running(0.0)
    step = StepKey(job(c).id, 0)
    next_controller(c, DAY, rp.KnownStep("n1", step, False))
    assert seconds(c) == DAY
    assert used(c) == pytest.approx(DAY)


def test_nobody_counts_the_seconds_of_a_restart() -> None:
    c = running(0.0)
    next_controller(c, 103.0)
    assert seconds(c) == 103.0
