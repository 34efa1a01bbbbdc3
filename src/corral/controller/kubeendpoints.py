"""Where do Services lead, as Kubernetes' objects: Endpoints and EndpointSlices? Read from the Pods, never kept.

The addresses are those by which everybody reaches a Pod: its node, and the port there that leads to it. So each Pod has ports of its
own, and therefore a subset, or a slice, of its own.
"""

import zlib
from collections.abc import Iterable, Iterator

import msgspec

from corral.engine.kubeobjects import Objects
from corral.model.kube.meta import KubeObject, ObjectMeta, OwnerReference, Schema
from corral.model.kube.network import Service
from corral.model.kube.pod import Pod
from corral.services import endpoints, rights


class ObjectReference(Schema, frozen=True, kw_only=True):
    kind: str
    name: str
    namespace: str
    uid: str


class EndpointAddress(Schema, frozen=True, kw_only=True):
    ip: str
    node_name: str = ""
    target_ref: ObjectReference | None = None


class EndpointPort(Schema, frozen=True, kw_only=True):
    """All of it is always shown: kubectl relies on the name's being there."""

    port: int
    name: str
    protocol: str


class EndpointSubset(Schema, frozen=True, kw_only=True):
    addresses: tuple[EndpointAddress, ...] = ()
    not_ready_addresses: tuple[EndpointAddress, ...] = ()
    ports: tuple[EndpointPort, ...] = ()


class Endpoints(KubeObject, frozen=True, kw_only=True):
    """v1, of a Service and named as it."""

    subsets: tuple[EndpointSubset, ...] = ()


class EndpointConditions(Schema, frozen=True, kw_only=True):
    ready: bool
    serving: bool
    terminating: bool


class Endpoint(Schema, frozen=True, kw_only=True):
    addresses: tuple[str, ...]
    conditions: EndpointConditions
    node_name: str = ""
    target_ref: ObjectReference | None = None


class EndpointSlice(KubeObject, frozen=True, kw_only=True):
    """discovery.k8s.io/v1, of one Pod of a Service."""

    address_type: str = "IPv4"
    endpoints: tuple[Endpoint, ...] = ()
    ports: tuple[EndpointPort, ...] = ()


class _Place(msgspec.Struct, frozen=True):
    """One Pod of a Service."""

    pod: Pod
    host: str
    ports: tuple[EndpointPort, ...]
    is_ready: bool


def all_endpoints(objects: Objects, always_closed: bool) -> Iterator[Endpoints]:
    for service, places in _services(objects, always_closed):
        subsets = (
            EndpointSubset(
                addresses=(_address(one),) if one.is_ready else (),
                not_ready_addresses=() if one.is_ready else (_address(one),),
                ports=one.ports,
            )
            for one in places
        )
        meta = _meta(service, service.metadata.name, dict(service.metadata.labels))
        yield Endpoints(metadata=meta, creator=service.creator, subsets=tuple(subsets))


def all_slices(objects: Objects, always_closed: bool) -> Iterator[EndpointSlice]:
    for service, places in _services(objects, always_closed):
        labels = {
            **service.metadata.labels, "kubernetes.io/service-name": service.metadata.name,
            "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
        }  # fmt: skip
        owner = OwnerReference(
            kind="Service",
            name=service.metadata.name,
            uid=service.metadata.uid,
            api_version="v1",
            block_owner_deletion=True,
        )
        for one in places:
            mark = f"{zlib.crc32(one.pod.metadata.uid.encode()):08x}"[:5]
            meta = _meta(service, f"{service.metadata.name}-{mark}", labels)
            ends = bool(one.pod.metadata.deletion_timestamp)
            conditions = EndpointConditions(ready=one.is_ready, serving=one.is_ready, terminating=ends)
            at = Endpoint(
                addresses=(one.host,), conditions=conditions, node_name=one.pod.status.node, target_ref=_ref(one.pod)
            )
            yield EndpointSlice(
                metadata=msgspec.structs.replace(meta, owner_references=(owner,)), creator=service.creator, endpoints=(at,),
                ports=one.ports,
            )  # fmt: skip


def _services(objects: Objects, always_closed: bool) -> Iterator[tuple[Service, list[_Place]]]:
    """Those that select Pods."""
    for service in objects.everywhere("Service"):
        if isinstance(service, Service) and service.spec.selector and service.spec.type != "ExternalName":
            namespace = service.metadata.namespace
            shared = rights.is_closed(objects, namespace, always=always_closed)
            pods = objects.pods_selected(namespace, service.spec.selector)
            yield service, list(_places(service, pods, is_shared=shared))


def _places(service: Service, pods: Iterable[Pod], *, is_shared: bool) -> Iterator[_Place]:
    for pod in sorted(pods, key=lambda one: one.metadata.name):
        if not endpoints.may_lead_to(service, pod, is_shared=is_shared):
            continue
        found = [(port, endpoints.address_of(pod, port)) for port in service.spec.ports]
        known = [(port, address) for port, address in found if address is not None]
        if known or not service.spec.ports:
            ports = tuple(EndpointPort(port=at.host_port, name=port.name, protocol=port.protocol) for port, at in known)
            host = known[0][1].host if known else pod.status.host_ip
            yield _Place(pod, host, ports, endpoints.takes_traffic(service, pod, is_shared=is_shared))


def _meta(service: Service, name: str, labels: dict[str, str]) -> ObjectMeta:
    uid = f"{zlib.crc32(name.encode()):08x}{service.metadata.uid[8:]}"
    return ObjectMeta(
        name=name, namespace=service.metadata.namespace, labels=labels, uid=uid,
        creation_timestamp=service.metadata.creation_timestamp,
    )  # fmt: skip


def _ref(pod: Pod) -> ObjectReference:
    return ObjectReference(kind="Pod", name=pod.metadata.name, namespace=pod.metadata.namespace, uid=pod.metadata.uid)


def _address(one: _Place) -> EndpointAddress:
    return EndpointAddress(ip=one.host, node_name=one.pod.status.node, target_ref=_ref(one.pod))
