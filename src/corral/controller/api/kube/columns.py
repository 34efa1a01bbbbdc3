"""What does `get` show of each kind, as Kubernetes' server prints it?"""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from corral.controller.api.kube import podtext
from corral.controller.api.kube.resources import Resource
from corral.controller.api.kube.scale import selector_text
from corral.controller.kubeendpoints import Endpoints, EndpointSlice
from corral.controller.kubeevents import Event
from corral.controller.kubenodes import PARTITION, Node
from corral.model.kube.config import (
    ConfigMap,
    LimitRange,
    Namespace,
    PodDisruptionBudget,
    PriorityClass,
    ResourceQuota,
    Secret,
)
from corral.model.kube.meta import KubeObject
from corral.model.kube.network import Ingress, Service
from corral.model.kube.objects import KINDS
from corral.model.kube.pipeline import Pipeline, PipelineRun
from corral.model.kube.pod import Pod, PodTemplateSpec
from corral.model.kube.rbac import ClusterRole, ClusterRoleBinding, Role, RoleBinding, ServiceAccount
from corral.model.kube.scaling import HorizontalPodAutoscaler
from corral.model.kube.storage import PersistentVolume, PersistentVolumeClaim, StorageClass
from corral.model.kube.workload import ControllerRevision, CronJob, DaemonSet, Deployment, Job, ReplicaSet, StatefulSet
from corral.services.manifests import writing
from corral.services.storage import is_default
from corral.syntax.age import format_age

Cell = str | int
NONE = "<none>"


class Column(NamedTuple):
    name: str
    value: Callable[[Any, float], Cell]
    wide: bool = False  #: only with -o wide
    type: str = "string"


def age(when: float, now: float) -> str:
    return format_age(now - when) if when else "<unknown>"


NAME = Column("Name", lambda one, now: one.metadata.name)
AGE = Column("Age", lambda one, now: age(one.metadata.creation_timestamp, now))


def _number(name: str, value: Callable[[Any, float], int]) -> Column:
    return Column(name, value, False, "integer")


def _containers(template: Callable[[Any], PodTemplateSpec]) -> tuple[Column, ...]:
    def names(one: Any, now: float) -> str:
        return ",".join(part.name for part in template(one).spec.containers) or NONE

    def images(one: Any, now: float) -> str:
        return ",".join(part.image or NONE for part in template(one).spec.containers) or NONE

    return Column("Containers", names, True), Column("Images", images, True)


_SELECTOR = Column("Selector", lambda one, now: selector_text(one.spec.selector) or NONE, True)


def _deployment() -> tuple[Column, ...]:
    return (
        NAME,
        Column("Ready", lambda one, now: f"{one.status.ready_replicas}/{one.spec.replicas}"),
        _number("Up-to-date", lambda one, now: one.status.updated_replicas),
        _number("Available", lambda one, now: one.status.available_replicas),
        AGE,
        *_containers(lambda one: one.spec.template),
        _SELECTOR,
    )


def _replica_set() -> tuple[Column, ...]:
    return (
        NAME,
        _number("Desired", lambda one, now: one.spec.replicas),
        _number("Current", lambda one, now: one.status.replicas),
        _number("Ready", lambda one, now: one.status.ready_replicas),
        AGE,
        *_containers(lambda one: one.spec.template),
        _SELECTOR,
    )


def _job_status(one: Job, now: float) -> str:
    for kind, text in (("Complete", "Complete"), ("Failed", "Failed"), ("Suspended", "Suspended")):
        if any(condition.type == kind and condition.status == "True" for condition in one.status.conditions):
            return text
    return "Terminating" if one.metadata.deletion_timestamp else "Running"


def _completions(one: Job, now: float) -> str:
    wanted = one.spec.completions
    if wanted is not None:
        return f"{one.status.succeeded}/{wanted}"
    many = one.spec.parallelism
    return f"{one.status.succeeded}/1 of {many}" if many > 1 else f"{one.status.succeeded}/1"


def _duration(one: Job, now: float) -> str:
    status = one.status
    if not status.start_time:
        return ""
    return format_age((status.completion_time or now) - status.start_time)


def _ports(one: Service, now: float) -> str:
    return (
        ",".join(
            f"{p.port}:{p.node_port}/{p.protocol}" if p.node_port else f"{p.port}/{p.protocol}" for p in one.spec.ports
        )
        or NONE
    )


def _endpoints(one: Endpoints, now: float) -> str:
    ready = [(at.ip, port.port) for subset in one.subsets for at in subset.addresses for port in subset.ports]
    return _first_three([f"{ip}:{port}" for ip, port in ready]) or NONE


def _first_three(words: list[str]) -> str:
    return ",".join(words[:3]) + (f" + {len(words) - 3} more..." if len(words) > 3 else "")


