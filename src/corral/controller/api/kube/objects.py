"""Which objects does a caller see, and how are they read from and written as manifests?"""

from collections.abc import Iterable
from typing import Any, cast

from corral.controller import kubenodes
from corral.controller.api.kube import appliers, authorize
from corral.controller.api.kube.resources import Resource
from corral.controller.api.kube.status import invalid
from corral.controller.api.service import Service
from corral.controller.kubeendpoints import Endpoints, EndpointSlice
from corral.controller.kubeevents import Event
from corral.errors import InvalidManifest
from corral.model.kube.config import Namespace, PriorityClass, Secret
from corral.model.kube.meta import KubeObject, ObjectKey
from corral.model.kube.network import Ingress
from corral.model.kube.network import Service as KubeService
from corral.model.kube.objects import AnyObject
from corral.model.kube.pod import Pod
from corral.model.kube.rbac import ClusterRole
from corral.model.kube.storage import StorageClass
from corral.protocol.requests import Caller
from corral.services import accounts, roles
from corral.services.manifests import reading, writing

Json = dict[str, Any]


def may_see(service: Service, caller: Caller, one: KubeObject) -> bool:
    """As jobs: one's own, all as operator or where `private_data` does not name jobs. Others' secrets never. Where roles count, by them."""
    if one.metadata.namespace and authorize.by_roles(service, caller, one.metadata.namespace):
        return authorize.may_see(service, caller, one)
    if caller.is_operator or caller.account or one.creator is None or one.creator.uid == caller.uid:
        return True  # of an account's rights to what is in no namespace its path has been asked
    if isinstance(one, (Namespace, PriorityClass, StorageClass, ClusterRole)):
        return True
    return not isinstance(one, Secret) and "jobs" not in service.config.private_data


def found(service: Service, caller: Caller, key: ObjectKey) -> KubeObject | None:
    one: KubeObject | None
    if key.kind == "Event":
        one = service.kube_events.get(key)
        return one if one is not None and may_see(service, caller, one) else None
    if (derived := service.derived.get(key.kind)) is not None:
        one = derived.get(key)
        return one if one is not None and may_see(service, caller, one) else None
    one = service.state.objects.get(key) or _always(service, key)
    return service.opened(one) if one is not None and may_see(service, caller, one) else None


def _always(service: Service, key: ObjectKey) -> KubeObject | None:
    """What is there though nobody has put it."""
    if key.kind == "ClusterRole":
        return roles.ALWAYS.get(key.name)
    return accounts.found(service.state.objects, key.namespace, key.name) if key.kind == "ServiceAccount" else None


def _all_always(service: Service, kind: str, namespace: str) -> Iterable[KubeObject]:
    if kind == "ClusterRole":
        return roles.ALWAYS.values()
    if kind != "ServiceAccount":
        return ()
    homes = [one for one in service.state.objects.of_kind("Namespace") if namespace in ("", one.metadata.name)]
    key = ObjectKey(kind, "", accounts.DEFAULT)
    found = (_always(service, key._replace(namespace=one.metadata.name)) for one in homes)
    return [one for one in found if one is not None and one.creator is None]


def of_kind(service: Service, caller: Caller, kind: str, namespace: str, namespaced: bool) -> Iterable[KubeObject]:
    """By namespace and name; Events by time."""
    if kind == "Event":
        return [one for one in service.kube_events.listed(namespace) if may_see(service, caller, one)]
    if (derived := service.derived.get(kind)) is not None:
        return [one for one in derived.listed(namespace) if may_see(service, caller, one)]
    objects = service.state.objects
    all_of_them = objects.everywhere(kind) if namespaced and not namespace else objects.of_kind(kind, namespace)
    always = _all_always(service, kind, namespace)
    return [service.opened(one) for one in (*always, *all_of_them) if may_see(service, caller, one)]


