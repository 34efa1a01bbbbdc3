"""What are a container's variables and volumes, with the values of the ConfigMaps and Secrets that they name?

Values of Secrets stay sealed here (controller/secretkeeper.py opens them when the order is sent). `missing` says what is named and not
there: until it is, the container waits.
"""

import base64
import re
from collections.abc import Iterator

from corral.engine.context import Context
from corral.engine.kubeclaims import claim_of
from corral.engine.kubereaders import has_files, named_by
from corral.model.job import JobId
from corral.model.kube.config import ConfigMap, Secret
from corral.model.kube.meta import ObjectKey
from corral.model.kube.pod import (
    Container,
    DownwardAPIFile,
    EnvFromSource,
    EnvVarSource,
    KeySelector,
    Pod,
    ServiceAccountTokenProjection,
    Volume,
    VolumeMount,
)
from corral.model.kube.storage import PersistentVolume, PersistentVolumeClaim
from corral.protocol.pods import HOST_IP, POD_IP, AccountToken, PodFile, PodVariable, PodVolume
from corral.services import accounts, rights, storage
from corral.syntax import quantity

_NAME = re.compile(r"[-._a-zA-Z][-._a-zA-Z0-9]*")
_REFERENCE = re.compile(r"\$(?:\$|\(([-._a-zA-Z][-._a-zA-Z0-9]*)\))")
_MIB = 1 << 20


def missing(ctx: Context, pod: Pod, container: Container) -> str:
    """What it needs and cannot have now, in the kubelet's words; "" = nothing."""
    for source in container.env_from:
        for kind, ref in (("ConfigMap", source.config_map_ref), ("Secret", source.secret_ref)):
            if ref is not None and not ref.optional and _found(ctx, kind, pod, ref.name) is None:
                return _not_found(kind, ref.name)
    for variable in container.env:
        given = variable.value_from
        for kind, key in (
            ("ConfigMap", given.config_map_key_ref if given else None),
            ("Secret", given.secret_key_ref if given else None),
        ):
            if key is not None and (why := _missing_key(ctx, kind, pod, key)):
                return why
    names = {mount.name for mount in container.volume_mounts}
    for volume in pod.spec.volumes:
        if volume.name in names and (why := missing_volume(ctx, pod, volume)):
            return why
    for mount in container.volume_mounts:
        if mount.sub_path_expr and sub_path(ctx, pod, container, mount) is None:
            return f'failed to prepare subPath for volumeMount "{mount.name}" of container "{container.name}": {mount.sub_path_expr}'
    return ""


def sub_path(ctx: Context, pod: Pod, container: Container, mount: VolumeMount) -> str | None:
    """Where in the volume it is. None: it names what no variable says here (that of a Secret, or the Pod's address), or leads out."""
    if not mount.sub_path_expr:
        return mount.sub_path
    values: dict[str, str] = {}
    for one in variables(ctx, pod, container):
        if one.is_sealed or POD_IP in one.value or HOST_IP in one.value:
            values.pop(one.name, None)
        else:
            values[one.name] = (
                one.value if one.is_literal else _REFERENCE.sub(lambda found: _put_in(found, values), one.value)
            )
    if any(name and name not in values for name in _REFERENCE.findall(mount.sub_path_expr)):
        return None
    inner = _REFERENCE.sub(lambda found: _put_in(found, values), mount.sub_path_expr)
    return None if inner.startswith("/") or ".." in inner.split("/") else inner


def _put_in(found: re.Match[str], values: dict[str, str]) -> str:
    """$$ is $; a name that nobody knows stays as it is written."""
    return "$" if found[1] is None else values.get(found[1], found[0])


def has_authority(ctx: Context, pod: Pod, kind: str, name: str) -> bool:
    """Kubernetes' kube-root-ca.crt, which each namespace has, where the API has a certificate."""
    if (kind, name) != ("ConfigMap", accounts.AUTHORITY) or not ctx.config.api.listen:
        return False
    return ctx.state.objects.get(ObjectKey(kind, pod.metadata.namespace, name)) is None


def _not_found(kind: str, name: str) -> str:
    return f'{kind.lower()} "{name}" not found'


