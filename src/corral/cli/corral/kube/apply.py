"""`corral apply`: the cluster becomes what the manifests say. Three-way, as kubectl: what left a manifest goes, what others set stays."""

from __future__ import annotations

from argparse import ArgumentParser

from corral.cli.corral.kube import files, printing
from corral.cli.corral.kube.printing import Output
from corral.cli.corral.kube.session import Session, add_options, query, told
from corral.cli.corral.kube.targets import Target, target_of
from corral.cli.run import Exit, say
from corral.errors import Refused

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from argparse import Namespace
    from typing import Any

    Json = dict[str, Any]

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
APPLY = "application/apply-patch+yaml"


def main(arguments: list[str]) -> int:
    given = _parser().parse_args(arguments)
    if given.prune and not given.selector and not given.all:
        raise Exit(
            1,
            "error: all resources selected for prune without explicitly passing --all. To prune all resources, pass the --all flag. "
            "If you did not mean to prune all resources, specify a label selector",
        )
    output = Output(given.output)
    if output.kind == "wide":
        raise Exit(1, "error: -o wide is for `corral get`: json, yaml, name, jsonpath=... or custom-columns=...")
    session = Session(given)
    dry = dry_of(given.dry_run)
    manifests = files.documents(given.filename, given.recursive)
    status = 0
    applied: list[tuple[Target, Json]] = []
    for place, document in manifests:
        try:
            target = target_of(session, place, document)
            done, word = apply_one(session, place, target, document, dry)
        except Exit as end:
            for line in end.lines:
                say(line + "\n")
            status = 1
            continue
        applied.append((target, done))
        if not given.output:
            printing.out(f"{target.title} {word}{SUFFIX[dry]}\n")
    if given.output and applied:
        show(output, applied)
    if given.prune and not status:
        _prune(session, given, [target for target, _ in applied], dry)
    return status


SUFFIX = {"": "", "client": " (dry run)", "server": " (server dry run)"}


def dry_of(text: str) -> str:
    if text not in ("none", "", "client", "server"):
        raise Exit(1, f'error: Invalid dry-run value ({text}). Must be "none", "server", or "client".')
    return "" if text == "none" else text


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        prog="corral apply", description="Make objects, or change them, so that they are as manifests say."
    )
    files.add_options(parser, required=True)
    printing.add_options(parser)
    add_dry_run(parser)
    parser.add_argument(
        "--prune", action="store_true", help="remove what was applied with these labels and is in no manifest now"
    )
    parser.add_argument("--selector", "-l", default="", metavar="LABELS", help="what --prune looks at")
    parser.add_argument(
        "--all", action="store_true", help="--prune looks at everything in the namespaces of the manifests"
    )
    add_options(parser)
    return parser


def add_dry_run(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--dry-run", default="none", nargs="?", const="client", metavar="none|client|server",
        help="only say what would be done; server: as the cluster has it, with all of its checks",
    )  # fmt: skip


def apply_one(session: Session, place: str, target: Target, document: Json, dry: str) -> tuple[Json, str]:
    """The object, and created, configured or unchanged."""
    if not target.name:
        if (document.get("metadata") or {}).get("generateName"):
            raise Exit(1, f"error: from {place}: cannot use generate name with apply")
        raise Exit(
            1, f'error: error when retrieving current configuration of: resource name may not be empty: from "{place}"'
        )
    old = session.get(target.path())
    try:
        new: Json = session.ask(
            "PATCH",
            target.path() + query(fieldManager="corral-apply", dryRun="All" if dry else ""),
            document,
            content_type=APPLY,
        )
    except Refused as error:
        text = told(error)
        raise Exit(
            1,
            text
            if text.startswith("The ")
            else f'{text.partition(":")[0]}: error when applying "{place}":{text.partition(":")[2]}',
        ) from None
    if old is None:
        return new, "created"
    same = old["metadata"]["resourceVersion"] == new["metadata"]["resourceVersion"] or _same(old, new)
    return new, "unchanged" if same else "configured"


def _same(old: Json, new: Json) -> bool:
    """But for what the cluster itself goes on changing."""

    def bare(one: Json) -> Json:
        meta = {name: value for name, value in one["metadata"].items() if name not in ("resourceVersion", "generation")}
        meta["annotations"] = (meta.get("annotations") or {}).get(LAST_APPLIED)
        return {**{name: value for name, value in one.items() if name != "status"}, "metadata": meta}

    return bare(old) == bare(new)


def show(output: Output, applied: list[tuple[Target, Json]]) -> None:
    names = [target.title for target, _ in applied]
    if len(applied) == 1:
        output.show(applied[0][1], names=names)
        return
    items = [one for _, one in applied]
    output.show({"apiVersion": "v1", "kind": "List", "metadata": {}, "items": items}, names=names)


#: What kubectl prunes, and our own kind.
_PRUNED = (
    "ConfigMap", "Namespace", "Pod", "Secret", "Service", "Job", "CronJob", "Ingress", "Deployment", "ReplicaSet", "StatefulSet",
    "DaemonSet", "HorizontalPodAutoscaler", "PodDisruptionBudget", "Pipeline",
)  # fmt: skip


def _prune(session: Session, given: Namespace, applied: list[Target], dry: str) -> None:
    kept = {(one.resource.kind, one.namespace, one.name) for one in applied}
    spaces = sorted({one.namespace for one in applied if one.resource.namespaced})
    for resource in session.kinds:
        if resource.kind not in _PRUNED or resource.kind == "Namespace":
            continue
        for space in spaces:
            for one in session.request("GET", resource.path(space) + query(labelSelector=given.selector))["items"]:
                meta = one["metadata"]
                if (resource.kind, space, meta["name"]) in kept or LAST_APPLIED not in (meta.get("annotations") or {}):
                    continue
                target = Target(resource, meta["name"], space)
                if not dry:
                    session.request("DELETE", target.path())
                printing.out(f"{target.title} pruned{SUFFIX[dry]}\n")
