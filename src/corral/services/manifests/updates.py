"""What of an object does not change any more once it is there?"""

from typing import Any

import msgspec

from corral.model.kube.config import ConfigMap, PriorityClass, Secret
from corral.model.kube.network import Service
from corral.model.kube.objects import AnyObject
from corral.model.kube.pod import Pod, PodSpec
from corral.model.kube.rbac import ClusterRoleBinding, RoleBinding
from corral.model.kube.storage import PersistentVolume, PersistentVolumeClaim, StorageClass
from corral.model.kube.workload import DaemonSet, Deployment, Job, ReplicaSet, StatefulSet
from corral.services import storage
from corral.services.manifests.defaults import with_
from corral.services.manifests.problems import Problems

_FIXED = "field is immutable"
#: What a StatefulSet's spec may change.
_OF_SETS = (
    "replicas", "ordinals", "template", "update_strategy", "revision_history_limit", "min_ready_seconds",
    "persistent_volume_claim_retention_policy",
)  # fmt: skip


def with_kept(new: AnyObject, old: AnyObject) -> AnyObject:
    """What the cluster has given stays where the new one does not say otherwise."""
    if isinstance(new, Service) and isinstance(old, Service) and "ExternalName" not in (new.spec.type, old.spec.type):
        if new.spec.cluster_ip:
            return new
        return with_(new, spec=with_(new.spec, cluster_ip=old.spec.cluster_ip, cluster_ips=old.spec.cluster_ips))
    if isinstance(new, Job) and isinstance(old, Job) and new.spec.selector is None:
        return with_(new, spec=with_(new.spec, selector=old.spec.selector))
    if isinstance(new, PersistentVolumeClaim) and isinstance(old, PersistentVolumeClaim):
        name = old.spec.storage_class_name if new.spec.storage_class_name is None else new.spec.storage_class_name
        volume = new.spec.volume_name or old.spec.volume_name
        return with_(new, spec=with_(new.spec, storage_class_name=name, volume_name=volume))
    if isinstance(new, PersistentVolume) and isinstance(old, PersistentVolume) and new.spec.claim_ref is not None:
        before = old.spec.claim_ref
        if before is not None and (before.namespace, before.name) == (
            new.spec.claim_ref.namespace,
            new.spec.claim_ref.name,
        ):
            uid = new.spec.claim_ref.uid or before.uid
            return with_(new, spec=with_(new.spec, claim_ref=with_(new.spec.claim_ref, uid=uid)))
    return new


def check(new: AnyObject, old: AnyObject) -> Problems:
    """`new` is to take the place of `old`, which has its kind and name."""
    problems = Problems()
    match new, old:
        case (Deployment() | ReplicaSet() | DaemonSet() as one, Deployment() | ReplicaSet() | DaemonSet() as before):
            _same(one.spec.selector, before.spec.selector, "spec.selector", problems)
        case (StatefulSet() as one, StatefulSet() as before):
            mutable = {name: getattr(before.spec, name) for name in _OF_SETS}
            if with_(one.spec, **mutable) != before.spec:
                problems.forbidden(
                    "spec",
                    "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', "
                    "'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden",
                )
        case (Job() as one, Job() as before):
            _job(one, before, problems)
        case (Pod() as one, Pod() as before):
            _pod(one.spec, before.spec, problems)
        case (Service() as one, Service() as before):
            named = "ExternalName" in (one.spec.type, before.spec.type)
            if not named and before.spec.cluster_ip not in ("", one.spec.cluster_ip):
                problems.invalid("spec.clusterIP", one.spec.cluster_ip, "may not change once set")
        case (ConfigMap() as one, ConfigMap() as before):
            _held(one, before, ("data", "binary_data"), problems)
        case (Secret() as one, Secret() as before):
            _same(one.type, before.type, "type", problems)
            _held(one, before, ("data",), problems)
        case (PersistentVolumeClaim() as one, PersistentVolumeClaim() as before):
            _claim(one, before, problems)
        case (PersistentVolume() as one, PersistentVolume() as before):
            for field, wire in (("host_path", "hostPath"), ("local", "local"), ("nfs", "nfs")):
                if getattr(one.spec, field) != getattr(before.spec, field):
                    problems.forbidden("spec", f"spec.{wire} is immutable after creation")
        case (StorageClass() as one, StorageClass() as before):
            for field, wire in (
                ("provisioner", "provisioner"), ("parameters", "parameters"), ("reclaim_policy", "reclaimPolicy"),
                ("volume_binding_mode", "volumeBindingMode"),
            ):  # fmt: skip
                if getattr(one, field) != getattr(before, field):
                    problems.forbidden(wire, "updates to it are forbidden.")
        case (RoleBinding() | ClusterRoleBinding() as one, RoleBinding() | ClusterRoleBinding() as before):
            if one.role_ref != before.role_ref:
                problems.invalid("roleRef", msgspec.to_builtins(one.role_ref), "cannot change roleRef")
        case (PriorityClass() as one, PriorityClass() as before):
            for field, wire in (("value", "value"), ("preemption_policy", "preemptionPolicy")):
                if getattr(one, field) != getattr(before, field):
                    problems.forbidden(wire, "may not be changed in an update.")
    return problems


