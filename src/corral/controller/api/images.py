"""Images on nodes: show, fetch, remove."""

import grp
import pwd
from typing import Any

import msgspec
from starlette.requests import Request

from corral.controller.api.http import Refusal, caller_of
from corral.controller.api.service import Service
from corral.errors import InvalidContainer, InvalidHostlist
from corral.model.job import Owner
from corral.protocol.reports import ImagesTold
from corral.syntax import container, hostlist

_MOST_NAME = 4096


class FetchBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """POST /v1/images."""

    image: str
    nodes: str = ""


async def get_images(service: Service, request: Request) -> dict[str, Any]:
    """Of these nodes; of all that are up, when none are named."""
    caller_of(service, request)
    nodes = _nodes(service, request.query_params.get("nodes", ""))
    told = await service.images.shown(nodes)
    return {"images": _rows(told), "missing": [name for name in nodes if name not in told]}


async def post_images(service: Service, request: Request) -> dict[str, Any]:
    """Everybody may have an image fetched that a job of theirs could name too."""
    caller = caller_of(service, request)
    try:
        body = msgspec.json.decode(await request.body(), type=FetchBody)
    except msgspec.DecodeError as error:
        raise Refusal(f"not a valid request: {error}") from None
    _check(body.image)
    nodes = _nodes(service, body.nodes)
    told = await service.images.fetched(nodes, body.image, _owner(caller.uid, caller.user))
    failed = {name: told[name].problem if name in told else "the node does not answer" for name in nodes}
    return {"fetched": [name for name in nodes if not failed[name]], "failed": {n: t for n, t in failed.items() if t}}


async def delete_images(service: Service, request: Request) -> dict[str, Any]:
    caller = caller_of(service, request)
    if not caller.is_operator:
        raise Refusal("only operators remove images", "denied")
    image = request.query_params.get("image", "")
    _check(image)
    nodes = _nodes(service, request.query_params.get("nodes", ""))
    told = await service.images.removed(nodes, image)
    failed = {name: told[name].problem if name in told else "the node does not answer" for name in nodes}
    removed = sum(answer.removed for answer in told.values())
    return {"removed": removed, "failed": {name: text for name, text in failed.items() if text}}


def _check(image: str) -> None:
    if not image or len(image) > _MOST_NAME:
        raise Refusal("image: the name of an image is needed")
    try:
        if not container.is_file(image):
            container.reference(image)
    except InvalidContainer as error:
        raise Refusal(str(error)) from None


def _nodes(service: Service, text: str) -> list[str]:
    try:
        named = list(dict.fromkeys(hostlist.expand(text))) if text else []
    except InvalidHostlist as error:
        raise Refusal(str(error)) from None
    known = service.state.nodes
    for name in named:
        if name not in known:
            raise Refusal(f"there is no node {name}", "not_found")
    return named or sorted(name for name, node in known.items() if node.up)


def _owner(uid: int, user: str) -> Owner:
    try:
        who = pwd.getpwuid(uid)
        return Owner(uid=uid, gid=who.pw_gid, user=who.pw_name, group=grp.getgrgid(who.pw_gid).gr_name)
    except KeyError:
        return Owner(uid=uid, gid=uid, user=user or str(uid), group=str(uid))


def _rows(told: dict[str, ImagesTold]) -> list[dict[str, Any]]:
    """One for each image, with the nodes that have it."""
    rows: dict[str, dict[str, Any]] = {}
    for node, answer in sorted(told.items()):
        for image in answer.images:
            row = rows.setdefault(
                image.digest,
                {
                    "image": image.name,
                    "digest": image.digest,
                    "bytes": image.size,
                    "created": image.created,
                    "names": [],
                },
            )
            row["names"].append(node)
    return [
        {key: value for key, value in row.items() if key != "names"} | {"nodes": hostlist.fold(row["names"])}
        for row in sorted(rows.values(), key=lambda row: (row["image"], row["digest"]))
    ]


ROUTES = (
    ("GET", "/v1/images", get_images),
    ("POST", "/v1/images", post_images),
    ("DELETE", "/v1/images", delete_images),
)