def _external(one: Service, now: float) -> str:
    if one.spec.type == "ExternalName":
        return one.spec.external_name
    if one.spec.type == "LoadBalancer":
        return one.status.url.partition("://")[2].rstrip("/") or "<pending>"
    return NONE


def _hosts(one: Ingress, now: float) -> str:
    names = [rule.host or "*" for rule in one.spec.rules]
    return (",".join(names[:3]) + (f" + {len(names) - 3} more..." if len(names) > 3 else "")) or "*"


def _reference(one: HorizontalPodAutoscaler, now: float) -> str:
    return f"{one.spec.scale_target_ref.kind}/{one.spec.scale_target_ref.name}"


def _number_text(value: float) -> str:
    return str(int(value)) if value == int(value) else f"{value:.3g}"


def _targets(one: HorizontalPodAutoscaler, now: float) -> str:
    current = {metric.name: metric for metric in one.status.current_metrics}
    found = []
    for spec in one.spec.metrics:
        source: Any = spec.resource or spec.container_resource or spec.pods or spec.object or spec.external
        name = source.name if hasattr(source, "name") else source.metric.name
        target = source.target
        is_percent = target.average_utilization is not None
        wanted = f"{target.average_utilization}%" if is_percent else str(target.average_value or target.value)
        wanted += " (avg)" if target.average_value is not None else ""
        known = current.get(name)
        is_known = known is not None and not known.problem
        now_text = (
            _number_text(known.current) + ("%" if is_percent else "") if known is not None and is_known else "<unknown>"
        )
        found.append(f"{name}: {now_text}/{wanted}" if is_percent else f"{now_text}/{wanted}")
    shown = ", ".join(found[:2]) + (f" + {len(found) - 2} more..." if len(found) > 2 else "")
    return shown or NONE


def _quota(one: ResourceQuota, limits: bool) -> str:
    return ", ".join(
        f"{name}: {one.status.used.get(name, 0)}/{hard}"
        for name, hard in sorted((one.status.hard or one.spec.hard).items())
        if name.startswith("limits.") == limits
    )


def _optional(value: Any) -> str:
    return "N/A" if value is None else str(value)


def _partitions(one: Node, now: float) -> str:
    return ",".join(name.removeprefix(PARTITION) for name in one.metadata.labels if name.startswith(PARTITION)) or NONE


def _node_status(one: Node, now: float) -> str:
    return ("Ready" if one.is_ready else "NotReady") + (",SchedulingDisabled" if one.spec.unschedulable else "")


_NODE = (
    NAME,
    Column("Status", _node_status),
    Column("Roles", _partitions),
    AGE,
    Column("Version", lambda one, now: one.status.node_info.kubelet_version or NONE),
    Column("Internal-IP", lambda one, now: one.status.addresses[0].address, True),
    Column("External-IP", lambda one, now: NONE, True),
    Column("OS-Image", lambda one, now: one.status.node_info.os_image or NONE, True),
    Column("CPUs", lambda one, now: one.status.capacity["cpu"], True),
    Column("Memory", lambda one, now: one.status.capacity["memory"], True),
    Column("GPUs", lambda one, now: one.status.capacity.get("nvidia.com/gpu", "0"), True),
)


def _subjects(kind: str) -> Callable[[Any, float], str]:
    return lambda one, now: ", ".join(found.name for found in one.subjects if found.kind == kind)


_CREATED = Column("Created At", lambda one, now: writing.time_text(one.metadata.creation_timestamp) or NONE)
_BINDING = (
    NAME,
    Column("Role", lambda one, now: f"{one.role_ref.kind}/{one.role_ref.name}"),
    AGE,
    Column("Users", _subjects("User"), True),
    Column("Groups", _subjects("Group"), True),
    Column("ServiceAccounts", lambda one, now: "", True),
)

_MODES = {"ReadWriteOnce": "RWO", "ReadOnlyMany": "ROX", "ReadWriteMany": "RWX", "ReadWriteOncePod": "RWOP"}


def _modes(modes: Iterable[str]) -> str:
    return ",".join(_MODES[one] for one in modes)


def _phase(one: PersistentVolume | PersistentVolumeClaim, now: float) -> str:
    return "Terminating" if one.metadata.deletion_timestamp else one.status.phase


def _claimed_by(one: PersistentVolume, now: float) -> str:
    ref = one.spec.claim_ref
    return f"{ref.namespace}/{ref.name}" if ref is not None else ""


