"""What happens when a user applies or deletes objects?"""

import hashlib
from typing import Any

import msgspec

from corral.engine.context import Context
from corral.engine.effects import Effects
from corral.engine.kube import addresses, admission, clusterips, hosts, rights
from corral.engine.kube.budgets import Allowance
from corral.model.job import Owner
from corral.model.kube.config import PriorityClass
from corral.model.kube.meta import LabelSelector, ObjectKey, ObjectMeta
from corral.model.kube.objects import AnyObject
from corral.model.kube.rbac import ServiceAccount
from corral.model.kube.workload import Job
from corral.protocol.events import ObjectsChanged
from corral.protocol.replies import ObjectsPut, Rejected
from corral.protocol.requests import Caller, DeleteObjects, PutObjects
from corral.services import accounts, batchjob
from corral.services.manifests import updates

#: Fields of an object that a user does not set.
_OURS = ("metadata", "creator", "status")
#: Annotations that rules write: who does not name them does not mean to take them away.
_KEPT = ("deployment.kubernetes.io/revision", "corral.dev/rolled-back-to")


def on_put(
    ctx: Context,
    request: PutObjects,
    caller: Caller,
    owner: Owner | None,
    now: float,
    out: Effects,
    *,
    by_rule: bool = False,
) -> None:
    """All objects are put, or none. `by_rule`: it follows from another object of the caller's."""
    who = owner or Owner(uid=caller.uid, gid=caller.gid, user=caller.user, group=caller.group)
    put: list[AnyObject] = []
    created: list[bool] = []
    together = admission.Together(ctx)
    if (clash := clusterips.clash(request.objects)) is not None:
        out.reply = msgspec.structs.replace(clash[1], index=clash[0])
        return
    for index, one in enumerate(request.objects):
        old = ctx.state.objects.get(one.key)
        if old is not None:
            one = updates.with_kept(one, old)
        one = together.filled(one, old)
        refused = (
            _refusal(ctx, request, one, old, caller, by_rule=by_rule)
            or rights.granting_refusal(ctx, one, caller)
            or together.right(one, caller)
            or together.refusal(one, old, who.uid)
        )
        if refused is not None:
            out.reply = msgspec.structs.replace(refused, index=index)
            return
        who_runs = who if rights.takes_over(ctx, one, old, caller) else None
        put.append(
            stamped(ctx, addresses.kept(one, old), old, who, ctx.state.objects.version + index + 1, now, who_runs)
        )
        created.append(old is None)
    if not request.dry_run:
        changed = tuple(
            new for new, given in zip(put, request.objects, strict=True) if new is not ctx.state.objects.get(given.key)
        )
        if changed:
            version = ctx.state.objects.version + len(request.objects)
            ctx.record(ObjectsChanged(time=now, objects=changed, version=version), out)
    out.reply = ObjectsPut(objects=tuple(put), created=tuple(created))


def _refusal(
    ctx: Context, request: PutObjects, one: AnyObject, old: AnyObject | None, caller: Caller, *, by_rule: bool
) -> Rejected | None:
    if (refused := addresses.refusal(ctx, one) or hosts.refusal(ctx, one, old)) is not None:
        return refused
    name = f"{one.key.kind.lower()} {one.key.name!r}"
    if isinstance(one, PriorityClass) and not caller.is_operator:
        return Rejected(error=f"{name}: only an operator says which Pods come first", code="denied")
    if old is None and (why := rights.refusal(ctx, one, caller, ("create",), by_rule=by_rule)) is not None:
        return why
    if old is None and _is_unwritten(ctx, one):
        return Rejected(error=f"{name} already exists", code="exists") if request.mode == "create" else None
    if old is None:
        return Rejected(error=f"{name} not found", code="not_found") if request.mode == "update" else None
    if request.mode == "create":
        return Rejected(error=f"{name} already exists", code="exists")
    if (why := rights.refusal(ctx, old, caller, ("update", "patch"), by_rule=by_rule)) is not None:
        return why
    wanted = one.metadata.resource_version
    if wanted and wanted != old.metadata.resource_version:
        return Rejected(
            error=f"{name} has been changed meanwhile",
            code="conflict",
            detail=f"it has resourceVersion {old.metadata.resource_version}, not {wanted}: read it again",
        )
    if problems := updates.check(one, old):
        return Rejected(error=str(problems))
    return None


def _is_unwritten(ctx: Context, one: AnyObject) -> bool:
    """It is there, and comes into the record with its first change."""
    return isinstance(one, ServiceAccount) and accounts.found(ctx.state.objects, *one.key[1:]) is not None


def stamped(
    ctx: Context,
    one: AnyObject,
    old: AnyObject | None,
    who: Owner,
    version: int,
    now: float,
    takes: Owner | None = None,
) -> AnyObject:
    """With what the cluster says of it: uid, versions, times, status. An object that stays as it is: the old record.

    `takes`: whose it is from now on, if its spec changes.
    """
    key = one.key
    if old is None:
        text = f"{ctx.config.cluster} {key.kind} {key.namespace} {key.name} {version} {now}"
        digest = hashlib.sha256(text.encode()).hexdigest()
        uid = f"{digest[:8]}-{digest[8:12]}-{digest[12:16]}-{digest[16:20]}-{digest[20:32]}"
        changes: dict[str, Any] = {
            "uid": uid, "resource_version": str(version), "generation": 1, "creation_timestamp": now, "deletion_timestamp": 0.0,
        }  # fmt: skip
        one = _with_selector(one, uid)
        return msgspec.structs.replace(one, metadata=msgspec.structs.replace(one.metadata, **changes), creator=who)
    kept = {name: getattr(old, name) for name in _OURS if name != "metadata" and hasattr(old, name)}
    same_spec = _spec(one) == _spec(old)
    meta = _meta_of(one.metadata, old.metadata, version, same_spec=same_spec)
    if same_spec and msgspec.structs.replace(meta, resource_version=old.metadata.resource_version) == old.metadata:
        return old
    if takes is not None and not same_spec:
        kept["creator"] = takes
    return msgspec.structs.replace(one, metadata=meta, **kept)


