"""Which of the objects does a list or a watch ask for: labelSelector, fieldSelector?"""

from collections.abc import Callable

from starlette.requests import Request

from corral.controller.api.kube.resources import Resource
from corral.controller.api.kube.status import KubeError
from corral.controller.kubeevents import Event
from corral.model.kube.config import Namespace, Secret
from corral.model.kube.meta import KubeObject
from corral.model.kube.pod import Pod
from corral.syntax import selectors

_EVERYWHERE: dict[str, Callable[[KubeObject], str]] = {
    "metadata.name": lambda one: one.metadata.name,
    "metadata.namespace": lambda one: one.metadata.namespace,
}
_OF_PODS: dict[str, Callable[[Pod], str]] = {
    "status.phase": lambda one: one.status.phase,
    "spec.nodeName": lambda one: one.status.node or one.spec.node_name,
    "spec.restartPolicy": lambda one: one.spec.restart_policy,
    "spec.schedulerName": lambda one: one.spec.scheduler_name,
    "status.podIP": lambda one: one.status.pod_ip,
}


_OF_EVENTS: dict[str, Callable[[Event], str]] = {
    "involvedObject.kind": lambda one: one.involved_object.kind,
    "involvedObject.namespace": lambda one: one.involved_object.namespace,
    "involvedObject.name": lambda one: one.involved_object.name,
    "involvedObject.uid": lambda one: one.involved_object.uid,
    "involvedObject.apiVersion": lambda one: one.involved_object.api_version,
    "involvedObject.fieldPath": lambda one: one.involved_object.field_path,
    "reason": lambda one: one.reason,
    "type": lambda one: one.type,
    "source": lambda one: one.source.component,
    "reportingComponent": lambda one: one.source.component,
}


class Selection:
    """All conditions of one request."""

    def __init__(self, resource: Resource, request: Request, name: str = "") -> None:
        try:
            self.labels = selectors.labels(request.query_params.get("labelSelector", ""))
            self.fields = selectors.fields(request.query_params.get("fieldSelector", ""))
        except selectors.NotASelector as error:
            raise KubeError("BadRequest", f"unable to parse requirement: {error}") from None
        if name:
            self.fields = (*self.fields, selectors.FieldRequirement("metadata.name", True, name))
        for one in self.fields:
            if not _is_known(resource.kind, one.field):
                raise KubeError("BadRequest", f"field label not supported: {one.field}")

    def matches(self, one: KubeObject) -> bool:
        labels = one.metadata.labels
        return all(wanted.matches(labels) for wanted in self.labels) and all(
            (field_of(one, wanted.field) == wanted.value) == wanted.is_equal for wanted in self.fields
        )


def _is_known(kind: str, field: str) -> bool:
    if field in _EVERYWHERE or (kind == "Pod" and field in _OF_PODS) or (kind == "Event" and field in _OF_EVENTS):
        return True
    return (kind == "Secret" and field == "type") or (kind == "Namespace" and field == "status.phase")


def field_of(one: KubeObject, field: str) -> str:
    if field in _EVERYWHERE:
        return _EVERYWHERE[field](one)
    if isinstance(one, Pod):
        return _OF_PODS[field](one)
    if isinstance(one, Event):
        return _OF_EVENTS[field](one)
    if isinstance(one, Secret):
        return one.type
    return one.status.phase if isinstance(one, Namespace) else ""
