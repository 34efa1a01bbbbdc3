"""Can a Pod have the volumes that it claims: which does it wait for, to which nodes do they bind it, and what is mounted?"""

from collections.abc import Iterator

import msgspec

from corral.engine.context import Context
from corral.engine.effects import Effects
from corral.engine.kube.admission import Together
from corral.engine.kube.requests import as_wanted
from corral.engine.kubeclaims import claim_of, claims_of
from corral.engine.podwords import HOSTNAME, requirements_of
from corral.model.kube.meta import ObjectKey, ObjectMeta
from corral.model.kube.objects import AnyObject
from corral.model.kube.pod import Pod
from corral.model.kube.storage import PersistentVolume, PersistentVolumeClaim
from corral.model.podplace import PodWords, Requirement
from corral.protocol.events import ObjectsChanged
from corral.services import storage
from corral.services.changes import Change, Put
from corral.services.selectors import owner_reference


def _claims(ctx: Context, pod: Pod) -> Iterator[tuple[ObjectKey, PersistentVolumeClaim | None]]:
    for key in claims_of(pod):
        found = ctx.state.objects.get(key)
        yield key, found if isinstance(found, PersistentVolumeClaim) else None


def make_own(ctx: Context, pod: Pod, now: float, out: Effects) -> str:
    """The claims of its ephemeral volumes, which go with it. Why not, or ""."""
    together = Together(ctx)
    for volume in pod.spec.volumes:
        if volume.ephemeral is None:
            continue
        key = ObjectKey("PersistentVolumeClaim", pod.metadata.namespace, claim_of(pod, volume))
        old = ctx.state.objects.get(key)
        if old is not None and not any(owner.uid == pod.metadata.uid for owner in old.metadata.owner_references):
            return f'PVC {key} was not created for pod "{pod.metadata.name}" (pod is not owner)'
        if old is not None:
            continue
        template = volume.ephemeral.volume_claim_template
        meta = ObjectMeta(
            name=key.name, namespace=key.namespace, labels=template.metadata.labels, annotations=template.metadata.annotations,
            owner_references=(owner_reference(pod),),
        )  # fmt: skip
        claim = PersistentVolumeClaim(metadata=meta, spec=template.spec, creator=pod.creator)
        if (refused := together.refusal(claim, None, pod.creator.uid if pod.creator else -1)) is not None:
            return f'persistentvolumeclaims "{key.name}" is forbidden: {refused.error}'
        _record(ctx, [Put(claim)], now, out)
    return ""


def waits_for(ctx: Context, pod: Pod) -> str:
    """Why it cannot be queued yet, in Kubernetes' words; "" = it can."""
    for key, claim in _claims(ctx, pod):
        if claim is None:
            return f'persistentvolumeclaim "{key.name}" not found'
        if claim.metadata.deletion_timestamp:
            return f'persistentvolumeclaim "{key.name}" is being deleted'
        if claim.status.phase == "Lost":
            return f'persistentvolumeclaim "{key.name}" has lost its volume: {claim.status.message}'
        if claim.status.phase != "Bound" and not _is_had_in_time(ctx, claim):
            why = claim.status.message
            return f'pod has unbound immediate PersistentVolumeClaims: "{key.name}": {why}'
        if why := _used_by_another(ctx, pod, claim):
            return why
    return ""


def _is_had_in_time(ctx: Context, claim: PersistentVolumeClaim) -> bool:
    """Its class waits for the Pod's node, and has, or makes, a volume then."""
    objects = ctx.state.objects
    if not storage.waits_for_consumer(claim, objects):
        return False
    return storage.made_for(claim, objects, "any") is not None or bool(storage.fitting(claim, objects))


def _used_by_another(ctx: Context, pod: Pod, claim: PersistentVolumeClaim) -> str:
    """ReadWriteOnce is one node at a time, ReadWriteOncePod one Pod."""
    modes = set(claim.spec.access_modes)
    if not modes <= {"ReadWriteOnce", "ReadWriteOncePod"}:
        return ""
    for other in _others(ctx, pod, claim):
        if "ReadWriteOncePod" in modes:
            return f'persistentvolumeclaim "{claim.metadata.name}" is ReadWriteOncePod and used by pod {other.metadata.name}'
        if not other.status.node:
            return (
                f'persistentvolumeclaim "{claim.metadata.name}" is ReadWriteOnce: pod {other.metadata.name} goes first'
            )
    return ""


