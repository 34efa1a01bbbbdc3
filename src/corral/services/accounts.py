"""Which ServiceAccount is a Pod's, what is it called where roles are bound, and whose Pods may have it?

Kubernetes' names: system:serviceaccount:NAMESPACE:NAME, in the groups of all accounts and of those of its namespace. Each namespace has an
account `default`, written down only when somebody changes it. A program that asks by its Pod's token has the rights that roles give to the
account, and no others; what it makes is its Pod's user's.
"""

import hashlib
from collections.abc import Iterator
from typing import Protocol

import msgspec

from corral.model.kube.config import Namespace
from corral.model.kube.meta import KubeObject, ObjectKey, ObjectMeta
from corral.model.kube.pod import (
    ConfigMapProjection,
    Container,
    DownwardAPIFile,
    DownwardAPIProjection,
    KeyToPath,
    ObjectFieldSelector,
    Pod,
    ProjectedVolume,
    ServiceAccountTokenProjection,
    Volume,
    VolumeMount,
    VolumeProjection,
)
from corral.model.kube.rbac import ServiceAccount

DEFAULT = "default"
#: Where programs look for their token, and for whom to trust.
PLACE = "/var/run/secrets/kubernetes.io/serviceaccount"
#: The ConfigMap of every namespace that has the authority behind the API's certificate. It is in volumes only.
AUTHORITY, AUTHORITY_KEY = "kube-root-ca.crt", "ca.crt"
#: As Kubernetes asks for them, so that a token is renewed at least once an hour.
SECONDS = 3607
_PREFIX = "system:serviceaccount:"


class View(Protocol):
    def get(self, key: ObjectKey) -> KubeObject | None: ...


def name_of(account: str) -> str:
    """`account` is NAMESPACE:NAME."""
    return _PREFIX + account


def groups_of(account: str) -> tuple[str, ...]:
    return ("system:serviceaccounts", f"system:serviceaccounts:{account.partition(':')[0]}")


def named(user: str) -> str:
    """NAMESPACE:NAME; "" = it is no account's name."""
    return user.removeprefix(_PREFIX) if user.startswith(_PREFIX) and user.count(":") == 3 else ""


def account_of(pod: Pod) -> str:
    return pod.spec.service_account_name or DEFAULT


def found(view: View, namespace: str, name: str) -> ServiceAccount | None:
    """None: there is no such account."""
    one = view.get(ObjectKey("ServiceAccount", namespace, name))
    if isinstance(one, ServiceAccount):
        return one
    home = view.get(ObjectKey("Namespace", "", namespace)) if name == DEFAULT else None
    return unwritten(home) if isinstance(home, Namespace) else None


def unwritten(home: Namespace) -> ServiceAccount:
    """The default account of a namespace, of which nothing is said."""
    digest = hashlib.sha256(home.metadata.uid.encode()).hexdigest()
    uid = f"{digest[:8]}-{digest[8:12]}-{digest[12:16]}-{digest[16:20]}-{digest[20:32]}"
    meta = ObjectMeta(
        name=DEFAULT, namespace=home.metadata.name, uid=uid, creation_timestamp=home.metadata.creation_timestamp,
        resource_version=home.metadata.resource_version,
    )  # fmt: skip
    return ServiceAccount(metadata=meta)


def lookup_problem(view: View, namespace: str, name: str, uid: int, *, closed: bool) -> str:
    """Why a Pod of this user may not have it; "" = it may. Namespaces are no fences between users, but where roles count (`closed`)."""
    one = found(view, namespace, name)
    if one is None:
        return f'error looking up service account {namespace}/{name}: serviceaccount "{name}" not found'
    if one.creator is not None and one.creator.uid != uid and uid != 0 and not closed:
        return f"service account {namespace}/{name} is another user's: take one of your own, or a namespace of your own"
    return ""


# ---------------------------------------------------------------------- in a Pod


def mounts_token(view: View, pod: Pod) -> bool:
    """As the Pod says, or its account; else where it names an account."""
    if pod.spec.automount_service_account_token is not None:
        return pod.spec.automount_service_account_token
    one = found(view, pod.metadata.namespace, account_of(pod))
    if one is not None and one.automount_service_account_token is not None:
        return one.automount_service_account_token
    return bool(pod.spec.service_account_name)


def with_token(pod: Pod) -> Pod:
    """Each container that mounts nothing at that place finds the account's token there, and whom to trust."""
    lacking = [one for one in (*pod.spec.init_containers, *pod.spec.containers) if not _has_place(one)]
    if not lacking:
        return pod
    text = f"{pod.metadata.namespace}/{pod.metadata.name or pod.metadata.generate_name}"
    name = f"kube-api-access-{hashlib.sha256(text.encode()).hexdigest()[:5]}"
    mount = VolumeMount(name=name, mount_path=PLACE, read_only=True)

    def mounting(containers: tuple[Container, ...]) -> tuple[Container, ...]:
        return tuple(
            one if _has_place(one) else msgspec.structs.replace(one, volume_mounts=(*one.volume_mounts, mount))
            for one in containers
        )

    volume = Volume(name=name, projected=ProjectedVolume(sources=tuple(_sources())))
    spec = msgspec.structs.replace(
        pod.spec, volumes=(*pod.spec.volumes, volume), containers=mounting(pod.spec.containers),
        init_containers=mounting(pod.spec.init_containers),
    )  # fmt: skip
    return msgspec.structs.replace(pod, spec=spec)


def _has_place(container: Container) -> bool:
    return any(one.mount_path.rstrip("/") == PLACE for one in container.volume_mounts)


def _sources() -> Iterator[VolumeProjection]:
    yield VolumeProjection(
        service_account_token=ServiceAccountTokenProjection(path="token", expiration_seconds=SECONDS)
    )
    item = KeyToPath(key=AUTHORITY_KEY, path=AUTHORITY_KEY)
    yield VolumeProjection(config_map=ConfigMapProjection(name=AUTHORITY, items=(item,)))
    where = DownwardAPIFile(path="namespace", field_ref=ObjectFieldSelector(field_path="metadata.namespace"))
    yield VolumeProjection(downward_api=DownwardAPIProjection(items=(where,)))


def tokens_of(pod: Pod) -> Iterator[ServiceAccountTokenProjection]:
    """Those that its volumes hold."""
    for volume in pod.spec.volumes:
        for source in volume.projected.sources if volume.projected is not None else ():
            if source.service_account_token is not None:
                yield source.service_account_token


def renewed_every(token: ServiceAccountTokenProjection) -> float:
    """Seconds: after four fifths of its life, as the kubelet does it."""
    return token.expiration_seconds * 0.8
