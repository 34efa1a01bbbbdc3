"""Which volume has a claim: one that was made by hand, or a directory that is made for it?

Kubernetes' rules. A claim is bound to one volume and a volume to one claim, each naming the other, for as long as the claim is there. A
volume that fits is looked for first (class, modes, size, labels: the smallest); else the claim's class makes one. A class that waits for
the first consumer does so when a Pod that uses the claim has its node (engine/kube/claims.py). Sizes are kept in the books alone: a
directory has no quota.
"""

import msgspec

from corral.model.kube.meta import KubeObject, ObjectKey, ObjectMeta
from corral.model.kube.pod import HostPathVolume, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm
from corral.model.kube.storage import (
    BY_HAND,
    DIRECTORY,
    IS_DEFAULT,
    PROVISIONED_BY,
    LocalVolume,
    ObjectReference,
    PersistentVolume,
    PersistentVolumeClaim,
    PersistentVolumeClaimStatus,
    PersistentVolumeSpec,
    StorageClass,
    VolumeNodeAffinity,
)
from corral.services.changes import Change, Put
from corral.services.selectors import matches
from corral.services.view import View
from corral.syntax import quantity

#: Provisioners of one-machine clusters that make directories, at a place that is theirs to know: here the default class's.
LIKE_DIRECTORY = ("k8s.io/minikube-hostpath", "docker.io/hostpath", "rancher.io/local-path", "kubernetes.io/host-path")
_HOSTNAME = "kubernetes.io/hostname"
_HOW = (
    "set one in corral.toml ([[storage_class]] with a path that all nodes share, or scope = \"node\"), "
    "or make a PersistentVolume"
)  # fmt: skip


def wanted(one: PersistentVolumeClaim) -> int:
    """Bytes."""
    return quantity.whole(one.spec.resources.requests.get("storage", 0))


def capacity(one: PersistentVolume) -> int:
    return quantity.whole(one.spec.capacity.get("storage", 0))


def is_default(one: StorageClass) -> bool:
    return one.metadata.annotations.get(IS_DEFAULT) == "true"


def class_of(one: PersistentVolumeClaim, view: View) -> StorageClass | None:
    found = view.get(ObjectKey("StorageClass", "", one.spec.storage_class_name or ""))
    return found if isinstance(found, StorageClass) else None


def place_of(group: StorageClass, view: View) -> tuple[str, bool]:
    """The directory in which those of claims are made, and does each node have its own? "": nobody says."""
    if group.provisioner in LIKE_DIRECTORY:
        default = view.default_class()
        if default is None or default.provisioner != DIRECTORY:
            return "", False
        group = default
    return group.parameters.get("path", ""), group.parameters.get("scope") == "node"


def waits_for_consumer(one: PersistentVolumeClaim, view: View) -> bool:
    """It gets its volume when a Pod that uses it has its node."""
    group = class_of(one, view)
    if group is None or one.spec.volume_name:
        return False
    return group.volume_binding_mode == "WaitForFirstConsumer" or place_of(group, view)[1]


def volume_of(one: PersistentVolumeClaim, view: View) -> PersistentVolume | None:
    """The one that it is bound to."""
    found = view.get(ObjectKey("PersistentVolume", "", one.spec.volume_name)) if one.spec.volume_name else None
    if not isinstance(found, PersistentVolume) or found.spec.claim_ref is None:
        return None
    return found if found.spec.claim_ref.uid == one.metadata.uid else None


def fitting(one: PersistentVolumeClaim, view: View) -> list[PersistentVolume]:
    """Volumes that could be bound to it, the smallest first; those that are kept for it before all others."""
    found = []
    for volume in view.free_volumes(one.spec.storage_class_name or ""):
        ref = volume.spec.claim_ref
        if ref is not None and (ref.namespace, ref.name) != (one.metadata.namespace, one.metadata.name):
            continue
        if (
            set(one.spec.access_modes) <= set(volume.spec.access_modes)
            and capacity(volume) >= wanted(one)
            and not volume.metadata.deletion_timestamp
            and (one.spec.selector is None or matches(one.spec.selector, volume.metadata.labels))
        ):
            found.append(volume)
    return sorted(found, key=lambda volume: (volume.spec.claim_ref is None, capacity(volume), volume.metadata.name))


