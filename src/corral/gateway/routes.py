"""What is Caddy to do, as its own JSON? Pure: the services and Ingresses in, a configuration out.

Each HTTP port of a service is a server of its own, named NAMESPACE/NAME:PORT in Caddy's metrics. The shared servers, with TLS and without,
tell services apart by the Host of a request, and do what the Ingresses say.
"""

from collections.abc import Iterable
from typing import Any

from corral.gateway.caddy import bare_config
from corral.gateway.ingress import Shared
from corral.gateway.ports import words_of
from corral.gateway.proxying import (
    SECOND,
    USER_HEADER,
    Settings,
    gate,
    is_pointed_at,
    proxy_to,
    replicas_in_config,
    server_name,
)  # fmt: skip
from corral.model.cluster import GatewayConfig
from corral.model.kube.meta import ObjectKey
from corral.protocol.routes import IngressRoute, ServiceRoute

SHARED, SHARED_TLS, METRICS = "shared", "shared-tls", "metrics"
#: How long an old configuration goes on beside its successor (generations.py). One with replicas in it must not do so when they have
#: been told to end (engine/kube/stopping.py).
_OLD_SECONDS, _OLD_SECONDS_WITH_REPLICAS = 2.0, 0.5


#: Who somebody is is said by the login alone: not by the caller, neither in a way that CGI reads alike, and he does not have it taken away
#: as a word that is of the connection.
_NOBODY_YET = {
    "handle": [
        {
            "handler": "headers",
            "request": {
                "delete": [USER_HEADER, "X_Corral_User", "X_Corral-User", "X-Corral_User"],
                "replace": {"Connection": [{"search_regexp": f"(?i){USER_HEADER}", "replace": "close-no-header"}]},
            },
        }
    ]
}


def caddy_config(
    services: Iterable[ServiceRoute], ingresses: Iterable[IngressRoute], settings: Settings
) -> dict[str, Any]:
    known = list(services)
    pointed = sum(is_pointed_at(service, port) for service in known for port in service.ports)
    has_replicas = any(replicas_in_config(service) for service in known)
    servers: dict[str, Any] = {}
    # Caddy takes nothing of a configuration in which two servers want one port.
    taken = {settings.http_port, settings.https_port, settings.config.metrics_port}
    shared = Shared(settings)
    for service in known:
        by_port = {}
        for port in service.ports:
            if port.speech == "tcp":
                continue
            proxy = by_port[port] = proxy_to(service, port, settings, pointed if is_pointed_at(service, port) else 0)
            if port.listen in settings.listen and port.listen not in taken:
                taken.add(port.listen)
                passing = [{"handle": handle}] if (handle := gate(service.traffic, settings)) else []
                servers[server_name(service, port)] = _server(settings, port.listen, [*passing, {"handle": [proxy]}])
        shared.add_service(service, by_port, host_names(service, settings.config))
    for ingress in sorted(ingresses, key=lambda one: (one.created, one.namespace, one.name)):
        shared.add_ingress(ingress)
    if settings.http_port in settings.listen:
        servers[SHARED] = _server(settings, settings.http_port, shared.plain()) | {"named_routes": shared.named}
    delay = int((_OLD_SECONDS_WITH_REPLICAS if has_replicas else _OLD_SECONDS) * SECOND)
    apps: dict[str, Any] = {"http": {"servers": servers, "metrics": {"per_host": True}, "shutdown_delay": delay}}
    if settings.https_port in settings.listen and shared.has_tls:
        servers[SHARED_TLS] = _server(settings, settings.https_port, shared.secure(), h3=True)
        servers[SHARED_TLS] |= {"named_routes": shared.named, "tls_connection_policies": shared.policies()}
        apps["tls"] = shared.tls()
        apps["pki"] = {"certificate_authorities": {"local": {"name": "Corral", "install_trust": False}}}
    metrics = settings.config.metrics_port
    if metrics in settings.listen:
        servers[METRICS] = _server(settings, metrics, [{"handle": [{"handler": "metrics"}]}])
    config = bare_config(settings.caddy)
    config["logging"] = _logging(settings)
    config["apps"] = apps
    return config


def _logging(settings: Settings) -> dict[str, Any]:
    noisy = ["http.handlers.reverse_proxy"]  # each request that waits for a replica
    logs: dict[str, Any] = {"default": {"level": "WARN", "exclude": [*noisy, "http.log.access"]}}
    if settings.access_log:
        logs["access"] = {
            "include": ["http.log.access"],
            "writer": {
                "output": "file",
                "filename": settings.access_log,
                "roll_size_mb": 64,
                "roll_keep": 5,
                "mode": "0640",
            },
        }
    return {"logs": logs}


def host_names(service: ServiceRoute, config: GatewayConfig) -> list[str]:
    """As programs write it that find the name by what their resolver searches; not the name alone, which may be a host's."""
    name = f"{service.name}.{service.namespace}"
    known = (config.domain, f"svc.{config.domain}", "svc.cluster.local", "svc")
    return [*dict.fromkeys(f"{name}.{one}" for one in known), name]


def listeners(services: Iterable[ServiceRoute], settings: Settings) -> set[int]:
    """The ports that are wanted for these."""
    found = {port.listen for service in services for port in service.ports if port.speech != "tcp" and port.listen}
    return (found | {settings.http_port, settings.https_port, settings.config.metrics_port}) - {0}


def names(
    services: Iterable[ServiceRoute], ingresses: Iterable[IngressRoute], config: GatewayConfig
) -> dict[tuple[str, str], ObjectKey]:
    """Which service are the requests of a server and a host counted for, as Caddy's metrics name these?

    Those of a host of Ingresses are, if it leads to one service alone.
    """
    found: dict[tuple[str, str], ObjectKey] = {}
    hosts: dict[str, set[ObjectKey]] = {}
    for ingress in ingresses:
        for path in ingress.paths:
            if path.host:
                hosts.setdefault(path.host, set()).add(ObjectKey("Service", ingress.namespace, path.service))
    for service in services:
        for port in service.ports:
            found[server_name(service, port), ""] = service.key
        for host in host_names(service, config):
            hosts[host] = {service.key}
    for host, keys in hosts.items():
        if len(keys) == 1:
            found[SHARED, host] = found[SHARED_TLS, host] = next(iter(keys))
    return found


def _server(settings: Settings, port: int, routes: list[dict[str, Any]], *, h3: bool = False) -> dict[str, Any]:
    server: dict[str, Any] = {
        "listen": settings.listen[port],
        "routes": [_NOBODY_YET, *routes],
        "protocols": ["h1", "h2", "h3"] if h3 else ["h1", "h2c"],
        "automatic_https": {"disable": True},
    }
    if h3 and any(words.startswith("fd/") for words in settings.listen[port]):  # which are TCP's alone
        own = [words_of((address, port)) for address in settings.addresses]
        server["listen"] = [*settings.listen[port], *own]
        server["listen_protocols"] = [["h1", "h2"]] * len(settings.listen[port]) + [["h3"]] * len(own)
    if settings.access_log:
        server["logs"] = {}
    return server
