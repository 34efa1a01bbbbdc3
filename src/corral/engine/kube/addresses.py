"""At which port of the gateway is each Service reached?

Each TCP port of a Service is given one, for good: from `[gateway] ports`, or, of a NodePort or LoadBalancer Service, the nodePort that
it says or that it gets from `[gateway] node_ports`. What has been given out stands in the Services' status. A port that a gateway cannot
use, because another program has it, is exchanged where nobody has asked for it by number.
"""

import bisect
import functools
import itertools

import msgspec

from corral.engine.context import Context
from corral.engine.effects import Effects
from corral.engine.kube import clusterips
from corral.engine.kube.clusterips import place_of
from corral.model.cluster import ClusterConfig, GatewayConfig
from corral.model.kube.meta import ObjectKey
from corral.model.kube.network import Ingress, IngressStatus, Service, ServicePort, ServicePortStatus, ServiceStatus
from corral.model.kube.objects import AnyObject
from corral.protocol.events import ObjectsChanged
from corral.protocol.replies import Rejected
from corral.services.endpoints import speech_of
from corral.syntax import arrayspec

_BY_NODE = ("NodePort", "LoadBalancer")


def refusal(ctx: Context, one: AnyObject) -> Rejected | None:
    """A nodePort or an address of its own that it cannot have."""
    if (refused := clusterips.refusal(ctx, one)) is not None:
        return refused
    if not isinstance(one, Service) or one.spec.type not in _BY_NODE:
        return None
    wanted = [port.node_port for port in one.spec.ports if port.node_port]
    if not wanted:
        return None
    known = frozenset(_range(ctx.config.gateway.node_ports))
    taken = _taken(ctx)
    name = f"service {one.metadata.name!r}"
    for index, number in enumerate(wanted):
        if number not in known:
            detail = f"They are {ctx.config.gateway.node_ports} (node_ports in [gateway] of corral.toml)."
            return Rejected(error=f"{name}: nodePort {number} is not among the cluster's", detail=detail)
        if taken.get(number, one.key) != one.key or number in wanted[:index]:
            return Rejected(error=f"{name}: nodePort {number} is taken already", detail=f"It is {taken[number]}'s.")
    return None


def kept(one: AnyObject, old: AnyObject | None) -> AnyObject:
    """An applied Service that does not name the nodePorts that it has been given keeps them."""
    if not isinstance(one, Service) or not isinstance(old, Service) or one.spec.type not in _BY_NODE:
        return one
    given = {port.port: port.node_port for port in old.spec.ports}
    ports = tuple(
        port if port.node_port else msgspec.structs.replace(port, node_port=given.get(port.port, 0))
        for port in one.spec.ports
    )
    return msgspec.structs.replace(one, spec=msgspec.structs.replace(one.spec, ports=ports))


def reconcile(ctx: Context, service: Service, now: float, out: Effects) -> None:
    """Its address, ports and URLs, in its spec (clusterIP, nodePort) and status."""
    before, service = service, clusterips.with_address(ctx, service)
    chosen: set[int] = set()
    ports = tuple(_with_gateway_port(ctx, service, port, chosen) for port in service.spec.ports)
    wanted = msgspec.structs.replace(
        service,
        spec=msgspec.structs.replace(service.spec, ports=tuple(port for port, _ in ports)),
        status=_status(ctx.config.gateway, service, [(port, number) for port, number in ports if number]),
    )
    if wanted != before:
        _record(ctx, wanted, now, out)


def _record(ctx: Context, one: Service | Ingress, now: float, out: Effects) -> None:
    version = ctx.state.objects.version + 1
    meta = msgspec.structs.replace(one.metadata, resource_version=str(version))
    ctx.record(ObjectsChanged(time=now, objects=(msgspec.structs.replace(one, metadata=meta),), version=version), out)


def _with_gateway_port(ctx: Context, service: Service, port: ServicePort, chosen: set[int]) -> tuple[ServicePort, int]:
    """`chosen`: by its ports before this one. 0 = it has none: UDP, and what is only a name."""
    if port.protocol != "TCP" or service.spec.cluster_ip == "None":
        return port, 0
    before = next((one.gateway_port for one in service.status.ports if one.port == port.port), 0)
    by_node = service.spec.type in _BY_NODE
    if by_node and port.node_port:
        number = port.node_port
        holder = _taken(ctx).get(number, service.key)
        if holder != service.key and not _is_left(ctx, number, holder):
            return port, 0  # two were applied at once
    else:
        text = ctx.config.gateway.node_ports if by_node else ctx.config.gateway.ports
        number = _given(ctx, service.key, text, before, chosen)
    if by_node:
        port = msgspec.structs.replace(port, node_port=number)
    elif port.node_port:
        port = msgspec.structs.replace(port, node_port=0)
    if number:
        chosen.add(number)
        _taken(ctx)[number] = service.key
    return port, number


