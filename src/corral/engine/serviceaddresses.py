"""Where do the addresses of Services lead? To the gateway, at the ports that it has for them: agents are told, whose nodes translate.

Those of Pods that a headless Service means lead to the ports of their nodes. Ready or not: that is for names to say.

What changes is told at once, and after that only every so often, all that has come meanwhile together: the more agents, the longer. An
agent whose heartbeat shows that it knows something else is told everything.
"""

import functools

from corral.engine.addressbook import AddressBook
from corral.engine.context import Context
from corral.engine.effects import Effects
from corral.model.kube.meta import ObjectKey
from corral.model.kube.network import Service
from corral.model.kube.pod import Pod
from corral.protocol.orders import AddressRoute, TellAddresses
from corral.protocol.reports import Heartbeat
from corral.services import endpoints
from corral.syntax import arrayspec

#: Seconds between two that tell the same thousand agents.
_SECONDS_PER_AGENT, _MOST_SECONDS = 0.001, 1.0
#: An agent that was told something may not have done it before its next heartbeat or two.
_PATIENCE = 10.0
#: Of several gateways one that has said nothing for so long is left out. They speak every ten seconds at least.
_SILENT = 35.0
#: So begin the names of Pods' routes.
_POD = "pod/"
_FAMILIES = 15  #: so many ports, two for a range, has a rule of iptables' multiport


def look(ctx: Context, now: float, out: Effects) -> None:
    """Has a Service, the configuration or a gateway changed?"""
    book, objects = ctx.address_book, ctx.state.objects
    as_of = objects, objects.services_changed, ctx.config.kubernetes.service_cidr
    if as_of != book.as_of:
        is_anew = book.as_of is None or book.as_of[0] is not objects
        book.as_of = as_of
        _read(ctx, book, is_anew=is_anew)
        _await(book, now)
    if objects.readdressed:
        _read_pods(ctx, book, list(objects.readdressed))
        objects.readdressed.clear()
        if book.changed:
            _await(book, now)
    if now >= book.due:
        _tell_changes(ctx, book, now, out)


def next_wake(ctx: Context) -> float:
    return ctx.address_book.due


def _read(ctx: Context, book: AddressBook, *, is_anew: bool) -> None:
    found = set()
    headless: dict[str, list[dict[str, str]]] = {}
    for one in ctx.state.objects.everywhere("Service"):
        found.add(one.key)
        if isinstance(one, Service) and one.spec.cluster_ip == "None" and one.spec.selector:
            headless.setdefault(one.metadata.namespace, []).append(one.spec.selector)
        known = book.seen.get(one.key)
        if known is None or known[0] is not one:
            route = route_of(one) if isinstance(one, Service) else None
            book.seen[one.key] = one, route
            book.put(f"{one.metadata.name}.{one.metadata.namespace}", route)
    for key in [key for key in book.seen if key not in found]:
        del book.seen[key]
        book.put(f"{key.name}.{key.namespace}", None)
    _settle(ctx, book)
    if headless != book.headless or is_anew:
        book.headless = headless
        for name in [name for name in book.routes if name.startswith(_POD)]:
            book.put(name, None)
        _read_pods(ctx, book, [one.key for one in ctx.state.objects.everywhere("Pod")])


def _read_pods(ctx: Context, book: AddressBook, keys: list[ObjectKey]) -> None:
    for key in keys:
        one = ctx.state.objects.get(key)
        book.put(f"{_POD}{key.name}.{key.namespace}", _route_of_pod(book, one) if isinstance(one, Pod) else None)


def _route_of_pod(book: AddressBook, pod: Pod) -> AddressRoute | None:
    address, labels = endpoints.own_address(pod), pod.metadata.labels.items()
    if not address or not any(chosen.items() <= labels for chosen in book.headless.get(pod.metadata.namespace, ())):
        return None
    ports = tuple((one.port, one.host_port) for one in pod.status.addresses if one.protocol == "TCP")
    if not ports:
        return None
    return AddressRoute(
        f"{_POD}{pod.metadata.name}.{pod.metadata.namespace}", address, ports, pod.status.addresses[0].host
    )