COLUMNS: dict[type, tuple[Column, ...]] = {
    LimitRange: (NAME, Column("Created At", lambda one, now: writing.time_text(one.metadata.creation_timestamp) or "")),
    PersistentVolumeClaim: (
        NAME,
        Column("Status", _phase),
        Column("Volume", lambda one, now: one.spec.volume_name),
        Column("Capacity", lambda one, now: str(one.status.capacity.get("storage", ""))),
        Column("Access Modes", lambda one, now: _modes(one.status.access_modes)),
        Column("StorageClass", lambda one, now: one.spec.storage_class_name or ""),
        AGE,
        Column("VolumeMode", lambda one, now: one.spec.volume_mode, True),
        Column("Message", lambda one, now: one.status.message, True),
    ),
    PersistentVolume: (
        NAME,
        Column("Capacity", lambda one, now: str(one.spec.capacity.get("storage", ""))),
        Column("Access Modes", lambda one, now: _modes(one.spec.access_modes)),
        Column("Reclaim Policy", lambda one, now: one.spec.persistent_volume_reclaim_policy),
        Column("Status", _phase),
        Column("Claim", _claimed_by),
        Column("StorageClass", lambda one, now: one.spec.storage_class_name),
        Column("Reason", lambda one, now: one.status.message),
        AGE,
        Column("VolumeMode", lambda one, now: one.spec.volume_mode, True),
    ),
    StorageClass: (
        Column("Name", lambda one, now: one.metadata.name + (" (default)" if is_default(one) else "")),
        Column("Provisioner", lambda one, now: one.provisioner),
        Column("ReclaimPolicy", lambda one, now: one.reclaim_policy),
        Column("VolumeBindingMode", lambda one, now: one.volume_binding_mode),
        Column("AllowVolumeExpansion", lambda one, now: str(one.allow_volume_expansion).lower(), False, "boolean"),
        AGE,
        Column("Parameters", lambda one, now: ",".join(f"{k}={v}" for k, v in sorted(one.parameters.items())), True),
    ),
    Role: (NAME, _CREATED),
    ClusterRole: (NAME, _CREATED),
    RoleBinding: _BINDING,
    ClusterRoleBinding: _BINDING,
    Node: _NODE,
    Deployment: _deployment(),
    ReplicaSet: _replica_set(),
    StatefulSet: (
        NAME,
        Column("Ready", lambda one, now: f"{one.status.ready_replicas}/{one.spec.replicas}"),
        AGE,
        *_containers(lambda one: one.spec.template),
    ),
    DaemonSet: (
        NAME,
        _number("Desired", lambda one, now: one.status.desired_number_scheduled),
        _number("Current", lambda one, now: one.status.current_number_scheduled),
        _number("Ready", lambda one, now: one.status.number_ready),
        _number("Up-to-date", lambda one, now: one.status.updated_number_scheduled),
        _number("Available", lambda one, now: one.status.number_available),
        Column(
            "Node Selector",
            lambda one, now: (
                ",".join(f"{k}={v}" for k, v in sorted(one.spec.template.spec.node_selector.items())) or NONE
            ),
        ),
        AGE,
        *_containers(lambda one: one.spec.template),
        _SELECTOR,
    ),
    Job: (
        NAME,
        Column("Status", _job_status),
        Column("Completions", _completions),
        Column("Duration", _duration),
        AGE,
        *_containers(lambda one: one.spec.template),
        _SELECTOR,
    ),
    CronJob: (
        NAME,
        Column("Schedule", lambda one, now: one.spec.schedule),
        Column("Timezone", lambda one, now: one.spec.time_zone or NONE),
        Column("Suspend", lambda one, now: str(one.spec.suspend)),
        _number("Active", lambda one, now: len(one.status.active)),
        Column(
            "Last Schedule",
            lambda one, now: age(one.status.last_schedule_time, now) if one.status.last_schedule_time else NONE,
        ),
        AGE,
        *_containers(lambda one: one.spec.job_template.spec.template),
    ),
    Service: (
        NAME,
        Column("Type", lambda one, now: one.spec.type),
        Column("Cluster-IP", lambda one, now: one.spec.cluster_ip or NONE),
        Column("External-IP", _external),
        Column("Port(s)", _ports),
        AGE,
        Column(
            "Selector",
            lambda one, now: ",".join(f"{k}={v}" for k, v in sorted(one.spec.selector.items())) or NONE,
            True,
        ),
        Column("URL", lambda one, now: one.status.url or NONE, True),
    ),
    Ingress: (
        NAME,
        Column("Class", lambda one, now: one.spec.ingress_class_name or NONE),
        Column("Hosts", _hosts),
        Column("Address", lambda one, now: one.status.url.partition("://")[2].partition("/")[0].partition(":")[0]),
        Column("Ports", lambda one, now: "80, 443" if one.spec.tls else "80"),
        AGE,
        Column("URL", lambda one, now: one.status.url or NONE, True),
    ),
    HorizontalPodAutoscaler: (
        NAME,
        Column("Reference", _reference),
        Column("Targets", _targets),
        Column("MinPods", lambda one, now: str(one.spec.min_replicas)),
        _number("MaxPods", lambda one, now: one.spec.max_replicas),
        _number("Replicas", lambda one, now: one.status.current_replicas),
        AGE,
    ),
    ServiceAccount: (NAME, _number("Secrets", lambda one, now: 0), AGE),
    ConfigMap: (NAME, _number("Data", lambda one, now: len(one.data) + len(one.binary_data)), AGE),
    Secret: (
        NAME,
        Column("Type", lambda one, now: one.type),
        _number("Data", lambda one, now: len(one.data)),
        AGE,
    ),
    Namespace: (
        NAME,
        Column("Status", lambda one, now: "Terminating" if one.metadata.deletion_timestamp else one.status.phase),
        AGE,
    ),
    ResourceQuota: (
        NAME,
        Column("Request", lambda one, now: _quota(one, False)),
        Column("Limit", lambda one, now: _quota(one, True)),
        AGE,
    ),
    PodDisruptionBudget: (
        NAME,
        Column("Min Available", lambda one, now: _optional(one.spec.min_available)),
        Column("Max Unavailable", lambda one, now: _optional(one.spec.max_unavailable)),
        _number("Allowed Disruptions", lambda one, now: one.status.disruptions_allowed),
        AGE,
    ),
    PriorityClass: (
        NAME,
        _number("Value", lambda one, now: one.value),
        Column("Global-Default", lambda one, now: str(one.global_default).lower(), False, "boolean"),
        AGE,
        Column("PreemptionPolicy", lambda one, now: one.preemption_policy),
    ),
    Pipeline: (
        NAME,
        Column("Status", lambda one, now: one.status.phase),
        _number("Run", lambda one, now: one.status.run),
        Column(
            "Steps",
            lambda one, now: f"{sum(step.phase == 'Succeeded' for step in one.status.steps)}/{len(one.spec.steps)}",
        ),
        Column("Schedule", lambda one, now: one.spec.schedule or NONE),
        AGE,
    ),
    PipelineRun: (
        NAME,
        Column("Pipeline", lambda one, now: one.spec.pipeline),
        Column("Status", lambda one, now: one.status.phase),
        Column(
            "Steps",
            lambda one, now: f"{sum(step.phase == 'Succeeded' for step in one.status.steps)}/{len(one.status.steps)}",
        ),
        Column("Message", lambda one, now: one.status.message or NONE),
        AGE,
    ),
    ControllerRevision: (
        NAME,
        Column(
            "Controller",
            lambda one, now: ",".join(f"{x.kind.lower()}.apps/{x.name}" for x in one.metadata.owner_references) or NONE,
        ),
        _number("Revision", lambda one, now: one.revision),
        AGE,
    ),
    Endpoints: (NAME, Column("Endpoints", _endpoints), AGE),
    EndpointSlice: (
        NAME,
        Column("AddressType", lambda one, now: one.address_type),
        Column("Ports", lambda one, now: _first_three([str(port.port) for port in one.ports]) or "<unset>"),
        Column(
            "Endpoints",
            lambda one, now: _first_three([at for end in one.endpoints for at in end.addresses]) or "<unset>",
        ),
        AGE,
    ),
    Event: (
        Column("Last Seen", lambda one, now: age(one.last_timestamp, now)),
        Column("Type", lambda one, now: one.type),
        Column("Reason", lambda one, now: one.reason),
        Column("Object", lambda one, now: f"{one.involved_object.kind.lower()}/{one.involved_object.name}"),
        Column("Subobject", lambda one, now: one.involved_object.field_path, True),
        Column("Source", lambda one, now: one.source.component, True),
        Column("Message", lambda one, now: one.message),
        Column("First Seen", lambda one, now: age(one.first_timestamp, now), True),
        Column("Count", lambda one, now: str(one.count), True),
        Column("Name", lambda one, now: one.metadata.name, True),
    ),
    Pod: (
        NAME,
        Column("Ready", podtext.ready_text),
        Column("Status", lambda one, now: podtext.status_text(one)),
        Column("Restarts", podtext.restarts_text),
        AGE,
        Column("IP", lambda one, now: one.status.pod_ip or NONE, True),
        Column("Node", lambda one, now: one.status.node or one.spec.node_name or NONE, True),
        Column("Nominated Node", lambda one, now: NONE, True),
        Column("Readiness Gates", lambda one, now: NONE, True),
        Column("Job", lambda one, now: str(one.status.job or NONE), True),
    ),
}


#: What is read, and not kept as an object.
_READ: dict[str, type] = {"Node": Node, "Event": Event, "Endpoints": Endpoints, "EndpointSlice": EndpointSlice}


def of(resource: Resource) -> tuple[Column, ...]:
    """Those of its kind."""
    kind = _READ.get(resource.kind) or (KINDS[resource.kind].type if resource.kind in KINDS else KubeObject)
    return COLUMNS.get(kind, (NAME, AGE))
