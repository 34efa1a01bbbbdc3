"""`corral rollout`: how far an update is; back to an earlier revision; pause, resume, restart."""

from __future__ import annotations

import time
from argparse import ArgumentParser

from corral.cli.corral.kube import printing
from corral.cli.corral.kube.apply import SUFFIX, add_dry_run, dry_of
from corral.cli.corral.kube.delete import duration
from corral.cli.corral.kube.session import Session, add_options, query
from corral.cli.corral.kube.targets import Target, named
from corral.cli.run import Exit

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from argparse import Namespace
    from typing import Any

    Json = dict[str, Any]

REVISION = "deployment.kubernetes.io/revision"
CAUSE = "kubernetes.io/change-cause"
RESTARTED = "kubectl.kubernetes.io/restartedAt"
_MERGE = "application/merge-patch+json"


def main(arguments: list[str]) -> int:
    parser = ArgumentParser(
        prog="corral rollout", description="See and steer the update of a Deployment, StatefulSet or DaemonSet."
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="status|undo|history|pause|resume|restart")
    for verb, text in (
        ("status", "wait until it is done, and say how far it is"), ("undo", "back to an earlier revision"),
        ("history", "which revisions there are"), ("pause", "stop an update where it is"), ("resume", "go on with it"),
        ("restart", "replace all Pods, a few at a time"),
    ):  # fmt: skip
        one = verbs.add_parser(verb, help=text)
        one.add_argument("what", nargs="+", metavar="KIND/NAME")
        add_options(one)
        if verb == "status":
            one.add_argument("--watch", "-w", default="true", nargs="?", const="true", choices=("true", "false"))
            one.add_argument("--timeout", default="0s", metavar="TIME")
            one.add_argument("--revision", type=int, default=0, metavar="N", help="it must be this one")
        elif verb == "undo":
            one.add_argument("--to-revision", type=int, default=0, metavar="N", help="default: the one before")
            add_dry_run(one)
        elif verb == "history":
            one.add_argument("--revision", type=int, default=0, metavar="N", help="its Pod template")
    given = parser.parse_args(arguments)
    session = Session(given)
    for target in named(session, given.what):
        if not target.name:
            raise Exit(1, "error: required resource not specified: KIND/NAME")
        if target.resource.kind not in ("Deployment", "StatefulSet", "DaemonSet"):
            what = "a Deployment, StatefulSet or DaemonSet has them"
            raise Exit(1, f"error: no rollout for a {target.resource.kind}: {what}")
        _VERBS[given.verb](session, given, target)
    return 0


# -- status


def _status(session: Session, given: Namespace, target: Target) -> None:
    from corral.cli.corral.kube.waiting import until

    seconds = duration(given.timeout)
    ends = time.monotonic() + (seconds or 7 * 86400.0)
    said = ""

    def holds(one: Json) -> bool:
        nonlocal said
        text, is_done = progress(target.resource.kind, one, given.revision)
        if text != said:
            printing.out(text + "\n")
            said = text
        return is_done

    if given.watch == "false":
        holds(session.request("GET", target.path()))
        return
    until(session, target, holds, ends)


def progress(kind: str, one: Json, revision: int = 0) -> tuple[str, bool]:
    """kubectl's words, and whether it is done."""
    name = one["metadata"]["name"]
    found = (one["metadata"].get("annotations") or {}).get(REVISION, "")
    if revision and found and int(found) != revision:
        raise Exit(1, f"error: desired revision ({revision}) is different from the running revision ({found})")
    if one["metadata"].get("generation", 0) > (one.get("status") or {}).get("observedGeneration", 0):
        word = "daemon set" if kind == "DaemonSet" else kind.lower()
        return f"Waiting for {word} spec update to be observed...", False
    return {"Deployment": _deployment, "StatefulSet": _stateful_set, "DaemonSet": _daemon_set}[kind](name, one)


