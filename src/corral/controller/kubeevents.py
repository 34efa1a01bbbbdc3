"""Which Events of Kubernetes' objects are there? Written of what is committed; kept in memory, for an hour, within bounds."""

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from typing import cast

import msgspec

from corral.controller.objecthistory import Change, History
from corral.model.job import Owner
from corral.model.kube.meta import KubeObject, ObjectKey, ObjectMeta, Schema
from corral.model.kube.objects import KINDS, AnyObject
from corral.services.notes import Note, notes_of

KEPT_SECONDS = 3600.0
MOST = 20_000
MOST_OF_ONE = 50


class ObjectReference(Schema, frozen=True, kw_only=True):
    kind: str
    namespace: str = ""
    name: str = ""
    uid: str = ""
    api_version: str = ""
    field_path: str = ""


class EventSource(Schema, frozen=True, kw_only=True):
    component: str = ""


class Event(KubeObject, frozen=True, kw_only=True):
    """Kubernetes' Event (v1): what has happened to an object, and how often."""

    involved_object: ObjectReference
    reason: str
    message: str
    type: str = "Normal"
    source: EventSource = EventSource()
    count: int = 1
    first_timestamp: float = 0.0
    last_timestamp: float = 0.0


#: What makes two Events the same one, that has happened again.
_Same = tuple[str, str, str, str]


class KubeEvents:
    """The Events of one controller. They have versions of their own: a restart forgets them."""

    def __init__(self, now: float) -> None:
        self._events: OrderedDict[_Same, Event] = OrderedDict()  #: the one that happened last comes last
        self._of_object: dict[str, list[_Same]] = {}
        self.history = History((), int(now) * 1000)  #: higher than before a restart

    def __iter__(self) -> Iterator[Event]:
        return iter(self._events.values())

    def of_object(self, uid: str) -> list[Event]:
        return [self._events[same] for same in self._of_object.get(uid, ())]

    def see(self, change: Change, now: float) -> None:
        one = change.new if change.new is not None else change.old
        owner = one.creator if one is not None else None
        for note in notes_of(cast("AnyObject | None", change.old), cast("AnyObject | None", change.new)):
            self.add(note, owner, now)

    def add(self, note: Note, creator: Owner | None, now: float) -> None:
        same = (note.uid, note.reason, note.message, note.field)
        old = self._events.pop(same, None)
        version = self.history.version + 1
        if old is None:
            new = self._made(note, creator, now, version)
            of_one = self._of_object.setdefault(note.uid, [])
            of_one.append(same)
            if len(of_one) > MOST_OF_ONE:
                self._forget(of_one[0], version)
        else:
            meta = msgspec.structs.replace(old.metadata, resource_version=str(version))
            new = msgspec.structs.replace(old, metadata=meta, count=old.count + 1, last_timestamp=now)
        self._events[same] = new
        self.history.add(Change(version, old, new))
        while self._events:
            first, oldest = next(iter(self._events.items()))
            if len(self._events) <= MOST and oldest.last_timestamp >= now - KEPT_SECONDS:
                return
            self._forget(first, self.history.version + 1)

    def _made(self, note: Note, creator: Owner | None, now: float, version: int) -> Event:
        kind = KINDS.get(note.key.kind)
        namespace = note.key.namespace or "default"
        name = f"{note.key.name}.{version:x}.{int(now * 1000):x}"
        uid = f"e{version:07x}-{int(now):012x}"
        return Event(
            metadata=ObjectMeta(name=name, namespace=namespace, uid=uid, resource_version=str(version), creation_timestamp=now),
            creator=creator,
            involved_object=ObjectReference(
                kind=note.key.kind, namespace=note.key.namespace, name=note.key.name, uid=note.uid,
                api_version=kind.api_version if kind else "", field_path=note.field,
            ),
            reason=note.reason, message=note.message, type=note.type, source=EventSource(component=note.source),
            first_timestamp=now, last_timestamp=now,
        )  # fmt: skip

    def _forget(self, same: _Same, version: int) -> None:
        gone = self._events.pop(same, None)
        of_one = self._of_object.get(same[0], [])
        if same in of_one:
            of_one.remove(same)
        if not of_one:
            self._of_object.pop(same[0], None)
        if gone is not None:
            self.history.add(Change(version, gone, None))

    def get(self, key: ObjectKey) -> Event | None:
        return next(
            (one for one in self if one.metadata.name == key.name and one.metadata.namespace == key.namespace), None
        )

    def listed(self, namespace: str) -> Iterable[Event]:
        """By time."""
        return [one for one in self if not namespace or one.metadata.namespace == namespace]