def _given(ctx: Context, key: ObjectKey, text: str, before: int, chosen: set[int]) -> int:
    """The one that it had, else the next that is free; 0 = all are taken."""
    known = _range(text)
    taken = _taken(ctx)
    unusable = unusable_ports(ctx)

    def is_free(number: int) -> bool:
        holder = taken.get(number)
        return number not in unusable and number not in chosen and (holder is None or _is_left(ctx, number, holder))

    if before and known[0] <= before <= known[-1] and before not in unusable and taken.get(before, key) == key:
        return before
    first = ctx.next_gateway_port.get(text)
    start = bisect.bisect_left(known, first) if first is not None else place_of(ctx.config.state_dir) % len(known)
    found = next((number for number in itertools.chain(known[start:], known[:start]) if is_free(number)), 0)
    ctx.next_gateway_port[text] = found + 1
    return found


def _is_left(ctx: Context, number: int, holder: ObjectKey) -> bool:
    """Has the Service that had it gone, or another port now?"""
    one = ctx.state.objects.get(holder)
    if not isinstance(one, Service):
        return True
    return number not in _numbers(one)


def _numbers(service: Service) -> set[int]:
    asked = {port.node_port for port in service.spec.ports if port.node_port and service.spec.type in _BY_NODE}
    return asked | {one.gateway_port for one in service.status.ports}


def _taken(ctx: Context) -> dict[int, ObjectKey]:
    if ctx.gateway_ports is None:
        ctx.gateway_ports = {
            number: one.key
            for one in ctx.state.objects.everywhere("Service")
            if isinstance(one, Service)
            for number in sorted(_numbers(one))
        }
    return ctx.gateway_ports


def unusable_ports(ctx: Context) -> set[int]:
    return {number for seen in ctx.gateways.values() for number in seen.report.unusable_ports}


@functools.cache
def _range(text: str) -> tuple[int, ...]:
    return arrayspec.parse(text, 1 << 16).indices


def _status(config: GatewayConfig, service: Service, ports: list[tuple[ServicePort, int]]) -> ServiceStatus:
    found = []
    url = ""
    for port, number in ports:
        is_http = speech_of(port) != "tcp"
        address = f"http://{host_of(config)}:{number}/" if is_http else f"tcp://{host_of(config)}:{number}"
        if is_http and not url:
            url = address
        found.append(ServicePortStatus(port=port.port, gateway_port=number, url=address))
    return msgspec.structs.replace(service.status, url=url, ports=tuple(found))


def host_of(config: GatewayConfig) -> str:
    """By which services are reached, as URLs have it."""
    host = config.host or config.listen
    return f"[{host}]" if ":" in host else host


def reconcile_ingress(ctx: Context, one: Ingress, now: float, out: Effects) -> None:
    """Where its first path is reached, once a gateway has said at which ports it serves names."""
    url = one.status.url
    reports = [seen.report for seen in ctx.gateways.values()]
    secure = next((report.https_port for report in reports if report.https_port), 0) if one.spec.tls else 0
    plain = next((report.http_port for report in reports if report.http_port), 0)
    if secure or plain:
        rule = next((rule for rule in one.spec.rules), None)
        host = (rule.host.replace("*.", "www.", 1) if rule is not None else "") or host_of(ctx.config.gateway)
        path = rule.http.paths[0].path if rule is not None and rule.http is not None and rule.http.paths else "/"
        scheme, number, usual = ("https", secure, 443) if secure else ("http", plain, 80)
        url = f"{scheme}://{host}{'' if number == usual else f':{number}'}{path}"
    if url != one.status.url:
        _record(ctx, msgspec.structs.replace(one, status=IngressStatus(url=url)), now, out)


def ports_said(ctx: Context) -> set[tuple[int, int]]:
    return {(seen.report.http_port, seen.report.https_port) for seen in ctx.gateways.values()}


def look(ctx: Context, before: set[int], said: set[tuple[int, int]]) -> None:
    """A gateway has spoken: whose port has become unusable gets another; the URLs of Ingresses are those of its ports."""
    if ports_said(ctx) != said:
        for one in ctx.state.objects.everywhere("Ingress"):
            ctx.state.objects.dirty[one.key] = None
    taken = _taken(ctx)
    for number in sorted(unusable_ports(ctx) - before):
        if (key := taken.get(number)) is not None and ctx.state.objects.get(key) is not None:
            ctx.state.objects.dirty[key] = None


def configured(ctx: Context, new: ClusterConfig) -> None:
    """There is another configuration: URLs and addresses may be others."""
    if new.gateway != ctx.config.gateway or new.kubernetes != ctx.config.kubernetes:
        for kind in ("Service", "Ingress"):
            for one in ctx.state.objects.everywhere(kind):
                ctx.state.objects.dirty[one.key] = None