def route_of(service: Service) -> AddressRoute | None:
    """None: it has no address, or none of its ports is the gateway's."""
    ports = tuple((port.port, port.gateway_port) for port in service.status.ports)
    if not ports or service.spec.cluster_ip in ("", "None"):
        return None
    return AddressRoute(f"{service.metadata.name}.{service.metadata.namespace}", service.spec.cluster_ip, ports)


def on_gateway(ctx: Context, now: float, out: Effects) -> None:
    """It has spoken."""
    book = ctx.address_book
    before = book.hosts, book.settings
    _settle(ctx, book, now)
    if (book.hosts, book.settings) != before:
        _await(book, now)
        look(ctx, now, out)


def _settle(ctx: Context, book: AddressBook, now: float | None = None) -> None:
    """What else is told."""
    if now is not None:
        seen = [one for _, one in sorted(ctx.gateways.items()) if one.report.host]
        living = [one for one in seen if now - one.at < _SILENT] or seen
        book.hosts = tuple(dict.fromkeys(one.report.host for one in living))
    book.settings = ctx.config.kubernetes.service_cidr, _shared(ctx)


def _shared(ctx: Context) -> str:
    """Ports that are the gateway's own: a name leads there, by whichever of them it is asked."""
    reports = [one.report for one in ctx.gateways.values()]
    plain = sorted({port for report in reports for port in (report.http_port, report.https_port) if port})
    words, room = [str(port) for port in plain], _FAMILIES - len(plain)
    for text in (ctx.config.gateway.ports, ctx.config.gateway.node_ports):
        for run in _runs(text):
            room -= 2 if "-" in run else 1
            if room >= 0:
                words.append(run.replace("-", ":"))
    return ",".join(words)


@functools.lru_cache(maxsize=8)
def _runs(text: str) -> tuple[str, ...]:
    return tuple(arrayspec.runs(sorted(arrayspec.parse(text, 1 << 16).indices))) if text else ()


def _await(book: AddressBook, now: float) -> None:
    apart = min(_MOST_SECONDS, len(book.told) * _SECONDS_PER_AGENT)
    book.due = min(book.due, max(now, book.last + apart) if book.last <= now else now)


def _tell_changes(ctx: Context, book: AddressBook, now: float, out: Effects) -> None:
    book.due, book.last = float("inf"), now
    base, changed = book.base, sorted(book.changed)
    book.base, book.changed = book.digest, set()
    if not book.hosts:
        return  # whoever knows something keeps it until a gateway speaks
    for agent, (known, _) in sorted(book.told.items()):
        host = book.host_for(agent)
        if known == _version(book, host) or not (known or book.routes):
            continue
        if agent in ctx.agents:
            _tell(ctx, agent, changed if base and known == f"{base} {host}" else None, now, out)


def _version(book: AddressBook, host: str) -> str:
    return f"{book.digest} {host}"


def _tell(ctx: Context, agent: str, changed: list[str] | None, now: float, out: Effects) -> None:
    """None: everything."""
    book = ctx.address_book
    host, (network, shared) = book.host_for(agent), book.settings
    known = book.told[agent][0]
    names = sorted(book.routes) if changed is None else [name for name in changed if name in book.routes]
    order = TellAddresses(
        term=ctx.term, node=agent, version=_version(book, host), base="" if changed is None else known, network=network,
        host=host, shared=shared, routes=tuple(book.routes[name] for name in names),
        removed=tuple(name for name in changed or () if name not in book.routes),
    )  # fmt: skip
    book.told[agent] = order.version, now
    ctx.send(agent, order, out)


def on_heartbeat(ctx: Context, report: Heartbeat, now: float, out: Effects) -> None:
    book = ctx.address_book
    if report.addresses is None:
        book.told.pop(report.agent, None)
        return
    known, at = book.told.get(report.agent, ("", 0.0))
    if report.addresses != known and 0 <= now - at < _PATIENCE:
        return  # it has been told since
    book.told[report.agent] = report.addresses, at
    if book.hosts and book.due == float("inf"):
        if not report.addresses and not book.routes:
            return
        if report.addresses != _version(book, book.host_for(report.agent)):
            _tell(ctx, report.agent, None, now, out)