def bound(one: PersistentVolumeClaim, volume: PersistentVolume) -> list[Change]:
    """Both, naming each other."""
    ref = ObjectReference(
        kind="PersistentVolumeClaim", api_version="v1", namespace=one.metadata.namespace, name=one.metadata.name,
        uid=one.metadata.uid,
    )  # fmt: skip
    status = msgspec.structs.replace(volume.status, phase="Bound", message="")
    held = msgspec.structs.replace(
        volume,
        spec=msgspec.structs.replace(volume.spec, claim_ref=ref),
        status=status,
        creator=volume.creator or one.creator,
    )
    spec = msgspec.structs.replace(one.spec, volume_name=volume.metadata.name)
    return [Put(held), Put(msgspec.structs.replace(one, spec=spec, status=_bound_status(volume)))]


def _bound_status(volume: PersistentVolume) -> PersistentVolumeClaimStatus:
    return PersistentVolumeClaimStatus(
        phase="Bound", access_modes=volume.spec.access_modes, capacity=volume.spec.capacity
    )


def made_for(one: PersistentVolumeClaim, view: View, node: str = "") -> PersistentVolume | None:
    """A directory of its own, by its class; None: that makes none. `node`: where it is used first."""
    group = class_of(one, view)
    if group is None or group.provisioner == BY_HAND:
        return None
    path, is_of_node = place_of(group, view)
    if not path or (is_of_node and not node):
        return None
    name = f"pvc-{one.metadata.uid}"
    where = f"{path.rstrip('/')}/{f'{name}_{one.metadata.namespace}_{one.metadata.name}'[:250]}"
    term = NodeSelectorTerm(match_expressions=(NodeSelectorRequirement(key=_HOSTNAME, operator="In", values=(node,)),))
    spec = PersistentVolumeSpec(
        capacity={"storage": one.spec.resources.requests["storage"]},
        access_modes=one.spec.access_modes,
        persistent_volume_reclaim_policy=group.reclaim_policy,
        storage_class_name=group.metadata.name,
        host_path=None if is_of_node else HostPathVolume(path=where),
        local=LocalVolume(path=where) if is_of_node else None,
        node_affinity=VolumeNodeAffinity(required=NodeSelector(node_selector_terms=(term,))) if is_of_node else None,
    )
    meta = ObjectMeta(name=name, annotations={PROVISIONED_BY: DIRECTORY})
    return PersistentVolume(metadata=meta, spec=spec, creator=one.creator)


def reconcile_claim(one: PersistentVolumeClaim, view: View, now: float) -> list[Change]:
    if (
        one.spec.storage_class_name is None
        and not one.spec.volume_name
        and (default := view.default_class()) is not None
    ):
        named = msgspec.structs.replace(one.spec, storage_class_name=default.metadata.name)
        return [Put(msgspec.structs.replace(one, spec=named))]
    if one.spec.volume_name:
        return _named(one, view)
    if waits_for_consumer(one, view):
        return _waiting(
            one,
            "waiting for first consumer to be created before binding"
            if _can_be_made(one, view)
            else _why_not(one, view),
        )
    if found := fitting(one, view):
        return bound(one, found[0])
    made = made_for(one, view) if one.spec.selector is None else None
    return bound(one, made) if made is not None else _waiting(one, _why_not(one, view))


def _can_be_made(one: PersistentVolumeClaim, view: View) -> bool:
    return bool(fitting(one, view)) or made_for(one, view, "any") is not None