def read(resource: Resource, document: Json, namespace: str) -> AnyObject:
    """All that is wrong in a manifest is told at once."""
    if resource.kind == "CronJob":
        document = _without_own_name(document)
    try:
        return reading.parse(document, namespace)
    except InvalidManifest as error:
        causes = [(one.reason, one.field, one.message) for one in error.fields["problems"]]
        raise invalid(resource, str(error.fields["name"]), causes) from None


def _without_own_name(document: Json) -> Json:
    """`kubectl create cronjob` names the template of its Jobs after it: that says nothing."""
    try:
        name, template = document["metadata"]["name"], document["spec"]["jobTemplate"]
        if template["metadata"]["name"] != name:
            return document
        meta = {wire: value for wire, value in template["metadata"].items() if wire != "name"}
        return {**document, "spec": {**document["spec"], "jobTemplate": {**template, "metadata": meta}}}
    except (KeyError, TypeError):
        return document


def shown(resource: Resource, one: KubeObject) -> Json:
    if isinstance(one, Event):
        always = {"type": one.type, "count": one.count, "reportingComponent": one.source.component}
        return {"apiVersion": "v1", "kind": "Event", **writing.shown_record(one), **always}
    if isinstance(one, kubenodes.Node):
        spec, status = writing.shown_record(one.spec), writing.shown_record(one.status)
        meta = {name: value for name, value in writing.shown_record(one.metadata).items() if name != "namespace"}
        return {"apiVersion": "v1", "kind": "Node", "metadata": meta, "spec": spec, "status": status}
    if isinstance(one, Endpoints | EndpointSlice):
        meta = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata_of(one)}
        return meta | {
            name: value for name, value in writing.shown_record(one).items() if name not in ("metadata", "creator")
        }
    body = writing.to_manifest(cast("AnyObject", one))
    if one.metadata.annotations and (managers := appliers.managed_fields(one.metadata.annotations)):
        body["metadata"]["managedFields"] = managers
    if resource.api_version == "autoscaling/v1":
        return _older_autoscaler(body)
    if isinstance(one, Pod):
        if one.status.node and not one.spec.node_name:
            body["spec"]["nodeName"] = one.status.node
        if one.status.job:
            body["status"]["job"] = one.status.job
    if isinstance(one, KubeService) and one.status.url:
        body["status"]["url"] = one.status.url
    if isinstance(one, Ingress) and one.status.url:
        body["status"]["url"] = one.status.url
    return body


def _older_autoscaler(body: Json) -> Json:
    """As autoscaling/v1 has it: only the CPU's utilisation is a metric."""
    spec, status = body["spec"], body.get("status") or {}
    old = {name: spec[name] for name in ("scaleTargetRef", "minReplicas", "maxReplicas") if name in spec}
    for metric in spec.get("metrics") or ():
        resource = metric.get("resource") or {}
        if resource.get("name") == "cpu" and "averageUtilization" in resource["target"]:
            old["targetCPUUtilizationPercentage"] = resource["target"]["averageUtilization"]
    told = ("observedGeneration", "lastScaleTime", "currentReplicas", "desiredReplicas")
    state = {"currentReplicas": 0, "desiredReplicas": 0, **{name: status[name] for name in told if name in status}}
    return {**body, "apiVersion": "autoscaling/v1", "spec": old, "status": state}


def metadata_of(one: KubeObject) -> Json:
    meta = writing.shown_record(one.metadata)
    if not meta.get("namespace"):
        meta.pop("namespace", None)
    return meta


def without_shown(document: Json, old: AnyObject) -> Json:
    """A document that has been read before and comes back: without what only its being shown has put into its spec."""
    spec = document.get("spec")
    if (
        isinstance(old, Pod)
        and not old.spec.node_name
        and isinstance(spec, dict)
        and spec.get("nodeName") == old.status.node
    ):
        return {**document, "spec": {name: value for name, value in spec.items() if name != "nodeName"}}
    return document
