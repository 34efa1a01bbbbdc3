"""Which objects do `deployment web`, `deploy/web svc/web`, `-l app=web` and `-f FILE` name?"""

from __future__ import annotations

from corral.cli.corral.kube.session import Resource, Session, query, told
from corral.cli.run import Exit
from corral.errors import Refused

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from typing import Any

    Json = dict[str, Any]


class Target:
    """A kind in a namespace, and one name of it or "" for all."""

    __slots__ = ("name", "namespace", "resource")

    def __init__(self, resource: Resource, name: str, namespace: str) -> None:
        self.resource, self.name, self.namespace = resource, name, namespace

    def path(self, sub: str = "") -> str:
        return self.resource.path(self.namespace, self.name, sub)

    @property
    def title(self) -> str:
        """deployment.apps/web"""
        return f"{self.resource.title}/{self.name}"


def named(session: Session, words: list[str]) -> list[Target]:
    """KIND[,KIND] [NAME ...], or KIND/NAME ..."""
    if not words:
        raise Exit(1, "error: You must specify the type of resource to get, such as pods or deployment/web")
    if any("/" in word for word in words):
        found = []
        for word in words:
            kind, slash, name = word.partition("/")
            if not slash or not name or not kind:
                raise Exit(
                    1, "error: there is no need to specify a resource type as a separate argument when passing arguments in resource/name "
                    "form (e.g. 'corral get resource/<resource_name>' instead of 'corral get resource resource/<resource_name>')",
                )  # fmt: skip
            found.append(_target(session, session.resource(kind), name))
        return found
    resources = session.resources(words[0])
    names = words[1:]
    return [_target(session, one, name) for one in resources for name in (names or [""])]


def _target(session: Session, resource: Resource, name: str) -> Target:
    everywhere = session.everywhere and not name
    return Target(resource, name, "" if everywhere or not resource.namespaced else session.namespace)


def objects(session: Session, targets: list[Target], selector: str = "", fields: str = "") -> list[tuple[Target, Json]]:
    """What is there of them, each with its own name and namespace."""
    found: list[tuple[Target, Json]] = []
    for target in targets:
        if target.name:
            found.append((target, session.request("GET", target.path())))
            continue
        answer = session.request("GET", target.path() + query(labelSelector=selector, fieldSelector=fields))
        for one in answer["items"]:
            meta = one["metadata"]
            # Items of a list name their kind only here.
            found.append((Target(target.resource, meta["name"], meta.get("namespace", "")), one))
    return found


def of_files(session: Session, documents: list[tuple[str, Json]]) -> list[tuple[Target, Json]]:
    """Manifests, each with where it belongs. The first that makes no sense ends the command."""
    found = []
    for place, document in documents:
        found.append((target_of(session, place, document), document))
    return found


def target_of(session: Session, place: str, document: Json) -> Target:
    kind, version = document.get("kind"), document.get("apiVersion")
    if not kind or not version:
        missing = "kind" if not kind else "apiVersion"
        raise Exit(1, f"error: unable to decode \"{place}\": Object '{missing}' is missing in it")
    metadata = document.get("metadata")
    meta: Json = metadata if isinstance(metadata, dict) else {}
    name, namespace = meta.get("name") or "", meta.get("namespace") or ""
    resource = session.of_manifest(document)
    if resource is None:
        why = session.refused.get(str(kind), "")
        text = f'error: resource mapping not found for name: "{name}" namespace: "{namespace}" from "{place}": '
        text += f'no matches for kind "{kind}" in version "{version}"'
        raise Exit(1, text + (f": {why}" if why else ""))
    if session.is_given and namespace and namespace != session.namespace and resource.namespaced:
        raise Exit(
            1,
            f'error: the namespace from the provided object "{namespace}" does not match the namespace "{session.namespace}". '
            f"You must pass '--namespace={namespace}' to perform this operation.",
        )
    where = (namespace or session.namespace) if resource.namespaced else ""
    return Target(resource, str(name), str(where))


def again_and_again(session: Session, target: Target, change: Any) -> Json:
    """Read, change, write; again when somebody was faster."""
    for _ in range(20):
        one = session.request("GET", target.path())
        try:
            answer: Json = session.ask("PUT", target.path(), change(one))
        except Refused as error:
            if error.fields["code"] == "Conflict":
                continue
            raise Exit(1, told(error)) from None
        return answer
    raise Exit(1, f"error: {target.title} is changed too often: try again")
