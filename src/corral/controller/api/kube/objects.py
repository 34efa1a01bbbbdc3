"""Which objects does a caller see, and how are they read from and written as manifests?"""

from collections.abc import Iterable
from typing import Any

import msgspec

from corral.controller.api.kube.resources import Resource
from corral.controller.api.kube.status import KubeError, invalid
from corral.controller.api.service import Service
from corral.model.kube.config import Namespace, PriorityClass, Secret
from corral.model.kube.meta import ObjectKey
from corral.model.kube.objects import KINDS, AnyObject
from corral.protocol.requests import Caller

Json = dict[str, Any]


def may_see(service: Service, caller: Caller, one: AnyObject) -> bool:
    """As jobs: one's own, all as operator or where `private_data` does not name jobs. Others' secrets never."""
    if caller.is_operator or one.creator is None or one.creator.uid == caller.uid:
        return True
    if isinstance(one, (Namespace, PriorityClass)):
        return True
    return not isinstance(one, Secret) and "jobs" not in service.config.private_data


def found(service: Service, caller: Caller, key: ObjectKey) -> AnyObject | None:
    one = service.state.objects.get(key)
    return one if one is not None and may_see(service, caller, one) else None


def of_kind(service: Service, caller: Caller, kind: str, namespace: str, namespaced: bool) -> Iterable[AnyObject]:
    """By namespace and name."""
    objects = service.state.objects
    all_of_them = objects.everywhere(kind) if namespaced and not namespace else objects.of_kind(kind, namespace)
    return [one for one in all_of_them if may_see(service, caller, one)]


def read(resource: Resource, document: Json) -> AnyObject:
    document = {name: value for name, value in document.items() if name not in ("apiVersion", "status")}
    try:
        one: AnyObject = msgspec.convert(document, KINDS[resource.kind].type)  # type: ignore[assignment]
    except msgspec.ValidationError as error:
        name = str((document.get("metadata") or {}).get("name", ""))
        raise invalid(resource, name, [("FieldValueInvalid", "", str(error))]) from None
    if one.creator is not None:
        raise KubeError("BadRequest", "creator is no field")
    return one


def shown(resource: Resource, one: AnyObject) -> Json:
    body: Json = msgspec.to_builtins(one)
    body.pop("creator", None)
    return {"apiVersion": resource.api_version, **body}
