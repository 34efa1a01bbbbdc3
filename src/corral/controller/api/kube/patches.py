"""How does a patch change an object: JSON merge, strategic merge, JSON patch, apply?

The patch is laid over the object as it is; if somebody changes it meanwhile, over what it is then. `apply` (Kubernetes' server-side apply)
is three-way here: what a manifest said is kept in the annotation that kubectl uses, so both can be used on one object by turns; what other
managers have applied in annotations of their own, and who contradicts them is told (services/manifests/fieldowners.py).
"""

import copy
from typing import Any, cast

import jsonpatch
import msgspec
from starlette.requests import Request
from starlette.responses import Response

from corral.controller.api.kube import bodies, objects, scale
from corral.controller.api.kube.appliers import LAST_APPLIED, applied_by, manager_of, record_of
from corral.controller.api.kube.reads import answer_one, key_of, the_object
from corral.controller.api.kube.resources import Address
from corral.controller.api.kube.status import KubeError, forbidden, invalid
from corral.controller.api.kube.writes import (
    check_change,
    check_uid,
    check_validation,
    is_dry,
    put_of,
    read_for,
    with_meta,
)
from corral.controller.api.service import Service
from corral.model.kube.objects import AnyObject
from corral.protocol.replies import Rejected
from corral.protocol.requests import Caller, PutObjects
from corral.services.manifests import fieldowners, merging
from corral.syntax import yamltext

_TYPES = {
    "application/json-patch+json": "json", "application/json-patch+yaml": "json", "application/merge-patch+json": "merge",
    "application/strategic-merge-patch+json": "strategic", "application/apply-patch+yaml": "apply",
}  # fmt: skip
_MIGRATION = "kubectl-last-applied"
#: So often others may come in between.
_TRIES = 20
_MOST_OPERATIONS = 10_000
_MOST_COPIES = 100

Json = dict[str, Any]


async def patch(service: Service, request: Request, caller: Caller, address: Address) -> Response:
    check_validation(request)
    kind = kind_of(request)
    if address.subresource not in ("", "scale"):
        raise KubeError("MethodNotAllowed", f"{address.subresource} is what the cluster says: it can only be read")
    dry = is_dry(request)
    given = await bodies.value(request)
    if kind == "apply":
        return await _apply(service, request, caller, address, given, dry)
    if kind == "strategic" and address.resource.group == "corral.dev":
        raise KubeError("UnsupportedMediaType", f"{address.resource.plural} are patched by JSON merge or JSON patch")
    wants, uid = _meta_of(given, "resourceVersion"), _meta_of(given, "uid")
    for _ in range(_TRIES):
        old = the_object(service, caller, address)
        if wants or uid:
            check_uid(service, address, uid, wants)
        shown = scale.of(old) if address.subresource else objects.shown(address.resource, old)
        new = patched(address, kind, shown, given)
        version = old.metadata.resource_version
        if address.subresource:
            one = with_meta(scale.scaled(old, new), resource_version=version)
        else:
            new = objects.without_shown(new, old)
            one = with_meta(read_for(address, new, address.name), resource_version=version)
        check_change(service, address, one)
        reply = await service.loop.ask(PutObjects(objects=(one,), mode="update", dry_run=dry), caller)
        if isinstance(reply, Rejected) and reply.code == "conflict" and not wants:
            continue
        return answer_one(service, request, address, put_of(reply, address, address.name).objects[0])
    raise KubeError("Conflict", f'{address.resource.qualified} "{address.name}" is changed too often: try again')


def kind_of(request: Request) -> str:
    kind = _TYPES.get(bodies.content_type(request))
    if kind is None:
        known = ", ".join(_TYPES)
        raise KubeError(
            "UnsupportedMediaType",
            f"the body of the request was in an unknown format - accepted media types include: {known}",
        )
    return kind


def _meta_of(given: Any, name: str) -> str:
    metadata = given.get("metadata") if isinstance(given, dict) else None
    return str(metadata.get(name) or "") if isinstance(metadata, dict) else ""


def patched(address: Address, kind: str, shown: Json, given: Any) -> Json:
    try:
        if kind == "json":
            new = _json_patched(shown, given)
        elif not isinstance(given, dict):
            raise merging.BadPatch("the patch must be an object")
        elif kind == "merge":
            new = merging.merge_patch(shown, given)
        else:
            new = merging.strategic(shown, given)
    except jsonpatch.JsonPatchTestFailed as error:
        raise invalid(
            address.resource, address.name, [("FieldValueInvalid", "", f"the test failed: {error}")]
        ) from None
    except (
        merging.BadPatch,
        jsonpatch.JsonPatchException,
        jsonpatch.JsonPointerException,
        TypeError,
        KeyError,
        IndexError,
    ) as error:
        raise KubeError("BadRequest", f"the patch cannot be applied: {error}") from None
    except RecursionError:
        raise KubeError("BadRequest", "the patch is nested too deeply") from None
    if not isinstance(new, dict):
        raise KubeError("BadRequest", "the patch leaves no object")
    return new


#: Of a name that the caller may not see the object of.
TAKEN = "the name is another user's here: take another one, or a namespace of your own (corral create namespace NAME; -n NAME)"


