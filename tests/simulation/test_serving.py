"""A service and training share a small cluster over some hours: replicas follow the requests, training goes on where it was."""

from corral.model.cluster import ClusterConfig, Preemption, PriorityWeights
from corral.model.gres import GresDevice, GresRequest
from corral.model.job import JobSpec
from corral.model.kube.meta import LabelSelector, ObjectMeta
from corral.model.kube.network import Service, ServicePort, ServiceSpec
from corral.model.kube.pod import Container, PodSpec, PodTemplateSpec, ResourceRequirements, TemplateMeta
from corral.model.kube.scaling import (
    CrossVersionObjectReference,
    HorizontalPodAutoscaler,
    HPASpec,
    MetricIdentifier,
    MetricSpec,
    MetricTarget,
    PodsMetricSource,
)
from corral.model.kube.workload import Deployment, DeploymentSpec
from corral.model.node import NodeInventory
from corral.protocol import requests as rq
from corral.protocol.accounting import Condition, Settings
from corral.simulator.demand import Curve, Noise, Station
from corral.simulator.invariants import check_all
from corral.simulator.serving import Served, Serving
from corral.simulator.workloads.work import Work

LABELS = {"app": "llm"}
META = ObjectMeta(name="llm", namespace="default")


def served(low: int) -> Served:
    """An hour of little to do, an hour of much, an hour of nothing."""
    container = Container(
        name="m", command=("serve",), resources=ResourceRequirements(limits={"nvidia.com/gpu": 1, "cpu": 1})
    )
    template = PodTemplateSpec(
        metadata=TemplateMeta(labels=LABELS, annotations={"corral.dev/qos": "service"}),
        spec=PodSpec(containers=(container,)),
    )
    target = MetricTarget(type="AverageValue", average_value="5")
    source = PodsMetricSource(metric=MetricIdentifier(name="requests_in_flight"), target=target)
    scaler = HPASpec(
        scale_target_ref=CrossVersionObjectReference(kind="Deployment", name="llm"), min_replicas=low, max_replicas=8,
        metrics=(MetricSpec(type="Pods", pods=source),),
    )  # fmt: skip
    objects = (
        Deployment(
            metadata=META,
            spec=DeploymentSpec(replicas=1, selector=LabelSelector(match_labels=LABELS), template=template),
        ),
        Service(metadata=META, spec=ServiceSpec(selector=LABELS, ports=(ServicePort(port=80),))),
        HorizontalPodAutoscaler(metadata=META, spec=scaler),
    )
    curve = Curve((0.0, 3500.0, 3600.0, 7100.0, 7200.0, 10700.0), (2.0, 2.0, 15.0, 15.0, 0.0, 0.0))
    return Served("llm", objects, curve, Noise(1, bursts=0), Station(2.0, 8, 4.0))


def day(low: int = 1) -> Serving:
    nodes = tuple(
        NodeInventory(name=name, cpus=16, memory_mb=64_000, gres=(GresDevice(name="gpu", type="", count=4),))
        for name in ("n1", "n2")
    )
    spec = JobSpec(
        nodes_min=1, nodes_max=1, ntasks=1, cpus_per_task=2, gres=(GresRequest("gpu", "", 2),), time_limit=20_000,
        requeue=True, qos="train",
    )  # fmt: skip
    work = [Work(number=n, submit=0.0, seconds=4000.0, spec=spec) for n in range(1, 30)]
    settings = (
        ("train", Settings(numbers={"grace_time": 60})),
        ("service", Settings(numbers={"priority": 10}, lists={"preempt": ("=train",)})),
    )
    set_up = [
        rq.ChangeAccounts(verb="add", kind="qos", where=Condition(names=(name,)), settings=one)
        for name, one in settings
    ]
    config = ClusterConfig(preemption=Preemption(type="qos", mode="REQUEUE"), priority=PriorityWeights(qos=1000))
    return Serving(config, nodes, work, served(low), set_up, 10_800.0)


def test_replicas_follow_the_requests_and_training_has_the_rest() -> None:
    replay = day()
    account = replay.run_day()
    assert account.most_replicas >= 6
    assert account.preempted > 0
    assert replay.served.station.good_share > 0.95
    assert (account.service + account.training) / (8 * 10_800) > 0.85
    assert account.finished >= 3
    assert replay.done  # what was preempted goes on from its checkpoint
    check_all(replay.engine.state)


def test_a_service_without_requests_goes_to_zero() -> None:
    replay = day(low=0)
    replay.run_day()
    assert not [
        job for job in replay.engine.state.active if replay.engine.state.spec(replay.engine.state.jobs[job]).pod
    ]
