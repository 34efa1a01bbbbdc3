"""Which objects are to be looked at, and how does what the rules want become fact?

An object is looked at when it, or something that it owns, has changed, and when a time that its rule has named has come. What wants
nothing costs nothing until then.
"""

import heapq

import msgspec

from corral.engine.context import Context
from corral.engine.effects import Effects
from corral.engine.kube import pods
from corral.engine.kube.requests import mark_deleted, stamped
from corral.model.kube.meta import ObjectKey
from corral.model.kube.objects import AnyObject
from corral.model.kube.pod import Pod
from corral.protocol.events import ObjectsChanged
from corral.services.changes import Change, Put, Remove, Wake
from corral.services.reconcile import RULES

#: Rules that go on changing things for longer than this in one pass contradict each other: the rest waits for the next tick.
_MOST_ROUNDS = 64


def look(ctx: Context, now: float, out: Effects) -> None:
    """One pass: until nothing is to be looked at."""
    objects = ctx.state.objects
    while ctx.object_wakes and ctx.object_wakes[0][0] <= now:
        _, key = heapq.heappop(ctx.object_wakes)
        if key in objects.by_key:
            objects.dirty[key] = None
    for _ in range(_MOST_ROUNDS):
        if not objects.dirty:
            return
        due, objects.dirty = objects.dirty, {}
        for key in due:
            one = objects.get(key)
            if one is not None:
                _reconcile(ctx, one, now, out)


def next_wake(ctx: Context) -> float:
    """When the next object is due, in seconds since the epoch."""
    if ctx.state.objects.dirty:
        return 0.0
    return ctx.object_wakes[0][0] if ctx.object_wakes else float("inf")


def _reconcile(ctx: Context, one: AnyObject, now: float, out: Effects) -> None:
    if isinstance(one, Pod):
        pods.reconcile(ctx, one, now, out)
        return
    if one.metadata.deletion_timestamp:
        _delete(ctx, one, now, out)
        return
    rule = RULES.get(one.key.kind)
    if rule is not None:
        carry_out(ctx, one, rule(one, ctx.state.objects, now), now, out)


def _delete(ctx: Context, one: AnyObject, now: float, out: Effects) -> None:
    """What it owns goes first, all at once; it goes when nothing of that is left."""
    owned = ctx.state.objects.owned(one.metadata.uid)
    living = [child for child in owned if not child.metadata.deletion_timestamp]
    if living:
        mark_deleted(ctx, living, None, now, out)
    if not owned:
        remove(ctx, one.key, now, out)


def remove(ctx: Context, key: ObjectKey, now: float, out: Effects) -> None:
    """It is gone from now on."""
    ctx.record(ObjectsChanged(time=now, removed=(key,), version=ctx.state.objects.version + 1), out)


def put(ctx: Context, one: AnyObject, now: float, out: Effects) -> None:
    """As a rule wants it, its status included."""
    old = ctx.state.objects.get(one.key)
    version = ctx.state.objects.version + 1
    assert one.creator is not None
    new = stamped(ctx, one, old, one.creator, version, now)
    if old is not None and hasattr(old, "status") and one.status != old.status:  # type: ignore[union-attr]
        meta = msgspec.structs.replace(new.metadata, resource_version=str(version))
        new = msgspec.structs.replace(new, metadata=meta, status=one.status)  # type: ignore[union-attr]
    if new is not old:
        ctx.record(ObjectsChanged(time=now, objects=(new,), version=version), out)


def carry_out(ctx: Context, one: AnyObject, changes: list[Change], now: float, out: Effects) -> None:
    for change in changes:
        match change:
            case Put(wanted):
                put(ctx, msgspec.structs.replace(wanted, creator=wanted.creator or one.creator), now, out)
            case Remove(key, grace):
                found = ctx.state.objects.get(key)
                if found is not None:
                    mark_deleted(ctx, [found], grace, now, out)
            case Wake(at):
                heapq.heappush(ctx.object_wakes, (at, one.key))
