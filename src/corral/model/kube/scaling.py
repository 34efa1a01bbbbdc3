"""How many replicas: HorizontalPodAutoscaler (autoscaling/v2)?"""

from typing import Literal

from corral.model.kube.meta import Condition, KubeObject, LabelSelector, Schema
from corral.model.kube.pod import Quantity


class CrossVersionObjectReference(Schema, frozen=True, kw_only=True):
    kind: str
    name: str
    api_version: str = ""


class MetricIdentifier(Schema, frozen=True, kw_only=True):
    name: str
    selector: LabelSelector | None = None


class MetricTarget(Schema, frozen=True, kw_only=True):
    type: Literal["Utilization", "Value", "AverageValue"]
    average_utilization: int | None = None
    value: Quantity | None = None
    average_value: Quantity | None = None


class ResourceMetricSource(Schema, frozen=True, kw_only=True):
    name: str  #: cpu, memory, nvidia.com/gpu
    target: MetricTarget


class ContainerResourceMetricSource(Schema, frozen=True, kw_only=True):
    name: str
    container: str
    target: MetricTarget


class PodsMetricSource(Schema, frozen=True, kw_only=True):
    """Corral's own metrics: requests_in_flight, requests_per_second."""

    metric: MetricIdentifier
    target: MetricTarget


class ObjectMetricSource(Schema, frozen=True, kw_only=True):
    metric: MetricIdentifier
    described_object: CrossVersionObjectReference
    target: MetricTarget


class ExternalMetricSource(Schema, frozen=True, kw_only=True):
    """`metric.name` is a Prometheus query where it is no plain name (docs/reference/services.md)."""

    metric: MetricIdentifier
    target: MetricTarget


class MetricSpec(Schema, frozen=True, kw_only=True):
    type: Literal["Resource", "ContainerResource", "Pods", "Object", "External"]
    resource: ResourceMetricSource | None = None
    container_resource: ContainerResourceMetricSource | None = None
    pods: PodsMetricSource | None = None
    object: ObjectMetricSource | None = None
    external: ExternalMetricSource | None = None


class HPAScalingPolicy(Schema, frozen=True, kw_only=True):
    type: Literal["Pods", "Percent"]
    value: int
    period_seconds: int


class HPAScalingRules(Schema, frozen=True, kw_only=True):
    stabilization_window_seconds: int | None = None
    select_policy: Literal["Max", "Min", "Disabled"] = "Max"
    policies: tuple[HPAScalingPolicy, ...] = ()


class HPABehavior(Schema, frozen=True, kw_only=True):
    scale_up: HPAScalingRules | None = None
    scale_down: HPAScalingRules | None = None


class HPASpec(Schema, frozen=True, kw_only=True):
    scale_target_ref: CrossVersionObjectReference
    min_replicas: int = 1  #: 0 = to zero and back
    max_replicas: int
    metrics: tuple[MetricSpec, ...] = ()
    behavior: HPABehavior | None = None


class MetricStatus(Schema, frozen=True, kw_only=True):
    name: str
    current: float = 0.0  #: in the unit of its target
    wanted_replicas: int = 0
    problem: str = ""


class HPAStatus(Schema, frozen=True, kw_only=True):
    observed_generation: int = 0
    last_scale_time: float = 0.0
    current_replicas: int = 0
    desired_replicas: int = 0
    current_metrics: tuple[MetricStatus, ...] = ()
    conditions: tuple[Condition, ...] = ()


class HorizontalPodAutoscaler(KubeObject, frozen=True, kw_only=True):
    spec: HPASpec
    status: HPAStatus = HPAStatus()
