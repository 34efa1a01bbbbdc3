"""What does Kubernetes fill in where a manifest says nothing? What our records have as their own defaults is not repeated here."""

import base64
from typing import Any, TypeVar

import msgspec

from corral.model.kube.config import LimitRange, Namespace, Secret
from corral.model.kube.network import ClientIPConfig, Service, ServicePort, SessionAffinityConfig
from corral.model.kube.objects import AnyObject
from corral.model.kube.pod import (
    Container,
    EmptyDirVolume,
    EnvVar,
    Pod,
    PodSecurityContext,
    PodSpec,
    PodTemplateSpec,
    Probe,
    ResourceRequirements,
    Volume,
)
from corral.model.kube.scaling import (
    HorizontalPodAutoscaler,
    HPABehavior,
    HPAScalingPolicy,
    HPAScalingRules,
    MetricSpec,
    MetricTarget,
    ResourceMetricSource,
)
from corral.model.kube.workload import (
    CronJob,
    DaemonSet,
    Deployment,
    Job,
    JobSpec,
    ReplicaSet,
    RollingUpdateDaemonSet,
    RollingUpdateDeployment,
    RollingUpdateStatefulSet,
    StatefulSet,
)
from corral.services.limitranges import with_defaults

_T = TypeVar("_T")
_PROBES = ("startup_probe", "readiness_probe", "liveness_probe")
_SCALE_UP = HPAScalingRules(
    stabilization_window_seconds=0,
    policies=(
        HPAScalingPolicy(type="Pods", value=4, period_seconds=15),
        HPAScalingPolicy(type="Percent", value=100, period_seconds=15),
    ),
)
_SCALE_DOWN = HPAScalingRules(policies=(HPAScalingPolicy(type="Percent", value=100, period_seconds=15),))
_HALF_BUSY = MetricSpec(
    type="Resource",
    resource=ResourceMetricSource(name="cpu", target=MetricTarget(type="Utilization", average_utilization=80)),
)


def defaulted(one: AnyObject, document: dict[str, Any]) -> AnyObject:
    """`document` is the manifest: a few defaults depend on what has been written."""
    match one:
        case Pod():
            spec = pod_spec(one.spec)
            return with_(one, spec=with_(spec, containers=_with_requests(spec.containers),
                                         init_containers=_with_requests(spec.init_containers)))  # fmt: skip
        case Deployment():
            strategy = one.spec.strategy
            if strategy.type == "RollingUpdate" and strategy.rolling_update is None:
                strategy = with_(strategy, rolling_update=RollingUpdateDeployment())
            return with_(one, spec=with_(one.spec, strategy=strategy, template=_template(one.spec.template)))
        case ReplicaSet():
            return with_(one, spec=with_(one.spec, template=_template(one.spec.template)))
        case StatefulSet():
            update = one.spec.update_strategy
            if update.type == "RollingUpdate" and update.rolling_update is None:
                update = with_(update, rolling_update=RollingUpdateStatefulSet())
            return with_(one, spec=with_(one.spec, update_strategy=update, template=_template(one.spec.template)))
        case DaemonSet():
            update_of = one.spec.update_strategy
            if update_of.type == "RollingUpdate" and update_of.rolling_update is None:
                update_of = with_(update_of, rolling_update=RollingUpdateDaemonSet())
            return with_(one, spec=with_(one.spec, update_strategy=update_of, template=_template(one.spec.template)))
        case Job():
            return with_(one, spec=_job(one.spec, document.get("spec")))
        case CronJob():
            template = one.spec.job_template
            given = ((document.get("spec") or {}).get("jobTemplate") or {}).get("spec")
            return with_(one, spec=with_(one.spec, job_template=with_(template, spec=_job(template.spec, given))))
        case Service():
            return _service(one)
        case LimitRange():
            return with_(one, spec=with_(one.spec, limits=tuple(map(with_defaults, one.spec.limits))))
        case HorizontalPodAutoscaler():
            return with_(
                one,
                spec=with_(one.spec, metrics=one.spec.metrics or (_HALF_BUSY,), behavior=_behavior(one.spec.behavior)),
            )
        case Namespace():
            named = {"kubernetes.io/metadata.name": one.metadata.name} if one.metadata.name else {}
            return with_(one, metadata=with_(one.metadata, labels=one.metadata.labels | named))
        case Secret():
            plain = {key: base64.b64encode(value.encode()).decode() for key, value in one.string_data.items()}
            return with_(one, type=one.type or "Opaque", data=one.data | plain, string_data={})
    return one