def _claim(new: PersistentVolumeClaim, old: PersistentVolumeClaim, problems: Problems) -> None:
    """Its volume is given by the cluster; it may grow (engine/kube/admission.py: if its class says so)."""
    spec = old.spec
    named = new.spec.volume_name if not spec.volume_name else spec.volume_name
    classed = new.spec.storage_class_name if spec.storage_class_name is None else spec.storage_class_name
    if with_(new.spec, resources=spec.resources, volume_name=named, storage_class_name=classed) != with_(
        spec, volume_name=named, storage_class_name=classed
    ):
        problems.forbidden("spec", "spec is immutable after creation except resources.requests for bound claims")
    if storage.wanted(new) < storage.wanted(old):
        problems.forbidden("spec.resources.requests.storage", "field can not be less than status.capacity")


def _same(one: Any, before: Any, path: str, problems: Problems) -> None:
    if one != before:
        problems.invalid(path, msgspec.to_builtins(one), _FIXED)


def _job(one: Job, before: Job, problems: Problems) -> None:
    new, old = one.spec, before.spec
    if new.completions != old.completions:
        both = new.completions == new.parallelism and old.completions == old.parallelism
        if not (both and new.completion_mode == old.completion_mode == "Indexed"):
            problems.invalid("spec.completions", new.completions, _FIXED)
    _same(new.selector, old.selector, "spec.selector", problems)
    if new.template != old.template:
        problems.add(
            "spec.template", "FieldValueInvalid", f"Invalid value: {_FIXED}; delete the Job and make a new one"
        )
    _same(new.completion_mode, old.completion_mode, "spec.completionMode", problems)


def _pod(new: PodSpec, old: PodSpec, problems: Problems) -> None:
    deadline = new.active_deadline_seconds
    mutable: dict[str, Any] = {"tolerations": old.tolerations, "active_deadline_seconds": old.active_deadline_seconds}
    if with_(new, **mutable) != old or new.tolerations[: len(old.tolerations)] != old.tolerations:
        problems.forbidden(
            "spec",
            "pod updates may not change fields other than `spec.activeDeadlineSeconds` or `spec.tolerations` (only additions to "
            "existing tolerations); delete the Pod and make a new one",
        )
    elif old.active_deadline_seconds is not None and (deadline is None or deadline > old.active_deadline_seconds):
        problems.invalid("spec.activeDeadlineSeconds", deadline, "must be less than or equal to previous value")


def _held(one: Any, before: Any, fields: tuple[str, ...], problems: Problems) -> None:
    if not before.immutable:
        return
    if not one.immutable:
        problems.forbidden("immutable", "field is immutable when `immutable` is set")
    for name in fields:
        if getattr(one, name) != getattr(before, name):
            problems.forbidden(
                "binaryData" if name == "binary_data" else name, "field is immutable when `immutable` is set"
            )
