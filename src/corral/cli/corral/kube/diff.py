"""`corral diff`: what would an apply change? Exit status 1 when there are differences, as kubectl's."""

from __future__ import annotations

from argparse import ArgumentParser

from corral.cli.corral.kube import files, printing
from corral.cli.corral.kube.apply import APPLY, LAST_APPLIED
from corral.cli.corral.kube.session import Session, add_options, query, told
from corral.cli.corral.kube.targets import target_of
from corral.cli.run import Exit
from corral.errors import Refused

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from typing import Any

    Json = dict[str, Any]


def main(arguments: list[str]) -> int:
    parser = ArgumentParser(
        prog="corral diff", description="Show what `corral apply` would change. 0: nothing; 1: something; 2: an error."
    )
    files.add_options(parser, required=True)
    add_options(parser)
    given = parser.parse_args(arguments)
    import difflib

    from corral.syntax import yamltext

    session = Session(given)
    status = 0
    try:
        for place, document in files.documents(given.filename, given.recursive):
            target = target_of(session, place, document)
            old = session.get(target.path())
            try:
                new = session.ask("PATCH", target.path() + query(dryRun="All"), document, content_type=APPLY)
            except Refused as error:
                raise Exit(2, told(error)) from None
            before, after = _shown(old), _shown(new)
            if target.resource.kind == "Secret":
                _mask(before, after)
            words = [
                target.resource.group,
                target.resource.version,
                target.resource.kind,
                target.namespace,
                target.name,
            ]
            name = ".".join(word for word in words if word)
            live, merged = (yamltext.dumped(one).splitlines(keepends=True) if one else [] for one in (before, after))
            text = "".join(difflib.unified_diff(live, merged, f"LIVE/{name}", f"MERGED/{name}"))
            if text:
                status = 1
                printing.out(text)
    except Exit as end:
        raise Exit(2, *end.lines) from None
    return status


def _shown(one: Json | None) -> Json:
    """Without what every write changes."""
    if one is None:
        return {}
    dropped = ("resourceVersion", "generation", "uid", "creationTimestamp", "managedFields")
    meta = {name: value for name, value in one["metadata"].items() if name not in dropped}
    if LAST_APPLIED in (meta.get("annotations") or {}):
        kept = {name: value for name, value in meta["annotations"].items() if name != LAST_APPLIED}
        meta = (
            {**meta, "annotations": kept}
            if kept
            else {name: value for name, value in meta.items() if name != "annotations"}
        )
    return {**{name: value for name, value in one.items() if name != "status"}, "metadata": meta}


def _mask(before: Json, after: Json) -> None:
    """Secrets stay off the screen."""
    old, new = before.get("data") or {}, after.get("data") or {}
    for name in {*old, *new}:
        differ = name in old and name in new and old[name] != new[name]
        if name in old:
            before["data"] = {**before["data"], name: "*** (before)" if differ else "***"}
        if name in new:
            after["data"] = {**after["data"], name: "*** (after)" if differ else "***"}
