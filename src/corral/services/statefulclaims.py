"""Which claims have the Pods of a StatefulSet, and what becomes of those of Pods that are not wanted any more?

Kubernetes' rule: each ordinal has a claim TEMPLATE-SET-ORDINAL of each template, which outlives its Pod, unless
persistentVolumeClaimRetentionPolicy says that it goes when the set is scaled down, or with the set.
"""

import msgspec

from corral.model.kube.claim import ClaimTemplate
from corral.model.kube.meta import ObjectKey, ObjectMeta, OwnerReference
from corral.model.kube.pod import ClaimVolume, Volume
from corral.model.kube.storage import PersistentVolumeClaim
from corral.model.kube.workload import ClaimRetentionPolicy, StatefulSet
from corral.services.changes import Change, Put, Remove
from corral.services.podset import AT_ONCE
from corral.services.selectors import owner_reference
from corral.services.view import View

#: So many ordinals beyond the wanted ones are looked at for claims that are to go.
_BEYOND = 1000


def name_of(one: StatefulSet, template: ClaimTemplate, number: int) -> str:
    return f"{template.metadata.name}-{one.metadata.name}-{number}"


def volumes_of(one: StatefulSet, number: int, volumes: tuple[Volume, ...]) -> tuple[Volume, ...]:
    """Of its Pod: a claim takes the place of a volume of its template's name."""
    templates = one.spec.volume_claim_templates
    names = {template.metadata.name for template in templates}
    claimed = [
        Volume(
            name=template.metadata.name,
            persistent_volume_claim=ClaimVolume(claim_name=name_of(one, template, number)),
        )
        for template in templates
    ]
    return (*(volume for volume in volumes if volume.name not in names), *claimed)


def changes(one: StatefulSet, wanted: range, view: View) -> list[Change]:
    if not one.spec.volume_claim_templates:
        return []
    policy = one.spec.persistent_volume_claim_retention_policy or ClaimRetentionPolicy()
    found: list[Change] = []
    for template in one.spec.volume_claim_templates:
        for number in wanted[:AT_ONCE]:
            found += _kept(one, template, number, policy, view)
        if policy.when_scaled == "Delete":
            found += _surplus(one, template, wanted, view)
    return found


def _kept(
    one: StatefulSet, template: ClaimTemplate, number: int, policy: ClaimRetentionPolicy, view: View
) -> list[Change]:
    key = ObjectKey("PersistentVolumeClaim", one.metadata.namespace, name_of(one, template, number))
    old = view.get(key)
    if old is None:
        return [Put(_claim(one, template, key.name, policy))]
    is_owned = any(owner.uid == one.metadata.uid for owner in old.metadata.owner_references)
    if is_owned == (policy.when_deleted == "Delete"):
        return []
    others = tuple(owner for owner in old.metadata.owner_references if owner.uid != one.metadata.uid)
    owners = others if is_owned else (*others, _owner(one))
    return [Put(msgspec.structs.replace(old, metadata=msgspec.structs.replace(old.metadata, owner_references=owners)))]


def _claim(one: StatefulSet, template: ClaimTemplate, name: str, policy: ClaimRetentionPolicy) -> PersistentVolumeClaim:
    meta = ObjectMeta(
        name=name,
        namespace=one.metadata.namespace,
        labels={**template.metadata.labels, **one.spec.selector.match_labels},
        annotations=template.metadata.annotations,
        owner_references=(_owner(one),) if policy.when_deleted == "Delete" else (),
    )
    return PersistentVolumeClaim(metadata=meta, spec=template.spec, creator=one.creator)


def _owner(one: StatefulSet) -> OwnerReference:
    """It goes with the set, which does not control it."""
    return msgspec.structs.replace(owner_reference(one), controller=False, block_owner_deletion=False)


def _surplus(one: StatefulSet, template: ClaimTemplate, wanted: range, view: View) -> list[Change]:
    """From the first unwanted ordinal up, as far as there are claims; each stays until its Pod has ended."""
    gone: list[Change] = []
    for numbers in (range(wanted.stop, wanted.stop + _BEYOND), range(wanted.start - 1, -1, -1)):
        for number in numbers:
            key = ObjectKey("PersistentVolumeClaim", one.metadata.namespace, name_of(one, template, number))
            old = view.get(key)
            if old is None:
                break
            if not old.metadata.deletion_timestamp:
                gone.append(Remove(key))
    return gone
