"""What is Caddy to do, as its own JSON? Pure: a table of services in, a configuration out.

Each HTTP port of a service is a server of its own, named NAMESPACE/NAME:PORT in Caddy's metrics. The shared server tells services apart
by the Host of a request.
"""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from corral.gateway.caddy import bare_config
from corral.gateway.pointing import weighted
from corral.model.cluster import GatewayConfig
from corral.model.kube.meta import ObjectKey
from corral.protocol.routes import PortRoute, ServiceRoute, Target

SHARED = "shared"
_SECOND = 1_000_000_000
_MILLISECOND = 1_000_000
#: Milliseconds between two questions where a service leads; more, where there are many services.
_LEAST_REFRESH = 20
MOST_POINTED = 90
#: A connection to a replica that nobody uses is closed before the replica may do so, in the middle of the next request.
_IDLE = 1500 * _MILLISECOND
#: A WebSocket or a stream outlives the configuration that it came in with by so long.
_STREAMS_LAST = 7 * 86400 * _SECOND


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Of one gateway."""

    config: GatewayConfig
    caddy: Path  #: the socket of Caddy's admin interface
    pointers: Path  #: that of the program that says where services lead
    waiting: Path  #: the directory of the sockets behind which requests wait for a replica
    http_port: int = 0
    unusable: frozenset[int] = frozenset()


def caddy_config(services: Iterable[ServiceRoute], settings: Settings) -> dict[str, Any]:
    servers: dict[str, Any] = {}
    shared: list[dict[str, Any]] = []
    known = list(services)
    pointed = pointed_at(known)
    for service in known:
        by_name: list[dict[str, Any]] = []
        for port in service.ports:
            if port.speech == "tcp":
                continue
            handle = [_proxy(service, port, settings, len(pointed) if key_of(service, port) in pointed else 0)]
            if port.listen and port.listen not in settings.unusable:
                servers[server_name(service, port)] = _server(settings.config.listen, port.listen, [{"handle": handle}])
            if not by_name:
                by_name = handle
        if by_name:
            shared.append(
                {"match": [{"host": host_names(service, settings.config)}], "handle": by_name, "terminal": True}
            )
    if settings.http_port and shared:
        shared.append({"handle": [_no_such_service()]})
        servers[SHARED] = _server(settings.config.listen, settings.http_port, shared)
    config = bare_config(settings.caddy)
    config["logging"] = {"logs": {"default": {"level": "WARN", "exclude": ["http.handlers.reverse_proxy"]}}}
    config["apps"] = {"http": {"servers": servers, "metrics": {"per_host": True}}}
    return config


def key_of(service: ServiceRoute, port: PortRoute) -> str:
    """Short, and of letters and numbers alone: in the names of files and in questions."""
    return hashlib.sha256(server_name(service, port).encode()).hexdigest()[:20]


def pointed_at(services: Iterable[ServiceRoute]) -> dict[str, tuple[Target, ...]]:
    """Where each port leads whose replicas Caddy asks for again and again: a change of them is no change of its configuration.

    Caddy keeps a hundred answers. The services after that have their replicas in its configuration.
    """
    found: dict[str, tuple[Target, ...]] = {}
    for service in services:
        for port in service.ports:
            if port.speech != "tcp" and not service.external and len(found) < MOST_POINTED:
                found[key_of(service, port)] = port.targets
    return found


def server_name(service: ServiceRoute, port: PortRoute) -> str:
    return f"{service.namespace}/{service.name}:{port.port}"


def host_names(service: ServiceRoute, config: GatewayConfig) -> list[str]:
    name = f"{service.name}.{service.namespace}.{config.domain}"
    return [name, f"{service.name}.{service.namespace}.svc.{config.domain}"]


def listeners(services: Iterable[ServiceRoute], settings: Settings) -> set[int]:
    """The ports that Caddy listens on for this table."""
    found = {port.listen for service in services for port in service.ports if port.speech != "tcp" and port.listen}
    return (found | ({settings.http_port} if settings.http_port else set())) - settings.unusable


def names(services: Iterable[ServiceRoute], config: GatewayConfig) -> dict[tuple[str, str], ObjectKey]:
    """Which service are the requests of a server and a host counted for, as Caddy's metrics name these?"""
    found: dict[tuple[str, str], ObjectKey] = {}
    for service in services:
        for port in service.ports:
            found[server_name(service, port), ""] = service.key
        for host in host_names(service, config):
            found[SHARED, host] = service.key
    return found


def _server(address: str, port: int, routes: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "listen": [f"[{address}]:{port}" if ":" in address else f"{address}:{port}"],
        "routes": routes,
        "protocols": ["h1", "h2", "h2c"],
        "automatic_https": {"disable": True},
    }


def _proxy(service: ServiceRoute, port: PortRoute, settings: Settings, pointed: int) -> dict[str, Any]:
    """`pointed`: how many ports have their replicas asked for; 0 = this one has not."""
    transport: dict[str, Any] = {"protocol": "http", "keep_alive": {"idle_timeout": _IDLE}, "dial_timeout": 3 * _SECOND}
    if port.speech == "h2c":
        transport["versions"] = ["h2c", "2"]
    elif port.speech == "https":
        transport["tls"] = {"insecure_skip_verify": True}
    proxy: dict[str, Any] = {
        "handler": "reverse_proxy",
        "transport": transport,
        "load_balancing": {
            "selection_policy": {"policy": "least_conn"},
            "try_duration": 5 * _SECOND,
            "try_interval": 50 * _MILLISECOND,
            # Only what has not been sent is sent again: no request is of this method.
            "retry_match": [{"method": ["NEVER"]}],
        },
        "flush_interval": -1,
        "stream_close_delay": _STREAMS_LAST,
    }
    if service.external:
        proxy["upstreams"] = [{"dial": target.address} for target in port.targets]
        proxy["headers"] = {"request": {"set": {"Host": ["{http.reverse_proxy.upstream.hostport}"]}}}
    elif pointed:
        resolver = {"addresses": [f"unix/{settings.pointers}"]}
        transport["resolver"] = resolver
        refresh = min(max(_LEAST_REFRESH, pointed), 10 * _LEAST_REFRESH) * _MILLISECOND
        proxy["dynamic_upstreams"] = {
            "source": "srv", "name": f"{key_of(service, port)}.s.", "refresh": refresh, "resolver": resolver,
        }  # fmt: skip
        proxy["upstreams"] = [_waiting(service, port, settings)]
    else:
        proxy["upstreams"] = [{"dial": target.address} for target in weighted(port.targets)] or [
            _waiting(service, port, settings)
        ]
    return proxy


def _waiting(service: ServiceRoute, port: PortRoute, settings: Settings) -> dict[str, Any]:
    """Where a request goes that no replica is there for."""
    return {"dial": f"unix/{settings.waiting / key_of(service, port)}"}


def _no_such_service() -> dict[str, Any]:
    body = "There is no service of the name {http.request.host} here.\n"
    return {"handler": "static_response", "status_code": "404", "body": body}
