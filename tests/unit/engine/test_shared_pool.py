"""Services and training in one pool: whose place is taken for whom, in which order, and how a replica goes."""

from typing import Any

import msgspec
from tests.accounts import qos
from tests.builders import ANN, ROOT, Cluster, cluster, job, nodes
from tests.unit.services.hpa import hpa

from corral.model.cluster import Preemption, PriorityWeights
from corral.model.job import JobState
from corral.model.kube.config import PodDisruptionBudget, PodDisruptionBudgetSpec, PriorityClass
from corral.model.kube.meta import LabelSelector, ObjectKey, ObjectMeta
from corral.model.kube.pod import (
    Container,
    ContainerPort,
    Pod,
    PodSpec,
    PodTemplateSpec,
    ResourceRequirements,
    TemplateMeta,
)
from corral.model.kube.scaling import CrossVersionObjectReference, HorizontalPodAutoscaler
from corral.model.kube.workload import Deployment, DeploymentSpec
from corral.model.step import StepKey
from corral.protocol import orders as od
from corral.protocol import reports as rp
from corral.protocol.replies import Rejected
from corral.protocol.requests import PutObjects


def pool(count: int = 2, cpus: int = 4, **fields: Any) -> Cluster:
    """Of nodes with so many CPUs; `urgent` may preempt `service` and `train`, `service` may preempt `train`."""
    names = f"n[1-{count}]"
    c = cluster(
        nodes(names, cpus=cpus),
        preemption=Preemption(type="qos", mode="REQUEUE", **fields),
        priority=PriorityWeights(qos=1000),
    )
    qos(c, "train", grace_time=60)
    qos(c, "service", priority=10, preempt=("=train",))
    qos(c, "urgent", priority=20, preempt=("=train", "=service"))
    return c


def serve(c: Cluster, name: str, replicas: int, low: int | None = None, cpus: int = 1, **annotations: str) -> None:
    template = PodTemplateSpec(
        metadata=TemplateMeta(labels={"app": name}, annotations={"corral.dev/qos": "service"}),
        spec=PodSpec(
            termination_grace_period_seconds=20,
            containers=(
                Container(
                    name="main", command=("serve",), ports=(ContainerPort(container_port=80),),
                    resources=ResourceRequirements(requests={"cpu": str(cpus)}),
                ),
            ),
        ),
    )  # fmt: skip
    given = {f"corral.dev/{key.replace('_', '-')}": value for key, value in annotations.items()}
    one = Deployment(
        metadata=ObjectMeta(name=name, namespace="default", annotations=given),
        spec=DeploymentSpec(replicas=replicas, selector=LabelSelector(match_labels={"app": name}), template=template),
    )
    objects: list[Any] = [one]
    if low is not None:
        scaler = hpa(low=low, high=50)
        spec = msgspec.structs.replace(
            scaler.spec, scale_target_ref=CrossVersionObjectReference(kind="Deployment", name=name)
        )
        objects.append(msgspec.structs.replace(scaler, metadata=ObjectMeta(name=name, namespace="default"), spec=spec))
    c.ask(PutObjects(objects=tuple(objects)), ANN)
    c.at(c.now - 990).cycle()


def pods(c: Cluster, name: str) -> list[Pod]:
    found = c.state.objects.pods_selected("default", {"app": name})
    return [pod for pod in found if not pod.metadata.deletion_timestamp and not pod.has_ended]


def running(c: Cluster, name: str) -> int:
    return sum(c.job(pod.status.job).state is JobState.RUNNING for pod in pods(c, name) if pod.status.job)


def test_replicas_above_the_minimum_go_before_training_and_evenly_over_services() -> None:
    c = pool(3)
    train = c.run(job(cpus=4, qos="train"))
    serve(c, "a", 5, low=1)
    serve(c, "b", 3, low=1)
    c.add(job(ntasks=2, nodes=1, qos="urgent"))
    c.add(job(ntasks=1, nodes=1, qos="urgent", time=77))
    c.cycle()
    c.cycle()
    assert c.job(train).state is JobState.RUNNING
    assert (running(c, "a"), running(c, "b")) in ((2, 3), (3, 2))


def test_a_services_minimum_is_not_taken_and_training_is() -> None:
    c = pool(2)
    train = c.run(job(cpus=4, qos="train", requeue=True))
    serve(c, "a", 4)  # no autoscaler: all it asks for is its own
    c.add(job(cpus=3, qos="urgent"))
    c.cycle()
    assert running(c, "a") == 4
    assert c.job(train).preempted is not None


def test_nothing_is_preempted_below_the_minimum_even_if_somebody_waits() -> None:
    c = pool(1)
    serve(c, "a", 4, min_replicas="2")
    waits = c.add(job(cpus=3, qos="urgent"))
    c.cycle()
    assert (running(c, "a"), c.states(waits)) == (4, ["PENDING"])
    smaller = c.add(job(cpus=2, qos="urgent"))
    c.cycle()
    assert running(c, "a") == 4 - 2 + 0 or c.job(smaller).promises
    assert sum(c.job(pod.status.job).preempted is None for pod in pods(c, "a") if c.job(pod.status.job).is_active) >= 2


def test_a_service_takes_back_what_training_has_and_training_gets_its_grace() -> None:
    c = pool(1)
    train = c.run(job(cpus=4, qos="train", requeue=True))
    serve(c, "a", 2)
    assert c.orders(od.SignalTasks)
    assert c.job(train).preempted is not None
    c.at(c.now - 1000 + 61)
    c.cycle()
    assert running(c, "a") == 2


