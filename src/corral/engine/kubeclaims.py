"""Which Pods use a claim, which volumes are free, which claims wait? Kept up to date with the objects, so that nobody searches."""

from typing import Any

from corral.model.kube.meta import ObjectKey
from corral.model.kube.objects import AnyObject
from corral.model.kube.pod import Pod, Volume
from corral.model.kube.storage import IS_DEFAULT, PersistentVolume, PersistentVolumeClaim, StorageClass

CLAIM, VOLUME = "PersistentVolumeClaim", "PersistentVolume"


def claims_of(pod: Pod) -> list[ObjectKey]:
    """In the order of its volumes."""
    return [ObjectKey(CLAIM, pod.metadata.namespace, name) for one in pod.spec.volumes if (name := claim_of(pod, one))]


def claim_of(pod: Pod, volume: Volume) -> str:
    """ "" = it is no claim's."""
    if volume.persistent_volume_claim is not None:
        return volume.persistent_volume_claim.claim_name
    return f"{pod.metadata.name}-{volume.name}" if volume.ephemeral is not None else ""


class Claims:
    def __init__(self) -> None:
        self.users: dict[ObjectKey, dict[ObjectKey, None]] = {}  #: claim -> Pods that have not ended
        self.free: dict[str, dict[ObjectKey, None]] = {}  #: class -> volumes that no claim has
        self.waiting: dict[str | None, dict[ObjectKey, None]] = {}  #: class -> claims without a volume
        self.named: dict[str, dict[ObjectKey, None]] = {}  #: volume -> claims that name it
        self.defaults: dict[ObjectKey, None] = {}  #: classes that are marked so

    def put(self, old: AnyObject | None, new: AnyObject | None) -> list[ObjectKey]:
        """In place of the old one; None = it is gone. Who is to be looked at because of that."""
        one = new if new is not None else old
        match one:
            case Pod():
                return self._put_pod(old, new) if one.spec.volumes else []
            case PersistentVolumeClaim():
                return self._put_claim(old, new)
            case PersistentVolume():
                return self._put_volume(old, new)
            case StorageClass():
                return self._put_class(old, new)
        return []

    def _put_pod(self, old: Any, new: Any) -> list[ObjectKey]:
        claims = claims_of(new if new is not None else old)
        if not claims or (old is not None and new is not None and _use(old) == _use(new)):
            return []
        touched = list(claims)
        for claim in claims:
            if new is None or new.has_ended:
                _drop(self.users, claim, old.key if old is not None else new.key)
                touched += self.users.get(claim, ())  # who waits for it
            else:
                self.users.setdefault(claim, {})[new.key] = None
                if old is not None and not old.status.node and new.status.node:
                    touched += self.users.get(claim, ())  # who may go where it is now
        return touched

    def _put_claim(self, old: Any, new: Any) -> list[ObjectKey]:
        one = new if new is not None else old
        if old is not None:
            _drop(self.named, old.spec.volume_name, old.key)
            _drop(self.waiting, old.spec.storage_class_name, old.key)
        if new is not None and new.spec.volume_name:
            self.named.setdefault(new.spec.volume_name, {})[new.key] = None
        elif new is not None:
            self.waiting.setdefault(new.spec.storage_class_name, {})[new.key] = None
        volumes = {record.spec.volume_name for record in (old, new) if record is not None} - {""}
        return [*self.users.get(one.key, ()), *(ObjectKey(VOLUME, "", name) for name in sorted(volumes))]

    def _put_volume(self, old: Any, new: Any) -> list[ObjectKey]:
        if old is not None:
            _drop(self.free, old.spec.storage_class_name, old.key)
        touched = [
            ObjectKey(CLAIM, record.spec.claim_ref.namespace, record.spec.claim_ref.name)
            for record in (old, new)
            if record is not None and record.spec.claim_ref is not None
        ]
        if new is not None and (new.spec.claim_ref is None or not new.spec.claim_ref.uid):
            self.free.setdefault(new.spec.storage_class_name, {})[new.key] = None
            touched += self.waiting.get(new.spec.storage_class_name, ())
        one = new if new is not None else old
        return [*touched, *self.named.get(one.metadata.name, ())]

    def _put_class(self, old: Any, new: Any) -> list[ObjectKey]:
        one = new if new is not None else old
        self.defaults.pop(one.key, None)
        if new is not None and new.metadata.annotations.get(IS_DEFAULT) == "true":
            self.defaults[new.key] = None
        return [key for keys in self.waiting.values() for key in keys]


def _use(pod: Pod) -> tuple[object, ...]:
    return bool(pod.status.job), pod.status.node, pod.has_ended


def _drop(index: dict[Any, dict[ObjectKey, None]], word: object, key: ObjectKey) -> None:
    found = index.get(word, {})
    found.pop(key, None)
    if not found:
        index.pop(word, None)
