"""What does each kind of metric of a HorizontalPodAutoscaler say now?

Resource and ContainerResource: what the nodes measure (cpu, memory, nvidia.com/gpu). Pods: the requests that the gateway counts
(requests_in_flight, requests_per_second). Object: the same of one Service. External: a query to Prometheus.
"""

import re
from collections.abc import Sequence

import msgspec

from corral.errors import InvalidQuantity
from corral.model.kube.meta import LabelSelector
from corral.model.kube.pod import Container, Pod
from corral.model.kube.scaling import (
    HPASpec,
    MetricIdentifier,
    MetricSpec,
    MetricStatus,
    MetricTarget,
    ResourceMetricSource,
)
from corral.services import replicas as counting
from corral.services.load import PANIC, STABLE, Loads, ServiceKey
from corral.services.traffic import Rush, asked
from corral.syntax import quantity

IN_FLIGHT, PER_SECOND = "requests_in_flight", "requests_per_second"
TRAFFIC = (IN_FLIGHT, PER_SECOND)
RESOURCES = ("cpu", "memory", "nvidia.com/gpu")
_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")


class Sight(msgspec.Struct, frozen=True, kw_only=True):
    """What it scales, as it is now."""

    namespace: str
    replicas: int  #: as its spec says
    pods: Sequence[Pod]
    services: Sequence[ServiceKey]  #: that lead to them
    shares: dict[
        ServiceKey, float
    ] = {}  #: of a service that leads to others as well: these are such a part of its Pods


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    name: str  #: as Kubernetes' messages have it
    replicas: int
    status: MetricStatus
    is_outside: bool = False  #: somebody else counts what is to be done


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    reason: str  #: of ScalingActive
    text: str
    status: MetricStatus


#: What Kubernetes takes for an autoscaler that names no metric.
DEFAULT = (
    MetricSpec(
        type="Resource",
        resource=ResourceMetricSource(name="cpu", target=MetricTarget(type="Utilization", average_utilization=80)),
    ),
)


def metrics_of(spec: HPASpec) -> tuple[MetricSpec, ...]:
    return spec.metrics or DEFAULT


def is_demand(metric: MetricSpec) -> bool:
    """Does it say something of a service without replicas?"""
    named = metric.pods or metric.object
    return metric.external is not None or (named is not None and named.metric.name in TRAFFIC)


def query_of(metric: MetricIdentifier) -> str:
    """The query to Prometheus: as it is, or the sum of what has this name and these labels."""
    if not _NAME.fullmatch(metric.name):
        return metric.name
    labels = _labels(metric.selector)
    return f"sum({metric.name}{{{labels}}})" if labels else f"sum({metric.name})"


def _labels(selector: LabelSelector | None) -> str:
    if selector is None:
        return ""
    found = [f"{name}={_quoted(value)}" for name, value in sorted(selector.match_labels.items())]
    for one in selector.match_expressions:
        choice = _quoted("|".join(re.escape(value) for value in one.values))
        match one.operator:
            case "In":
                found.append(f"{one.key}=~{choice}")
            case "NotIn":
                found.append(f"{one.key}!~{choice}")
            case "Exists":
                found.append(f'{one.key}!=""')
            case "DoesNotExist":
                found.append(f'{one.key}=""')
    return ",".join(found)


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def read(metric: MetricSpec, sight: Sight, loads: Loads, rush: Rush, now: float) -> Reading | Problem:
    """A target that can't be reached (none, zero, no quantity) is a problem of this metric alone."""
    source = metric.resource or metric.container_resource or metric.pods or metric.object or metric.external
    if source is None:
        return _problem(
            "InvalidMetricSourceType", metric.type, f"metric of type {metric.type} says not what it measures"
        )
    target = source.target
    try:
        goals = [_amount(one) for one in (target.value, target.average_value) if one is not None]
    except InvalidQuantity as error:
        return _problem("InvalidMetricSourceType", metric.type, str(error))
    if any(goal <= 0 for goal in goals) or (target.average_utilization is not None and target.average_utilization <= 0):
        return _problem(
            "InvalidMetricSourceType", metric.type, f"the target of a {metric.type} metric must be above zero"
        )
    return _read(metric, sight, loads, rush, now)


def _read(metric: MetricSpec, sight: Sight, loads: Loads, rush: Rush, now: float) -> Reading | Problem:
    if metric.resource is not None:
        return _resource(metric.resource.name, "", metric.resource.target, sight, loads, now)
    if metric.container_resource is not None:
        source = metric.container_resource
        return _resource(source.name, source.container, source.target, sight, loads, now)
    if metric.pods is not None:
        return _traffic(metric.pods.metric.name, "", metric.pods.target, sight.services, sight, loads, rush, now)
    if metric.object is not None:
        described = metric.object.described_object
        if described.kind != "Service":
            text = f"Corral measures the requests of a Service, and nothing of a {described.kind}"
            return _problem("FailedGetObjectMetric", metric.object.metric.name, text)
        services = [(sight.namespace, described.name)]
        return _traffic(
            metric.object.metric.name, described.name, metric.object.target, services, sight, loads, rush, now
        )
    assert metric.external is not None
    return _external(metric.external.metric, metric.external.target, sight, loads, now)


def _problem(reason: str, name: str, text: str) -> Problem:
    return Problem(reason=reason, text=text, status=MetricStatus(name=name, problem=text))


# -- what the nodes measure


