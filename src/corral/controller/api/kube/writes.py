"""How does what kubectl sends become a change: create, replace, delete?"""

import secrets
from typing import Any, Literal

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from corral.controller.api.kube import authorize, bodies, objects, scale
from corral.controller.api.kube.reads import answer_one, key_of, the_object, whole_number
from corral.controller.api.kube.resources import Address
from corral.controller.api.kube.selection import Selection
from corral.controller.api.kube.status import KubeError, conflict, forbidden, invalid, of_rejected, success
from corral.controller.api.service import Service
from corral.model.kube.meta import ObjectKey
from corral.model.kube.objects import AnyObject
from corral.protocol.replies import ObjectsPut, Rejected, Reply
from corral.protocol.requests import Caller, DeleteObjects, PutObjects
from corral.services.manifests import updates

Mode = Literal["put", "create", "update"]
_PROPAGATIONS = ("Background", "Foreground", "Orphan")
#: Kubernetes' own: no vowels, so that no words come about.
_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
#: A body of more objects than this is not deleted at once.
_AT_ONCE = 1000


def is_dry(request: Request, given: Any = None) -> bool:
    words = request.query_params.getlist("dryRun") or given or []
    if not isinstance(words, list) or any(word not in ("All", "") for word in words):
        raise KubeError("BadRequest", f"dryRun: only All is known, not {words!r}")
    return "All" in words


def check_validation(request: Request) -> str:
    """Unknown fields are an error however it is set: nothing of a manifest is silently dropped."""
    found = request.query_params.get("fieldValidation", "")
    if found not in ("", "Ignore", "Warn", "Strict"):
        raise KubeError("BadRequest", f"fieldValidation: Ignore, Warn or Strict, not {found!r}")
    return found


async def create(service: Service, request: Request, caller: Caller, address: Address) -> Response:
    check_validation(request)
    dry = is_dry(request)
    one = read_for(address, await bodies.document(request), "")
    if not one.metadata.name and one.metadata.generate_name:
        name = one.metadata.generate_name[:58] + "".join(secrets.choice(_LETTERS) for _ in range(5))
        one = with_meta(one, name=name)
    if one.metadata.resource_version:
        raise KubeError("BadRequest", "resourceVersion should not be set on objects to be created")
    put = put_of(
        await service.loop.ask(PutObjects(objects=(one,), mode="create", dry_run=dry), caller),
        address,
        one.metadata.name,
    )
    return answer_one(service, request, address, put.objects[0], 201)


def read_for(address: Address, document: dict[str, Any], name: str) -> AnyObject:
    """The object that a body describes; it must be what the path says."""
    resource = address.resource
    kind, version = document.setdefault("kind", resource.kind), document.setdefault("apiVersion", resource.api_version)
    if kind != resource.kind:
        raise KubeError("BadRequest", f"the body is a {kind!r}, and the path is of {resource.kind!r}")
    if version != resource.api_version and str(version).rpartition("/")[0] != resource.group:
        raise KubeError(
            "BadRequest",
            f"the API version in the data ({version}) does not match the expected API version ({resource.api_version})",
        )
    metadata = document.get("metadata")
    if isinstance(metadata, dict):
        given = metadata.get("namespace")
        if resource.namespaced and given and given != address.namespace:
            text = "the namespace of the provided object does not match the namespace sent on the request"
            raise KubeError("BadRequest", text)
        if name and isinstance(given := metadata.setdefault("name", name), str) and given != name:
            text = f"the name of the object ({given}) does not match the name on the URL ({name})"
            raise KubeError("BadRequest", text)
    elif metadata is None and name:
        document["metadata"] = {"name": name}
    return objects.read(resource, document, address.namespace)


def with_meta(one: AnyObject, **changes: Any) -> AnyObject:
    changed: AnyObject = msgspec.structs.replace(one, metadata=msgspec.structs.replace(one.metadata, **changes))
    return changed


async def replace(service: Service, request: Request, caller: Caller, address: Address) -> Response:
    check_validation(request)
    dry = is_dry(request)
    document = await bodies.document(request)
    if address.subresource == "scale":
        old = the_object(service, caller, address)
        one = scale.scaled(old, document)
    elif address.subresource:
        raise KubeError("MethodNotAllowed", f"{address.subresource} is what the cluster says: it can only be read")
    else:
        given = document.get("metadata")
        uid = given.get("uid") if isinstance(given, dict) else None
        old = the_object(service, caller, address)
        check_uid(service, address, uid)
        one = read_for(address, objects.without_shown(document, old), address.name)
    put = await ask_put(service, caller, address, one, "update", dry)
    return answer_one(service, request, address, put.objects[0])


def check_uid(service: Service, address: Address, uid: Any, version: Any = None) -> None:
    """What is there must be the very object that is meant."""
    one = service.state.objects.get(key_of(address))
    if one is None:
        return
    if uid and uid != one.metadata.uid:
        why = f"Precondition failed: UID in precondition: {uid}, UID in object meta: {one.metadata.uid}"
        raise conflict(address.resource, address.name, why)
    if version and version != one.metadata.resource_version:
        raise conflict(address.resource, address.name)


