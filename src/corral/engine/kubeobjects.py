"""Which of Kubernetes' objects are there? The table, its indexes, and what is to be looked at."""

import bisect
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from corral.engine.kubeclaims import Claims
from corral.engine.kubelinks import Links
from corral.engine.kubereaders import Readers
from corral.engine.kubeusage import Usage
from corral.model.kube.config import Namespace, PodDisruptionBudget
from corral.model.kube.meta import ObjectKey, ObjectMeta
from corral.model.kube.objects import AnyObject
from corral.model.kube.pipeline import PipelineRun
from corral.model.kube.pod import Pod
from corral.model.kube.storage import PersistentVolume, StorageClass
from corral.model.kube.workload import DaemonSet, Deployment, Job, ReplicaSet, StatefulSet
from corral.protocol.events import Event, NodeChanged, NodeRemoved, ObjectsChanged
from corral.services import budgets, podset

#: What can be without a controller and get one.
_ADOPTED = ("Pod", "ReplicaSet")


#: Is there from the beginning.
DEFAULT = Namespace(
    metadata=ObjectMeta(
        name="default", uid="00000000-0000-4000-8000-000000000001", resource_version="1", generation=1,
        labels={"kubernetes.io/metadata.name": "default"},
    )
)  # fmt: skip


class Objects:
    """Changed by ObjectsChanged alone. It is a services.view.View."""

    def __init__(self) -> None:
        self.by_key: dict[ObjectKey, AnyObject] = {}
        self.by_uid: dict[str, ObjectKey] = {}
        self.version = 0  #: of the last change; each has the next
        self.services_changed = 0  #: how often one has
        self.dirty: dict[ObjectKey, None] = {}  #: to be looked at, in the order of change
        self.pod_of_job: dict[int, ObjectKey] = {}
        self.run_of_job: dict[int, ObjectKey] = {}  #: which PipelineRun it is a step of
        self.on_node: dict[str, set[ObjectKey]] = {}  #: Pods, by the node that they are or were on
        self.lost: dict[str, set[ObjectKey]] = {}  #: of these those that may run on there though they count as ended
        self.readdressed: dict[
            ObjectKey, None
        ] = {}  #: Pods with an address of their own that have begun, changed or ended
        self.pod_ports: dict[str, set[int]] = {}  #: host -> its ports by which Pods are reached
        self.links = Links()
        self.claims = Claims()
        self.readers = Readers()
        self.usage = Usage()
        self.daemons: dict[ObjectKey, None] = {}  #: DaemonSets: a node may be theirs
        self.refused: dict[ObjectKey, str] = {}  #: why the last objects that it wanted could not be made
        self._names: dict[tuple[str, str], list[str]] = {}  #: kind, namespace -> sorted names
        self._children: dict[str, list[ObjectKey]] = {}  #: by the owner's uid, sorted
        self._orphans: dict[tuple[str, str], set[ObjectKey]] = {}  #: kind, namespace -> what no controller owns
        self._budgets: dict[tuple[str, str, str], set[ObjectKey]] = {}  #: likewise, PodDisruptionBudgets
        self._selecting: dict[
            tuple[str, str, str], set[ObjectKey]
        ] = {}  #: namespace, label, value -> who selects by it
        self._labelled: dict[tuple[str, str, str], set[ObjectKey]] = {}  #: namespace, label, value -> Pods
        self.put(DEFAULT)
        self.dirty.clear()

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

    def in_namespace(self, namespace: str) -> Iterator[AnyObject]:
        """All of it, by kind and name."""
        for kind, found in sorted(self._names):
            if found == namespace:
                yield from self.of_kind(kind, namespace)

    def is_empty(self, namespace: str) -> bool:
        return not any(found == namespace for _, found in self._names)

    def refusal(self, key: ObjectKey) -> str:
        """Why what it wants made is not; "" = it is."""
        return self.refused.get(key, "")

    def owned(self, uid: str) -> list[AnyObject]:
        return [self.by_key[key] for key in self._children.get(uid, ())]

    def owns(self, uid: str) -> int:
        """How many."""
        return len(self._children.get(uid, ()))

    def pods_of(self, uid: str) -> list[Pod]:
        return [one for one in self.owned(uid) if isinstance(one, Pod)]

    def pods_selected(self, namespace: str, labels: dict[str, str]) -> list[Pod]:
        if not labels:
            return [one for one in self.of_kind("Pod", namespace) if isinstance(one, Pod)]
        found = self._with_labels(namespace, labels)
        return [one for key in sorted(found) if isinstance(one := self.by_key[key], Pod)]

    def _with_labels(self, namespace: str, labels: dict[str, str]) -> set[ObjectKey]:
        sets = [self._labelled.get((namespace, name, value), set()) for name, value in labels.items()]
        return set.intersection(*sorted(sets, key=len))

    def orphans(self, kind: str, namespace: str, labels: dict[str, str]) -> list[AnyObject]:
        found = self._orphans.get((kind, namespace))
        if not found:
            return []
        if kind == "Pod" and labels:
            found = found & self._with_labels(namespace, labels)
        wanted = labels.items()
        return [one for key in sorted(found) if wanted <= (one := self.by_key[key]).metadata.labels.items()]

    def free_volumes(self, group: str) -> list[PersistentVolume]:
        found = (self.by_key[key] for key in self.claims.free.get(group, ()))
        return [one for one in found if isinstance(one, PersistentVolume)]

    def default_class(self) -> StorageClass | None:
        """As in Kubernetes: of several the youngest."""
        found = [one for key in self.claims.defaults if isinstance(one := self.by_key.get(key), StorageClass)]
        return max(found, key=lambda one: (one.metadata.creation_timestamp, one.metadata.name), default=None)

    # -- to be changed by an event

    def apply(self, event: ObjectsChanged) -> None:
        self.version = max(self.version, event.version)
        home = self.by_key.get(DEFAULT.key)
        if home is not None and event.time and not home.metadata.creation_timestamp:
            meta = msgspec.structs.replace(home.metadata, creation_timestamp=event.time)
            self.by_key[home.key] = msgspec.structs.replace(home, metadata=meta)
        for one in event.objects:
            self.put(one)
        for key in event.removed:
            self.remove(ObjectKey(*key))

    def see(self, event: Event) -> None:
        """Of a Pod's job, step or node: the Pod is to be looked at."""
        if isinstance(event, NodeChanged | NodeRemoved):
            self.dirty.update(self.daemons)
        if isinstance(event, NodeChanged):
            for there in sorted(self.on_node.get(event.node.name, ())):
                self.dirty[there] = None
            return
        job = getattr(event, "job", None)
        number = (
            job.id if job is not None else step.key.job if (step := getattr(event, "step", None)) is not None else 0
        )
        if (key := self.pod_of_job.get(number) or self.run_of_job.get(number)) is not None:
            self.dirty[key] = None

    def look_at_job(self, job: int) -> None:
        """If it is a Pod's."""
        if (key := self.pod_of_job.get(job)) is not None:
            self.dirty[key] = None

    def put(self, one: AnyObject) -> None:
        key = one.key
        self.services_changed += key.kind == "Service"
        old = self.by_key.get(key)
        if old is None:
            bisect.insort(self._names.setdefault((key.kind, key.namespace), []), key.name)
        same = old is not None and _indexed(old) == _indexed(one)
        if old is not None and not same:
            self._unindex(old)
        self.links.put(old, one)
        self.by_key[key] = one
        if not same:
            self._index(one)
        self._touch(one)
        self._touch_storage(old, one)
        self._count(old, one)

    def remove(self, key: ObjectKey) -> None:
        old = self.by_key.pop(key, None)
        if old is None:
            return
        self.services_changed += key.kind == "Service"
        self._unindex(old)
        self.links.put(old, None)
        names = self._names[key.kind, key.namespace]
        del names[bisect.bisect_left(names, key.name)]
        if not names:
            del self._names[key.kind, key.namespace]
        self.dirty.pop(key, None)
        self.refused.pop(key, None)
        self.daemons.pop(key, None)
        self.usage.gone(key)
        self._count(old, None)
        self._touch_storage(old, None)
        self._touch_others(old)
        for owner in old.metadata.owner_references if isinstance(old, Pod) else ():
            above = self.by_key.get(self.by_uid.get(owner.uid, key))
            for one in above.metadata.owner_references if above is not None else ():  # a Deployment that waits for it
                if (found := self.by_uid.get(one.uid)) is not None:
                    self.dirty[found] = None

    def _index(self, one: AnyObject) -> None:
        key = one.key
        self.by_uid[one.metadata.uid] = key
        for owner in one.metadata.owner_references:
            bisect.insort(self._children.setdefault(owner.uid, []), key)
        if key.kind in _ADOPTED and not is_controlled(one):
            self._orphans.setdefault((key.kind, key.namespace), set()).add(key)
        if isinstance(one, DaemonSet):
            self.daemons[key] = None
        if isinstance(one, Pod):
            for name, value in one.metadata.labels.items():
                self._labelled.setdefault((key.namespace, name, value), set()).add(key)
            if one.status.own_ip:
                self.readdressed[key] = None
            if one.status.job:
                self.pod_of_job[one.status.job] = key
            if one.status.node:
                self.on_node.setdefault(one.status.node, set()).add(key)
                if podset.may_run_on(one):
                    self.lost.setdefault(one.status.node, set()).add(key)
            if not one.has_ended:
                for address in one.status.addresses:
                    self.pod_ports.setdefault(address.host, set()).add(address.host_port)
        elif isinstance(one, PodDisruptionBudget):
            self._budgets.setdefault(budgets.selects_by(one), set()).add(key)
        elif isinstance(one, PipelineRun):
            for step in one.status.steps:
                if step.job:
                    self.run_of_job[step.job] = key
        elif (word := _selects_by(one)) is not None:
            self._selecting.setdefault(word, set()).add(key)

    def _unindex(self, old: AnyObject) -> None:
        key = old.key
        if self.by_uid.get(old.metadata.uid) == key:
            del self.by_uid[old.metadata.uid]
        for owner in old.metadata.owner_references:
            children = self._children.get(owner.uid, [])
            if (at := bisect.bisect_left(children, key)) < len(children) and children[at] == key:
                del children[at]
                if not children:
                    del self._children[owner.uid]
        if key.kind in _ADOPTED:
            _discard(self._orphans, (key.kind, key.namespace), key)
        if isinstance(old, Pod):
            for name, value in old.metadata.labels.items():
                _discard(self._labelled, (key.namespace, name, value), key)
            if old.status.own_ip:
                self.readdressed[key] = None
            if old.status.job:
                self.pod_of_job.pop(old.status.job, None)
            _discard(self.on_node, old.status.node, key)
            _discard(self.lost, old.status.node, key)
            if not old.has_ended:
                for address in old.status.addresses:
                    self.pod_ports.get(address.host, set()).discard(address.host_port)
        elif isinstance(old, PodDisruptionBudget):
            _discard(self._budgets, budgets.selects_by(old), key)
        elif isinstance(old, PipelineRun):
            for step in old.status.steps:
                self.run_of_job.pop(step.job, None)
        elif (word := _selects_by(old)) is not None:
            _discard(self._selecting, word, key)

    def _touch(self, one: AnyObject) -> None:
        self.dirty[one.key] = None
        self._touch_others(one)

    def _count(self, old: AnyObject | None, new: AnyObject | None) -> None:
        """Quotas; and a namespace that goes when nothing is left in it."""
        one = new if new is not None else old
        assert one is not None
        namespace = one.metadata.namespace
        if namespace and (namespace in self.usage.used or one.key.kind == "ResourceQuota"):
            for key in self.usage.put(old, new, self.in_namespace(namespace)):
                if key in self.by_key:
                    self.dirty[key] = None
        if new is None and namespace:
            home = self.by_key.get(ObjectKey("Namespace", "", namespace))
            if home is not None and home.metadata.deletion_timestamp:
                self.dirty[home.key] = None

    def _touch_storage(self, old: AnyObject | None, new: AnyObject | None) -> None:
        for key in (*self.claims.put(old, new), *self.readers.put(old, new)):
            if key in self.by_key:
                self.dirty[key] = None

    def _touch_others(self, one: AnyObject) -> None:
        """Who owns it; of what nobody owns (any more), who could."""
        if self._budgets and isinstance(one, Pod):
            for name, value in (("", ""), *one.metadata.labels.items()):
                for budget in sorted(self._budgets.get((one.key.namespace, name, value), ())):
                    self.dirty[budget] = None
        is_owned = False
        for owner in one.metadata.owner_references:
            if (key := self.by_uid.get(owner.uid)) is not None:
                self.dirty[key] = None
                is_owned = is_owned or owner.controller
        if not is_owned and one.key.kind in _ADOPTED:
            for label in one.metadata.labels.items():
                for key in sorted(self._selecting.get((one.key.namespace, *label), ())):
                    self.dirty[key] = None


