"""Does an autoscaler say what it looks at, and between which bounds?"""

from typing import Any

from corral.model.kube.scaling import HorizontalPodAutoscaler, HPAScalingRules, MetricSpec, MetricTarget
from corral.services.manifests.checks import selectors
from corral.services.manifests.problems import Problems
from corral.syntax import kubenames, quantity

#: What an autoscaler can scale: kind -> apiVersion.
SCALED = {"Deployment": "apps/v1", "ReplicaSet": "apps/v1", "StatefulSet": "apps/v1"}
_SOURCES = (
    ("resource", "resource"), ("containerResource", "container_resource"), ("pods", "pods"), ("object", "object"),
    ("external", "external"),
)  # fmt: skip
_TARGETS = {
    "Utilization": ("averageUtilization", "average_utilization"), "Value": ("value", "value"),
    "AverageValue": ("averageValue", "average_value"),
}  # fmt: skip


def check(one: HorizontalPodAutoscaler, problems: Problems) -> None:
    spec = one.spec
    target = spec.scale_target_ref
    if target.kind not in SCALED:
        problems.choice("spec.scaleTargetRef.kind", target.kind, SCALED)
    elif target.api_version not in ("", SCALED[target.kind]):
        problems.choice("spec.scaleTargetRef.apiVersion", target.api_version, (SCALED[target.kind],))
    if why := kubenames.subdomain(target.name):
        problems.invalid("spec.scaleTargetRef.name", target.name, why)
    if spec.min_replicas < 0:
        problems.invalid("spec.minReplicas", spec.min_replicas, "must be greater than or equal to 0")
    if spec.max_replicas < 1:
        problems.invalid("spec.maxReplicas", spec.max_replicas, "must be greater than 0")
    elif spec.max_replicas < spec.min_replicas:
        problems.invalid("spec.maxReplicas", spec.max_replicas, "must be greater than or equal to `minReplicas`")
    for index, metric in enumerate(spec.metrics):
        _metric(metric, f"spec.metrics[{index}]", problems)
    if spec.behavior is not None:
        _rules(spec.behavior.scale_up, "spec.behavior.scaleUp", problems)
        _rules(spec.behavior.scale_down, "spec.behavior.scaleDown", problems)


def _metric(metric: MetricSpec, path: str, problems: Problems) -> None:
    wanted = metric.type[0].lower() + metric.type[1:]
    for wire, name in _SOURCES:
        source: Any = getattr(metric, name)
        if wire == wanted and source is None:
            problems.required(f"{path}.{wire}", "must populate information for the given metric source")
        elif wire != wanted and source is not None:
            problems.forbidden(f"{path}.{wire}", "must populate the given metric source only")
        elif source is not None:
            _target(source.target, metric.type, f"{path}.{wire}.target", problems)
            named = getattr(source, "metric", None)
            if named is not None:
                if not named.name:
                    problems.required(f"{path}.{wire}.metric.name", "must specify a metric name")
                selectors.check(named.selector, f"{path}.{wire}.metric.selector", problems)
            elif source.name not in ("cpu", "memory", "nvidia.com/gpu"):
                problems.choice(f"{path}.{wire}.name", source.name, ("cpu", "memory", "nvidia.com/gpu"))


def _target(target: MetricTarget, kind: str, path: str, problems: Problems) -> None:
    allowed = {
        "Resource": ("Utilization", "AverageValue"), "ContainerResource": ("Utilization", "AverageValue"),
        "Pods": ("AverageValue",),
    }.get(kind, ("Value", "AverageValue"))  # fmt: skip
    if target.type not in allowed:
        problems.choice(f"{path}.type", target.type, allowed)
        return
    for name, (wire, attribute) in _TARGETS.items():
        amount = getattr(target, attribute)
        if name == target.type:
            if amount is None:
                problems.required(f"{path}.{wire}", f"must be set when `type` is '{name}'")
            elif quantity.nanos(amount) <= 0:
                problems.invalid(f"{path}.{wire}", amount, "must be positive")
        elif amount is not None:
            problems.forbidden(f"{path}.{wire}", f"may not be set when `type` is '{target.type}'")


def _rules(rules: HPAScalingRules | None, path: str, problems: Problems) -> None:
    if rules is None:
        return
    window = rules.stabilization_window_seconds
    if window is not None and not 0 <= window <= 3600:
        problems.invalid(f"{path}.stabilizationWindowSeconds", window, "must be between 0 and 3600")
    for index, policy in enumerate(rules.policies):
        if policy.value <= 0:
            problems.invalid(f"{path}.policies[{index}].value", policy.value, "must be greater than zero")
        if not 1 <= policy.period_seconds <= 1800:
            problems.invalid(
                f"{path}.policies[{index}].periodSeconds", policy.period_seconds, "must be between 1 and 1800"
            )