def pod_spec(spec: PodSpec) -> PodSpec:
    return with_(
        spec,
        containers=tuple(_container(one, spec.host_network) for one in spec.containers),
        init_containers=tuple(_container(one, spec.host_network) for one in spec.init_containers),
        volumes=tuple(_volume(one) for one in spec.volumes),
        security_context=spec.security_context or PodSecurityContext(),
        scheduler_name=spec.scheduler_name or "default-scheduler",
        dns_policy=spec.dns_policy or "ClusterFirst",
    )


def pull_policy(image: str) -> str:
    """Always for what may change under its name."""
    last = image.rpartition("/")[2]
    if "@" in last or (":" in last and not last.endswith(":latest")):
        return "IfNotPresent"
    return "Always"


def with_(record: _T, **changes: Any) -> _T:
    """The record itself where nothing changes."""
    if all(getattr(record, name) == value for name, value in changes.items()):
        return record
    return msgspec.structs.replace(record, **changes)  # type: ignore[type-var]


def _template(template: PodTemplateSpec) -> PodTemplateSpec:
    return with_(template, spec=pod_spec(template.spec))


def _container(one: Container, host_network: bool) -> Container:
    changes: dict[str, Any] = {
        "env": tuple(_variable(variable) for variable in one.env),
        "termination_message_path": one.termination_message_path or "/dev/termination-log",
        "termination_message_policy": one.termination_message_policy or "File",
    }
    if one.image and not one.image_pull_policy:
        changes["image_pull_policy"] = pull_policy(one.image)
    if host_network:
        changes["ports"] = tuple(with_(port, host_port=port.host_port or port.container_port) for port in one.ports)
    for name in _PROBES:
        probe: Probe | None = getattr(one, name)
        if probe is not None:
            changes[name] = with_(
                probe,
                timeout_seconds=probe.timeout_seconds or 1,
                period_seconds=probe.period_seconds or 10,
                success_threshold=probe.success_threshold or 1,
                failure_threshold=probe.failure_threshold or 3,
            )
    return with_(one, **changes)


def _variable(one: EnvVar) -> EnvVar:
    source = one.value_from
    if source is None or source.resource_field_ref is None or source.resource_field_ref.divisor != "0":
        return one
    return with_(one, value_from=with_(source, resource_field_ref=with_(source.resource_field_ref, divisor="1")))


def _volume(one: Volume) -> Volume:
    if any(getattr(one, name) is not None for name in one.__struct_fields__ if name != "name"):
        return one
    return with_(one, empty_dir=EmptyDirVolume())


def _with_requests(containers: tuple[Container, ...]) -> tuple[Container, ...]:
    """A limit without a request is the request too."""
    return tuple(
        with_(
            one,
            resources=ResourceRequirements(
                limits=one.resources.limits, requests=one.resources.limits | one.resources.requests
            ),
        )
        for one in containers
    )


def _job(spec: JobSpec, given: Any) -> JobSpec:
    """Without completions and parallelism: one of each. With parallelism alone the Pods share a work queue."""
    alone = isinstance(given, dict) and given.get("completions") is None and given.get("parallelism") is None
    return with_(spec, template=_template(spec.template), completions=1 if alone else spec.completions)


def _service(one: Service) -> Service:
    spec = one.spec
    ports: tuple[ServicePort, ...] = spec.ports
    if spec.type != "ExternalName":
        ports = tuple(with_(port, target_port=port.target_port or port.port) for port in ports)
    sticky = spec.session_affinity_config
    if spec.session_affinity == "ClientIP" and (sticky is None or sticky.client_ip is None):
        sticky = SessionAffinityConfig(client_ip=ClientIPConfig())
    address = spec.cluster_ip or next(iter(spec.cluster_ips), "")
    addresses = spec.cluster_ips or ((address,) if address else ())
    return with_(
        one,
        spec=with_(spec, ports=ports, session_affinity_config=sticky, cluster_ip=address, cluster_ips=addresses),
    )


def _behavior(given: HPABehavior | None) -> HPABehavior | None:
    if given is None:
        return None
    return HPABehavior(scale_up=_rules(given.scale_up, _SCALE_UP), scale_down=_rules(given.scale_down, _SCALE_DOWN))


def _rules(given: HPAScalingRules | None, usual: HPAScalingRules) -> HPAScalingRules:
    if given is None:
        return usual
    window = given.stabilization_window_seconds
    return with_(
        given,
        policies=given.policies or usual.policies,
        stabilization_window_seconds=usual.stabilization_window_seconds if window is None else window,
    )
