"""What does a kind's schema say, to kubectl and client libraries? OpenAPI 3, a document for each group and version."""

import functools
import inspect
import re
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from corral.controller.api.kube.answers import Form
from corral.controller.api.kube.resources import GROUPS, RESOURCES, Resource
from corral.controller.facts import VERSION
from corral.model.kube.meta import KubeObject, Schema, wire_name
from corral.model.kube.objects import KINDS
from corral.services.manifests import merging

Json = dict[str, Any]

_PATCHES = (
    "application/apply-patch+yaml", "application/json-patch+json", "application/merge-patch+json",
    "application/strategic-merge-patch+json",
)  # fmt: skip
_REF = "#/components/schemas/{name}"


def index() -> Json:
    """/openapi/v3"""
    paths = [f"apis/{group}/{version}" if group else f"api/{version}" for group in GROUPS for version in GROUPS[group]]
    return {"paths": {path: {"serverRelativeURL": f"/openapi/v3/{path}"} for path in paths}}


@functools.cache
def document(group: str, version: str) -> Json | None:
    """None: there is no such group, or not in this version."""
    found = [one for one in RESOURCES.values() if (one.group, one.version) == (group, version)]
    if not found:
        return None
    paths: Json = {}
    for one in found:
        paths |= _paths(one)
    schemas: Json = {}
    for one in found:
        schemas |= _schemas(one)
    return {
        "openapi": "3.0.0", "info": {"title": "Corral", "version": VERSION}, "paths": paths,
        "components": {"schemas": schemas},
    }  # fmt: skip


def _paths(one: Resource) -> Json:
    root = f"/apis/{one.group}/{one.version}" if one.group else f"/api/{one.version}"
    if one.namespaced:
        root += "/namespaces/{namespace}"
    kind = {"group": one.group, "version": one.version, "kind": one.kind}
    schema = {"$ref": _REF.format(name=_name(one))}
    parameters = [_parameter(word) for word in ("dryRun", "fieldManager", "fieldValidation")]

    def operation(action: str, content: tuple[str, ...] = ("application/json", "application/yaml")) -> Json:
        made: Json = {
            "x-kubernetes-action": action, "x-kubernetes-group-version-kind": kind,
            "responses": {"200": {"description": "OK", "content": {"application/json": {"schema": schema}}}},
        }  # fmt: skip
        if action in ("post", "put", "patch"):
            made["parameters"] = parameters
            body = {"type": "object"} if action == "patch" else schema
            made["requestBody"] = {"required": True, "content": {word: {"schema": body} for word in content}}
        return made

    variables = [{**_parameter("name"), "in": "path", "required": True}]
    if one.namespaced:
        variables.append({**_parameter("namespace"), "in": "path", "required": True})
    collection: Json = {"get": operation("list"), "parameters": variables[1:]}
    single: Json = {"get": operation("get"), "parameters": variables}
    if "create" in one.verbs:
        collection["post"] = operation("post")
        single |= {
            "put": operation("put"), "patch": operation("patch", _PATCHES), "delete": operation("delete"),
        }  # fmt: skip
    return {f"{root}/{one.plural}": collection, f"{root}/{one.plural}/{{name}}": single}


def _parameter(name: str) -> Json:
    return {"name": name, "in": "query", "schema": {"type": "string"}}


def _name(one: Resource) -> str:
    group = ".".join(reversed(one.group.split("."))) if one.group else "core"
    return f"dev.corral.{group}.{one.version}.{one.kind}"


def _schemas(one: Resource) -> Json:
    kind = KINDS.get(one.kind)
    if kind is None:
        return {_name(one): _marked({"type": "object"}, one)}
    (_,), components = msgspec.json.schema_components((kind.type,), ref_template=_REF)
    found: Json = {}
    for name, schema in components.items():
        schema = _readable(schema, name)
        for field, text in _meanings(name).items():
            if field in schema.get("properties", {}):
                schema["properties"][field]["description"] = text
        if name == one.kind:
            schema["properties"].pop("creator", None)
            schema["properties"] |= {"kind": {"type": "string"}, "apiVersion": {"type": "string"}}
            schema.pop("required", None)
            found[_name(one)] = _marked(schema, one)
        elif name not in ("Owner",):
            found[name] = schema
    return found


