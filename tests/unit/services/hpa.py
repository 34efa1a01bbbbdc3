"""Short ways to make autoscalers, Pods and what was measured of them."""

from typing import Any

import msgspec

from corral.model.kube.meta import ObjectMeta
from corral.model.kube.pod import Container, Pod, PodSpec, PodStatus, ResourceRequirements
from corral.model.kube.scaling import (
    CrossVersionObjectReference,
    ExternalMetricSource,
    HorizontalPodAutoscaler,
    HPASpec,
    MetricIdentifier,
    MetricSpec,
    MetricTarget,
    PodsMetricSource,
    ResourceMetricSource,
)
from corral.services.autoscale import Mind, Verdict, decide
from corral.services.load import Loads
from corral.services.metrics import Sight
from corral.services.scalewindow import Memory, note


def pod(number: int, phase: Any = "Running", ready: bool = True, cpu: str = "1", start: float = 1.0) -> Pod:
    return Pod(
        metadata=ObjectMeta(name=f"web-{number}", namespace="default"),
        spec=PodSpec(containers=(Container(name="c", resources=ResourceRequirements(requests={"cpu": cpu})),)),
        status=PodStatus(phase=phase, start_time=start, ready_since=start if ready else 0.0),
    )


def cpu(percent: int) -> MetricSpec:
    target = MetricTarget(type="Utilization", average_utilization=percent)
    return MetricSpec(type="Resource", resource=ResourceMetricSource(name="cpu", target=target))


def in_flight(each: float, name: str = "requests_in_flight") -> MetricSpec:
    target = MetricTarget(type="AverageValue", average_value=str(each))
    return MetricSpec(type="Pods", pods=PodsMetricSource(metric=MetricIdentifier(name=name), target=target))


def query(text: str, each: float) -> MetricSpec:
    target = MetricTarget(type="AverageValue", average_value=str(each))
    return MetricSpec(type="External", external=ExternalMetricSource(metric=MetricIdentifier(name=text), target=target))


def hpa(*metrics: MetricSpec, low: int = 1, high: int = 10, **spec: Any) -> HorizontalPodAutoscaler:
    return HorizontalPodAutoscaler(
        metadata=ObjectMeta(name="web", namespace="default", uid="u", annotations=spec.pop("annotations", {})),
        spec=HPASpec(
            scale_target_ref=CrossVersionObjectReference(kind="Deployment", name="web", api_version="apps/v1"),
            min_replicas=low, max_replicas=high, metrics=metrics, **spec,
        ),
    )  # fmt: skip


class Service:
    """A service whose replicas are there as soon as they are wanted; time passes by `step`."""

    def __init__(self, one: HorizontalPodAutoscaler, replicas: int = 1, now: float = 10_000.0) -> None:
        self.one, self.replicas, self.now = one, replicas, now
        self.loads = Loads()
        self.mind = Mind(Memory(now))
        self.ready: int | None = None  #: None = all

    def sight(self) -> Sight:
        pods = [
            pod(number, ready=self.ready is None or number < self.ready, start=self.now - 1000)
            for number in range(self.replicas)
        ]
        return Sight(namespace="default", replicas=self.replicas, pods=pods, services=[("default", "web")])

    def decide(self) -> Verdict:
        verdict = decide(self.one, self.sight(), self.loads, self.mind, self.now)
        note(self.mind.memory, self.replicas, verdict.replicas, self.now)
        self.one = msgspec.structs.replace(self.one, status=verdict.status)
        self.replicas = verdict.replicas
        return verdict

    def condition(self, kind: str) -> tuple[str, str]:
        return next((one.status, one.reason) for one in self.one.status.conditions if one.type == kind)
