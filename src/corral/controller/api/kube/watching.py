"""What does watch=true stream? ADDED, MODIFIED, DELETED and BOOKMARK, one JSON object a line, from a resourceVersion on."""

from collections.abc import AsyncIterator
from typing import Any

from starlette.requests import Request
from starlette.responses import StreamingResponse

from corral.controller.api.http import encode
from corral.controller.api.kube import objects, tables
from corral.controller.api.kube.answers import Form, partial
from corral.controller.api.kube.reads import include_of, parts, version_of, whole_number
from corral.controller.api.kube.resources import Address
from corral.controller.api.kube.selection import Selection
from corral.controller.api.kube.status import KubeError
from corral.controller.api.service import Service
from corral.controller.derivedobjects import SECONDS
from corral.controller.objecthistory import Change
from corral.daemon import clock
from corral.model.kube.meta import KubeObject
from corral.protocol.requests import Caller

#: Without timeoutSeconds a watch ends after so long, as Kubernetes' do; the client goes on where it was.
_LONGEST = 3600.0
#: So often a client that wants bookmarks is told how far it has got.
_BOOKMARKS = 60.0
#: So often both ends learn of a dead connection.
_HEARTBEAT = 15.0


class _Watch:
    """One client's."""

    def __init__(self, service: Service, request: Request, caller: Caller, where: Address) -> None:
        self.service, self.caller, self.where = service, caller, where
        self.selection = Selection(where.resource, request, where.name)
        self.form = Form(request)
        self.include = include_of(request)
        self.bookmarks = request.query_params.get("allowWatchBookmarks", "") in ("1", "true")
        self.is_first = True
        given = request.query_params.get("resourceVersion", "")
        if given and (not given.isascii() or not given.isdigit() or len(given) > 18):
            raise KubeError("BadRequest", f"invalid resource version {given[:40]!r}")
        self.initial = request.query_params.get("sendInitialEvents", "") in ("1", "true")
        self.from_now = given in ("", "0") or self.initial
        self.version = int(given or 0)
        self.seconds = float(whole_number(request, "timeoutSeconds") or _LONGEST)

    def is_wanted(self, one: KubeObject | None) -> bool:
        where = self.where
        return (
            one is not None
            and one.key.kind == where.resource.kind
            and (not where.namespace or one.metadata.namespace == where.namespace)
            and self.selection.matches(one)
            and objects.may_see(self.service, self.caller, one)
        )

    def line(self, kind: str, one: KubeObject, version: int = 0) -> bytes:
        resource = self.where.resource
        one = self.service.opened(one)
        body: dict[str, Any]
        if self.form.shape == "Table":
            metadata: dict[str, Any] = {"resourceVersion": str(version) if version else one.metadata.resource_version}
            body = tables.table(
                resource, [one], self.service.now, self.include, metadata, with_columns=self.is_first
            )  # fmt: skip
        else:
            body = objects.shown(resource, one)
            if version:
                body["metadata"] = {**body["metadata"], "resourceVersion": str(version)}
            if self.form.shape:
                body = partial(body)
        self.is_first = False
        return encode({"type": kind, "object": body}) + b"\n"

    def of_change(self, change: Change) -> bytes:
        """What it is to who sees only what is selected."""
        was, now = self.is_wanted(change.old), self.is_wanted(change.new)
        if change.old is not None and change.new is not None and change.old.metadata.uid != change.new.metadata.uid:
            gone = self.line("DELETED", change.old, change.version) if was else b""
            return gone + (self.line("ADDED", change.new) if now else b"")
        if now:
            assert change.new is not None
            return self.line("MODIFIED" if was else "ADDED", change.new)
        if was:
            last = change.new or change.old
            assert last is not None
            return self.line("DELETED", last, change.version)
        return b""

    def bookmark(self, version: int, *, is_end_of_initial: bool = False) -> bytes:
        resource = self.where.resource
        metadata: dict[str, Any] = {"resourceVersion": str(version)}
        if is_end_of_initial:
            metadata["annotations"] = {"k8s.io/initial-events-end": "true"}
        body: dict[str, Any] = {"kind": resource.kind, "apiVersion": resource.api_version, "metadata": metadata}
        if self.form.shape == "Table":
            row: dict[str, Any] = {"cells": [], "object": partial(body)}
            body = {
                "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata, "columnDefinitions": [], "rows": [row],
            }  # fmt: skip
        return encode({"type": "BOOKMARK", "object": body}) + b"\n"

    async def lines(self) -> AsyncIterator[bytes]:
        service = self.service
        history = service.history_of(self.where.resource.kind)
        if self.from_now:
            # What is in the state and not yet committed is told when it is: from the last committed on.
            self.version = max(history.version, version_of(service, self.where.resource.kind))
            where = self.where
            found = objects.of_kind(
                service, self.caller, where.resource.kind, where.namespace, where.resource.namespaced
            )
            async for part in parts(list(found)):
                yield b"".join(self.line("ADDED", one) for one in part if self.is_wanted(one))
            if self.initial:
                yield self.bookmark(self.version, is_end_of_initial=True)
        ends = clock.monotonic() + self.seconds
        told = heard = clock.monotonic()
        derived = service.derived.get(self.where.resource.kind)
        while True:
            if not history.knows(self.version):
                error = KubeError("Expired", f"too old resource version: {self.version} ({history.oldest})")
                yield encode({"type": "ERROR", "object": error.body}) + b"\n"
                return
            changes = history.since(self.version)
            if changes:
                self.version = changes[-1].version
            yield b"".join(map(self.of_change, changes))
            now = clock.monotonic()
            if self.bookmarks and now - told >= _BOOKMARKS:
                told = now
                self.version = max(self.version, history.version)
                yield self.bookmark(self.version)
            if now >= ends:
                return
            if changes:
                continue
            if derived is not None:
                derived.refresh()
                if history.version > self.version:
                    continue
            if not await history.more(min(_HEARTBEAT if derived is None else SECONDS, ends - now)) and (
                now - heard >= _HEARTBEAT or derived is None
            ):  # fmt: skip
                heard = now
                yield b"\n"


def stream(service: Service, request: Request, caller: Caller, where: Address) -> StreamingResponse:
    watch = _Watch(service, request, caller, where)
    history = service.history_of(where.resource.kind)
    if (derived := service.derived.get(where.resource.kind)) is not None:
        derived.refresh()
    if not watch.from_now and not history.knows(watch.version):
        raise KubeError("Expired", f"too old resource version: {watch.version} ({history.oldest})")
    return StreamingResponse(watch.lines(), media_type="application/json")
