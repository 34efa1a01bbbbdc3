"""`corral explain KIND.FIELD`: what a kind has, and what its fields mean."""

from __future__ import annotations

import textwrap
from argparse import ArgumentParser

from corral.cli.corral.kube import printing
from corral.cli.corral.kube.session import Session, add_options
from corral.cli.run import Exit

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from typing import Any

    Json = dict[str, Any]


def main(arguments: list[str]) -> int:
    parser = ArgumentParser(
        prog="corral explain", description="Say what a kind, or a field of it, is: corral explain pod.spec.containers"
    )
    parser.add_argument("what", metavar="KIND[.FIELD ...]")
    parser.add_argument("--recursive", action="store_true", help="all fields below, without their meaning")
    add_options(parser)
    given = parser.parse_args(arguments)
    session = Session(given)
    word, *fields = given.what.split(".")
    resource = session.resource(word)
    place = f"apis/{resource.group}/{resource.version}" if resource.group else f"api/{resource.version}"
    schemas: Json = session.request("GET", f"/openapi/v3/{place}")["components"]["schemas"]
    schema = next(one for one in schemas.values() if _is_of(one, resource.kind))
    kind = ""
    for field in fields:
        schema = _inner(schemas, schema)
        found = schema.get("properties", {}).get(field)
        if found is None:
            raise Exit(1, f'error: field "{field}" does not exist')
        kind, schema = _type(found), found
    lines = [f"GROUP:      {resource.group}"] if resource.group else []
    lines += [f"KIND:       {resource.kind}", f"VERSION:    {resource.version}", ""]
    if fields:
        lines += [f"FIELD: {fields[-1]} <{kind}>", ""]
    inner = _inner(schemas, schema)
    text = schema.get("description") or inner.get("description") or "<empty>"
    lines += ["DESCRIPTION:", *textwrap.wrap(text, 76, initial_indent="    ", subsequent_indent="    ")]
    if inner.get("properties"):
        lines += ["", "FIELDS:", *_fields(schemas, inner, "  ", given.recursive, 0)]
    printing.out("\n".join(lines) + "\n\n")
    return 0


def _is_of(schema: Json, kind: str) -> bool:
    return any(one["kind"] == kind for one in schema.get("x-kubernetes-group-version-kind", ()))


def _inner(schemas: Json, schema: Json) -> Json:
    """What a reference, a list or a map is of."""
    while True:
        if "$ref" in schema:
            schema = schemas[schema["$ref"].rpartition("/")[2]]
        elif schema.get("type") == "array":
            schema = schema.get("items") or {}
        else:
            return schema


def _type(schema: Json) -> str:
    if "$ref" in schema:
        return str(schema["$ref"].rpartition("/")[2])
    if schema.get("type") == "array":
        return f"[]{_type(schema.get('items') or {})}"
    if isinstance(schema.get("additionalProperties"), dict):
        return f"map[string]{_type(schema['additionalProperties'])}"
    return "IntOrString" if schema.get("x-kubernetes-int-or-string") else str(schema.get("type", "Object"))


def _fields(schemas: Json, schema: Json, indent: str, recursive: bool, depth: int) -> list[str]:
    lines = []
    needed = schema.get("required", ())
    for name, one in sorted(schema["properties"].items()):
        lines.append(f"{indent}{name}\t<{_type(one)}>" + (" -required-" if name in needed else ""))
        if "enum" in one:
            lines.append(f"{indent}enum: {', '.join(map(str, one['enum']))}")
        if recursive:
            inner = _inner(schemas, one)
            if inner.get("properties") and depth < 12:
                lines += _fields(schemas, inner, indent + "  ", True, depth + 1)
        else:
            text = one.get("description") or _inner(schemas, one).get("description") or "<no description>"
            lines += [*textwrap.wrap(text, 74, initial_indent=indent + "  ", subsequent_indent=indent + "  "), ""]
    return lines
