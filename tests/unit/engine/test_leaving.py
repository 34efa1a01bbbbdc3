"""Replicas on a drained node move away first; what was lost with a node is replaced, but no name is given twice."""

import msgspec
from tests.builders import ANN, ROOT, Cluster, cluster, nodes
from tests.kube import deployment, stateful

from corral.model.job import JobId, JobState
from corral.model.kube.meta import ObjectKey
from corral.model.kube.objects import AnyObject
from corral.model.kube.pod import Container, Pod
from corral.model.kube.workload import Deployment, DeploymentSpec, StatefulSetSpec
from corral.model.node import CORDONED
from corral.model.step import StepKey
from corral.protocol import reports as rp
from corral.protocol.orders import EndJob, LaunchStep
from corral.protocol.requests import DeleteObjects, PutObjects, UpdateNodes


def plain(one: AnyObject) -> AnyObject:
    """Without an image: the program of the node."""
    spec = one.spec  # type: ignore[union-attr]
    assert isinstance(spec, DeploymentSpec | StatefulSetSpec)
    pod = msgspec.structs.replace(spec.template.spec, containers=(Container(name="main", command=("serve",)),))
    template = msgspec.structs.replace(spec.template, spec=pod)
    return msgspec.structs.replace(one, spec=msgspec.structs.replace(spec, template=template))  # type: ignore[arg-type]


def pods(one: Cluster) -> list[Pod]:
    found = [pod for pod in one.state.objects.of_kind("Pod", "default") if isinstance(pod, Pod)]
    return [pod for pod in found if not pod.metadata.deletion_timestamp]


def up(one: Cluster) -> None:
    """All that is placed runs."""
    one.cycle()
    for pod in pods(one):
        if pod.status.node and not pod.status.ready_since and not pod.has_ended and pod.status.node not in one.silent:
            key = StepKey(pod.status.job, pod.status.container_statuses[0].step)
            one.report(rp.ContainerStarted(agent="agent", node=pod.status.node, key=key, time=one.now))


def places(one: Cluster) -> list[str]:
    return sorted(pod.status.node for pod in pods(one) if not pod.has_ended)


def applied(wanted: AnyObject, *names: str) -> Cluster:
    one = cluster(nodes(names[0], cpus=2))
    one.ask(PutObjects(objects=(plain(wanted),)), ANN)
    for _ in range(4):
        up(one)
    one.at(100)
    return one


def drain(one: Cluster, name: str, state: str = "drain") -> None:
    one.ask(UpdateNodes(nodes=name, state=state, reason="new disks"), ROOT)


def test_a_replica_on_a_drained_node_ends_only_when_another_is_ready() -> None:
    one = applied(deployment(4), "n[1-3]")
    assert places(one) == ["n1", "n1", "n2", "n3"]
    drain(one, "n1")
    assert len(pods(one)) == 6
    one.cycle()
    assert len([pod for pod in pods(one) if pod.is_ready]) == 4
    up(one)
    assert "n1" not in places(one)
    assert len(pods(one)) == 4
    found = one.state.objects.get(ObjectKey("Deployment", "default", "web"))
    assert isinstance(found, Deployment)
    assert found.status.available_replicas == 4
    one.check()


def test_a_cordoned_node_keeps_its_replicas_until_it_is_drained() -> None:
    one = applied(deployment(4), "n[1-3]")
    one.ask(UpdateNodes(nodes="n1", state="drain", reason=CORDONED), ROOT)
    up(one)
    assert places(one) == ["n1", "n1", "n2", "n3"]
    drain(one, "n1")
    assert len(pods(one)) == 6


def test_a_node_that_is_taken_back_keeps_its_replicas() -> None:
    one = applied(deployment(2), "n[1-2]")
    one.ask(PutObjects(objects=(plain(deployment(4)),)), ANN)
    for _ in range(3):
        up(one)
    before = {pod.metadata.name for pod in pods(one)}
    drain(one, "n1")
    assert len(pods(one)) == 6  # there is no room for two more
    drain(one, "n1", "resume")
    assert {pod.metadata.name for pod in pods(one)} == before
    one.check()


def test_a_lost_nodes_replicas_are_replaced_at_once() -> None:
    one = applied(deployment(2), "n[1-3]")
    first, _ = places(one)
    one.silent.add(first)
    one.at(1000)
    up(one)
    assert len(places(one)) == 2
    assert first not in places(one)
    one.check()