def _missing_key(ctx: Context, kind: str, pod: Pod, wanted: KeySelector) -> str:
    if wanted.optional:
        return ""
    values = _found(ctx, kind, pod, wanted.name)
    if values is None:
        return _not_found(kind, wanted.name)
    return (
        ""
        if wanted.key in values
        else f"couldn't find key {wanted.key} in {kind} {pod.metadata.namespace}/{wanted.name}"
    )


def missing_volume(ctx: Context, pod: Pod, volume: Volume) -> str:
    if (name := claim_of(pod, volume)) and _claimed_volume(ctx, pod, name) is None:
        return f'persistentvolumeclaim "{name}" has no volume'
    for kind, name, items, optional in named_by(volume):
        if optional or has_authority(ctx, pod, kind, name):
            continue
        values = _found(ctx, kind, pod, name)
        if values is None:
            return f'MountVolume.SetUp failed for volume "{volume.name}": {_not_found(kind, name)}'
        if absent := [item.key for item in items if item.key not in values]:
            return f'volume "{volume.name}": {kind} {pod.metadata.namespace}/{name} has no key {absent[0]}'
    return ""


def _found(ctx: Context, kind: str, pod: Pod, name: str) -> dict[str, tuple[bytes, bool]] | None:
    """Its values, and are they sealed? None: it is not there. Another user's Secret is not there for this one's Pods, but
    where all who make objects have been let in."""
    one = ctx.state.objects.get(ObjectKey(kind, pod.metadata.namespace, name))
    if isinstance(one, Secret) and not _may_read(ctx, pod, one):
        return None
    if isinstance(one, ConfigMap):
        plain = {key: (value.encode(errors="surrogatepass"), False) for key, value in one.data.items()}
        return plain | {key: (base64.b64decode(value), False) for key, value in one.binary_data.items()}
    if isinstance(one, Secret):
        return {key: (value.encode(), True) for key, value in one.data.items()}
    return None


def _may_read(ctx: Context, pod: Pod, secret: Secret) -> bool:
    """Namespaces are no fences between users, but where roles count. Root's Pods read all."""
    if pod.creator is None or secret.creator is None or pod.creator.uid in (0, secret.creator.uid):
        return True
    always = ctx.config.kubernetes.authorization == "rbac"
    return rights.is_closed(ctx.state.objects, secret.metadata.namespace, always=always)


def pull_secrets(ctx: Context, pod: Pod) -> Iterator[PodVariable]:
    """Those that are not there, or are of another kind, are passed over, as in Kubernetes."""
    account = accounts.found(ctx.state.objects, pod.metadata.namespace, accounts.account_of(pod))
    for ref in pod.spec.image_pull_secrets or (account.image_pull_secrets if account is not None else ()):
        found = (_found(ctx, "Secret", pod, ref.name) or {}).get(".dockerconfigjson")
        if found is not None:
            yield PodVariable(ref.name, found[0].decode(errors="replace"), found[1], True)


# ---------------------------------------------------------------------- variables


def variables(ctx: Context, pod: Pod, container: Container) -> Iterator[PodVariable]:
    """In the order in which later ones replace earlier ones of the same name."""
    for source in container.env_from:
        yield from _all_of(ctx, pod, source)
    for one in container.env:
        if one.value_from is None:
            yield PodVariable(one.name, one.value)
        elif (found := _value_from(ctx, pod, container, one.value_from)) is not None:
            yield PodVariable(one.name, found[0], found[1], True)


def _all_of(ctx: Context, pod: Pod, source: EnvFromSource) -> Iterator[PodVariable]:
    """Keys that are no names of variables are passed over, as in Kubernetes."""
    for kind, ref in (("ConfigMap", source.config_map_ref), ("Secret", source.secret_ref)):
        if ref is None:
            continue
        values = _found(ctx, kind, pod, ref.name) or {}
        for key, (value, is_sealed) in values.items():
            if _NAME.fullmatch(source.prefix + key):
                yield PodVariable(source.prefix + key, value.decode(errors="replace"), is_sealed, True)


