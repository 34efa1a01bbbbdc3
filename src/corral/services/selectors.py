"""Whom does a selector mean, and whom does a set of Pods own, adopt or let go?"""

from typing import Any

import msgspec

from corral.model.kube.meta import KubeObject, LabelSelector, ObjectMeta, OwnerReference
from corral.model.kube.objects import KINDS
from corral.model.kube.pod import Pod
from corral.services.changes import Change, Put
from corral.services.view import View


def matches(selector: LabelSelector | None, labels: dict[str, str]) -> bool:
    """None selects nothing, an empty one everything."""
    if selector is None:
        return False
    for name, value in selector.match_labels.items():
        if labels.get(name) != value:
            return False
    for wanted in selector.match_expressions:
        found = labels.get(wanted.key)
        match wanted.operator:
            case "In":
                holds = found is not None and found in wanted.values
            case "NotIn":
                holds = found is None or found not in wanted.values
            case "Exists":
                holds = found is not None
            case "DoesNotExist":
                holds = found is None
        if not holds:
            return False
    return True


def is_empty(selector: LabelSelector) -> bool:
    return not selector.match_labels and not selector.match_expressions


def owner_reference(owner: KubeObject) -> OwnerReference:
    kind = owner.key.kind
    return OwnerReference(
        kind=kind, name=owner.metadata.name, uid=owner.metadata.uid, api_version=KINDS[kind].api_version,
        controller=True, block_owner_deletion=True,
    )  # fmt: skip


def controller_of(meta: ObjectMeta) -> OwnerReference | None:
    for one in meta.owner_references:
        if one.controller:
            return one
    return None


def pods_of(owner: KubeObject, selector: LabelSelector, view: View) -> tuple[list[Pod], list[Change]]:
    """Its Pods, those being deleted included, with the orphans that it selects; what adopting and letting go changes.

    Kubernetes' rule: who matches and has no controller is adopted; who has this one but matches no longer is let go.
    """
    mine: list[Pod] = []
    changes: list[Change] = []
    uid, wanted, more = owner.metadata.uid, selector.match_labels.items(), selector.match_expressions
    for pod in view.pods_of(uid):
        meta = pod.metadata
        ours = controller_of(meta)
        if ours is None or ours.uid != uid:
            continue
        is_meant = matches(selector, meta.labels) if more else wanted <= meta.labels.items()
        if is_meant or meta.deletion_timestamp:
            mine.append(pod)
        else:
            left = tuple(one for one in pod.metadata.owner_references if one.uid != uid)
            changes.append(Put(owned_by(pod, left)))
    for orphan in view.orphans("Pod", owner.metadata.namespace, selector.match_labels):
        is_over = orphan.metadata.deletion_timestamp or (isinstance(orphan, Pod) and orphan.has_ended)
        if not is_over and matches(selector, orphan.metadata.labels):
            changes.append(Put(owned_by(orphan, (*orphan.metadata.owner_references, owner_reference(owner)))))
    return mine, changes


def owned_by(one: Any, owners: tuple[OwnerReference, ...]) -> Any:
    return msgspec.structs.replace(one, metadata=msgspec.structs.replace(one.metadata, owner_references=owners))