def _with_selector(one: AnyObject, uid: str) -> AnyObject:
    """A Job's selector means its own Pods, by which `kubectl logs job/NAME` and others find them."""
    if not isinstance(one, Job) or one.spec.selector is not None:
        return one
    selector = LabelSelector(match_labels={batchjob.CONTROLLER_UID: uid})
    return msgspec.structs.replace(one, spec=msgspec.structs.replace(one.spec, selector=selector))


def as_wanted(ctx: Context, one: AnyObject, version: int, now: float) -> AnyObject | None:
    """The record that a rule wants, its status and its owners included; None if it is so already."""
    old = ctx.state.objects.get(one.key)
    assert one.creator is not None
    new = stamped(ctx, one, old, one.creator, version, now)
    if old is not None:
        changes = {}
        if hasattr(old, "status") and one.status != old.status:  # type: ignore[union-attr]
            changes["status"] = one.status  # type: ignore[union-attr]
        meta, given = new.metadata, one.metadata
        if (meta.owner_references, meta.annotations) != (given.owner_references, given.annotations):
            meta = msgspec.structs.replace(meta, owner_references=given.owner_references, annotations=given.annotations)
        if changes or meta is not new.metadata:
            meta = msgspec.structs.replace(meta, resource_version=str(version))
            new = msgspec.structs.replace(new, metadata=meta, **changes)
    return new if new is not old else None


def _spec(one: AnyObject) -> list[Any]:
    return [getattr(one, name) for name in one.__struct_fields__ if name not in _OURS]


def _meta_of(given: ObjectMeta, old: ObjectMeta, version: int, *, same_spec: bool) -> ObjectMeta:
    return msgspec.structs.replace(
        given,
        uid=old.uid,
        resource_version=str(version),
        generation=old.generation + (not same_spec),
        creation_timestamp=old.creation_timestamp,
        deletion_timestamp=old.deletion_timestamp,
        deletion_grace_period_seconds=old.deletion_grace_period_seconds,
        owner_references=given.owner_references or old.owner_references,
        annotations={**{name: text for name, text in old.annotations.items() if name in _KEPT}, **given.annotations},
    )


def on_delete(ctx: Context, request: DeleteObjects, caller: Caller, now: float, out: Effects) -> None:
    """They are marked, and go in the next pass (engine/kube/work.py)."""
    found: list[AnyObject] = []
    allowance = Allowance(ctx.state, now)
    for index, given in enumerate(request.keys):
        key = ObjectKey(*given)
        one = ctx.state.objects.get(key)
        if one is None:
            out.reply = Rejected(error=f"{key.kind.lower()} {key.name!r} not found", code="not_found", index=index)
            return
        verbs = ("create",) if request.is_eviction else ("delete", "deletecollection")
        sub = "eviction" if request.is_eviction else ""
        if (refused := rights.refusal(ctx, one, caller, verbs, sub)) is not None:
            out.reply = msgspec.structs.replace(refused, index=index)
            return
        if (refused := admission.undeletable(ctx, one, caller)) is not None:
            out.reply = msgspec.structs.replace(refused, index=index)
            return
        if request.is_eviction and (held := allowance.refusal(one)) is not None:
            out.reply = msgspec.structs.replace(held, index=index)
            return
        found.append(one)
    if not request.dry_run:
        how = {"Foreground": ("foregroundDeletion",), "Orphan": ("orphan",)}.get(request.propagation, ())
        found = mark_deleted(ctx, found, request.grace_seconds, now, out, how)
    out.reply = ObjectsPut(objects=tuple(found))


def mark_deleted(
    ctx: Context,
    objects: list[AnyObject],
    grace: int | None,
    now: float,
    out: Effects,
    finalizers: tuple[str, ...] = (),
) -> list[AnyObject]:
    """Each gets its deletionTimestamp, once."""
    marked = []
    changed: list[AnyObject] = []
    for one in objects:
        if one.metadata.deletion_timestamp and (grace is None or one.metadata.deletion_grace_period_seconds == grace):
            marked.append(one)
            continue
        version = ctx.state.objects.version + len(changed) + 1
        meta = msgspec.structs.replace(
            one.metadata,
            deletion_timestamp=one.metadata.deletion_timestamp or now,
            deletion_grace_period_seconds=grace,
            resource_version=str(version),
            finalizers=tuple(dict.fromkeys((*one.metadata.finalizers, *finalizers))),
        )
        changed.append(msgspec.structs.replace(one, metadata=meta))
        marked.append(changed[-1])
    if changed:
        version = ctx.state.objects.version + len(changed)
        ctx.record(ObjectsChanged(time=now, objects=tuple(changed), version=version), out)
    return marked
