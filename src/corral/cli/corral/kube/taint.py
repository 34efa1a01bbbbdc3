"""`corral taint`, `cordon`, `uncordon`: which Pods stay away from a node?"""

from __future__ import annotations

from argparse import ArgumentParser

from corral.cli.corral.kube import printing
from corral.cli.corral.kube.session import Session, add_options
from corral.cli.corral.kube.targets import named, objects
from corral.cli.run import Exit

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from typing import Any

_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")


def taint(arguments: list[str]) -> int:
    parser = ArgumentParser(
        prog="corral taint",
        description="KEY=VALUE:EFFECT keeps Pods that do not tolerate it from a node; KEY:EFFECT- or KEY- takes it off.",
    )
    parser.add_argument("what", nargs="+", metavar="node NAME ... KEY=VALUE:EFFECT ... KEY-")
    parser.add_argument("--overwrite", action="store_true", help="change the value of one that is there")
    parser.add_argument("--selector", "-l", default="", metavar="LABELS")
    parser.add_argument("--all", action="store_true", help="all nodes")
    add_options(parser)
    given = parser.parse_args(arguments)
    words = [word for word in given.what if not _is_change(word)]
    changes = [word for word in given.what if _is_change(word)]
    if not changes:
        raise Exit(1, "error: at least one taint update is required")
    session = Session(given)
    for target, one in _nodes(session, words, given.selector, every=given.all):
        now: list[dict[str, Any]] = (one.get("spec") or {}).get("taints") or []
        wanted = _changed(now, changes, overwrite=given.overwrite, title=target.title)
        _patch(session, target, {"spec": {"taints": wanted}})
        printing.out(f"{target.title} {'untainted' if all(word.endswith('-') for word in changes) else 'tainted'}\n")
    return 0


def cordon(arguments: list[str]) -> int:
    return _schedulable("cordon", "cordoned", False, arguments)


def uncordon(arguments: list[str]) -> int:
    return _schedulable("uncordon", "uncordoned", True, arguments)


def _schedulable(verb: str, done: str, schedulable: bool, arguments: list[str]) -> int:
    what = (
        "takes Pods and jobs again"
        if schedulable
        else "takes no more Pods and jobs; those that keep Pods move them away"
    )
    parser = ArgumentParser(prog=f"corral {verb}", description=f"The node {what}.")
    parser.add_argument("nodes", nargs="*", metavar="NODE")
    parser.add_argument("--selector", "-l", default="", metavar="LABELS")
    add_options(parser)
    given = parser.parse_args(arguments)
    session = Session(given)
    for target, one in _nodes(session, ["node", *given.nodes], given.selector, every=False):
        if bool((one.get("spec") or {}).get("unschedulable")) is schedulable:
            _patch(session, target, {"spec": {"unschedulable": not schedulable}})
            printing.out(f"{target.title} {done}\n")
        else:
            printing.out(f"{target.title} already {done}\n")
    return 0


def _nodes(session: Session, words: list[str], selector: str, *, every: bool) -> list[Any]:
    targets = named(session, words)
    if any(one.resource.kind != "Node" for one in targets):
        raise Exit(1, "error: only nodes can be changed so")
    if any(not one.name for one in targets) and not (selector or every):
        raise Exit(1, "error: name the nodes, or say --selector")
    return list(objects(session, targets, selector))


def _patch(session: Session, target: Any, body: dict[str, Any]) -> None:
    session.request("PATCH", target.path(), body, content_type="application/merge-patch+json")


def _is_change(word: str) -> bool:
    return word.endswith("-") or ":" in word or "=" in word


def _changed(now: list[dict[str, Any]], changes: list[str], *, overwrite: bool, title: str) -> list[dict[str, Any]]:
    wanted = list(now)
    for word in changes:
        text, colon, effect = word.removesuffix("-").rpartition(":")
        key, _, value = (text if colon else word.removesuffix("-")).partition("=")
        if (colon or not word.endswith("-")) and effect not in _EFFECTS:
            raise Exit(1, f"error: invalid taint effect: {effect or word}, it is one of {', '.join(_EFFECTS)}")
        same = [one for one in wanted if one["key"] == key and (not colon or one["effect"] == effect)]
        if word.endswith("-"):
            if not same:
                raise Exit(1, f'error: taint "{word[:-1]}" not found on {title}')
            wanted = [one for one in wanted if one not in same]
            continue
        if same and not overwrite and same[0].get("value", "") != value:
            raise Exit(1, f"error: {title} already has {key} taint(s) with same effect(s) and --overwrite is false")
        wanted = [one for one in wanted if one not in same]
        wanted.append({"key": key, "effect": effect} | ({"value": value} if value else {}))
    return wanted