def _resource(
    name: str, container: str, target: MetricTarget, sight: Sight, loads: Loads, now: float
) -> Reading | Problem:
    reason = "FailedGetContainerResourceMetric" if container else "FailedGetResourceMetric"
    label = f"{name} of container {container}" if container else name
    if name not in RESOURCES:
        return _problem(reason, label, f"unable to get metric {name}: Corral measures {', '.join(RESOURCES)}")
    if not sight.pods:
        return _problem(reason, label, "no pods returned by selector while calculating replica count")
    what = f"{name}/{container}" if container else name
    pods = {pod.metadata.name: pod for pod in sight.pods}
    measured = loads.of_pods(sight.namespace, pods, what, now)
    groups = counting.groups(sight.pods, measured, now, by_cpu=name == "cpu")
    if target.average_utilization is not None:
        requests = {}
        for pod in pods.values():
            wanted = _request(pod, name, container)
            if isinstance(wanted, str):
                return _problem(reason, label, wanted)
            requests[pod.metadata.name] = wanted
        found = counting.by_utilization(sight.replicas, groups, measured, requests, target.average_utilization)
        shown = f"{name} {'container ' if container else ''}resource utilization (percentage of request)"
    else:
        if target.average_value is None:
            return _problem(reason, label, "neither a utilization target nor a value target was set")
        found = counting.by_average(sight.replicas, groups, measured, _amount(target.average_value))
        shown = f"{name} {'container ' if container else ''}resource"
    if isinstance(found, counting.NoMetric):
        return _problem(reason, label, f"failed to get {name} utilization: {found.problem}")
    status = MetricStatus(name=label, current=found.current, wanted_replicas=found.replicas)
    return Reading(name=shown, replicas=found.replicas, status=status)


def _request(pod: Pod, name: str, container: str) -> float | str:
    """What its containers ask for; a limit alone is a request too."""
    found = [one for one in pod.spec.containers if not container or one.name == container]
    if not found:
        return f"container {container} not found in Pod {pod.metadata.name}"
    asked_for = 0.0
    for one in found:
        amount = _asked(one, name)
        if amount is None:
            if name == "nvidia.com/gpu" and not container:
                continue
            return f"missing request for {name} in container {one.name} of Pod {pod.metadata.name}"
        asked_for += amount
    return asked_for or f"missing request for {name} in Pod {pod.metadata.name}"


def _asked(container: Container, name: str) -> float | None:
    resources = container.resources
    given = resources.requests.get(name, resources.limits.get(name))
    return _amount(given) if given is not None else None


def _amount(given: str | int | float) -> float:
    return quantity.nanos(given) / 1e9


# -- what the gateway counts


def _traffic(
    name: str, described: str, target: MetricTarget, services: Sequence[ServiceKey],
    sight: Sight, loads: Loads, rush: Rush, now: float,
) -> Reading | Problem:  # fmt: skip
    reason = "FailedGetObjectMetric" if described else "FailedGetPodsMetric"
    if name not in TRAFFIC:
        text = f"unable to get metric {name}: Corral measures {' and '.join(TRAFFIC)}; another is External, with a query to Prometheus"
        return _problem(reason, name, text)
    if not services:
        return _problem(reason, name, f"unable to get metric {name}: no Service leads to these Pods")
    if loads.is_silent(now):
        return _problem(reason, name, f"unable to get metric {name}: no gateway has reported")
    mean = loads.in_flight if name == IN_FLIGHT else loads.per_second
    shares = [1.0 if described else sight.shares.get(key, 1.0) for key in services]
    means = [share * (mean(key, STABLE, now) or 0.0) for key, share in zip(services, shares, strict=True)]
    stable = sum(means)
    rush_means = [mean(key, PANIC, now) for key in services]
    lately = sum(
        long if short is None else share * short for short, long, share in zip(rush_means, means, shares, strict=True)
    )
    held = sum(window.holds for key in services if (window := loads.windows.get(key)) is not None)
    ready = sum(pod.is_ready for pod in sight.pods)
    there = sight.replicas
    if target.average_value is not None:
        goal = _amount(target.average_value)
        wanted = asked(rush, there, ready, stable, lately, goal, now)
        shown = stable / there if there else stable
    elif target.value is not None and described:
        goal = _amount(target.value)
        wanted, shown = counting.by_value(there, ready, stable, goal), stable
    else:
        return _problem(reason, name, f"metric {name} has no target averageValue")
    if held:
        wanted = max(wanted, 1)
    where = f"Service metric {name}" if described else f"pods metric {name}"
    status = MetricStatus(name=name, current=shown, wanted_replicas=wanted)
    return Reading(name=where, replicas=wanted, status=status)


# -- what others know


def _external(
    metric: MetricIdentifier, target: MetricTarget, sight: Sight, loads: Loads, now: float
) -> Reading | Problem:
    value = loads.value_of(query_of(metric), now)
    if isinstance(value, str):
        text = f"unable to get external metric {sight.namespace}/{metric.name}: {value}"
        return _problem("FailedGetExternalMetric", metric.name, text)
    there = sum(1 for pod in sight.pods if not pod.metadata.deletion_timestamp)
    if target.average_value is not None:
        wanted = counting.by_share(sight.replicas, there, value, _amount(target.average_value))
        shown = value / there if there else value
    elif target.value is not None:
        ready = sum(pod.is_ready for pod in sight.pods)
        wanted, shown = counting.by_value(sight.replicas, ready, value, _amount(target.value)), value
    else:
        return _problem(
            "FailedGetExternalMetric", metric.name, "neither a value target nor an average value target was set"
        )
    status = MetricStatus(name=metric.name, current=shown, wanted_replicas=wanted)
    return Reading(name=f"external metric {metric.name}", replicas=max(0, wanted), status=status, is_outside=True)
