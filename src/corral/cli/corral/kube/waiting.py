"""`corral wait`: until a condition holds, an object is gone, or a field has a value."""

from __future__ import annotations

import time
from argparse import ArgumentParser

from corral.cli.corral.kube import files, printing
from corral.cli.corral.kube.delete import duration, until_gone
from corral.cli.corral.kube.session import Session, add_options, query
from corral.cli.corral.kube.targets import Target, named, objects, of_files
from corral.cli.run import Exit

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Json = dict[str, Any]


def main(arguments: list[str]) -> int:
    parser = ArgumentParser(
        prog="corral wait", description="Wait for objects: corral wait --for=condition=Available deployment/web"
    )
    parser.add_argument("what", nargs="*", metavar="KIND[/NAME]")
    files.add_options(parser)
    parser.add_argument(
        "--for", dest="wanted", required=True, metavar="WHAT",
        help="delete, create, condition=NAME[=VALUE], or jsonpath={PATH}[=VALUE]",
    )  # fmt: skip
    parser.add_argument("--timeout", default="30s", metavar="TIME")
    parser.add_argument("--selector", "-l", default="", metavar="LABELS")
    parser.add_argument("--all", action="store_true", help="all of the kind")
    add_options(parser, everywhere=True)
    given = parser.parse_args(arguments)
    session = Session(given)
    seconds = duration(given.timeout.removeprefix("-"))
    ends = time.monotonic() + (7 * 86400.0 if given.timeout.startswith("-") else seconds)
    if given.filename:
        targets = [target for target, _ in of_files(session, files.documents(given.filename, given.recursive))]
    else:
        targets = named(session, given.what)
        if any(not one.name for one in targets):
            if not (given.selector or given.all or session.everywhere):
                raise Exit(1, "error: resource name, --selector or --all is needed")
            targets = [one for one, _ in objects(session, targets, given.selector)]
            if not targets:
                raise Exit(1, "error: no matching resources found")
    for target in targets:
        if given.wanted == "delete":
            one = session.get(target.path())
            if one is not None:
                until_gone(session, target, one["metadata"]["uid"], ends)
        else:
            until(session, target, _wanted(given.wanted), ends, missing_is_fine=given.wanted == "create")
        printing.out(f"{target.title} condition met\n")
    return 0


def _wanted(text: str) -> Callable[[Json], bool]:
    kind, _, rest = text.partition("=")
    if kind == "create":
        return lambda one: True
    if kind == "condition" and rest:
        name, _, value = rest.partition("=")
        return lambda one: any(
            found["type"].lower() == name.lower() and found["status"].lower() == (value or "true").lower()
            for found in (one.get("status") or {}).get("conditions") or ()
        )
    if kind == "jsonpath" and rest:
        from corral.syntax import jsonpath

        path, equal, value = rest.rpartition("}=") if "}=" in rest else (rest, "", "")
        path = path.removeprefix("{").removesuffix("}")

        def holds(one: Json) -> bool:
            try:
                found = jsonpath.values(path, one)
            except jsonpath.BadPath:
                return False
            return bool(found) and (not equal or jsonpath.text_of(found[0]) == value.strip("'\""))

        return holds
    raise Exit(1, f'error: unrecognized condition: "{text}"')


def until(
    session: Session, target: Target, holds: Callable[[Json], bool], ends: float, *, missing_is_fine: bool = False
) -> Json:
    """The object as soon as it is so; woken by each of its changes."""
    while True:
        collection = Target(target.resource, "", target.namespace)
        fields = f"metadata.name={target.name}"
        answer = session.request("GET", collection.path() + query(fieldSelector=fields))
        items: list[Json] = answer["items"]
        if items and holds(items[0]):
            return items[0]
        if not items and not missing_is_fine:
            raise Exit(1, f'Error from server (NotFound): {target.resource.qualified} "{target.name}" not found')
        left = ends - time.monotonic()
        if left <= 0:
            raise Exit(1, f"error: timed out waiting for the condition on {target.resource.qualified}/{target.name}")
        address = collection.path() + query(
            watch="1", fieldSelector=fields, resourceVersion=answer["metadata"]["resourceVersion"],
            timeoutSeconds=max(1, int(min(left, 600))),
        )  # fmt: skip
        for event in session.watch(address):
            if event["type"] in ("DELETED", "ERROR"):
                break
            if event["type"] in ("ADDED", "MODIFIED") and holds(event["object"]):
                found: Json = event["object"]
                return found
