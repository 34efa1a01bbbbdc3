"""What may a rule see of the other objects?"""

from collections.abc import Iterable, Sequence
from typing import Protocol

from corral.model.kube.meta import ObjectKey
from corral.model.kube.objects import AnyObject
from corral.model.kube.pod import Pod
from corral.model.kube.storage import PersistentVolume, StorageClass


class View(Protocol):
    """The objects of the cluster. Nothing here is slow: all are looked up by index."""

    def get(self, key: ObjectKey) -> AnyObject | None:
        """The object of this name."""

    def of_kind(self, kind: str, namespace: str) -> Iterable[AnyObject]:
        """All of a kind in a namespace, by name."""

    def owned(self, uid: str) -> Sequence[AnyObject]:
        """What an object has made, by kind and name."""

    def pods_of(self, uid: str) -> list[Pod]:
        """The Pods that an object has made, by name."""

    def pods_selected(self, namespace: str, labels: dict[str, str]) -> list[Pod]:
        """The Pods that have all these labels, by name."""

    def orphans(self, kind: str, namespace: str, labels: dict[str, str]) -> list[AnyObject]:
        """The Pods (or ReplicaSets) with all these labels that no controller owns, by name."""

    def refusal(self, key: ObjectKey) -> str:
        """Why what this object wanted made was not; "" = it was."""

    def free_volumes(self, group: str) -> list[PersistentVolume]:
        """Those of a class that no claim has."""

    def default_class(self) -> StorageClass | None:
        """Of claims that name none."""