def _others(ctx: Context, pod: Pod, claim: PersistentVolumeClaim) -> Iterator[Pod]:
    """Pods in the queue or on a node that use the claim too."""
    for key in ctx.state.objects.claims.users.get(claim.key, ()):
        other = ctx.state.objects.get(key)
        if key != pod.key and isinstance(other, Pod) and other.status.job:
            yield other


def is_used(ctx: Context, claim: PersistentVolumeClaim) -> bool:
    """By a Pod that has a job: it stays until that has ended."""
    found = (ctx.state.objects.get(key) for key in ctx.state.objects.claims.users.get(claim.key, ()))
    return any(isinstance(one, Pod) and bool(one.status.job) for one in found)


def narrowed(ctx: Context, pod: Pod, words: PodWords) -> PodWords:
    """On nodes that have its volumes; of a ReadWriteOnce claim, where it is in use."""
    for _, claim in _claims(ctx, pod):
        if claim is None:
            continue
        if (volume := storage.volume_of(claim, ctx.state.objects)) is not None:
            words = _where(volume, words)
        elif candidates := storage.fitting(claim, ctx.state.objects):
            words = _where(candidates[0], words)
        if set(claim.spec.access_modes) == {"ReadWriteOnce"}:
            nodes = tuple(sorted({other.status.node for other in _others(ctx, pod, claim)}))[:1]
            if nodes:
                words = msgspec.structs.replace(words, selected=(*words.selected, Requirement(HOSTNAME, "In", nodes)))
    return words


def _where(volume: PersistentVolume, words: PodWords) -> PodWords:
    affinity = volume.spec.node_affinity
    if affinity is None or affinity.required is None:
        return words
    terms = tuple(found for term in affinity.required.node_selector_terms if (found := requirements_of(term)))
    if len(terms) == 1:
        return msgspec.structs.replace(words, selected=(*words.selected, *terms[0]))
    if not words.required:
        return msgspec.structs.replace(words, required=terms)
    both = tuple((*one, *other) for one in words.required for other in terms)
    return msgspec.structs.replace(words, required=both)


def bind_chosen(ctx: Context, pod: Pod, now: float, out: Effects) -> None:
    """Before it is queued: volumes made by hand, which tell where it goes, are its own from now on."""
    for _, claim in _claims(ctx, pod):
        if claim is not None and not claim.spec.volume_name and (found := storage.fitting(claim, ctx.state.objects)):
            _record(ctx, storage.bound(claim, found[0]), now, out)


def take(ctx: Context, pod: Pod, node: str, now: float, out: Effects) -> str:
    """It has its node: what waited for that is made, and it is noted who mounts what. Why not, or ""."""
    for key, claim in _claims(ctx, pod):
        if claim is None:
            return f'persistentvolumeclaim "{key.name}" not found'
        volume = storage.volume_of(claim, ctx.state.objects)
        if volume is None:
            volume = storage.made_for(claim, ctx.state.objects, node)
            if volume is None:
                return f'persistentvolumeclaim "{key.name}" has no volume: {claim.status.message}'
            _record(ctx, storage.bound(claim, volume), now, out)
            volume = storage.volume_of(_again(ctx, claim), ctx.state.objects)
        if volume is not None and volume.is_made_here and volume.status.used_on != node:
            used = msgspec.structs.replace(volume, status=msgspec.structs.replace(volume.status, used_on=node))
            _record(ctx, [Put(used)], now, out)
    return ""


def _again(ctx: Context, claim: PersistentVolumeClaim) -> PersistentVolumeClaim:
    found = ctx.state.objects.get(claim.key)
    assert isinstance(found, PersistentVolumeClaim)
    return found


def _record(ctx: Context, changes: list[Change], now: float, out: Effects) -> None:
    put: list[AnyObject] = []
    for change in changes:
        if isinstance(change, Put):
            new = as_wanted(ctx, change.object, ctx.state.objects.version + len(put) + 1, now)
            if new is not None:
                put.append(new)
    if put:
        version = ctx.state.objects.version + len(put)
        ctx.record(ObjectsChanged(time=now, objects=tuple(put), version=version), out)
