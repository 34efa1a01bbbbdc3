"""Where is what Pods keep: StorageClass, PersistentVolume, PersistentVolumeClaim? Directories, here."""

from typing import Literal

from corral.model.kube.claim import AccessMode, PersistentVolumeClaimSpec
from corral.model.kube.meta import KubeObject, Schema
from corral.model.kube.pod import HostPathVolume, NFSVolume, NodeSelector, Quantity

ReclaimPolicy = Literal["Retain", "Delete"]
#: Marks the class of claims that name none.
IS_DEFAULT = "storageclass.kubernetes.io/is-default-class"
#: Of a volume that was made for a claim: by whom.
PROVISIONED_BY = "pv.kubernetes.io/provisioned-by"
#: Makes a directory for each claim.
DIRECTORY = "corral.dev/directory"
#: Volumes are made by hand.
BY_HAND = "kubernetes.io/no-provisioner"


class StorageClass(KubeObject, frozen=True, kw_only=True):
    """`parameters` of corral.dev/directory: path; scope = shared (all nodes have it) or node (each has its own)."""

    provisioner: str
    parameters: dict[str, str] = {}
    reclaim_policy: ReclaimPolicy = "Delete"
    volume_binding_mode: Literal["Immediate", "WaitForFirstConsumer"] = "Immediate"
    allow_volume_expansion: bool = False


class PersistentVolumeClaimStatus(Schema, frozen=True, kw_only=True):
    phase: Literal["Pending", "Bound", "Lost"] = "Pending"
    access_modes: tuple[AccessMode, ...] = ()
    capacity: dict[str, Quantity] = {}
    message: str = ""  #: what it waits for


class PersistentVolumeClaim(KubeObject, frozen=True, kw_only=True):
    spec: PersistentVolumeClaimSpec = PersistentVolumeClaimSpec()
    status: PersistentVolumeClaimStatus = PersistentVolumeClaimStatus()


class ObjectReference(Schema, frozen=True, kw_only=True):
    """To a claim."""

    name: str
    namespace: str
    uid: str = ""
    kind: str = ""
    api_version: str = ""
    resource_version: str = ""


class VolumeNodeAffinity(Schema, frozen=True, kw_only=True):
    required: NodeSelector | None = None


class LocalVolume(Schema, frozen=True, kw_only=True):
    path: str


class PersistentVolumeSpec(Schema, frozen=True, kw_only=True):
    """Exactly one of host_path, local, nfs."""

    capacity: dict[str, Quantity] = {}
    access_modes: tuple[AccessMode, ...] = ()
    persistent_volume_reclaim_policy: ReclaimPolicy = "Retain"
    storage_class_name: str = ""
    volume_mode: Literal["Filesystem", "Block"] = "Filesystem"
    claim_ref: ObjectReference | None = None
    node_affinity: VolumeNodeAffinity | None = None
    host_path: HostPathVolume | None = None
    local: LocalVolume | None = None
    nfs: NFSVolume | None = None


class PersistentVolumeStatus(Schema, frozen=True, kw_only=True):
    phase: Literal["Pending", "Available", "Bound", "Released", "Failed"] = "Pending"
    message: str = ""
    used_on: str = ""  #: the node that mounted it last; "" = none has: there is no directory yet


class PersistentVolume(KubeObject, frozen=True, kw_only=True):
    spec: PersistentVolumeSpec = PersistentVolumeSpec()
    status: PersistentVolumeStatus = PersistentVolumeStatus()

    @property
    def is_made_here(self) -> bool:
        """Its directory is made when it is first mounted, and removed with the claim."""
        return self.metadata.annotations.get(PROVISIONED_BY) == DIRECTORY