def _value_from(ctx: Context, pod: Pod, container: Container, source: EnvVarSource) -> tuple[str, bool] | None:
    """The value, and is it sealed? None: an optional one that is not there."""
    for kind, wanted in (("ConfigMap", source.config_map_key_ref), ("Secret", source.secret_key_ref)):
        if wanted is not None:
            found = (_found(ctx, kind, pod, wanted.name) or {}).get(wanted.key)
            return (found[0].decode(errors="replace"), found[1]) if found is not None else None
    if source.field_ref is not None:
        return _field(pod, source.field_ref.field_path), False
    if (amount := source.resource_field_ref) is not None:
        of = amount.container_name or container.name
        owner = next((one for one in (*pod.spec.init_containers, *pod.spec.containers) if one.name == of), container)
        return _amount(ctx, pod, owner, amount.resource, str(amount.divisor)), False
    return None


def _field(pod: Pod, path: str) -> str:
    """Those of status.podIP are put in on the node, which alone knows them."""
    meta = pod.metadata
    if path.startswith("metadata.labels["):
        return meta.labels.get(path[len("metadata.labels['") : -2], "")
    if path.startswith("metadata.annotations["):
        return meta.annotations.get(path[len("metadata.annotations['") : -2], "")
    return {
        "metadata.name": meta.name,
        "metadata.namespace": meta.namespace,
        "metadata.uid": meta.uid,
        "spec.nodeName": pod.status.node,
        "spec.serviceAccountName": accounts.account_of(pod),
        "status.hostIP": HOST_IP,
        "status.hostIPs": HOST_IP,
        "status.podIP": POD_IP,
        "status.podIPs": POD_IP,
    }.get(path, "")


