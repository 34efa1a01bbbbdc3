"""Which objects are to be looked at, and how does what the rules want become fact?

An object is looked at when it, or something that it owns, has changed, and when a time that its rule has named has come. What wants
nothing costs nothing until then. Pods come first, then who keeps Pods, then who keeps those: each sees what is below it as it is now.
Who owns very many is looked at a little later, once for many changes: else each of 1,000 Pods would have all 1,000 counted. What is more
than some hundred objects waits for the next tick, so that others are answered in between.
"""

import math

import msgspec

from corral.engine.context import Context
from corral.engine.effects import Effects
from corral.engine.kube import addresses, autoscaling, claims, daemons, leaving, pipelineruns, pods, volumes
from corral.engine.kube.admission import Together
from corral.engine.kube.requests import as_wanted, mark_deleted
from corral.model.job import Owner
from corral.model.kube.config import Namespace, NamespaceStatus, PodDisruptionBudget, ResourceQuota
from corral.model.kube.meta import ObjectKey
from corral.model.kube.network import Ingress, Service
from corral.model.kube.objects import KINDS, AnyObject
from corral.model.kube.pipeline import PipelineRun
from corral.model.kube.pod import Pod
from corral.model.kube.scaling import HorizontalPodAutoscaler
from corral.model.kube.storage import PersistentVolume, PersistentVolumeClaim
from corral.model.kube.workload import DaemonSet
from corral.protocol.events import ObjectsChanged
from corral.services import batchjob, podset, quotas, storage
from corral.services.changes import Change, Put, Remove, Wake
from corral.services.reconcile import RULES

#: Rules that go on changing things for longer than this in one pass contradict each other: the rest waits for the next tick.
_MOST_ROUNDS = 64
#: So many Pods are looked at in one pass, and so many other objects (who owns hundreds counts for several): a fiftieth of a second.
MOST_LOOKS = 100
#: Where more than these are to be looked at it is left to the tick that follows: there are many messages for each tick.
FEW = 50
ASK_AGAIN_SECONDS = 30.0
_MANY = 100  #: owns more than these: looked at once in so many
_SECONDS_EACH = 5e-5
AFTER_FAULT_SECONDS = 60.0
_LEVELS = {"Pod": 0, "ReplicaSet": 1, "StatefulSet": 1, "DaemonSet": 1, "Job": 1}
#: Finalizers that are Kubernetes' words for how it is deleted.
FOREGROUND, ORPHAN = "foregroundDeletion", "orphan"


def look(ctx: Context, now: float, out: Effects, *, is_tick: bool = True) -> None:
    """One pass: until nothing is to be looked at, or it is enough for now."""
    objects = ctx.state.objects
    if not is_tick and len(objects.dirty) > FEW:
        return
    for key in ctx.object_wakes.due(now):
        if key in objects.by_key:
            objects.dirty[key] = None
    left = {True: MOST_LOOKS, False: MOST_LOOKS}
    for _ in range(_MOST_ROUNDS):
        if not objects.dirty:
            return
        due, objects.dirty = objects.dirty, {}
        later = []
        for key in sorted(due, key=lambda key: _LEVELS.get(key.kind, 2)):
            is_pod = key.kind == "Pod"
            if left[is_pod] <= 0:
                later.append(key)
                continue
            left[is_pod] -= 1
            one = objects.get(key)
            if one is not None and not _waits(ctx, one, now):
                left[is_pod] -= _counted(ctx, one) // _MANY
                objects.dirty.pop(key, None)
                _reconcile(ctx, one, now, out)
        objects.dirty = dict.fromkeys(later) | objects.dirty
        if later:
            return


def _counted(ctx: Context, one: AnyObject) -> int:
    """So many others are looked through at a look at it."""
    return (
        one.status.expected_pods if isinstance(one, PodDisruptionBudget) else ctx.state.objects.owns(one.metadata.uid)
    )


def _waits(ctx: Context, one: AnyObject, now: float) -> bool:
    owned = _counted(ctx, one)
    if owned <= _MANY or one.metadata.deletion_timestamp:
        return False
    due = ctx.object_looks.get(one.key, -math.inf) + owned * _SECONDS_EACH
    if due - owned * _SECONDS_EACH <= now < due:
        ctx.object_wakes.set_no_later(one.key, due)
        return True
    ctx.object_looks[one.key] = now
    return False