def _json_patched(shown: Json, given: Any) -> Any:
    """Operation by operation: copies of copies double what there is each time."""
    if not isinstance(given, list) or len(given) > _MOST_OPERATIONS:
        raise merging.BadPatch(f"a JSON patch is a list of at most {_MOST_OPERATIONS} operations")
    copies = 0
    for operation in given:
        shown = jsonpatch.apply_patch(shown, [operation], in_place=True)
        if operation.get("op") == "copy":
            copies += 1
            if copies > _MOST_COPIES:
                raise merging.BadPatch(f"more than {_MOST_COPIES} copies")
            try:
                yamltext.check(shown)
            except yamltext.NotYaml as error:
                raise merging.BadPatch(str(error)) from None
    return shown


async def _apply(
    service: Service, request: Request, caller: Caller, address: Address, given: Any, dry: bool
) -> Response:
    if not isinstance(given, dict):
        raise KubeError("BadRequest", "the body must be the object to apply")
    if address.subresource:
        raise KubeError("UnsupportedMediaType", "a scale is patched by JSON merge or JSON patch")
    manager = request.query_params.get("fieldManager", "")
    if manager == _MIGRATION:
        # kubectl hands its annotation over to a manager of its own; here it is the record of what was applied.
        return answer_one(service, request, address, the_object(service, caller, address))
    for _ in range(_TRIES):
        key = key_of(address)
        old = objects.found(service, caller, key)
        if old is None and service.state.objects.get(key) is not None:
            raise forbidden(address.resource, address.name, TAKEN)
        force = request.query_params.get("force", "") in ("true", "1")
        one = applied(address, copy.deepcopy(given), cast("AnyObject | None", old), manager, force=force)
        check_change(service, address, one)
        reply = await service.loop.ask(
            PutObjects(objects=(one,), mode="create" if old is None else "update", dry_run=dry), caller
        )
        if isinstance(reply, Rejected) and reply.code in ("conflict", "exists", "not_found"):
            continue
        put = put_of(reply, address, address.name)
        return answer_one(service, request, address, put.objects[0], 201 if put.created[0] else 200)
    raise KubeError("Conflict", f'{address.resource.qualified} "{address.name}" is changed too often: try again')


def _conflict(address: Address, found: list[tuple[str, fieldowners.Path]]) -> KubeError:
    """In Kubernetes' words, which kubectl explains."""
    told = [(manager_of(record), fieldowners.text_of(path)) for record, path in found]
    by: dict[str, list[str]] = {}
    for manager, path in told:
        by.setdefault(f'conflict with "{manager}" using {address.resource.api_version}', []).append(path)
    lines = [
        f"{who}: {paths[0]}" if len(paths) == 1 else f"{who}:\n- " + "\n- ".join(paths) for who, paths in by.items()
    ]
    many = f"{len(told)} conflict{'s' if len(told) > 1 else ''}"
    separator = ": " if len(lines) == 1 else ": conflicts:\n"
    causes = [
        {"reason": "FieldManagerConflict", "field": path, "message": f'conflict with "{manager}" using {address.resource.api_version}'}
        for manager, path in told
    ]  # fmt: skip
    return KubeError("Conflict", f"Apply failed with {many}{separator}" + "\n".join(lines), {"causes": causes})


def applied(address: Address, manifest: Json, old: AnyObject | None, manager: str, *, force: bool = False) -> AnyObject:
    """The object that an apply of this manifest leads to. force: what others have said of its fields counts no more."""
    metadata = manifest.setdefault("metadata", {})
    if not isinstance(metadata, dict) or not isinstance(metadata.get("annotations") or {}, dict):
        raise KubeError("BadRequest", "metadata, metadata.annotations: an object is needed")
    metadata.setdefault("name", address.name)
    if address.resource.namespaced:
        metadata.setdefault("namespace", address.namespace)
    annotations = metadata.get("annotations") or {}
    annotations.pop(LAST_APPLIED, None)
    manifest.pop("status", None)
    metadata.pop("managedFields", None)
    record = record_of(manager)
    text = msgspec.json.encode(manifest, order="sorted").decode() + "\n"
    metadata["annotations"] = {**annotations, record: text}
    if old is None:
        return read_for(address, manifest, address.name)
    if record == LAST_APPLIED:
        # First by itself: what is wrong in it is told with its own paths. Other managers may apply a part of an object.
        read_for(address, copy.deepcopy(manifest), address.name)
    shown = objects.shown(address.resource, old)
    try:
        before = msgspec.json.decode(old.metadata.annotations.get(record, "{}"))
    except msgspec.DecodeError:
        before = {}
    keyed = address.resource.group != "corral.dev"
    others = applied_by(old.metadata.annotations, record)
    if found := fieldowners.conflicts(manifest, others):
        if not force:
            raise _conflict(address, found)
        for name in {one for one, _ in found}:
            others[name] = fieldowners.without(others[name], {path for one, path in found if one == name})
            shown["metadata"]["annotations"][name] = msgspec.json.encode(others[name], order="sorted").decode() + "\n"
    try:
        if others:
            new = merging.three_way(manifest, manifest, shown, keyed=keyed)
            new = fieldowners.without(new, fieldowners.dropped(before, manifest, others))
        else:
            new = merging.three_way(before, manifest, shown, keyed=keyed)
    except merging.BadPatch as error:
        raise KubeError("BadRequest", str(error)) from None
    new = objects.without_shown(new, old)
    return with_meta(read_for(address, new, address.name), resource_version=old.metadata.resource_version)