def lost_name() -> tuple[Cluster, Pod]:
    """The only Pod of a StatefulSet was lost with its node, which can be spoken to again, and has not spoken."""
    one = applied(stateful(1), "n[1-2]")
    (before,) = pods(one)
    one.silent.add(before.status.node)
    one.at(1000)
    up(one)
    (pod,) = pods(one)
    assert (pod.metadata.uid, pod.status.reason) == (before.metadata.uid, "NodeLost")
    assert one.job(pod.status.job).state is JobState.NODE_FAIL
    one.silent.clear()
    one.cleans = False
    one.orders(EndJob)
    one.orders(LaunchStep)
    return one, pod


def assert_waits(one: Cluster, old: Pod) -> None:
    """The old one is to end, and has its name; nothing new is submitted or started."""
    assert {(order.node, order.job) for order in one.orders(EndJob)} == {(old.status.node, old.status.job)}
    up(one)
    (pod,) = pods(one)
    assert pod.metadata.uid == old.metadata.uid
    assert max(one.state.jobs) == old.status.job
    assert one.orders(LaunchStep) == []


def assert_given_again(one: Cluster, old: Pod) -> None:
    one.clean(old.status.job)
    up(one)
    (pod,) = pods(one)
    assert (pod.metadata.name, pod.metadata.uid != old.metadata.uid) == (old.metadata.name, True)
    assert [order.key.job for order in one.orders(LaunchStep)] == [pod.status.job]
    one.check()


def test_a_lost_name_of_a_statefulset_waits_until_its_node_has_ended_it() -> None:
    one, old = lost_name()
    runs = rp.KnownStep(old.status.node, StepKey(JobId(old.status.job), 0), False)
    one.register(old.status.node, steps=(runs,), instance="2")
    assert_waits(one, old)
    one.beat(old.status.node, steps=(runs,))
    assert_waits(one, old)
    one.beat(old.status.node, steps=(msgspec.structs.replace(runs, finished=True),))
    assert_waits(one, old)  # the order is said again until it is answered
    assert_given_again(one, old)


def test_an_inventory_that_may_be_older_than_a_lost_pod_does_not_give_its_name_away() -> None:
    """A registration is sent again and again as it was made, and may have been made before the Pod was launched."""
    one, old = lost_name()
    one.register(old.status.node)
    assert_waits(one, old)
    one.beat(old.status.node)
    assert_waits(one, old)
    assert_given_again(one, old)


def test_who_knows_that_it_is_gone_deletes_it_without_grace() -> None:
    one = applied(stateful(1), "n[1-2]")
    (pod,) = pods(one)
    uid = pod.metadata.uid
    one.silent.add(pod.status.node)
    one.at(1000)
    one.ask(DeleteObjects(keys=(pod.key,)), ANN)
    found = one.state.objects.get(pod.key)
    assert found is not None
    assert found.metadata.uid == uid
    one.ask(DeleteObjects(keys=(pod.key,), grace_seconds=0), ANN)
    up(one)
    (pod,) = pods(one)
    assert pod.metadata.uid != uid
    one.check()


def test_a_statefulset_moves_one_pod_after_the_other() -> None:
    one = applied(stateful(4, pod_management_policy="Parallel"), "n[1-3]")
    assert places(one) == ["n1", "n1", "n2", "n3"]
    uids = {pod.metadata.name: pod.metadata.uid for pod in pods(one) if pod.status.node == "n1"}

    def stay() -> list[bool]:
        found = {pod.metadata.name: pod.metadata.uid for pod in pods(one)}
        return [found.get(name) == uid for name, uid in sorted(uids.items())]

    drain(one, "n1")
    assert stay() == [True, False]
    one.at(120)
    up(one)
    assert stay() == [False, False]
    up(one)
    assert "n1" not in places(one)
    one.check()


def test_a_name_is_kept_also_when_its_node_is_lost_while_it_ends() -> None:
    one = applied(stateful(1), "n[1-2]")
    (pod,) = pods(one)
    one.silent.add(pod.status.node)
    one.ask(DeleteObjects(keys=(pod.key,)), ANN)
    one.at(1000)
    found = one.state.objects.get(pod.key)
    assert found is not None
    assert found.metadata.uid == pod.metadata.uid
    one.silent.clear()
    one.beat(pod.status.node)
    found = one.state.objects.get(pod.key)
    assert found is not None
    assert found.metadata.uid != pod.metadata.uid
    one.check()