async def ask_put(
    service: Service, caller: Caller, address: Address, one: AnyObject, mode: Mode, dry: bool
) -> ObjectsPut:
    check_change(service, address, one)
    reply = await service.loop.ask(PutObjects(objects=(one,), mode=mode, dry_run=dry), caller)
    return put_of(reply, address, one.metadata.name)


def check_change(service: Service, address: Address, one: AnyObject) -> None:
    """What cannot be changed is told with its field."""
    old = service.state.objects.get(one.key)
    if old is None:
        return
    if problems := updates.check(updates.with_kept(one, old), old):
        raise invalid(
            address.resource,
            one.metadata.name,
            [(found.reason, found.field, found.message) for found in problems.found],
        )


def put_of(reply: Reply, address: Address, name: str) -> ObjectsPut:
    if isinstance(reply, Rejected):
        raise of_rejected(reply, address.resource, name)
    assert isinstance(reply, ObjectsPut)
    return reply


class DeleteOptions(msgspec.Struct, frozen=True):
    propagation: Any
    grace: int | None
    dry: bool
    uid: Any = None
    version: Any = None


async def options_of(request: Request) -> DeleteOptions:
    """From the body, or else the query."""
    body = await bodies.document(request)
    if body and body.get("kind", "DeleteOptions") != "DeleteOptions":
        raise KubeError("BadRequest", f"the body of a DELETE is DeleteOptions, not {body.get('kind')!r}")
    propagation = body.get("propagationPolicy") or request.query_params.get("propagationPolicy") or "Background"
    if body.get("orphanDependents") or request.query_params.get("orphanDependents") == "true":
        propagation = "Orphan"
    if propagation not in _PROPAGATIONS:
        raise KubeError("BadRequest", f"propagationPolicy: {', '.join(_PROPAGATIONS)}, not {propagation!r}")
    grace = body.get("gracePeriodSeconds")
    if grace is None:
        grace = whole_number(request, "gracePeriodSeconds")
    if grace is not None and (isinstance(grace, bool) or not isinstance(grace, int) or not 0 <= grace < 1 << 31):
        raise KubeError("BadRequest", f"gracePeriodSeconds: a whole number of 0 or more is needed, not {grace!r}")
    conditions = body.get("preconditions") or {}
    if not isinstance(conditions, dict):
        raise KubeError("BadRequest", "preconditions: an object is needed")
    dry = is_dry(request, body.get("dryRun"))
    return DeleteOptions(propagation, grace, dry, conditions.get("uid"), conditions.get("resourceVersion"))


async def delete(service: Service, request: Request, caller: Caller, address: Address) -> Response:
    if address.subresource:
        raise KubeError("MethodNotAllowed", f"{address.subresource} cannot be deleted")
    options = await options_of(request)
    one = the_object(service, caller, address)
    check_uid(service, address, options.uid, options.version)
    reply = await ask_delete(service, caller, (one.key,), options)
    deleted = put_of(reply, address, address.name).objects[0]
    there = service.state.objects.get(one.key)
    if (there is not None and there.metadata.uid == one.metadata.uid) or options.dry:
        return answer_one(service, request, address, deleted)
    from corral.controller.api.kube.answers import Form

    return Form(request).write(success(address.resource, address.name, one.metadata.uid))


async def ask_delete(service: Service, caller: Caller, keys: tuple[ObjectKey, ...], options: DeleteOptions) -> Reply:
    message = DeleteObjects(
        keys=keys, propagation=options.propagation, grace_seconds=options.grace, dry_run=options.dry
    )
    return await service.loop.ask(message, caller)


async def delete_collection(service: Service, request: Request, caller: Caller, address: Address) -> Response:
    """All that the selectors choose, of those that the caller may change."""
    from corral.controller.api.kube.answers import Form, full_list

    resource = address.resource
    if resource.namespaced and not address.namespace:
        raise KubeError("MethodNotAllowed", "the server does not allow this method on the requested resource")
    options = await options_of(request)
    selection = Selection(resource, request)
    chosen = [
        one
        for one in objects.of_kind(service, caller, resource.kind, address.namespace, resource.namespaced)
        if selection.matches(one)
    ]
    for one in chosen:
        is_others = not caller.is_operator and one.creator is not None and one.creator.uid != caller.uid
        if is_others and not authorize.by_roles(service, caller, address.namespace):
            raise forbidden(resource, one.metadata.name, "it is not yours")
    deleted: list[AnyObject] = []
    for start in range(0, len(chosen), _AT_ONCE):
        keys = tuple(one.key for one in chosen[start : start + _AT_ONCE])
        keys = tuple(key for key in keys if key in service.state.objects.by_key)
        if keys:
            reply = await ask_delete(service, caller, keys, options)
            deleted += put_of(reply, address, keys[0].name).objects
    metadata = {"resourceVersion": str(service.state.objects.version)}
    return Form(request).write(full_list(resource, [objects.shown(resource, one) for one in deleted], metadata))
