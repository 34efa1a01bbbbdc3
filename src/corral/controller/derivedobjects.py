"""Of objects that are read from other records and never kept: how do they have versions, and how are they watched?

They are worked out when somebody asks, compared with what they were when somebody asked last, and what has changed goes into a history as
that of all other objects. Who watches asks every second. Versions are of this controller alone: a restart begins above those before.
"""

from collections.abc import Callable, Iterable, Iterator

import msgspec

from corral.controller.objecthistory import Change, History
from corral.model.kube.meta import KubeObject, ObjectKey

#: So often who watches looks.
SECONDS = 1.0


class DerivedObjects:
    """All of one kind."""

    def __init__(self, work_out: Callable[[], Iterable[KubeObject]], now: float) -> None:
        self._work_out = work_out
        self._begin = int(now * 1000)
        self._known: dict[ObjectKey, KubeObject] = {}
        self.history = History((), self._begin)

    def refresh(self) -> None:
        version = self.history.version
        found = {one.key: one for one in self._work_out()}
        for key, new in found.items():
            old = self._known.get(key)
            meta = new.metadata
            if old is not None and msgspec.structs.replace(
                new, metadata=msgspec.structs.replace(meta, resource_version=old.metadata.resource_version)
            ) == old:  # fmt: skip
                continue
            version += 1
            new = msgspec.structs.replace(new, metadata=msgspec.structs.replace(meta, resource_version=str(version)))
            self._known[key] = new
            self.history.add(Change(version, old, new))
        for key in [key for key in self._known if key not in found]:
            version += 1
            self.history.add(Change(version, self._known.pop(key), None))

    def get(self, key: ObjectKey) -> KubeObject | None:
        self.refresh()
        return self._known.get(key)

    def listed(self, namespace: str) -> Iterator[KubeObject]:
        """By namespace and name; "" = everywhere."""
        self.refresh()
        for key in sorted(self._known):
            if namespace in ("", key.namespace):
                yield self._known[key]