def _named(one: PersistentVolumeClaim, view: View) -> list[Change]:
    """It is bound, or names the volume that it wants."""
    volume = volume_of(one, view)
    if volume is not None:
        return _grown(one, volume) or _told(one, _bound_status(volume))
    name = one.spec.volume_name
    if one.status.phase in ("Bound", "Lost"):
        return _told(one, PersistentVolumeClaimStatus(phase="Lost", message=f"its PersistentVolume {name} is gone"))
    found = view.get(ObjectKey("PersistentVolume", "", name))
    if not isinstance(found, PersistentVolume):
        return _waiting(one, f'PersistentVolume "{name}" not found')
    ref = found.spec.claim_ref
    if ref is not None and (ref.namespace, ref.name) != (one.metadata.namespace, one.metadata.name):
        return _waiting(one, f'PersistentVolume "{name}" is already bound to another claim: {ref.namespace}/{ref.name}')
    if ref is not None and ref.uid not in ("", one.metadata.uid):
        return _waiting(one, f'PersistentVolume "{name}" was bound to a claim of this name that is gone')
    if found.spec.storage_class_name != (one.spec.storage_class_name or ""):
        return _waiting(one, f'PersistentVolume "{name}" is of class "{found.spec.storage_class_name}"')
    if not set(one.spec.access_modes) <= set(found.spec.access_modes) or capacity(found) < wanted(one):
        return _waiting(one, f'PersistentVolume "{name}" is too small, or has not all access modes')
    return bound(one, found)


def _grown(one: PersistentVolumeClaim, volume: PersistentVolume) -> list[Change]:
    if not volume.is_made_here or wanted(one) <= capacity(volume):
        return []
    size = {"storage": one.spec.resources.requests["storage"]}
    grown = msgspec.structs.replace(volume, spec=msgspec.structs.replace(volume.spec, capacity=size))
    return [Put(grown), Put(msgspec.structs.replace(one, status=_bound_status(grown)))]


def growth_refusal(one: KubeObject, old: KubeObject | None, view: View) -> str:
    """Why a claim may not grow; "" = it may, or does not."""
    if (
        not isinstance(one, PersistentVolumeClaim)
        or not isinstance(old, PersistentVolumeClaim)
        or wanted(one) <= wanted(old)
    ):
        return ""
    group = class_of(old, view)
    if group is not None and group.allow_volume_expansion:
        return ""
    return (
        "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize "
        "(allowVolumeExpansion)"
    )


def _why_not(one: PersistentVolumeClaim, view: View) -> str:
    name = one.spec.storage_class_name
    if name is None:
        return f"no persistent volumes available for this claim and no storage class is set: there is no default one; {_HOW}"
    group = class_of(one, view)
    if group is None and name:
        return f'storageclass.storage.k8s.io "{name}" not found, and no PersistentVolume of that class fits'
    if group is not None and group.provisioner in LIKE_DIRECTORY and not place_of(group, view)[0]:
        return f"{group.provisioner} makes its directories where the default class does, and there is none; {_HOW}"
    if group is not None and group.provisioner != BY_HAND and one.spec.selector is not None:
        return "no PersistentVolume fits; for a claim with a selector none is made"
    return "no PersistentVolume of its class has its access modes and its size"


def _waiting(one: PersistentVolumeClaim, why: str) -> list[Change]:
    return _told(one, PersistentVolumeClaimStatus(phase="Pending", message=why))


def _told(one: PersistentVolumeClaim, status: PersistentVolumeClaimStatus) -> list[Change]:
    return [] if status == one.status else [Put(msgspec.structs.replace(one, status=status))]


def reconcile_volume(one: PersistentVolume, view: View, now: float) -> list[Change]:
    """Its phase: what becomes of a released one's directory is the engine's (engine/kube/volumes.py)."""
    status = msgspec.structs.replace(one.status, phase=_phase(one, view))
    if status.phase in ("Available", "Bound"):
        status = msgspec.structs.replace(status, message="")
    if status.phase == "Failed" and is_kept(one):
        why = "what is in a volume that was made by hand is not deleted: remove it yourself, then the PersistentVolume"
        status = msgspec.structs.replace(status, message=why)
    return [] if status == one.status else [Put(msgspec.structs.replace(one, status=status))]


def _phase(one: PersistentVolume, view: View) -> str:
    ref = one.spec.claim_ref
    if ref is None or not ref.uid:
        return "Available"
    claim = view.get(ObjectKey("PersistentVolumeClaim", ref.namespace, ref.name))
    if claim is not None and claim.metadata.uid == ref.uid:
        return "Bound"
    return "Failed" if one.status.phase == "Failed" or is_kept(one) else "Released"


def is_kept(one: PersistentVolume) -> bool:
    """It is to be deleted with its claim, and was made by hand: what is in it is nobody's to remove here."""
    return one.spec.persistent_volume_reclaim_policy == "Delete" and not one.is_made_here
