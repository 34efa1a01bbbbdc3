"""What do all of Kubernetes' objects have: a name, labels, an owner, a version?"""

from typing import Literal, NamedTuple

import msgspec

from corral.model.job import Owner


class ObjectKey(NamedTuple):
    """Names one object. `namespace` is "" for kinds that have none."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind.lower()}/{self.name}" + (f" -n {self.namespace}" if self.namespace else "")


_SPELT = {"ip": "IP", "ips": "IPs", "api": "API", "urls": "URLs"}


def wire_name(name: str) -> str:
    """min_ready_seconds -> minReadySeconds; host_ip -> hostIP, downward_api -> downwardAPI, as Kubernetes spells it."""
    first, *rest = name.split("_")
    return first + "".join(_SPELT.get(word) or word.capitalize() for word in rest)


class Schema(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename=wire_name, forbid_unknown_fields=True
):
    """Base of everything that stands in a manifest."""


class OwnerReference(Schema, frozen=True, kw_only=True):
    """Who made it: it goes when its owner goes."""

    kind: str
    name: str
    uid: str
    api_version: str = ""
    controller: bool = True
    block_owner_deletion: bool = False


class ObjectMeta(Schema, frozen=True, kw_only=True):
    """Times are seconds since the epoch here, RFC 3339 text on the wire (controller/api/kube)."""

    name: str = ""
    generate_name: str = ""
    namespace: str = ""
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    uid: str = ""
    resource_version: str = ""  #: grows with every change of the object
    generation: int = 0  #: grows with every change of its spec
    creation_timestamp: float = 0.0
    deletion_timestamp: float = 0.0  #: 0.0 = it is not being deleted
    deletion_grace_period_seconds: int | None = None
    owner_references: tuple[OwnerReference, ...] = ()
    finalizers: tuple[str, ...] = ()


class LabelSelectorRequirement(Schema, frozen=True, kw_only=True):
    key: str
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"]
    values: tuple[str, ...] = ()


class LabelSelector(Schema, frozen=True, kw_only=True):
    """All conditions must hold. An empty one selects everything."""

    match_labels: dict[str, str] = {}
    match_expressions: tuple[LabelSelectorRequirement, ...] = ()


class Condition(Schema, frozen=True, kw_only=True):
    """`type` is true or not, since when, and why."""

    type: str
    status: Literal["True", "False", "Unknown"]
    reason: str = ""
    message: str = ""
    last_transition_time: float = 0.0
    last_update_time: float = 0.0
    observed_generation: int = 0


class KubeObject(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename=wire_name, forbid_unknown_fields=True,
    tag=True, tag_field="kind",
):  # fmt: skip
    """Base of all objects. `creator` is who applied it first: its replicas run as this user. Never on the wire."""

    metadata: ObjectMeta = ObjectMeta()
    creator: Owner | None = None

    @property
    def key(self) -> ObjectKey:
        return ObjectKey(type(self).__name__, self.metadata.namespace, self.metadata.name)