@functools.cache
def _meanings(record: str) -> dict[str, str]:
    """What the comments of a record say of its fields; {} where the source is not at hand."""
    known = {one.__name__: one for one in _below(Schema) | _below(KubeObject)}
    try:
        text = inspect.getsource(known[record])
    except (KeyError, OSError, TypeError):
        return {}
    found = re.findall(r"^    (\w+): [^#\n]*#: (.+)$", text, re.MULTILINE)
    return {wire_name(name): said[:1].upper() + said[1:] for name, said in found}


def _below(record: type) -> set[type]:
    children: list[type] = type.__subclasses__(record)
    return {record} | {found for one in children for found in _below(one)}


def _marked(schema: Json, one: Resource) -> Json:
    kind = {"group": one.group, "version": one.version, "kind": one.kind}
    return {**schema, "x-kubernetes-group-version-kind": [kind]}


def _readable(value: Any, record: str = "") -> Any:
    """As OpenAPI 3.0 and kubectl's readers have it: one type for each field, times as text, no defaults of ours."""
    if isinstance(value, list):
        return [_readable(one) for one in value]
    if not isinstance(value, dict):
        return value
    if "anyOf" in value:
        choices = [one for one in value["anyOf"] if one != {"type": "null"}]
        if len(choices) == 1:
            return _readable(
                {**{k: v for k, v in value.items() if k not in ("anyOf", "default")}, **choices[0]}, record
            )
        return {"x-kubernetes-int-or-string": True, "type": "string"}
    found: Json = {}
    for name, one in value.items():
        if name == "properties":
            found[name] = {key: _property(key, item, record) for key, item in one.items()}
        elif name not in ("default", "title", "additionalProperties", "const") or (
            name == "additionalProperties" and isinstance(one, dict)
        ):
            found[name] = _readable(one)
    if isinstance(found.get("type"), list):
        kinds = [one for one in found["type"] if one != "null"]
        found["type"] = kinds[0] if len(kinds) == 1 else "string"
    if "enum" in found:
        found["type"] = "string"
    return found


def _property(name: str, schema: Json, record: str) -> Json:
    found: Json = _readable(schema)
    if found.get("type") == "number" and re.search(r"(Time|Timestamp|At)$", name):
        found = {"type": "string", "format": "date-time"}
    items = [{"containerPort": 0}] if record == "Container" else []
    if found.get("type") == "array" and (key := merging.key_of(name, items)) is not None:
        found["x-kubernetes-patch-merge-key"] = key
        found["x-kubernetes-patch-strategy"] = "merge"
    return found


def older(request: Request) -> Response:
    """OpenAPI 2, of which kubectl before 1.27 wants to see something, and newer ones where a kind is not in OpenAPI 3: it describes
    nothing. Kubernetes' clients read it as protobuf (gnostic's openapi.v2.Document: swagger, info, paths, definitions).
    """
    title, version = "Corral", VERSION
    if "protobuf" in request.headers.get("accept", ""):
        info = _field(1, title.encode()) + _field(2, version.encode())
        body = _field(1, b"2.0") + _field(2, info) + _field(8, b"") + _field(9, b"")
        return Response(body, media_type="application/com.github.proto-openapi.spec.v2.v1.0+protobuf")
    info_of = {"title": title, "version": version}
    return Form(request).write({"swagger": "2.0", "info": info_of, "paths": {}, "definitions": {}})


def _field(number: int, data: bytes) -> bytes:
    """Of protobuf: less than 128 bytes."""
    return bytes((number << 3 | 2, len(data))) + data
