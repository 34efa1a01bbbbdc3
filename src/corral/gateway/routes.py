"""What is Caddy to do, as its own JSON? Pure: a table of services in, a configuration out.

Each HTTP port of a service is a server of its own, named NAMESPACE/NAME:PORT in Caddy's metrics. The shared server tells services apart
by the Host of a request.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from corral.gateway.caddy import bare_config
from corral.model.cluster import GatewayConfig
from corral.protocol.routes import PortRoute, ServiceRoute

SHARED = "shared"
_SECOND = 1_000_000_000
#: A WebSocket or a stream outlives the configuration that it came in with by so long.
_STREAMS_LAST = 7 * 86400 * _SECOND


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Of one gateway."""

    config: GatewayConfig
    socket: Path  #: Caddy's admin interface
    http_port: int = 0
    unusable: frozenset[int] = frozenset()


def caddy_config(services: Iterable[ServiceRoute], settings: Settings) -> dict[str, Any]:
    servers: dict[str, Any] = {}
    shared: list[dict[str, Any]] = []
    for service in services:
        by_name: list[dict[str, Any]] = []
        for port in service.ports:
            if port.speech == "tcp":
                continue
            handle = [_proxy(port)]
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
    config = bare_config(settings.socket)
    config["logging"] = {"logs": {"default": {"level": "WARN"}}}
    config["apps"] = {"http": {"servers": servers}}
    return config


def server_name(service: ServiceRoute, port: PortRoute) -> str:
    return f"{service.namespace}/{service.name}:{port.port}"


def host_names(service: ServiceRoute, config: GatewayConfig) -> list[str]:
    name = f"{service.name}.{service.namespace}.{config.domain}"
    return [name, f"{service.name}.{service.namespace}.svc.{config.domain}"]


def listeners(services: Iterable[ServiceRoute], settings: Settings) -> set[int]:
    """The ports that Caddy listens on for this table."""
    found = {port.listen for service in services for port in service.ports if port.speech != "tcp" and port.listen}
    return (found | ({settings.http_port} if settings.http_port else set())) - settings.unusable


def _server(address: str, port: int, routes: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "listen": [f"[{address}]:{port}" if ":" in address else f"{address}:{port}"],
        "routes": routes,
        "protocols": ["h1", "h2", "h2c"],
        "automatic_https": {"disable": True},
    }


def _proxy(port: PortRoute) -> dict[str, Any]:
    transport: dict[str, Any] = {"protocol": "http"}
    if port.speech == "h2c":
        transport["versions"] = ["h2c", "2"]
    elif port.speech == "https":
        transport["tls"] = {"insecure_skip_verify": True}
    return {
        "handler": "reverse_proxy",
        "transport": transport,
        "upstreams": [{"dial": target.address} for target in port.targets],
        "load_balancing": {"selection_policy": {"policy": "least_conn"}, "retries": 3},
        "flush_interval": -1,
        "stream_close_delay": _STREAMS_LAST,
    }


def _no_such_service() -> dict[str, Any]:
    body = "There is no service of the name {http.request.host} here.\n"
    return {"handler": "static_response", "status_code": "404", "body": body}