def is_controlled(one: AnyObject) -> bool:
    return any(owner.controller for owner in one.metadata.owner_references)


def _indexed(one: AnyObject) -> tuple[object, ...]:
    """What the indexes are made of."""
    meta = one.metadata
    if isinstance(one, Pod):
        status = one.status
        how = (status.job, one.has_ended, status.addresses, status.node, podset.may_run_on(one))
        return meta.uid, meta.owner_references, meta.labels, how
    if isinstance(one, PodDisruptionBudget):
        return meta.uid, meta.owner_references, meta.labels, budgets.selects_by(one)
    if isinstance(one, PipelineRun):
        return meta.uid, meta.owner_references, meta.labels, tuple(step.job for step in one.status.steps)
    return meta.uid, meta.owner_references, meta.labels, _selects_by(one)


def _selects_by(one: AnyObject) -> tuple[str, str, str] | None:
    """One label that whatever it adopts has."""
    if not isinstance(one, Deployment | ReplicaSet | StatefulSet | DaemonSet | Job):
        return None
    selector = one.spec.selector
    if selector is None or not selector.match_labels:
        return None
    name, value = min(selector.match_labels.items())
    return one.metadata.namespace, name, value


def _discard(index: dict[Any, set[ObjectKey]], word: object, key: ObjectKey) -> None:
    found = index.get(word)
    if found is not None:
        found.discard(key)
        if not found:
            del index[word]