def next_wake(ctx: Context) -> float:
    """When the next object is due, in seconds since the epoch."""
    return 0.0 if ctx.state.objects.dirty else ctx.object_wakes.next()


def _reconcile(ctx: Context, one: AnyObject, now: float, out: Effects) -> None:
    if isinstance(one, Pod):
        pods.reconcile(ctx, leaving.mark(ctx, one, now, out), now, out)
        return
    if isinstance(one, PipelineRun):
        pipelineruns.reconcile(ctx, one, now, out)
        return
    if isinstance(one, Namespace) and one.metadata.deletion_timestamp:
        _empty(ctx, one, now, out)
        return
    if one.metadata.deletion_timestamp:
        if not _is_held(ctx, one):
            _delete(ctx, one, now, out)
        return
    if isinstance(one, ResourceQuota):
        carry_out(ctx, one, [Put(quotas.counted(one, ctx.state.objects.usage))], now, out)
        return
    if isinstance(one, HorizontalPodAutoscaler):
        carry_out(ctx, one, autoscaling.changes_for(ctx, one, now), now, out)
        return
    if isinstance(one, DaemonSet):
        carry_out(ctx, one, daemons.changes_for(ctx, one, now), now, out)
        return
    if isinstance(one, PersistentVolume):
        if due := volumes.ends_at(ctx, one, now, out):
            carry_out(ctx, one, [*storage.reconcile_volume(one, ctx.state.objects, now), Wake(due)], now, out)
        else:
            remove(ctx, one.key, now, out)
        return
    if isinstance(one, Service):
        addresses.reconcile(ctx, one, now, out)
        return
    if isinstance(one, Ingress):
        addresses.reconcile_ingress(ctx, one, now, out)
        return
    rule = RULES.get(one.key.kind)
    if rule is None:
        return
    try:
        changes = rule(one, ctx.state.objects, now)
    except (
        Exception
    ) as error:  # a mistake in a rule stops this object, not the cluster; rules change nothing themselves
        out.problems.append(f"{one.key}: {type(error).__name__}: {error}")
        changes = [Wake(now + AFTER_FAULT_SECONDS)]
    carry_out(ctx, one, changes, now, out)


def _is_held(ctx: Context, one: AnyObject) -> bool:
    """A claim stays while a Pod has it, a volume while a claim has it. They are looked at again when that ends."""
    if isinstance(one, PersistentVolumeClaim):
        return claims.is_used(ctx, one)
    return isinstance(one, PersistentVolume) and volumes.is_bound(ctx, one)


def _delete(ctx: Context, one: AnyObject, now: float, out: Effects) -> None:
    """What it owns is deleted with it, or left alone. It goes when none of its finalizers is left."""
    how = one.metadata.finalizers
    _record(ctx, _uncounted(ctx, one), now, out)
    owned = ctx.state.objects.owned(one.metadata.uid)
    if ORPHAN in how:
        _set_free(ctx, one, owned, now, out)
        owned = []
    else:
        living = [child for child in owned if not child.metadata.deletion_timestamp]
        mark_deleted(ctx, living[: podset.AT_ONCE], None, now, out)
        if len(living) > podset.AT_ONCE:
            ctx.object_wakes.set(one.key, now)
            return
    others = [name for name in how if name not in (ORPHAN, FOREGROUND)]
    if not others and not (FOREGROUND in how and _is_waited_for(ctx, one, owned)):
        remove(ctx, one.key, now, out)


def _is_waited_for(ctx: Context, one: AnyObject, owned: list[AnyObject]) -> bool:
    """Something that it owns is there still. What owns it in turn waits for it, and would do so for ever."""
    above, found = set[str](), [one]
    while found:
        for owner in found.pop().metadata.owner_references:
            key = ObjectKey(owner.kind, one.metadata.namespace, owner.name)
            there = ctx.state.objects.get(key)
            if there is not None and there.metadata.uid == owner.uid and owner.uid not in above:
                above.add(owner.uid)
                found.append(there)
    return any(child.metadata.uid not in above for child in owned)


