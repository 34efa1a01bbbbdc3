"""Which address of its own has each Service?

As in Kubernetes: one of `[kubernetes] service_cidr`, for as long as the Service is there, or the one that it asks for; none where it says
"None" or is a name for something outside. It stands in the Service's spec. Addresses that have just been given back rest until the
range has been gone through. Pods have addresses of the same range, by which a headless Service's name leads to their own ports.
Clusters of one machine begin elsewhere in it: a node's kernel knows addresses, not clusters.
"""

import functools
import hashlib
import ipaddress
from collections.abc import Iterable

import msgspec

from corral.engine.context import Context
from corral.model.kube.meta import ObjectKey
from corral.model.kube.network import Service
from corral.model.kube.objects import AnyObject
from corral.model.kube.pod import Pod
from corral.protocol.replies import Rejected

#: The first block is left to those who choose addresses themselves, where there are many.
_BLOCK = 256
_RESTING = 1000


def has_address(service: Service) -> bool:
    """Or is it to have one?"""
    return service.spec.type != "ExternalName" and service.spec.cluster_ip != "None"


def refusal(ctx: Context, one: AnyObject) -> Rejected | None:
    """An address that it cannot have."""
    if not isinstance(one, Service) or not has_address(one):
        return None
    wanted, text = one.spec.cluster_ip, ctx.config.kubernetes.service_cidr
    name = f"service {one.metadata.name!r}"
    old = ctx.state.objects.get(one.key)
    if isinstance(old, Service) and old.spec.cluster_ip == wanted:
        return None
    if not wanted:
        if (
            text
            and len(_taken(ctx)) >= len(_range(text))
            and all(not _is_left(ctx, *had) for had in _taken(ctx).items())
        ):
            detail = f"All of {text} are taken (service_cidr in [kubernetes] of corral.toml)."
            return Rejected(error=f"{name}: failed to allocate a serviceIP: range is full", detail=detail)
        return None
    if not text:
        detail = "Leave clusterIP out: service_cidr in [kubernetes] of corral.toml is empty."
        return Rejected(error=f"{name}: spec.clusterIP: this cluster gives Services no addresses", detail=detail)
    if wanted not in _range(text):
        detail = f"They are {text} (service_cidr in [kubernetes] of corral.toml)."
        return Rejected(error=f"{name}: spec.clusterIP: {wanted} is not among the cluster's addresses", detail=detail)
    holder = _taken(ctx).get(wanted)
    if holder is not None and holder != one.key and not _is_left(ctx, wanted, holder):
        detail = f"It is {holder.kind.lower()} {holder.namespace}/{holder.name}'s."
        return Rejected(error=f"{name}: spec.clusterIP: {wanted} is taken already", detail=detail)
    return None


def clash(objects: Iterable[AnyObject]) -> tuple[int, Rejected] | None:
    """Two that are applied at once want the same one."""
    wanted: dict[str, Service] = {}
    for index, one in enumerate(objects):
        if isinstance(one, Service) and one.spec.cluster_ip not in ("", "None"):
            other = wanted.setdefault(one.spec.cluster_ip, one)
            if other.key != one.key:
                why = f"service {one.metadata.name!r}: spec.clusterIP: {one.spec.cluster_ip} is taken already"
                return index, Rejected(
                    error=why, detail=f"{other.metadata.namespace}/{other.metadata.name} wants it too."
                )
    return None


def given(ctx: Context, service: Service) -> str:
    """The one that it has, or gets now; "" = none."""
    if not has_address(service):
        return "None" if service.spec.cluster_ip == "None" and service.spec.type != "ExternalName" else ""
    text = ctx.config.kubernetes.service_cidr
    if not text:
        return ""
    known, taken, own = _range(text), _taken(ctx), service.spec.cluster_ip
    if own in known and (taken.get(own, service.key) == service.key or _is_left(ctx, own, taken[own])):
        taken[own] = service.key
        return own
    return _next(ctx, service.key, known.first(ctx.config.state_dir))


def for_pod(ctx: Context, pod: Pod) -> str:
    """While it runs; "" = none. They begin half the range away from the Services'."""
    if not (text := ctx.config.kubernetes.service_cidr):
        return ""
    known = _range(text)
    return _next(ctx, pod.key, known.first(ctx.config.state_dir) + len(known) // 2)


def _next(ctx: Context, key: ObjectKey, first: int) -> str:
    """The next free one; "" = all are taken."""
    text = ctx.config.kubernetes.service_cidr
    known, taken = _range(text), _taken(ctx)
    place = ctx.next_service_address.get((text, key.kind), first)
    for offset in range(len(known)):
        index = (place + offset) % len(known)
        address = known[index]
        if (holder := taken.get(address)) is None or _is_left(ctx, address, holder):
            ctx.next_service_address[text, key.kind] = index + 1
            taken[address] = key
            return address
    return ""


def _is_left(ctx: Context, address: str, holder: ObjectKey) -> bool:
    """Has who had it gone, or another one now?"""
    one = ctx.state.objects.get(holder)
    if isinstance(one, Pod):
        return one.has_ended or one.status.own_ip != address
    return not isinstance(one, Service) or one.spec.cluster_ip != address


def _taken(ctx: Context) -> dict[str, ObjectKey]:
    """Who has which; some are given back already, but never more than `_RESTING` and as many as are had."""
    taken = ctx.service_addresses
    if taken is None or len(taken) > ctx.most_service_addresses:
        taken = ctx.service_addresses = {
            one.spec.cluster_ip: one.key
            for one in ctx.state.objects.everywhere("Service")
            if isinstance(one, Service) and one.spec.cluster_ip not in ("", "None")
        } | {
            one.status.own_ip: one.key
            for one in ctx.state.objects.everywhere("Pod")
            if isinstance(one, Pod) and one.status.own_ip and not one.has_ended
        }
        ctx.most_service_addresses = 2 * len(taken) + _RESTING
    return taken


class Range:
    """All addresses of a network but its first and last, which hosts do not have."""

    def __init__(self, text: str) -> None:
        self._network = ipaddress.IPv4Network(text)

    def __len__(self) -> int:
        return self._network.num_addresses - 2

    def __getitem__(self, index: int) -> str:
        return str(self._network[index + 1])

    def __contains__(self, address: str) -> bool:
        try:
            number = int(ipaddress.IPv4Address(address)) - int(self._network.network_address)
        except ValueError:
            return False
        return 0 < number <= len(self)

    def first(self, directory: str) -> int:
        """Where a cluster begins."""
        if len(self) < 2 * _BLOCK:
            return place_of(directory) % len(self)
        return _BLOCK * (1 + place_of(directory) % (len(self) // _BLOCK - 1)) - 1


def place_of(directory: str) -> int:
    """Where in a range a cluster begins: those of one machine each elsewhere; the ordinary one at its start."""
    if not directory or directory == "/var/lib/corral" or directory.endswith("/.local/state/corral"):
        return 0
    return int(hashlib.sha256(directory.encode()).hexdigest()[:8], 16)


@functools.cache
def _range(text: str) -> Range:
    return Range(text)


def with_address(ctx: Context, service: Service) -> Service:
    """With the one that it is to have."""
    address = given(ctx, service)
    both = (address,) if address else ()
    if (address, both) == (service.spec.cluster_ip, service.spec.cluster_ips):
        return service
    spec = msgspec.structs.replace(service.spec, cluster_ip=address, cluster_ips=both)
    return msgspec.structs.replace(service, spec=spec)
