"""What does a request's body say? JSON or YAML, as one plain value, within limits that keep the controller safe."""

from typing import Any

import msgspec
from starlette.requests import Request

from corral.controller.api.http import Refusal, body_of
from corral.controller.api.kube import protobuf
from corral.controller.api.kube.status import KubeError
from corral.syntax import yamltext

#: Kubernetes' own limit of a request.
LARGEST = 3 << 20
#: YAML is read twenty times slower than JSON.
_LARGEST_YAML = 1 << 20

YAML_TYPES = frozenset(
    {
        "application/yaml",
        "application/x-yaml",
        "text/yaml",
        "application/apply-patch+yaml",
        "application/json-patch+yaml",
    }
)


def content_type(request: Request) -> str:
    return request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()


async def document(request: Request) -> dict[str, Any]:
    """An object; {} where there is no body."""
    found = await value(request)
    if not isinstance(found, dict):
        raise KubeError("BadRequest", "the body of the request must be one object")
    return found


async def value(request: Request) -> Any:
    try:
        data = await body_of(request, LARGEST)
    except Refusal as refusal:
        raise KubeError("RequestEntityTooLarge", refusal.reply.error) from None
    kind = content_type(request)
    if kind == "application/vnd.kubernetes.protobuf" and data:
        return of_protobuf(data)
    if not data.strip():
        return {}
    return of_yaml(data) if kind in YAML_TYPES else of_json(data)


def of_json(data: bytes) -> Any:
    try:
        found = msgspec.json.decode(data)
        yamltext.check(found)
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        raise KubeError("BadRequest", f"the body of the request is not valid JSON: {error}") from None
    return found


def of_yaml(data: bytes) -> Any:
    if data.lstrip()[:1] in (b"{", b"["):
        try:
            return of_json(data)
        except KubeError:
            pass
    if len(data) > _LARGEST_YAML:
        raise KubeError("RequestEntityTooLarge", f"YAML of more than {_LARGEST_YAML} bytes: send JSON")
    try:
        found = yamltext.documents(data)
    except yamltext.NotYaml as error:
        raise KubeError("BadRequest", f"the body of the request is not valid YAML: {error}") from None
    if len(found) > 1:
        raise KubeError(
            "BadRequest", f"the body of the request has {len(found)} YAML documents: one is taken at a time"
        )
    return found[0] if found else {}


def of_protobuf(data: bytes) -> Any:
    try:
        found = protobuf.decode(data)
        yamltext.check(found)
    except ValueError as error:
        raise KubeError("BadRequest", f"the body of the request is not valid protobuf: {error}") from None
    return found
