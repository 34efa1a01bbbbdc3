"""Which classes does the configuration name, and what becomes of a volume's directory when its claim is gone?

A directory that was made for a claim is removed by a node that has it, as its owner; the order is sent again until one has said that it is
done. What was never mounted has no directory.
"""

import math

import msgspec

from corral.engine.context import Context
from corral.engine.effects import Effects
from corral.engine.kube.requests import as_wanted
from corral.model.cluster import ClusterConfig, StorageClassConfig
from corral.model.job import Owner
from corral.model.kube.meta import ObjectKey, ObjectMeta
from corral.model.kube.objects import AnyObject
from corral.model.kube.storage import DIRECTORY, IS_DEFAULT, PersistentVolume, StorageClass
from corral.protocol.events import ObjectsChanged
from corral.protocol.orders import RemoveDirectory
from corral.protocol.reports import DirectoryRemoved

#: Marks a class that corral.toml names: it changes with that.
CONFIGURED = "corral.dev/configured"
#: An order to remove a directory is sent again after so many seconds.
AGAIN_SECONDS = 30.0
#: While no node is there that could do it, one is looked for after so many seconds.
LOOK_SECONDS = 5.0
_ROOT = Owner(uid=0, gid=0, user="root", group="root")
#: In the state directory: where all nodes are on one machine, claims are there.
VOLUMES = "volumes"
_LOOPBACK = ("127.", "localhost", "[::1]")


def configured(ctx: Context, config: ClusterConfig, now: float, out: Effects) -> None:
    """The classes of the configuration, as objects."""
    wanted = {one.key: one for one in map(_class, _of(config))}
    known = [one for one in ctx.state.objects.of_kind("StorageClass") if CONFIGURED in one.metadata.annotations]
    put: list[AnyObject] = []
    for one in wanted.values():
        if (new := as_wanted(ctx, one, ctx.state.objects.version + len(put) + 1, now)) is not None:
            put.append(new)
    gone = tuple(one.key for one in known if one.key not in wanted)
    if put or gone:
        version = ctx.state.objects.version + len(put) + 1
        ctx.record(ObjectsChanged(time=now, objects=tuple(put), removed=gone, version=version), out)


def _of(config: ClusterConfig) -> tuple[StorageClassConfig, ...]:
    """Where none is named and all nodes are on this machine: a directory of the state's."""
    if config.storage_class or not config.state_dir or not _is_one_machine(config):
        return config.storage_class
    path = f"{config.state_dir}/{VOLUMES}"
    return (StorageClassConfig(name="standard", path=path, default=True),)


def _is_one_machine(config: ClusterConfig) -> bool:
    """The message server is reached from nowhere else."""
    return not config.nats.url and config.nats.listen.startswith(_LOOPBACK)


def _class(one: StorageClassConfig) -> StorageClass:
    marks = {CONFIGURED: "true"} | ({IS_DEFAULT: "true"} if one.default else {})
    return StorageClass(
        metadata=ObjectMeta(name=one.name, annotations=marks),
        provisioner=DIRECTORY,
        parameters={"path": one.path, "scope": one.scope},
        reclaim_policy=one.reclaim,
        volume_binding_mode="WaitForFirstConsumer" if one.scope == "node" else "Immediate",
        allow_volume_expansion=True,
        creator=_ROOT,
    )


# ---------------------------------------------------------------------- the end of a volume


def is_bound(ctx: Context, one: PersistentVolume) -> bool:
    ref = one.spec.claim_ref
    claim = ctx.state.objects.get(ObjectKey("PersistentVolumeClaim", ref.namespace, ref.name)) if ref else None
    return ref is not None and claim is not None and claim.metadata.uid == ref.uid


def ends_at(ctx: Context, one: PersistentVolume, now: float, out: Effects) -> float:
    """0.0: its claim is gone, and it has no directory: the record goes too. Else when it is looked again whether its directory is."""
    ref = one.spec.claim_ref
    is_released = ref is not None and bool(ref.uid) and not is_bound(ctx, one)
    if not is_released or not one.is_made_here or one.spec.persistent_volume_reclaim_policy != "Delete":
        return math.inf
    if not one.status.used_on:
        return 0.0
    node = _who_removes(ctx, one)
    owner = one.creator or _ROOT
    if node:
        order = RemoveDirectory(
            term=ctx.term, node=node, volume=one.metadata.name, path=path_of(one), uid=owner.uid, gid=owner.gid
        )
        ctx.send(node, order, out)
    return now + (AGAIN_SECONDS if node else LOOK_SECONDS)


def path_of(one: PersistentVolume) -> str:
    if one.spec.local is not None:
        return one.spec.local.path
    return one.spec.host_path.path if one.spec.host_path is not None else ""


def _who_removes(ctx: Context, one: PersistentVolume) -> str:
    """The node that mounted it last; of a directory that all share another one too, where that is away. "": none is there."""
    if _is_there(ctx, one.status.used_on):
        return one.status.used_on
    if one.spec.local is not None:
        return ""
    return next((name for name in sorted(ctx.state.nodes) if _is_there(ctx, name)), "")


def _is_there(ctx: Context, node: str) -> bool:
    known = ctx.state.nodes.get(node)
    return known is not None and known.up and not known.down_reason


def on_removed(ctx: Context, report: DirectoryRemoved, now: float, out: Effects) -> None:
    """Reports come twice, and late: a volume that is bound stays whatever they say."""
    key = ObjectKey("PersistentVolume", "", report.volume)
    one = ctx.state.objects.get(key)
    if not isinstance(one, PersistentVolume) or one.spec.claim_ref is None or is_bound(ctx, one):
        return
    if not report.problem:
        ctx.object_wakes.clear(key)
        ctx.record(ObjectsChanged(time=now, removed=(key,), version=ctx.state.objects.version + 1), out)
        return
    status = msgspec.structs.replace(one.status, phase="Failed", message=report.problem)
    failed = as_wanted(ctx, msgspec.structs.replace(one, status=status), ctx.state.objects.version + 1, now)
    if failed is not None:
        ctx.record(ObjectsChanged(time=now, objects=(failed,), version=ctx.state.objects.version + 1), out)
