"""What has happened to the objects lately, so that a watch can go on from a resourceVersion?"""

import asyncio
import bisect
from collections import deque
from collections.abc import Callable, Iterable
from typing import NamedTuple

from corral.controller.watchers import Published
from corral.model.kube.meta import KubeObject, ObjectKey
from corral.protocol.events import ObjectsChanged

#: Changes that are kept: who is further behind lists again.
KEPT = 20_000


class Change(NamedTuple):
    """One object before and after: old is None, it is new; new is None, it is gone."""

    version: int
    old: KubeObject | None
    new: KubeObject | None


class History:
    """Fed with what is committed. Remembers each object as it was told last, to say what has gone."""

    def __init__(self, objects: Iterable[KubeObject], version: int) -> None:
        self._told: dict[ObjectKey, KubeObject] = {one.key: one for one in objects}
        self._changes: deque[Change] = deque(maxlen=KEPT)
        self.begin = version
        self.oldest = version  #: what came after this is known
        self.version = version
        self._more = asyncio.Event()
        self.on_change: Callable[[Change, float], None] | None = None

    def put(self, published: Published) -> None:
        if isinstance(published.event, ObjectsChanged):
            self.see(published.event)

    def see(self, event: ObjectsChanged) -> None:
        for one in event.objects:
            old = self._told.get(one.key)
            self._told[one.key] = one
            self._seen(Change(int(one.metadata.resource_version or event.version), old, one), event.time)
        for given in event.removed:
            if (old := self._told.pop(ObjectKey(*given), None)) is not None:
                self._seen(Change(event.version, old, None), event.time)
        self.version = max(self.version, event.version)

    def _seen(self, change: Change, now: float) -> None:
        if change.version <= self.begin:
            return  # it was in the state already when this began
        self.add(change)
        if self.on_change is not None:
            self.on_change(change, now)

    def add(self, change: Change) -> None:
        if len(self._changes) == KEPT:
            self.oldest = self._changes[0].version
        self._changes.append(change)
        self.version = max(self.version, change.version)
        self._more.set()
        self._more = asyncio.Event()

    async def more(self, timeout: float) -> bool:
        """Wait until something has come; False when nothing has in time."""
        try:
            await asyncio.wait_for(self._more.wait(), timeout)
        except TimeoutError:
            return False
        return True

    def knows(self, version: int) -> bool:
        return version >= self.oldest

    def since(self, version: int) -> list[Change]:
        """What has come after this version."""
        at = bisect.bisect_right(self._changes, version, key=lambda one: one.version)
        return [self._changes[index] for index in range(at, len(self._changes))]
