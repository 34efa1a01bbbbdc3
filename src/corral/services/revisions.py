"""Which ReplicaSet is which revision of a Deployment, and which one is to be gone back to?"""

from typing import Any

import msgspec

from corral.model.kube.meta import LabelSelector, ObjectKey, ObjectMeta
from corral.model.kube.pod import PodTemplateSpec
from corral.model.kube.workload import Deployment, ReplicaSet, ReplicaSetSpec
from corral.services import podset
from corral.services.selectors import owner_reference
from corral.services.view import View

HASH = "pod-template-hash"
REVISION = "deployment.kubernetes.io/revision"
DESIRED = "deployment.kubernetes.io/desired-replicas"
MOST = "deployment.kubernetes.io/max-replicas"
GOOD = "corral.dev/rolled-out"  #: of a ReplicaSet: the Deployment was once complete with it
AUTO_UNDO = "corral.dev/auto-undo"  #: of a Deployment: "false" = what does not become available stays
UNDONE = "corral.dev/rolled-back-to"  #: of a Deployment: the revision whose template it was given back

_NOT_COPIED = {REVISION, DESIRED, MOST, GOOD, UNDONE, AUTO_UNDO, "kubectl.kubernetes.io/last-applied-configuration"}


def revision_of(one: ReplicaSet | Deployment) -> int:
    text = one.metadata.annotations.get(REVISION, "")
    return int(text) if text.isascii() and text.isdigit() else 0


def by_revision(sets: list[ReplicaSet]) -> list[ReplicaSet]:
    """The oldest first."""
    return sorted(sets, key=lambda one: (revision_of(one), one.metadata.creation_timestamp, one.metadata.name))


def plain_template(one: ReplicaSet) -> PodTemplateSpec:
    """As the Deployment had it."""
    template = one.spec.template
    labels = {name: value for name, value in template.metadata.labels.items() if name != HASH}
    return msgspec.structs.replace(template, metadata=msgspec.structs.replace(template.metadata, labels=labels))


def split(one: Deployment, sets: list[ReplicaSet]) -> tuple[ReplicaSet | None, list[ReplicaSet]]:
    """The one that has its template now, and the others, the oldest first."""
    ordered = by_revision(sets)
    new = next((found for found in ordered if plain_template(found) == one.spec.template), None)
    return new, [found for found in ordered if found is not new]


def made(one: Deployment, view: View) -> ReplicaSet | None:
    """A new ReplicaSet for its template, of no replicas yet; None if another object has the name."""
    salt = f"{one.status.collision_count}" if one.status.collision_count else ""
    digest = podset.digest(one.spec.template, salt)
    name = f"{one.metadata.name}-{digest}"
    if view.get(ObjectKey("ReplicaSet", one.metadata.namespace, name)) is not None:
        return None
    template = one.spec.template
    labels = {**template.metadata.labels, HASH: digest}
    return ReplicaSet(
        metadata=ObjectMeta(
            name=name, namespace=one.metadata.namespace, labels=labels, owner_references=(owner_reference(one),)
        ),
        creator=one.creator,
        spec=ReplicaSetSpec(
            replicas=0,
            min_ready_seconds=one.spec.min_ready_seconds,
            selector=LabelSelector(
                match_labels={**one.spec.selector.match_labels, HASH: digest},
                match_expressions=one.spec.selector.match_expressions,
            ),
            template=msgspec.structs.replace(
                template, metadata=msgspec.structs.replace(template.metadata, labels=labels)
            ),
        ),
    )


def numbered(one: Deployment, new: ReplicaSet, olds: list[ReplicaSet]) -> ReplicaSet:
    """With the number of the newest revision, and what the Deployment's annotations say of it."""
    number = max((revision_of(old) for old in olds), default=0) + 1
    copied = {name: value for name, value in one.metadata.annotations.items() if name not in _NOT_COPIED}
    kept = {name: value for name, value in new.metadata.annotations.items() if name in _NOT_COPIED}
    annotated = {**copied, **kept, REVISION: str(max(number, revision_of(new)))}
    changed: ReplicaSet = with_annotations(new, annotated)
    if changed.spec.min_ready_seconds != one.spec.min_ready_seconds:
        spec = msgspec.structs.replace(changed.spec, min_ready_seconds=one.spec.min_ready_seconds)
        changed = msgspec.structs.replace(changed, spec=spec)
    return changed


def with_annotations(one: Any, annotations: dict[str, str]) -> Any:
    """The same record if it has them already."""
    if annotations == one.metadata.annotations:
        return one
    return msgspec.structs.replace(one, metadata=msgspec.structs.replace(one.metadata, annotations=annotations))


def last_good(olds: list[ReplicaSet]) -> ReplicaSet | None:
    """The newest of the old revisions with which the Deployment was once complete."""
    return next((old for old in reversed(olds) if old.metadata.annotations.get(GOOD) == "true"), None)


def beyond_limit(olds: list[ReplicaSet], limit: int) -> list[ReplicaSet]:
    """Old ones that nothing runs of, more than are to be kept, the oldest first."""
    idle = [
        old for old in olds if not (old.spec.replicas or old.status.replicas or old.metadata.deletion_timestamp)
        and old.status.observed_generation >= old.metadata.generation
    ]  # fmt: skip
    return idle[: max(len(idle) - limit, 0)]
