"""Which kind does a manifest name, and why is another one not here?"""

import difflib
from typing import Any

from corral.model.kube.objects import KINDS, Kind
from corral.services.manifests.problems import Problem, refusal

_STORAGE = "volumes are directories: use a PersistentVolumeClaim, or a hostPath volume on a shared file system"
_EXTENSION = "the API has no extensions"
_GPUS = "ask for GPUs under resources.limits: nvidia.com/gpu"
_GATEWAY = "use Ingress; canaries are weights of a Deployment's strategy"
_ADDRESSES = "services are reached through the gateway, which has the addresses of its host"

#: Kinds of Kubernetes' own that are not here: the API group they are in, and why.
REFUSED_KINDS: dict[str, tuple[str, str]] = {
    "APIService": ("apiregistration.k8s.io", _EXTENSION),
    "CertificateSigningRequest": ("certificates.k8s.io", "put the certificate into a Secret of type kubernetes.io/tls"),
    "ClusterTrustBundle": ("certificates.k8s.io", "put certificates into a ConfigMap"),
    "ComponentStatus": ("", "`corral` and `sdiag` say how the cluster fares"),
    "CSIDriver": ("storage.k8s.io", _STORAGE),
    "CSINode": ("storage.k8s.io", _STORAGE),
    "CSIStorageCapacity": ("storage.k8s.io", _STORAGE),
    "CustomResourceDefinition": ("apiextensions.k8s.io", _EXTENSION),
    "DeviceClass": ("resource.k8s.io", _GPUS),
    "DeviceTaintRule": ("resource.k8s.io", _GPUS),
    "Endpoints": ("", "endpoints are those of the Pods that a Service selects"),
    "EndpointSlice": ("discovery.k8s.io", "endpoints are those of the Pods that a Service selects"),
    "Event": ("", "events are written by the cluster"),
    "FlowSchema": ("flowcontrol.apiserver.k8s.io", "requests to the API are not classified"),
    "Gateway": ("gateway.networking.k8s.io", _GATEWAY),
    "GatewayClass": ("gateway.networking.k8s.io", _GATEWAY),
    "GRPCRoute": ("gateway.networking.k8s.io", _GATEWAY),
    "HTTPRoute": ("gateway.networking.k8s.io", _GATEWAY),
    "IngressClass": ("networking.k8s.io", "there is one gateway; leave ingressClassName out"),
    "IPAddress": ("networking.k8s.io", _ADDRESSES),
    "Lease": ("coordination.k8s.io", "nodes report to the controller by themselves"),
    "MutatingAdmissionPolicy": ("admissionregistration.k8s.io", _EXTENSION),
    "MutatingAdmissionPolicyBinding": ("admissionregistration.k8s.io", _EXTENSION),
    "MutatingWebhookConfiguration": ("admissionregistration.k8s.io", _EXTENSION),
    "NetworkPolicy": ("networking.k8s.io", "traffic between Pods is not filtered; use the nodes' firewall"),
    "Node": ("", "nodes join with `corral agent` and are changed by scontrol"),
    "PodTemplate": ("", "write the template into the Deployment, StatefulSet or Job"),
    "PriorityLevelConfiguration": ("flowcontrol.apiserver.k8s.io", "requests to the API are not classified"),
    "ReplicationController": ("", "use a Deployment"),
    "ResourceClaim": ("resource.k8s.io", _GPUS),
    "ResourceClaimTemplate": ("resource.k8s.io", _GPUS),
    "ResourceSlice": ("resource.k8s.io", _GPUS),
    "RuntimeClass": ("node.k8s.io", "containers run with the runtime that the cluster is configured with"),
    "ServiceCIDR": ("networking.k8s.io", _ADDRESSES),
    "StorageVersionMigration": ("storagemigration.k8s.io", "the store is brought up to date by the controller"),
    "ValidatingAdmissionPolicy": ("admissionregistration.k8s.io", _EXTENSION),
    "ValidatingAdmissionPolicyBinding": ("admissionregistration.k8s.io", _EXTENSION),
    "ValidatingWebhookConfiguration": ("admissionregistration.k8s.io", _EXTENSION),
    "VerticalPodAutoscaler": ("autoscaling.k8s.io", "set resources.requests; `seff` shows what a Pod's job has used"),
    "VolumeAttachment": ("storage.k8s.io", _STORAGE),
    "VolumeAttributesClass": ("storage.k8s.io", _STORAGE),
    "VolumeSnapshot": ("snapshot.storage.k8s.io", _STORAGE),
    "VolumeSnapshotClass": ("snapshot.storage.k8s.io", _STORAGE),
    "Workload": ("scheduling.k8s.io", "for many nodes at once submit a job with sbatch"),
}  # fmt: skip

#: Versions that are read as the present one (services/manifests/older.py).
OLDER = {("HorizontalPodAutoscaler", "autoscaling/v1")}


def kind_of(document: dict[str, Any], name: str, namespace: str) -> Kind:
    """Raises InvalidManifest."""
    kind, version = document.get("kind"), document.get("apiVersion")
    problems = []
    for field, value in (("apiVersion", version), ("kind", kind)):
        if not isinstance(value, str) or not value:
            problems.append(Problem(field, "FieldValueRequired", "Required value: must be a string"))
    if problems:
        raise refusal(kind if isinstance(kind, str) and kind else "object", name, namespace, tuple(problems))
    assert isinstance(kind, str)
    assert isinstance(version, str)
    known = KINDS.get(kind)
    group = version.rpartition("/")[0]
    if known is not None and (version == known.api_version or (kind, version) in OLDER):
        return known
    if known is not None:
        served = known.api_version
        why = Problem(
            "apiVersion",
            "FieldValueNotSupported",
            f'no matches for kind "{kind}" in version "{version}": write {served}',
        )
    elif kind in REFUSED_KINDS and group == REFUSED_KINDS[kind][0]:
        why = Problem("kind", "FieldValueUnsupported", f'"{kind}" is not supported by Corral: {REFUSED_KINDS[kind][1]}')
    else:
        text = f'no matches for kind "{kind}" in version "{version}"'
        near = difflib.get_close_matches(kind, KINDS, 1, 0.7)
        hint = f" (did you mean {near[0]}, {KINDS[near[0]].api_version}?)" if near else ""
        why = Problem("kind", "FieldValueNotSupported", text + hint)
    raise refusal(kind, name, namespace, (why,))
