"""How do Secrets pass through the controller? Sealed before the engine sees them, opened for who may see them and for who launches."""

from typing import Any

import msgspec

from corral.auth.sealing import CannotOpen, Sealer, is_sealed
from corral.controller.loop import Loop
from corral.controller.measuring import OURSELVES
from corral.daemon.logs import Log
from corral.model.kube.config import Secret
from corral.model.kube.objects import AnyObject
from corral.protocol.pods import PodRun, PodVolume
from corral.protocol.replies import Rejected
from corral.protocol.requests import PutObjects
from corral.syntax import rawbytes


class SecretKeeper:
    """With the cluster's keys."""

    def __init__(self, sealer: Sealer, log: Log) -> None:
        self._sealer = sealer
        self._log = log

    def sealed(self, request: PutObjects, objects: Any) -> PutObjects:
        """What has not changed stays as it is in `objects`, whichever key has sealed it."""
        if not any(isinstance(one, Secret) for one in request.objects):
            return request
        put = tuple(
            self._sealed(one, objects.get(one.key)) if isinstance(one, Secret) else one for one in request.objects
        )
        return msgspec.structs.replace(request, objects=put)

    def _sealed(self, one: Secret, old: AnyObject | None) -> Secret:
        new = self._sealer.sealed(one)
        if not isinstance(old, Secret):
            return new
        try:
            before = self._sealer.opened(old)
        except CannotOpen:
            return new
        data = {
            key: old.data[key] if before.data.get(key) == one.data[key] else value for key, value in new.data.items()
        }
        was, notes = before.metadata.annotations, new.metadata.annotations
        kept = {
            key: old.metadata.annotations[key] if was.get(key) == one.metadata.annotations[key] else value
            for key, value in notes.items()
        }
        meta = msgspec.structs.replace(new.metadata, annotations=kept)
        return msgspec.structs.replace(new, data=data, metadata=meta)

    def opened(self, one: AnyObject) -> AnyObject:
        """As it was applied; what is no Secret is as it is. A value whose key is gone stays sealed, and the log says so."""
        if not isinstance(one, Secret):
            return one
        try:
            return self._sealer.opened(one)
        except CannotOpen as error:
            self._log.error("a Secret cannot be opened", error, secret=str(one.key))
            return one

    def opened_run(self, run: PodRun) -> PodRun:
        """What a node is told of a container: whatever in it is marked `is_sealed` is opened. Raises CannotOpen."""
        found: PodRun = self._opened_words(run)
        return found

    def opened_volumes(self, volumes: tuple[PodVolume, ...]) -> tuple[PodVolume, ...]:
        """Likewise of files that are to be written anew."""
        found: tuple[PodVolume, ...] = self._opened_words(volumes)
        return found

    def _opened_words(self, one: Any) -> Any:
        if isinstance(one, tuple):
            parts = tuple(self._opened_words(part) for part in one)
            return parts if any(new is not old for new, old in zip(parts, one, strict=True)) else one
        if not isinstance(one, msgspec.Struct):
            return one
        changes = {
            name: new
            for name in one.__struct_fields__
            if isinstance(old := getattr(one, name), tuple | msgspec.Struct)
            and (new := self._opened_words(old)) is not old
        }
        if getattr(one, "is_sealed", False):
            changes["is_sealed"] = False
            value = getattr(one, "value")  # noqa: B009  PodVariable, PodFile
            plain = self._sealer.open(value if isinstance(value, str) else value.decode())
            changes["value"] = (
                rawbytes.carried(plain.decode(errors="surrogateescape")) if isinstance(value, str) else plain
            )
        return msgspec.structs.replace(one, **changes) if changes else one

    def older(self, objects: Any) -> list[Secret]:
        """Sealed by another key than the first, and not fixed for good."""
        return [
            one
            for one in objects.everywhere("Secret")
            if isinstance(one, Secret) and not one.immutable and self._is_older(one)
        ]

    def _is_older(self, one: Secret) -> bool:
        texts = (*one.data.values(), *one.metadata.annotations.values())
        return any(is_sealed(text) and not self._sealer.is_by_first(text) for text in texts)

    async def seal_anew(self, loop: Loop) -> None:
        """After a new first key has come."""
        for old in self.older(loop.state.objects):
            try:
                new = self._sealer.sealed(self._sealer.opened(old))
            except CannotOpen as error:
                self._log.error("a Secret cannot be opened", error, secret=str(old.key))
                continue
            reply = await loop.ask(PutObjects(objects=(new,), mode="update"), OURSELVES)
            if isinstance(reply, Rejected):
                self._log.warning("a Secret was not sealed anew", secret=str(old.key), error=reply.error)
