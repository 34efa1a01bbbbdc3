"""How is an object shown? As Kubernetes shows it: with the defaults that it fills in, times as text, its own shape of a status."""

import functools
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import inspect

from corral.model.kube import claim, config, meta, network, pod, rbac, scaling, storage, workload
from corral.model.kube.meta import KubeObject
from corral.model.kube.objects import KINDS, AnyObject
from corral.services.manifests import statuses

#: Fields that are shown though they have their default, by record.
SHOWN: dict[type[msgspec.Struct], tuple[str, ...]] = {
    meta.OwnerReference: ("api_version", "controller"),
    pod.PodSpec: ("dns_policy", "restart_policy", "scheduler_name", "termination_grace_period_seconds"),
    pod.Container: ("termination_message_path", "termination_message_policy", "resources"),
    pod.ContainerPort: ("protocol",),
    pod.Probe: ("timeout_seconds", "period_seconds", "success_threshold", "failure_threshold"),
    pod.HTTPGetAction: ("path", "scheme"),
    pod.GRPCAction: ("service",),
    pod.ObjectFieldSelector: ("api_version",),
    pod.HostPathVolume: ("type",),
    pod.ConfigMapVolume: ("default_mode",),
    pod.SecretVolume: ("default_mode",),
    pod.DownwardAPIVolume: ("default_mode",),
    pod.ProjectedVolume: ("default_mode",),
    pod.ResourceFieldSelector: ("divisor",),
    pod.ServiceAccountTokenProjection: ("expiration_seconds",),
    workload.DeploymentSpec: ("replicas", "strategy", "revision_history_limit", "progress_deadline_seconds"),
    workload.DeploymentStrategy: ("type",),
    workload.RollingUpdateDeployment: ("max_surge", "max_unavailable"),
    workload.ReplicaSetSpec: ("replicas",),
    workload.StatefulSetSpec: (
        "replicas", "pod_management_policy", "update_strategy", "revision_history_limit", "service_name",
    ),
    workload.StatefulSetUpdateStrategy: ("type",),
    workload.RollingUpdateStatefulSet: ("partition",),
    workload.DaemonSetSpec: ("update_strategy", "revision_history_limit"),
    workload.DaemonSetUpdateStrategy: ("type",),
    workload.RollingUpdateDaemonSet: ("max_surge", "max_unavailable"),
    workload.DaemonSetStatus: (
        "current_number_scheduled", "number_misscheduled", "desired_number_scheduled", "number_ready",
    ),
    workload.JobSpec: ("parallelism", "completion_mode", "backoff_limit", "suspend"),
    workload.CronJobSpec: (
        "concurrency_policy", "suspend", "successful_jobs_history_limit", "failed_jobs_history_limit",
    ),
    network.ServiceSpec: ("type", "session_affinity"),
    network.ServicePort: ("protocol",),
    network.ClientIPConfig: ("timeout_seconds",),
    scaling.HPASpec: ("min_replicas",),
    scaling.HPAScalingRules: ("select_policy",),
    config.Secret: ("type",),
    config.PriorityClass: ("value", "preemption_policy"),
    config.NamespaceStatus: ("phase",),
    rbac.RoleRef: ("api_group",),
    rbac.Role: ("rules",),
    rbac.ClusterRole: ("rules",),
    storage.StorageClass: ("reclaim_policy", "volume_binding_mode"),
    claim.PersistentVolumeClaimSpec: ("volume_mode",),
    storage.PersistentVolumeClaimStatus: ("phase",),
    storage.PersistentVolumeSpec: ("persistent_volume_reclaim_policy", "volume_mode"),
    storage.PersistentVolumeStatus: ("phase",),
    config.PodDisruptionBudgetStatus: ("disruptions_allowed", "current_healthy", "desired_healthy", "expected_pods"),
}  # fmt: skip


def to_manifest(one: AnyObject) -> dict[str, Any]:
    """Its creator never shows; a Secret's values are as they are in the record (sealed, unless they have been opened)."""
    kind = KINDS[type(one).__name__]
    shown: dict[str, Any] = {"apiVersion": kind.api_version, "kind": kind.name}
    for field in _fields(type(one)):
        if field.name == "status":
            status = statuses.status_of(one, shown_record)
            if status:
                shown["status"] = status
        elif field.name == "metadata":
            shown["metadata"] = _metadata(one)
        elif field.name != "creator":
            _add(shown, field, one)
    return shown


def shown_record(record: msgspec.Struct) -> dict[str, Any]:
    """A part of an object."""
    shown: dict[str, Any] = {}
    for field in _fields(type(record)):
        _add(shown, field, record)
    return shown


def _metadata(one: KubeObject) -> dict[str, Any]:
    meta = shown_record(one.metadata)
    if not meta.get("namespace"):
        meta.pop("namespace", None)
    return meta


class _Field(msgspec.Struct, frozen=True):
    name: str
    wire: str
    default: Any
    always: bool
    is_time: bool


@functools.cache
def _fields(record: type[msgspec.Struct]) -> tuple[_Field, ...]:
    known = inspect.type_info(record)
    assert isinstance(known, inspect.StructType)
    always = SHOWN.get(record, ())
    return tuple(
        _Field(
            one.name,
            one.encode_name,
            one.default_factory() if one.default_factory is not msgspec.NODEFAULT else one.default,
            one.name in always or one.required,
            isinstance(one.type, inspect.FloatType),
        )
        for one in known.fields
    )


def _add(shown: dict[str, Any], field: _Field, record: msgspec.Struct) -> None:
    value = getattr(record, field.name)
    if value is None or (not field.always and value == field.default):
        return
    shown[field.wire] = time_text(value) if field.is_time else _plain(value)


def _plain(value: Any) -> Any:
    if isinstance(value, msgspec.Struct):
        return shown_record(value)
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    return value


def time_text(when: float) -> str | None:
    """RFC 3339 in whole seconds, as Kubernetes has it; None = no time."""
    return datetime.fromtimestamp(int(when), UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if when else None
