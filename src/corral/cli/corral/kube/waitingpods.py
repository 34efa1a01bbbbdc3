"""Which jobs are the Pods that a Pod, a Deployment or another object waits for?"""

from __future__ import annotations

from corral.cli.corral.kube.printing import out
from corral.cli.corral.kube.session import Resource, Session, query

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from argparse import Namespace
    from typing import Any

    Json = dict[str, Any]


def jobs_of(given: Namespace, words: list[str]) -> list[str]:
    """The jobs of those that wait; of the others it is said how they fare."""
    session = Session(given)
    found = []
    for word in words:
        kind, slash, name = word.partition("/")
        resource = session.resource(kind if slash else "pods")
        name = name if slash else word
        one = session.request("GET", resource.path(session.namespace, name))
        pods = [one] if resource.kind == "Pod" else _below(session, resource, one)
        waiting = [pod for pod in pods if _waits(pod)]
        found += [str(pod["status"]["job"]) for pod in waiting]
        if not waiting:
            out(
                f"{resource.title}/{name}: none of its {len(pods)} Pods waits in the queue\n"
                + "".join(map(_state, pods))
            )
            out("".join(_trouble(one)))
    return found


def _waits(pod: Json) -> bool:
    status = pod.get("status") or {}
    return bool(status.get("job")) and status.get("phase", "Pending") == "Pending" and not pod["spec"].get("nodeName")


def _state(pod: Json) -> str:
    status = pod.get("status") or {}
    words = status.get("phase", "Pending")
    for one in status.get("containerStatuses") or ():
        found = one["state"].get("waiting")
        if found:
            words += f", container {one['name']}: {found.get('reason', 'waits')} {(found.get('message') or '').partition(chr(10))[0]}"
    if not status.get("job"):
        words += f", it is no job yet {status.get('message', '')}"
    return f"  pod/{pod['metadata']['name']}: {words.strip()}\n"


def _trouble(one: Json) -> list[str]:
    """Conditions that say why there are no Pods."""
    wrong = {("ReplicaFailure", "True"), ("Progressing", "False"), ("ScalingActive", "False"), ("AbleToScale", "False")}
    found = (one.get("status") or {}).get("conditions") or ()
    return [
        f"  {c['type']}: {c.get('message') or c.get('reason', '')}\n"
        for c in found
        if (c["type"], c["status"]) in wrong
    ]


def _below(session: Session, resource: Resource, one: Json) -> list[Json]:
    """All Pods that it, or what it owns, has made."""
    namespace = one["metadata"].get("namespace", session.namespace)
    pods: list[Json] = session.request("GET", session.resource("pods").path(namespace))["items"]
    if resource.kind == "Service":
        labels = ",".join(f"{key}={value}" for key, value in sorted((one["spec"].get("selector") or {}).items()))
        items: list[Json] = session.request(
            "GET", session.resource("pods").path(namespace) + query(labelSelector=labels)
        )["items"]
        return items if labels else []
    owners = {one["metadata"]["uid"]}
    for kind in {"Deployment": ("replicasets",), "CronJob": ("jobs",)}.get(resource.kind, ()):
        for child in session.request("GET", session.resource(kind).path(namespace))["items"]:
            if _owners(child) & owners:
                owners.add(child["metadata"]["uid"])
    return [pod for pod in pods if _owners(pod) & owners]


def _owners(one: Json) -> set[str]:
    return {owner["uid"] for owner in one["metadata"].get("ownerReferences") or ()}