def _uncounted(ctx: Context, one: AnyObject) -> list[AnyObject]:
    """The Pods of a Job that is deleted wait no more to be counted."""
    found: list[AnyObject] = []
    for pod in ctx.state.objects.pods_of(one.metadata.uid):
        if batchjob.TRACKED in pod.metadata.finalizers:
            left = tuple(name for name in pod.metadata.finalizers if name != batchjob.TRACKED)
            version = str(ctx.state.objects.version + len(found) + 1)
            meta = msgspec.structs.replace(pod.metadata, finalizers=left, resource_version=version)
            found.append(msgspec.structs.replace(pod, metadata=meta))
    return found


def _empty(ctx: Context, one: Namespace, now: float, out: Effects) -> None:
    """All that is in it is deleted, once; it goes when nothing of that is left."""
    objects, name = ctx.state.objects, one.metadata.name
    if one.status.phase != "Terminating":
        ending = msgspec.structs.replace(one, status=NamespaceStatus(phase="Terminating"))
        carry_out(ctx, one, [Put(ending)], now, out)
        mark_deleted(ctx, list(objects.in_namespace(name)), None, now, out)
    if objects.is_empty(name):
        remove(ctx, one.key, now, out)


def _set_free(ctx: Context, one: AnyObject, owned: list[AnyObject], now: float, out: Effects) -> None:
    freed: list[AnyObject] = []
    for child in owned:
        version = ctx.state.objects.version + len(freed) + 1
        owners = tuple(owner for owner in child.metadata.owner_references if owner.uid != one.metadata.uid)
        meta = msgspec.structs.replace(child.metadata, owner_references=owners, resource_version=str(version))
        freed.append(msgspec.structs.replace(child, metadata=meta))
    _record(ctx, freed, now, out)


def remove(ctx: Context, key: ObjectKey, now: float, out: Effects) -> None:
    """It is gone from now on."""
    ctx.object_wakes.clear(key)
    ctx.object_looks.pop(key, None)
    ctx.record(ObjectsChanged(time=now, removed=(key,), version=ctx.state.objects.version + 1), out)


def _record(ctx: Context, changed: list[AnyObject], now: float, out: Effects) -> None:
    if changed:
        version = max(int(one.metadata.resource_version) for one in changed)
        ctx.record(ObjectsChanged(time=now, objects=tuple(changed), version=version), out)


def carry_out(ctx: Context, one: AnyObject, changes: list[Change], now: float, out: Effects) -> None:
    """All that is put in one event, then what goes. The time to look again is what has just been said."""
    put: list[AnyObject] = []
    removed: dict[int | None, list[ObjectKey]] = {}
    wake = math.inf
    together, refused = Together(ctx), ""
    for change in changes:
        match change:
            case Put(wanted) if wanted.key not in ctx.state.objects.by_key and (
                no := together.refusal(together.filled(wanted, None), None, _uid(wanted.creator or one.creator))
            ):
                plural = KINDS[wanted.key.kind].plural
                refused = refused or f'{plural} "{one.metadata.name}-" is forbidden: {no.error}'
            case Put(wanted):
                wanted = together.filled(wanted, ctx.state.objects.get(wanted.key))
                owned = msgspec.structs.replace(wanted, creator=wanted.creator or one.creator)
                version = ctx.state.objects.version + len(put) + 1
                if (new := as_wanted(ctx, owned, version, now)) is not None:
                    put.append(new)
            case Remove(key, grace):
                removed.setdefault(grace, []).append(key)
            case Wake(at):
                wake = min(wake, at)
    _record(ctx, put, now, out)
    for grace, keys in removed.items():
        found = [there for key in keys if (there := ctx.state.objects.get(key)) is not None]
        mark_deleted(ctx, found, grace, now, out)
    if _is_refused(ctx, one.key, refused):
        wake = min(wake, now + ASK_AGAIN_SECONDS)
    ctx.object_wakes.clear(one.key)
    if wake < math.inf:
        ctx.object_wakes.set(one.key, wake)


def _uid(owner: Owner | None) -> int:
    return owner.uid if owner is not None else -1


def _is_refused(ctx: Context, key: ObjectKey, why: str) -> bool:
    """What it wants made is not, or no longer: its rule is to say so. It asks again when there is room, and from time to time."""
    objects = ctx.state.objects
    if objects.refusal(key) != why:
        objects.refused[key] = why
        objects.dirty[key] = None
    if not why:
        objects.refused.pop(key, None)
        return False
    objects.usage.waiting.setdefault(key.namespace, {})[key] = None
    return True
