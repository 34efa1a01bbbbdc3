"""What is answered to get and list?"""

import asyncio
import base64
from collections.abc import AsyncIterator
from typing import Any, cast

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from corral.controller.api.kube import objects, scale, tables
from corral.controller.api.kube.answers import Form, full_list, partial, partial_list
from corral.controller.api.kube.resources import Address
from corral.controller.api.kube.selection import Selection
from corral.controller.api.kube.status import KubeError, not_found
from corral.controller.api.service import Service
from corral.model.kube.meta import KubeObject, ObjectKey
from corral.model.kube.objects import AnyObject
from corral.protocol.requests import Caller

#: So many objects are written before others have their turn.
_AT_ONCE = 50


def version_of(service: Service, kind: str) -> int:
    """A watch goes on from there."""
    if kind == "Event" or kind in service.derived:
        return service.history_of(kind).version
    version: int = service.state.objects.version
    return version


def key_of(address: Address, name: str = "") -> ObjectKey:
    return ObjectKey(address.resource.kind, address.namespace, name or address.name)


def the_object(service: Service, caller: Caller, address: Address) -> AnyObject:
    """One that users put."""
    return cast("AnyObject", anything(service, caller, address))


def anything(service: Service, caller: Caller, address: Address) -> KubeObject:
    one = objects.found(service, caller, key_of(address))
    if one is None:
        raise not_found(address.resource, address.name)
    return one


def get_one(service: Service, request: Request, caller: Caller, address: Address) -> Response:
    return answer_one(service, request, address, anything(service, caller, address))


def answer_one(service: Service, request: Request, address: Address, one: KubeObject, status: int = 200) -> Response:
    form = Form(request)
    one = service.opened(one)
    if address.subresource == "scale":
        return form.write(scale.of(cast("AnyObject", one)), status)
    if form.shape == "Table":
        body = tables.table(address.resource, [one], service.now, include_of(request), {})
    else:
        body = objects.shown(address.resource, one)
        if form.shape:
            body = partial(body)
    return form.write(body, status)


def include_of(request: Request) -> str:
    found = request.query_params.get("includeObject", "Metadata")
    if found not in ("None", "Metadata", "Object"):
        raise KubeError("BadRequest", f"includeObject: None, Metadata or Object, not {found!r}")
    return found


async def get_list(service: Service, request: Request, caller: Caller, address: Address) -> Response:
    resource = address.resource
    selection = Selection(resource, request)
    if request.query_params.get("resourceVersionMatch", "NotOlderThan") != "NotOlderThan":
        raise KubeError(
            "BadRequest",
            "resourceVersionMatch: lists are of now, which is NotOlderThan any version; nothing else is known",
        )
    chosen = [
        one
        for one in objects.of_kind(service, caller, resource.kind, address.namespace, resource.namespaced)
        if selection.matches(one)
    ]
    metadata: dict[str, Any] = {"resourceVersion": str(version_of(service, resource.kind))}
    chosen = _page(request, chosen, metadata)
    form = Form(request)
    if form.shape == "Table":
        include, now = include_of(request), service.now
        table = tables.table(resource, (), now, include, metadata)
        async for part in parts(chosen):
            table["rows"] += tables.rows_of(resource, part, now, include)
        return form.write(table)
    items: list[dict[str, Any]] = []
    async for part in parts(chosen):
        items += [objects.shown(resource, one) for one in part]
    if form.shape:
        return form.write(partial_list(resource, items, metadata))
    return form.write(full_list(resource, items, metadata))


async def parts(chosen: list[KubeObject]) -> AsyncIterator[list[KubeObject]]:
    """Some at a time: a long list is no reason for others to wait."""
    for start in range(0, len(chosen), _AT_ONCE):
        if start:
            await asyncio.sleep(0)
        yield chosen[start : start + _AT_ONCE]


def _page(request: Request, chosen: list[KubeObject], metadata: dict[str, Any]) -> list[KubeObject]:
    """`limit` of them, after where `continue` says; what is left goes into the list's metadata."""
    limit = whole_number(request, "limit") or 0
    if token := request.query_params.get("continue", ""):
        try:
            after = tuple(msgspec.json.decode(base64.urlsafe_b64decode(token), type=list[str]))
        except (ValueError, msgspec.DecodeError):
            raise KubeError("BadRequest", "continue key is not valid") from None
        chosen = [one for one in chosen if (one.metadata.namespace, one.metadata.name) > after]
    if limit > 0 and len(chosen) > limit:
        chosen = sorted(chosen, key=lambda one: (one.metadata.namespace, one.metadata.name))
        last = chosen[limit - 1].metadata
        metadata["continue"] = base64.urlsafe_b64encode(msgspec.json.encode([last.namespace, last.name])).decode()
        metadata["remainingItemCount"] = len(chosen) - limit
        chosen = chosen[:limit]
    return chosen


def whole_number(request: Request, name: str) -> int | None:
    text = request.query_params.get(name, "")
    if not text:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise KubeError("BadRequest", f"{name}: a whole number of 0 or more is needed, not {text[:40]!r}")
    return int(text)