def _amount(ctx: Context, pod: Pod, container: Container, resource: str, divisor: str) -> str:
    """Rounded up to whole divisors. Where no limit is set it is what the Pod's job has."""
    which, _, name = resource.partition(".")
    table = container.resources.limits if which == "limits" else container.resources.requests
    asked = table.get(name)
    if asked is None:
        job = ctx.state.jobs.get(pod.status.job)  # type: ignore[call-overload]
        share = job.allocation.nodes[0] if job is not None and job.allocation is not None else None
        if share is None or which == "requests":
            asked = 0
        else:
            asked = share.cpu_count if name == "cpu" else share.memory_mb * _MIB
    step = max(1, quantity.nanos(divisor if divisor not in ("", "0") else 1))
    return str(-(-quantity.nanos(asked) // step))


# ---------------------------------------------------------------------- volumes


def volumes(ctx: Context, pod: Pod, container: Container) -> Iterator[PodVolume]:
    """Those that this container mounts."""
    names = {mount.name for mount in container.volume_mounts}
    for volume in pod.spec.volumes:
        if volume.name in names:
            yield volume_of(ctx, pod, volume)


def volume_of(ctx: Context, pod: Pod, volume: Volume) -> PodVolume:
    if (host := volume.host_path) is not None:
        return PodVolume(name=volume.name, kind="host", path=host.path, type=host.type)
    if (share := volume.nfs) is not None:
        return PodVolume(name=volume.name, kind="nfs", path=f"{share.server}:{share.path}", read_only=share.read_only)
    if name := claim_of(pod, volume):
        claimed = volume.persistent_volume_claim
        return _claimed(_claimed_volume(ctx, pod, name), volume.name, claimed is not None and claimed.read_only)
    if has_files(volume):
        return PodVolume(name=volume.name, kind="files", files=tuple(_files(ctx, pod, volume)))
    empty = volume.empty_dir
    in_memory = empty is not None and empty.medium == "Memory"
    size = quantity.whole(empty.size_limit) if empty is not None and empty.size_limit is not None else 0
    return PodVolume(name=volume.name, kind="memory" if in_memory else "empty", size_mb=-(-size // _MIB))


def _files(ctx: Context, pod: Pod, volume: Volume) -> Iterator[PodFile]:
    sources = (volume.config_map, volume.secret, volume.downward_api, volume.projected)
    mode = next(one.default_mode for one in sources if one is not None)
    for kind, name, items, _ in named_by(volume):
        if has_authority(ctx, pod, kind, name):
            wanted = [(one.path, one.mode) for one in items if one.key == accounts.AUTHORITY_KEY]
            for path, own in wanted if items else [(accounts.AUTHORITY_KEY, None)]:
                yield PodFile(path, b"", mode if own is None else own, is_authority=True)
            continue
        values = _found(ctx, kind, pod, name) or {}
        if items:
            for item in items:
                if item.key in values:
                    yield PodFile(item.path, *_with_mode(values[item.key], mode if item.mode is None else item.mode))
        else:
            yield from (PodFile(key, *_with_mode(value, mode)) for key, value in values.items())
    for source in volume.projected.sources if volume.projected is not None else ():
        if (asked := source.service_account_token) is not None:
            yield PodFile(asked.path, b"", mode, token=_token(ctx, pod, asked))
    told = volume.downward_api.items if volume.downward_api is not None else ()
    for source in volume.projected.sources if volume.projected is not None else ():
        told += source.downward_api.items if source.downward_api is not None else ()
    for one in told:
        text = _downward(ctx, pod, one)
        yield PodFile(one.path, text.encode(errors="surrogatepass"), mode if one.mode is None else one.mode)


def _token(ctx: Context, pod: Pod, asked: ServiceAccountTokenProjection) -> AccountToken:
    namespace, name = pod.metadata.namespace, accounts.account_of(pod)
    account = accounts.found(ctx.state.objects, namespace, name)
    job = ctx.state.jobs[JobId(pod.status.job)]
    assert pod.creator is not None
    return AccountToken(
        account=f"{namespace}:{name}", account_uid=account.metadata.uid if account is not None else "",
        user=pod.creator.user, job=job.id, restart=job.restarts, audience=asked.audience, seconds=asked.expiration_seconds,
    )  # fmt: skip


def _downward(ctx: Context, pod: Pod, one: DownwardAPIFile) -> str:
    if one.field_ref is not None:
        path = one.field_ref.field_path
        if path in ("metadata.labels", "metadata.annotations"):
            found = pod.metadata.labels if path == "metadata.labels" else pod.metadata.annotations
            return "\n".join(f"{name}={_quoted(value)}" for name, value in sorted(found.items()))
        return _field(pod, path)
    amount = one.resource_field_ref
    assert amount is not None
    containers = (*pod.spec.init_containers, *pod.spec.containers)
    owner = next((part for part in containers if part.name == amount.container_name), pod.spec.containers[0])
    return _amount(ctx, pod, owner, amount.resource, str(amount.divisor))


def _quoted(text: str) -> str:
    """As Go's %q."""
    known = {"\n": "\\n", "\t": "\\t", "\r": "\\r", '"': '\\"', "\\": "\\\\"}
    return '"' + "".join(known.get(letter, letter) for letter in text) + '"'


def _claimed_volume(ctx: Context, pod: Pod, name: str) -> PersistentVolume | None:
    claim = ctx.state.objects.get(ObjectKey("PersistentVolumeClaim", pod.metadata.namespace, name))
    return storage.volume_of(claim, ctx.state.objects) if isinstance(claim, PersistentVolumeClaim) else None


def _claimed(volume: PersistentVolume | None, name: str, read_only: bool) -> PodVolume:
    assert volume is not None, "`missing` has been asked"
    spec, owner = volume.spec, volume.creator
    read_only = read_only or set(spec.access_modes) == {"ReadOnlyMany"}
    if (share := spec.nfs) is not None:
        path = f"{share.server}:{share.path}"
        return PodVolume(name=name, kind="nfs", path=path, read_only=read_only or share.read_only)
    path = spec.local.path if spec.local is not None else spec.host_path.path if spec.host_path is not None else ""
    if volume.is_made_here and owner is not None:
        return PodVolume(name=name, kind="claim", path=path, owner=(owner.uid, owner.gid), read_only=read_only)
    kind = "Directory" if spec.host_path is None else spec.host_path.type
    return PodVolume(name=name, kind="host", path=path, type=kind, read_only=read_only)


def _with_mode(value: tuple[bytes, bool], mode: int) -> tuple[bytes, int, bool]:
    return value[0], mode, value[1]
