"""In which form does the one who asks want the answer: an object, a list, a table, only the metadata; as JSON or YAML?"""

from collections.abc import Callable, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from corral.controller.api.http import encode
from corral.controller.api.kube.resources import Resource
from corral.syntax import yamltext

Json = dict[str, Any]


class Form:
    """What the Accept header says; its first choice that we have."""

    def __init__(self, request: Request) -> None:
        self.shape, self.is_yaml = "", False
        for choice in request.headers.get("accept", "").split(","):
            kind, *parameters = (word.strip() for word in choice.split(";"))
            known = dict(word.split("=", 1) for word in parameters if "=" in word)
            if kind not in ("application/json", "application/yaml", "application/*", "*/*", ""):
                continue
            shape = known.get("as", "")
            if shape not in ("", "Table", "PartialObjectMetadata", "PartialObjectMetadataList"):
                continue
            if shape and known.get("g", "meta.k8s.io") != "meta.k8s.io":
                continue
            self.shape, self.is_yaml = shape.removesuffix("List"), kind == "application/yaml"
            return

    def write(self, body: Json, status: int = 200) -> Response:
        if self.is_yaml:
            return Response(yamltext.dumped(body), status, media_type="application/yaml")
        return Response(encode(body), status, media_type="application/json")


def partial(body: Json) -> Json:
    return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": body.get("metadata", {})}


def partial_list(resource: Resource, items: Sequence[Json], metadata: Json) -> Json:
    return {
        "kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1", "metadata": metadata,
        "items": [partial(one) for one in items],
    }  # fmt: skip


def full_list(resource: Resource, items: Sequence[Json], metadata: Json) -> Json:
    return {
        "kind": f"{resource.kind}List",
        "apiVersion": resource.api_version,
        "metadata": metadata,
        "items": list(items),
    }


Shaper = Callable[[Json], Json]