def _deployment(name: str, one: Json) -> tuple[str, bool]:
    spec, status = one["spec"], one.get("status") or {}
    for condition in status.get("conditions") or ():
        if condition["type"] == "Progressing" and condition.get("reason") == "ProgressDeadlineExceeded":
            raise Exit(1, f'error: deployment "{name}" exceeded its progress deadline')
        if condition["type"] == "RolledBack" and condition["status"] == "True":
            raise Exit(1, f'error: deployment "{name}" was rolled back: {condition.get("message", "")}')
    wanted, updated = spec.get("replicas", 1), status.get("updatedReplicas", 0)
    total, available = status.get("replicas", 0), status.get("availableReplicas", 0)
    waiting = f'Waiting for deployment "{name}" rollout to finish: '
    if updated < wanted:
        return f"{waiting}{updated} out of {wanted} new replicas have been updated...", False
    if total > updated:
        return f"{waiting}{total - updated} old replicas are pending termination...", False
    if available < updated:
        return f"{waiting}{available} of {updated} updated replicas are available...", False
    return f'deployment "{name}" successfully rolled out', True


def _stateful_set(name: str, one: Json) -> tuple[str, bool]:
    spec, status = one["spec"], one.get("status") or {}
    strategy = spec.get("updateStrategy") or {}
    if strategy.get("type") == "OnDelete":
        raise Exit(1, "error: rollout status is only available for RollingUpdate strategy type")
    wanted, ready = spec.get("replicas", 1), status.get("readyReplicas", 0)
    updated, revision = status.get("updatedReplicas", 0), status.get("updateRevision", "")
    if ready < wanted:
        return f"Waiting for {wanted - ready} pods to be ready...", False
    partition = (strategy.get("rollingUpdate") or {}).get("partition", 0)
    if partition:
        if updated < wanted - partition:
            text = f"Waiting for partitioned roll out to finish: {updated} out of {wanted - partition} new pods have been updated..."
            return text, False
        return f"partitioned roll out complete: {updated} new pods have been updated...", True
    if revision != status.get("currentRevision", ""):
        return f"waiting for statefulset rolling update to complete {updated} pods at revision {revision}...", False
    return (
        f"statefulset rolling update complete {status.get('currentReplicas', 0)} pods at revision {revision}...",
        True,
    )


def _daemon_set(name: str, one: Json) -> tuple[str, bool]:
    spec, status = one["spec"], one.get("status") or {}
    if (spec.get("updateStrategy") or {}).get("type") == "OnDelete":
        raise Exit(1, "error: rollout status is only available for RollingUpdate strategy type")
    wanted, updated = status.get("desiredNumberScheduled", 0), status.get("updatedNumberScheduled", 0)
    available = status.get("numberAvailable", 0)
    waiting = f'Waiting for daemon set "{name}" rollout to finish: '
    if updated < wanted:
        return f"{waiting}{updated} out of {wanted} new pods have been updated...", False
    if available < wanted:
        return f"{waiting}{available} of {wanted} updated pods are available...", False
    return f'daemon set "{name}" successfully rolled out', True


# -- revisions


class _Revision:
    def __init__(self, template: Json, cause: str) -> None:
        self.template, self.cause = template, cause


def _revisions(session: Session, target: Target, uid: str) -> dict[int, _Revision]:
    """The Pod templates that it has had, by their number."""
    found = {}
    if target.resource.kind != "Deployment":
        for one in session.request("GET", session.resource("controllerrevisions").path(target.namespace))["items"]:
            if _is_owned(one, uid):
                template = {name: value for name, value in one["data"]["spec"]["template"].items() if name != "$patch"}
                found[int(one["revision"])] = _Revision(template, _cause(one))
        return dict(sorted(found.items()))
    for one in session.request("GET", session.resource("replicasets").path(target.namespace))["items"]:
        number = (one["metadata"].get("annotations") or {}).get(REVISION, "")
        if number.isdigit() and _is_owned(one, uid):
            template = one["spec"]["template"]
            labels = {
                name: value for name, value in template["metadata"]["labels"].items() if name != "pod-template-hash"
            }
            template = {**template, "metadata": {**template["metadata"], "labels": labels}}
            found[int(number)] = _Revision(template, _cause(one))
    return dict(sorted(found.items()))


