"""What does a claim ask for: by itself, as a StatefulSet's template, or as a volume that goes with its Pod?"""

from typing import Literal

from corral.model.kube.meta import LabelSelector, Schema

AccessMode = Literal["ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod"]
Quantity = str | int | float


class VolumeResourceRequirements(Schema, frozen=True, kw_only=True):
    requests: dict[str, Quantity] = {}


class PersistentVolumeClaimSpec(Schema, frozen=True, kw_only=True):
    access_modes: tuple[AccessMode, ...] = ()
    resources: VolumeResourceRequirements = VolumeResourceRequirements()
    storage_class_name: str | None = None  #: None = the default one, "" = none: a volume that was made by hand
    volume_name: str = ""
    volume_mode: Literal["Filesystem", "Block"] = "Filesystem"
    selector: LabelSelector | None = None


class ClaimTemplateMeta(Schema, frozen=True, kw_only=True):
    name: str = ""
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    namespace: str = ""


class ClaimTemplate(Schema, frozen=True, kw_only=True):
    """Of a StatefulSet: a claim for each of its Pods."""

    metadata: ClaimTemplateMeta = ClaimTemplateMeta()
    spec: PersistentVolumeClaimSpec = PersistentVolumeClaimSpec()
    kind: str = ""
    api_version: str = ""
