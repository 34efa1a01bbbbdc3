"""Which cluster and namespace are meant, which kinds does it have, and what is said when it says no?"""

from __future__ import annotations

import os

from corral.cli.query import quote
from corral.cli.run import Exit
from corral.client.connection import Connection
from corral.errors import Refused, Unreachable

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Iterator
    from typing import Any

    Json = dict[str, Any]

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"


class Resource:
    """A kind as the cluster has it."""

    __slots__ = ("categories", "group", "kind", "namespaced", "plural", "short", "subresources", "version")

    def __init__(self, entry: Json) -> None:
        self.kind: str = entry["kind"]
        self.group: str = entry["group"]
        self.version: str = entry["version"]
        self.plural: str = entry["plural"]
        self.short: list[str] = entry["short"]
        self.namespaced: bool = entry["namespaced"]
        self.categories: list[str] = entry["categories"]
        self.subresources: list[str] = entry["subresources"]

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def singular(self) -> str:
        return self.kind.lower()

    @property
    def title(self) -> str:
        """deployment.apps"""
        return f"{self.singular}.{self.group}" if self.group else self.singular

    @property
    def qualified(self) -> str:
        """deployments.apps"""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    def path(self, namespace: str, name: str = "", sub: str = "") -> str:
        """Of one object, or of all of the kind; `namespace` "" = all namespaces."""
        words = ["/apis", self.group, self.version] if self.group else ["/api", self.version]
        if self.namespaced and namespace:
            words += ["namespaces", quote(namespace)]
        words.append(self.plural)
        if name:
            words.append(quote(name))
        if sub:
            words.append(sub)
        return "/".join(words)


def add_options(parser: ArgumentParser, *, everywhere: bool = False) -> None:
    parser.add_argument("--namespace", "-n", default="", metavar="NS", help="default: CORRAL_NAMESPACE, or default")
    if everywhere:
        parser.add_argument("--all-namespaces", "-A", action="store_true", help="in all namespaces")
    parser.add_argument("--dir", metavar="DIR", help="the cluster's state directory")
    parser.add_argument("--config", metavar="FILE", help="its corral.toml")


#: No manifest makes them, and they are there.
_READ = ("Node", "Endpoints", "EndpointSlice", "Event")


class Session:
    """One command's way to the cluster."""

    def __init__(self, given: Namespace) -> None:
        endpoint = ""
        if given.dir is not None or given.config is not None:
            from corral.cli.corral.place import endpoint_of

            endpoint = endpoint_of(given)
        try:
            self.connection = Connection(endpoint, timeout=60.0)
        except Unreachable as error:
            raise Exit(1, f"corral: error: {error}") from None
        self.endpoint = endpoint
        self.everywhere: bool = getattr(given, "all_namespaces", False)
        self.is_given = bool(given.namespace)
        self.namespace: str = given.namespace or os.environ.get("CORRAL_NAMESPACE", "") or "default"
        self._kinds: list[Resource] = []
        self.refused: dict[str, str] = {}

    def request(self, method: str, path: str, body: Any = None, **options: Any) -> Any:
        """The answer; whatever goes wrong ends the command."""
        try:
            return self.ask(method, path, body, **options)
        except Refused as error:
            raise Exit(1, told(error)) from None

    def ask(self, method: str, path: str, body: Any = None, **options: Any) -> Any:
        """Raises Refused."""
        try:
            return self.connection.request(method, path, body, **options)
        except Unreachable as error:
            raise Exit(1, f"corral: error: {error}") from None

    def get(self, path: str) -> Json | None:
        """None: it is not there."""
        try:
            found: Json = self.ask("GET", path)
        except Refused as error:
            if error.fields["status"] == 404:
                return None
            raise Exit(1, told(error)) from None
        return found

    def watch(self, path: str, accept: str = "") -> Iterator[Json]:
        """Events as they come, until the server ends it; on a connection of its own."""
        from corral.client.connection import ConnectionBroken

        with Connection(self.endpoint) as connection:
            try:
                yield from connection.stream(path, accept)
            except Refused as error:
                raise Exit(1, told(error)) from None
            except (OSError, ConnectionBroken):
                return  # the controller is being restarted: who watches asks again
            except Unreachable as error:
                raise Exit(1, f"corral: error: {error}") from None

    # -- kinds

    @property
    def kinds(self) -> list[Resource]:
        if not self._kinds:
            answer = self.request("GET", "/v1/kinds")
            self._kinds = [Resource(one) for one in answer["kinds"]]
            self.refused = answer["refused"]
        return self._kinds

    def resource(self, word: str) -> Resource:
        """deployments, deployment, deploy, Deployment, deployment.apps, deployments.v1.apps"""
        low = word.lower()
        kinds = self.kinds
        found = None
        for one in kinds:
            names = (one.plural, one.singular, *one.short)
            if low in names or (low.partition(".")[0] in names and low.partition(".")[2] in _endings(one)):
                found = one
                break
        # Of some that are refused there are empty lists, for kubectl; nodes and endpoints are only not made by manifests.
        if found is not None and (found.kind not in self.refused or found.kind in _READ):
            return found
        for kind, why in self.refused.items():
            if low in (kind.lower(), f"{kind.lower()}s"):
                raise Exit(1, f"corral: error: there is no {kind} here: {why}")
        if found is not None:
            return found
        raise Exit(1, f'error: the server doesn\'t have a resource type "{word}"')

    def resources(self, words: str) -> list[Resource]:
        """deploy,svc; all"""
        found: list[Resource] = []
        for word in words.split(","):
            if any(word == category for one in self.kinds for category in one.categories):
                found += [one for one in self.kinds if word in one.categories]
            elif word:
                found.append(self.resource(word))
        return found

    def of_manifest(self, document: Json) -> Resource | None:
        """The kind that a manifest names."""
        kind, version = document.get("kind"), document.get("apiVersion")
        same = [one for one in self.kinds if one.kind == kind]
        exact = [one for one in same if one.api_version == version]
        if exact:
            return exact[0]
        older = [one for one in same if one.group and str(version).rpartition("/")[0] == one.group]
        return older[0] if older else None


def _endings(one: Resource) -> tuple[str, ...]:
    return (one.group, f"{one.version}.{one.group}", one.version if not one.group else "")


def told(error: Refused) -> str:
    """As kubectl says it."""
    reason = str(error.fields.get("code", ""))
    if reason[:1].isupper():
        if reason == "Invalid":
            kind, quote_mark, rest = str(error).partition(' "')
            return f"The {kind.partition('.')[0]}{quote_mark}{rest}"  # without the group, as kubectl
        return f"Error from server ({reason}): {error}"
    detail = error.fields.get("detail")
    return f"corral: error: {error}" + (f" ({detail})" if detail else "")


def query(**given: Any) -> str:
    """?a=b&c=d of what is given."""
    pairs = [f"{name}={quote(str(value))}" for name, value in given.items() if value not in (None, "", False)]
    return f"?{'&'.join(pairs)}" if pairs else ""