def _is_owned(one: Json, uid: str) -> bool:
    return any(owner["uid"] == uid for owner in one["metadata"].get("ownerReferences") or ())


def _cause(one: Json) -> str:
    return (one["metadata"].get("annotations") or {}).get(CAUSE) or "<none>"


def _history(session: Session, given: Namespace, target: Target) -> None:
    one = session.request("GET", target.path())
    found = _revisions(session, target, one["metadata"]["uid"])
    if given.revision:
        if given.revision not in found:
            raise Exit(1, f"error: unable to find the specified revision {given.revision}")
        from corral.syntax import yamltext

        text = "".join(f"  {line}\n" for line in yamltext.dumped(found[given.revision].template).splitlines())
        printing.out(f"{target.title} with revision #{given.revision}\nPod Template:\n{text}")
        return
    rows = [["REVISION", "CHANGE-CAUSE"], *([str(number), revision.cause] for number, revision in found.items())]
    printing.out(f"{target.title} \n{printing.aligned(rows)}\n")


def _undo(session: Session, given: Namespace, target: Target) -> None:
    one = session.request("GET", target.path())
    if one["spec"].get("paused"):
        what = f"resume it first with 'corral rollout resume {target.title}' and try again"
        raise Exit(1, f"error: you cannot rollback a paused deployment; {what}")
    found = _revisions(session, target, one["metadata"]["uid"])
    wanted = given.to_revision
    if wanted < 0:
        raise Exit(1, f"error: revision must be a positive integer: {wanted}")
    if not wanted:
        if len(found) < 2:
            raise Exit(1, f'error: no rollout history found for {target.resource.singular} "{target.name}"')
        wanted = list(found)[-2]
    if wanted not in found:
        raise Exit(1, f"error: unable to find specified revision {wanted} in history")
    template = found[wanted].template
    if template == one["spec"]["template"]:
        printing.out(f"{target.title} skipped rollback (current template already matches revision {wanted})\n")
        return
    dry = dry_of(given.dry_run)
    if dry != "client":
        patch = [{"op": "replace", "path": "/spec/template", "value": template}]
        address = target.path() + query(dryRun="All" if dry else "")
        session.request("PATCH", address, patch, content_type="application/json-patch+json")
    printing.out(f"{target.title} rolled back{SUFFIX[dry]}\n")


def _pause(session: Session, given: Namespace, target: Target) -> None:
    _set_paused(session, target, True)


def _resume(session: Session, given: Namespace, target: Target) -> None:
    _set_paused(session, target, False)


def _set_paused(session: Session, target: Target, paused: bool) -> None:
    if target.resource.kind != "Deployment":
        raise Exit(1, f"error: {target.resource.qualified} {target.name!r}: only a Deployment can be paused")
    one = session.request("GET", target.path())
    if bool(one["spec"].get("paused")) == paused:
        raise Exit(1, f'error: {target.resource.qualified} "{target.name}" is {"already" if paused else "not"} paused')
    session.request("PATCH", target.path(), {"spec": {"paused": paused or None}}, content_type=_MERGE)
    printing.out(f"{target.title} {'paused' if paused else 'resumed'}\n")


def _restart(session: Session, given: Namespace, target: Target) -> None:
    one = session.request("GET", target.path())
    if one["spec"].get("paused"):
        raise Exit(
            1,
            f'error: {target.resource.qualified} "{target.name}" can\'t restart paused deployment (run rollout resume first)',
        )
    when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    patch = {"spec": {"template": {"metadata": {"annotations": {RESTARTED: when}}}}}
    session.request("PATCH", target.path() + query(fieldManager="corral-rollout"), patch, content_type=_MERGE)
    printing.out(f"{target.title} restarted\n")


_VERBS = {
    "status": _status, "history": _history, "undo": _undo, "pause": _pause, "resume": _resume, "restart": _restart,
}  # fmt: skip