def test_a_replica_loses_its_traffic_first_then_has_its_grace_and_another_waits_in_its_place() -> None:
    c = pool(1)
    c.cleans = False
    serve(c, "a", 4, min_replicas="1")
    for pod in pods(c, "a"):
        key = StepKey(pod.status.job, 0, 0)
        c.report(rp.ContainerStarted(agent="agent", node="n1", key=key, time=c.now))
    assert all(pod.is_ready for pod in pods(c, "a"))
    urgent = c.add(job(cpus=2, qos="urgent"))
    c.cycle()
    gone = [pod for pod in c.state.objects.pods_selected("default", {"app": "a"}) if pod.metadata.deletion_timestamp]
    assert len(gone) == 2
    assert not any(pod.status.ready_since for pod in gone)
    assert not c.orders(od.EndJob)
    c.at(c.now - 1000 + 2)
    assert {(order.job, order.kill_after) for order in c.orders(od.EndJob)} == {(pod.status.job, 20.0) for pod in gone}
    assert len(pods(c, "a")) == 4
    c.cleans = True
    for pod in gone:
        c.clean(pod.status.job)
    c.cycle()
    assert c.states(urgent) == ["RUNNING"]
    assert {c.job(pod.status.job).state for pod in gone} == {JobState.PREEMPTED}
    assert c.state.objects.get(ObjectKey("Pod", "default", gone[0].metadata.name)) is None
    waiting = [pod for pod in pods(c, "a") if c.job(pod.status.job).is_pending]
    assert "waits: " in waiting[0].status.conditions[0].message


def test_another_minimum_counts_from_now_on() -> None:
    c = pool(1)
    serve(c, "a", 4)
    c.add(job(cpus=2, qos="urgent"))
    c.cycle()
    assert running(c, "a") == 4
    serve(c, "a", 4, min_replicas="2")
    c.cycle()
    assert running(c, "a") == 2


def test_a_priority_class_gives_the_qos_of_its_name_and_its_points() -> None:
    c = pool(1)
    c.ask(PutObjects(objects=(PriorityClass(metadata=ObjectMeta(name="service"), value=500),)), ROOT)
    train = c.run(job(cpus=4, qos="train", requeue=True))
    spec = PodSpec(containers=(Container(name="main", command=("serve",)),), priority_class_name="service")
    c.ask(PutObjects(objects=(Pod(metadata=ObjectMeta(name="p", namespace="default"), spec=spec),)), ANN)
    found = c.state.objects.get(ObjectKey("Pod", "default", "p"))
    assert isinstance(found, Pod)
    record = c.job(found.status.job)
    assert (c.state.spec(record).qos, record.site_factor) == ("service", 500)
    c.cycle()
    assert c.job(train).preempted is not None


def test_with_the_policy_never_nobody_is_preempted_and_an_unknown_class_is_named() -> None:
    c = pool(1)
    never = PriorityClass(metadata=ObjectMeta(name="service"), value=500, preemption_policy="Never")
    c.ask(PutObjects(objects=(never,)), ROOT)
    train = c.run(job(cpus=4, qos="train", requeue=True))
    for name, group in (("p", "service"), ("q", "gold")):
        spec = PodSpec(containers=(Container(name="main", command=("serve",)),), priority_class_name=group)
        c.ask(PutObjects(objects=(Pod(metadata=ObjectMeta(name=name, namespace="default"), spec=spec),)), ANN)
    c.cycle()
    assert c.job(train).preempted is None
    refused = c.state.objects.get(ObjectKey("Pod", "default", "q"))
    assert isinstance(refused, Pod)
    assert "No PriorityClass with name gold" in refused.status.message


def test_only_an_operator_makes_priority_classes() -> None:
    c = pool(1)
    reply = c.ask(PutObjects(objects=(PriorityClass(metadata=ObjectMeta(name="mine"), value=9),)), ANN)
    assert isinstance(reply, Rejected)


def test_an_autoscaler_says_why_replicas_wait() -> None:
    c = pool(1)
    c.run(job(cpus=4, qos="urgent"))
    serve(c, "a", 2, low=1)
    c.at(40)
    found = c.state.objects.get(ObjectKey("HorizontalPodAutoscaler", "default", "a"))
    assert isinstance(found, HorizontalPodAutoscaler)
    (told,) = (one for one in found.status.conditions if one.type == "PodsScheduled")
    assert told.message.startswith("2 of 2 replicas wait for a place: job 2 waits: ")


def test_a_budget_holds_the_preemption_of_pods_that_nobody_keeps() -> None:
    c = pool(1)
    container = Container(
        name="m", command=("x",), ports=(ContainerPort(container_port=80),),
        resources=ResourceRequirements(requests={"cpu": "1"}),
    )  # fmt: skip
    for number in range(4):
        meta = ObjectMeta(
            name=f"lone-{number}",
            namespace="default",
            labels={"app": "lone"},
            annotations={"corral.dev/qos": "service"},
        )
        c.ask(PutObjects(objects=(Pod(metadata=meta, spec=PodSpec(containers=(container,))),)), ANN)
    c.at(c.now - 990).cycle()
    for pod in pods(c, "lone"):
        key = StepKey(pod.status.job, 0, 0)
        c.report(rp.ContainerStarted(agent="agent", node="n1", key=key, time=c.now))
    assert all(pod.is_ready for pod in pods(c, "lone"))
    spec = PodDisruptionBudgetSpec(min_available=3, selector=LabelSelector(match_labels={"app": "lone"}))
    budget = PodDisruptionBudget(metadata=ObjectMeta(name="b", namespace="default"), spec=spec)
    c.ask(PutObjects(objects=(budget,)), ANN)
    c.add(job(cpus=2, qos="urgent", time=500))
    c.cycle()
    assert len(pods(c, "lone")) == 4
    c.add(job(cpus=1, qos="urgent", time=500))
    c.cycle()
    assert len(pods(c, "lone")) == 3
    c.cycle()
    assert len(pods(c, "lone")) == 3
