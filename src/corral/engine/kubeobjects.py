"""Which of Kubernetes' objects are there? The table, its indexes, and what is to be looked at."""

import bisect
from collections.abc import Iterable

from corral.model.kube.meta import ObjectKey
from corral.model.kube.objects import AnyObject
from corral.model.kube.pod import Pod
from corral.protocol.events import Event, ObjectsChanged


class Objects:
    """Changed by ObjectsChanged alone. It is a services.view.View."""

    def __init__(self) -> None:
        self.by_key: dict[ObjectKey, AnyObject] = {}
        self.by_uid: dict[str, ObjectKey] = {}
        self.version = 0  #: of the last change; each has the next
        self.dirty: dict[ObjectKey, None] = {}  #: to be looked at, in the order of change
        self.pod_of_job: dict[int, ObjectKey] = {}
        self._names: dict[tuple[str, str], list[str]] = {}  #: kind, namespace -> sorted names
        self._children: dict[str, dict[ObjectKey, None]] = {}  #: by the owner's uid
        self._labelled: dict[tuple[str, str, str], set[ObjectKey]] = {}  #: namespace, label, value -> Pods

    def __len__(self) -> int:
        return len(self.by_key)

    # -- to be read

    def get(self, key: ObjectKey) -> AnyObject | None:
        return self.by_key.get(key)

    def of_kind(self, kind: str, namespace: str = "") -> Iterable[AnyObject]:
        for name in self._names.get((kind, namespace), ()):
            yield self.by_key[ObjectKey(kind, namespace, name)]

    def everywhere(self, kind: str) -> Iterable[AnyObject]:
        """All of a kind, in all namespaces."""
        for found, namespace in sorted(self._names):
            if found == kind:
                yield from self.of_kind(kind, namespace)

    def owned(self, uid: str) -> list[AnyObject]:
        return [self.by_key[key] for key in sorted(self._children.get(uid, ()))]

    def pods_of(self, uid: str) -> list[Pod]:
        return [one for one in self.owned(uid) if isinstance(one, Pod)]

    def pods_selected(self, namespace: str, labels: dict[str, str]) -> list[Pod]:
        if not labels:
            return [one for one in self.of_kind("Pod", namespace) if isinstance(one, Pod)]
        sets = [self._labelled.get((namespace, name, value), set()) for name, value in labels.items()]
        found = set.intersection(*sorted(sets, key=len))
        return [one for key in sorted(found) if isinstance(one := self.by_key[key], Pod)]

    # -- to be changed by an event

    def apply(self, event: ObjectsChanged) -> None:
        self.version = max(self.version, event.version)
        for one in event.objects:
            self.put(one)
        for key in event.removed:
            self.remove(ObjectKey(*key))

    def see(self, event: Event) -> None:
        """Of a Pod's job or step: the Pod is to be looked at."""
        job = getattr(event, "job", None)
        number = (
            job.id if job is not None else step.key.job if (step := getattr(event, "step", None)) is not None else 0
        )
        if (key := self.pod_of_job.get(number)) is not None:
            self.dirty[key] = None

    def put(self, one: AnyObject) -> None:
        key = one.key
        old = self.by_key.get(key)
        if old is not None:
            self._unindex(old)
        else:
            bisect.insort(self._names.setdefault((key.kind, key.namespace), []), key.name)
        self.by_key[key] = one
        self.by_uid[one.metadata.uid] = key
        for owner in one.metadata.owner_references:
            self._children.setdefault(owner.uid, {})[key] = None
        if isinstance(one, Pod):
            for name, value in one.metadata.labels.items():
                self._labelled.setdefault((key.namespace, name, value), set()).add(key)
            if one.status.job:
                self.pod_of_job[one.status.job] = key
        self._touch(one)

    def remove(self, key: ObjectKey) -> None:
        old = self.by_key.pop(key, None)
        if old is None:
            return
        self._unindex(old)
        names = self._names[key.kind, key.namespace]
        del names[bisect.bisect_left(names, key.name)]
        if not names:
            del self._names[key.kind, key.namespace]
        if self.by_uid.get(old.metadata.uid) == key:
            del self.by_uid[old.metadata.uid]
        self.dirty.pop(key, None)
        self._touch_owners(old)

    def _unindex(self, old: AnyObject) -> None:
        key = old.key
        for owner in old.metadata.owner_references:
            children = self._children.get(owner.uid)
            if children is not None:
                children.pop(key, None)
                if not children:
                    del self._children[owner.uid]
        if isinstance(old, Pod):
            for name, value in old.metadata.labels.items():
                found = self._labelled.get((key.namespace, name, value))
                if found is not None:
                    found.discard(key)
                    if not found:
                        del self._labelled[key.namespace, name, value]
            if old.status.job:
                self.pod_of_job.pop(old.status.job, None)

    def _touch(self, one: AnyObject) -> None:
        self.dirty[one.key] = None
        self._touch_owners(one)

    def _touch_owners(self, one: AnyObject) -> None:
        for owner in one.metadata.owner_references:
            if (key := self.by_uid.get(owner.uid)) is not None:
                self.dirty[key] = None
