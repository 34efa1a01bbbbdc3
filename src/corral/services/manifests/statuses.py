"""How is the state of an object shown, in the shape that Kubernetes gives it?"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec

from corral.model.kube.network import Ingress, Service
from corral.model.kube.objects import AnyObject
from corral.model.kube.pod import ContainerState, ContainerStatus, Pod, PodStatus
from corral.model.kube.scaling import HorizontalPodAutoscaler, MetricSpec, MetricStatus
from corral.model.kube.storage import PersistentVolume
from corral.model.kube.workload import CronJob, StatefulSet

Shown = Callable[[msgspec.Struct], dict[str, Any]]


def status_of(one: AnyObject, shown: Shown) -> dict[str, Any]:
    if isinstance(one, Pod):
        return _pod(one, shown)
    if isinstance(one, CronJob):
        return _cron_job(one, shown)
    if isinstance(one, Service):
        return _service(one, shown)
    if isinstance(one, Ingress):
        return {"loadBalancer": _balancer(one.status.url)}
    if isinstance(one, HorizontalPodAutoscaler):
        return _autoscaler(one, shown)
    if isinstance(one, StatefulSet):
        return shown(msgspec.structs.replace(one.status, failures={}))
    if isinstance(one, PersistentVolume):
        return shown(msgspec.structs.replace(one.status, used_on=""))
    status: msgspec.Struct | None = getattr(one, "status", None)
    return {} if status is None else shown(status)


def _pod(one: Pod, shown: Shown) -> dict[str, Any]:
    status: PodStatus = one.status
    found: dict[str, Any] = {"phase": status.phase}
    for wire, text in (("reason", status.reason), ("message", status.message)):
        if text:
            found[wire] = text
    if status.conditions:
        found["conditions"] = [shown(condition) for condition in status.conditions]
    if status.host_ip:
        found["hostIP"] = status.host_ip
        found["hostIPs"] = [{"ip": status.host_ip}]
    if status.pod_ip:
        found["podIP"] = status.pod_ip
        found["podIPs"] = [{"ip": status.pod_ip}]
    if status.start_time:
        found["startTime"] = _time(status.start_time)
    for wire, containers in (
        ("initContainerStatuses", status.init_container_statuses),
        ("containerStatuses", status.container_statuses),
    ):
        if containers:
            found[wire] = [_container(container, one) for container in containers]
    found["qosClass"] = qos_class(one)
    return found


def qos_class(one: Pod) -> str:
    """Guaranteed, Burstable or BestEffort, by what its containers ask for."""
    containers = one.spec.containers + one.spec.init_containers
    asked = [(part.resources.requests, part.resources.limits) for part in containers]
    counted = [
        {name: amount for name, amount in (*requests.items(), *limits.items()) if name in ("cpu", "memory")}
        for requests, limits in asked
    ]
    if not any(counted):
        return "BestEffort"
    for requests, limits in asked:
        for name in ("cpu", "memory"):
            if name not in limits or requests.get(name, limits[name]) != limits[name]:
                return "Burstable"
    return "Guaranteed"


def _container(container: ContainerStatus, one: Pod) -> dict[str, Any]:
    identity = f"corral://{one.status.job}.{container.step}" if container.step >= 0 else ""
    found = {
        "name": container.name,
        "image": container.image,
        "imageID": container.image if container.step >= 0 else "",
        "ready": container.ready,
        "started": container.started,
        "restartCount": container.restart_count,
        "state": _state(container.state, identity),
        "lastState": _state(container.last_state, "") if container.last_state is not None else {},
    }
    if identity:
        found["containerID"] = identity
    return found


def _state(state: ContainerState, identity: str) -> dict[str, Any]:
    inside: dict[str, Any] = {}
    if state.state == "terminated":
        inside["exitCode"] = state.exit_code
        if state.signal:
            inside["signal"] = state.signal
    for wire, text in (("reason", state.reason), ("message", state.message)):
        if text and state.state != "running":
            inside[wire] = text
    if state.state != "waiting":
        for wire, when in (("startedAt", state.started_at), ("finishedAt", state.finished_at)):
            if when and (wire == "startedAt" or state.state == "terminated"):
                inside[wire] = _time(when)
        if identity and state.state == "terminated":
            inside["containerID"] = identity
    return {state.state: inside}


def _cron_job(one: CronJob, shown: Shown) -> dict[str, Any]:
    found = shown(one.status)
    if one.status.active:
        found["active"] = [
            {"apiVersion": "batch/v1", "kind": "Job", "name": name, "namespace": one.metadata.namespace}
            for name in one.status.active
        ]
    return found


def _service(one: Service, shown: Shown) -> dict[str, Any]:
    found = shown(one.status)
    found["loadBalancer"] = _balancer(one.status.url) if one.spec.type == "LoadBalancer" else {}
    return found


def _balancer(url: str) -> dict[str, Any]:
    """The host of the gateway, as the address of a load balancer."""
    host = url.partition("://")[2].partition("/")[0].rpartition("@")[2]
    if host.startswith("["):
        name = host[1:].partition("]")[0]
    else:
        name = host.partition(":")[0]
    if not name:
        return {}
    is_address = ":" in name or name.replace(".", "").isdigit()
    return {"ingress": [{"ip" if is_address else "hostname": name}]}


def _autoscaler(one: HorizontalPodAutoscaler, shown: Shown) -> dict[str, Any]:
    found = shown(one.status)
    found.setdefault("desiredReplicas", 0)
    if one.status.current_metrics:
        found["currentMetrics"] = [
            _metric(status, spec) for status, spec in zip(one.status.current_metrics, one.spec.metrics, strict=False)
        ]
    return found


def _metric(status: MetricStatus, spec: MetricSpec) -> dict[str, Any]:
    wire = spec.type[0].lower() + spec.type[1:]
    source: Any = getattr(spec, "container_resource" if spec.type == "ContainerResource" else wire)
    target = source.target
    if target.average_utilization is not None:
        current: dict[str, Any] = {"averageUtilization": round(status.current)}
    elif target.value is not None:
        current = {"value": f"{round(status.current * 1000)}m"}
    else:
        current = {"averageValue": f"{round(status.current * 1000)}m"}
    inside: dict[str, Any] = {"current": current}
    if hasattr(source, "metric"):
        inside["metric"] = {"name": source.metric.name}
    else:
        inside["name"] = source.name
    return {"type": spec.type, wire: inside}


def _time(when: float) -> str:
    return datetime.fromtimestamp(int(when), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
