"""How does a program make, look at and change Kubernetes' objects? In plain mappings, as manifests have them."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from time import monotonic
from typing import Any
from urllib.parse import quote, urlencode

import msgspec

from corral.client.connection import Connection
from corral.errors import NotFound, PermissionDenied, Refused

Object = dict[str, Any]
Manifest = Object | str | Path

_APPLY = "application/apply-patch+yaml"
_MERGE = "application/merge-patch+json"
_KINDS = {"not_found": NotFound, "NotFound": NotFound, "denied": PermissionDenied, "Forbidden": PermissionDenied}


class KubeObjects:
    """The part of the client that is about objects. Kinds are named as the commands name them: deployment, deploy, svc."""

    _connection: Connection
    _endpoint: str
    _token: str
    _kinds: list[Object] | None = None

    def apply(
        self, manifests: Manifest | Sequence[Manifest], namespace: str = "default", *, dry_run: bool = False
    ) -> list[Object]:
        """Make or change objects so that they are as manifests say, as `corral apply`; what they are then.

        Args:
            manifests: mappings, a YAML text (of several documents), or a Path to one.
        """
        applied = []
        for document in _documents(manifests):
            metadata = document.get("metadata")
            meta: Object = metadata if isinstance(metadata, dict) else {}
            kind = self._of_manifest(document)
            path = self._path(kind, str(meta.get("name") or ""), str(meta.get("namespace") or namespace))
            if not meta.get("name"):
                raise Refused(error="metadata.name is missing", code="invalid", detail="", index=0, status=422)
            query = "?dryRun=All" if dry_run else ""
            applied.append(self._object("PATCH", path + query, document, _APPLY))
        return applied

    def get(self, kind: str, name: str, namespace: str = "default") -> Object:
        """One object. Raises NotFound."""
        return self._object("GET", self._path(self._of_word(kind), name, namespace))

    def objects(self, kind: str, namespace: str = "default", *, labels: str = "", fields: str = "") -> list[Object]:
        """All of a kind; namespace="" in all namespaces; labels="app=web", fields="status.phase=Running"."""
        found: list[Object] = self._object(
            "GET", self._path(self._of_word(kind), "", namespace) + _query(labelSelector=labels, fieldSelector=fields)
        )["items"]
        return found

    def delete(
        self, kind: str, name: str, namespace: str = "default", *, cascade: str = "Background", grace: int | None = None,
        wait: float | None = None,
    ) -> None:  # fmt: skip
        """Delete an object and what it owns. `wait`: seconds to wait until it is gone; TimeoutError when it is not."""
        body: Object = {"kind": "DeleteOptions", "propagationPolicy": cascade}
        if grace is not None:
            body["gracePeriodSeconds"] = grace
        path = self._path(self._of_word(kind), name, namespace)
        self._object("DELETE", path, body)
        if wait is not None:
            self._until(kind, name, namespace, lambda one: one is None, wait)

    def scale(self, kind: str, name: str, replicas: int, namespace: str = "default") -> None:
        path = self._path(self._of_word(kind), name, namespace)
        self._object("PATCH", f"{path}/scale", {"spec": {"replicas": replicas}}, _MERGE)

    def wait_for(
        self, kind: str, name: str, condition: str | Callable[[Object], bool] = "Available", namespace: str = "default",
        timeout: float | None = None,
    ) -> Object:  # fmt: skip
        """Wait until a condition (Available, Ready, Complete ...) is true, or until a function of the object says so."""

        def holds(one: Object | None) -> bool:
            if one is None:
                return False
            if callable(condition):
                return condition(one)
            found = (one.get("status") or {}).get("conditions") or ()
            return any(each["type"] == condition and each["status"] == "True" for each in found)

        one = self._until(kind, name, namespace, holds, timeout)
        assert one is not None
        return one

    def watch(self, kind: str, namespace: str = "default", *, labels: str = "", fields: str = "") -> Iterator[Object]:
        """What there is and what changes: {"type": "ADDED", "object": {...}}, MODIFIED, DELETED, without end."""
        path = self._path(self._of_word(kind), "", namespace)
        with Connection(self._endpoint, self._token) as connection:
            yield from connection.stream(path + _query(watch="1", labelSelector=labels, fieldSelector=fields))

    def pod_logs(
        self, name: str, namespace: str = "default", *, container: str = "", tail: int | None = None, previous: bool = False
    ) -> str:  # fmt: skip
        """What a container of a Pod has said."""
        path = self._path(self._of_word("pods"), name, namespace) + "/log"
        query = _query(container=container, tailLines=tail, previous="true" if previous else "")
        return self._bytes("GET", path + query, b"", "").decode(errors="replace")

    # -- inside

    def _until(
        self, kind: str, name: str, namespace: str, holds: Callable[[Object | None], bool], timeout: float | None
    ) -> Object | None:
        """Woken by each change of the object."""
        ends = None if timeout is None else monotonic() + timeout
        fields = f"metadata.name={name}"
        path = self._path(self._of_word(kind), "", namespace)
        while True:
            answer = self._object("GET", path + _query(fieldSelector=fields))
            one = next(iter(answer["items"]), None)
            if holds(one):
                return one
            left = 60.0 if ends is None else min(60.0, ends - monotonic())
            if left <= 0:
                raise TimeoutError(f"{kind} {name} is not so in time")
            version = answer["metadata"]["resourceVersion"]
            query = _query(watch="1", fieldSelector=fields, resourceVersion=version, timeoutSeconds=max(1, round(left)))
            with Connection(self._endpoint, self._token) as connection:
                for event in connection.stream(path + query):
                    changed = None if event["type"] == "DELETED" else event["object"]
                    if event["type"] == "ERROR" or holds(changed):
                        break

    def _of_word(self, word: str) -> Object:
        low = word.lower()
        for one in self._known():
            if low in (one["plural"], one["kind"].lower(), *one["short"]):
                return one
        raise NotFound(kind="kind of objects", name=word)

    def _of_manifest(self, document: Object) -> Object:
        kind, version = str(document.get("kind")), str(document.get("apiVersion"))
        same = [one for one in self._known() if one["kind"] == kind]
        group = version.rpartition("/")[0]
        for one in same:
            if one["group"] == group:
                return one
        raise NotFound(kind="kind of objects", name=f"{kind} in {version}")

    def _known(self) -> list[Object]:
        if self._kinds is None:
            self._kinds = self._object("GET", "/v1/kinds")["kinds"]
        return self._kinds

    @staticmethod
    def _path(kind: Object, name: str, namespace: str) -> str:
        words = ["/apis", kind["group"], kind["version"]] if kind["group"] else ["/api", kind["version"]]
        if kind["namespaced"] and namespace:
            words += ["namespaces", quote(namespace, safe="")]
        words.append(kind["plural"])
        if name:
            words.append(quote(name, safe=""))
        return "/".join(words)

    def _object(self, method: str, path: str, body: Object | None = None, content_type: str = "") -> Object:
        data = b"" if body is None else msgspec.json.encode(body)
        found: Object = msgspec.json.decode(self._bytes(method, path, data, content_type))
        return found

    def _bytes(self, method: str, path: str, data: bytes, content_type: str) -> bytes:
        try:
            return self._connection.call(method, path, data, content_type=content_type)
        except Refused as error:
            raise kind_of(error) from None


def kind_of(error: Refused) -> Refused:
    """As the class that callers can catch."""
    kind = _KINDS.get(error.fields.get("code", ""), Refused)
    made = kind.__new__(kind)
    Exception.__init__(made, str(error))
    made.fields = error.fields
    return made


def _documents(manifests: Manifest | Sequence[Manifest]) -> Iterator[Object]:
    if isinstance(manifests, dict):
        yield from _apart(manifests)
    elif isinstance(manifests, (str, Path)):
        from corral.syntax import yamltext

        text = manifests.read_text() if isinstance(manifests, Path) else manifests
        for one in yamltext.documents(text):
            if not isinstance(one, dict):
                raise yamltext.NotYaml("a manifest is an object with apiVersion, kind and metadata")
            yield from _apart(one)
    else:
        for one in manifests:
            yield from _documents(one)


def _apart(one: Object) -> Iterator[Object]:
    if str(one.get("kind", "")).endswith("List") and isinstance(one.get("items"), list):
        for item in one["items"]:
            yield from _documents(item)
    else:
        yield one


def _query(**given: Any) -> str:
    chosen = {name: str(value) for name, value in given.items() if value not in (None, "", False)}
    return f"?{urlencode(chosen)}" if chosen else ""
