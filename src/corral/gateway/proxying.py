"""What does Caddy do with a request for one port of a service? Its handlers, as its JSON has them. Pure."""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from corral.gateway.pointing import weighted
from corral.model.cluster import GatewayConfig
from corral.protocol.routes import PortRoute, ServiceRoute, Target, Traffic

SECOND = 1_000_000_000
MILLISECOND = 1_000_000
#: Milliseconds between two questions where a service leads, at least and at most: the more services, the longer. Caddy keeps a hundred
#: answers; where more services are busy at once it asks again sooner.
_REFRESH = (20, 80)
#: So many replicas are in each answer. What sticks to replicas needs all of them.
_MOST_STICKY = 24
#: A connection to a replica that nobody uses is closed before the replica may do so, in the middle of the next request.
_IDLE = 1500 * MILLISECOND
#: A WebSocket or a stream outlives the configuration that it came in with by so long.
_STREAMS_LAST = 7 * 86400 * SECOND
_META = frozenset("\\.+*?()|[]{}^$")
USER_HEADER = "X-Corral-User"
_POLICIES = {"least-requests": "least_conn", "round-robin": "round_robin", "random": "random", "first": "first"}


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Of one gateway."""

    config: GatewayConfig
    caddy: Path  #: the socket of Caddy's admin interface
    pointers: Path  #: that of the program that says where services lead
    waiting: Path  #: the directory of the sockets behind which requests wait for a replica
    login: Path  #: the socket at which is asked who somebody is
    http_port: int = 0
    https_port: int = 0
    access_log: str = ""  #: its file; "" = there is none
    addresses: tuple[str, ...] = ("127.0.0.1",)  #: that are listened on
    listen: dict[int, list[str]] = {}  #: in Caddy's words: each port that can be had


def server_name(service: ServiceRoute, port: PortRoute) -> str:
    return f"{service.namespace}/{service.name}:{port.port}"


def key_of(service: ServiceRoute, port: PortRoute) -> str:
    """Short, and of letters and numbers alone: in the names of files and in questions."""
    return hashlib.sha256(server_name(service, port).encode()).hexdigest()[:20]


def pointed_at(services: Iterable[ServiceRoute]) -> dict[str, tuple[Target, ...]]:
    """Where each port leads whose replicas Caddy asks for again and again: a change of them is no change of its configuration.

    What is outside the cluster, and what sticks to more replicas than are in one answer, has them in the configuration.
    """
    found: dict[str, tuple[Target, ...]] = {}
    for service in services:
        for port in service.ports:
            if is_pointed_at(service, port):
                found[key_of(service, port)] = port.targets
    return found


def is_pointed_at(service: ServiceRoute, port: PortRoute) -> bool:
    if port.speech == "tcp" or service.external:
        return False
    return not service.traffic.sticky or len(port.targets) <= _MOST_STICKY


def replicas_in_config(service: ServiceRoute) -> bool:
    """Are replicas of it in Caddy's configuration?"""
    return (
        any(port.speech != "tcp" and port.targets and not is_pointed_at(service, port) for port in service.ports)
        and not service.external
    )


def shape_of(service: ServiceRoute) -> object:
    """All of it that is in Caddy's configuration: while it stays the same, that need not be made anew."""
    ports = []
    for port in service.ports:
        targets = () if is_pointed_at(service, port) else port.targets
        is_weighted = len({target.weight for target in port.targets}) > 1
        ports.append((port.port, port.name, port.speech, port.listen, targets, is_weighted))
    return service.namespace, service.name, tuple(ports), service.external, service.traffic


def gate(traffic: Traffic, settings: Settings) -> list[dict[str, Any]]:
    """What a request passes before it goes to a replica."""
    found: list[dict[str, Any]] = []
    if traffic.max_body:
        found.append({"handler": "request_body", "max_size": traffic.max_body})
    if traffic.auth == "token":
        found.append(_by_token(traffic.tokens))
    elif traffic.auth == "login":
        found.append(_by_login(settings))
    return found


def _by_token(tokens: tuple[str, ...]) -> dict[str, Any]:
    refused = {
        "handler": "static_response",
        "status_code": "401",
        "headers": {"WWW-Authenticate": ["Bearer"]},
        "body": "A token is needed: Authorization: Bearer TOKEN\n",
    }
    route: dict[str, Any] = {"handle": [refused], "terminal": True}
    if tokens:
        # A plain comparison of Caddy's would read * and {...} in a token as more than they are.
        pattern = f"^Bearer (?:{'|'.join(map(escaped, tokens))})$"
        route["match"] = [{"not": [{"header_regexp": {"Authorization": {"pattern": pattern}}}]}]
    return {"handler": "subroute", "routes": [route]}


def escaped(text: str) -> str:
    """For a pattern of Go's."""
    return "".join(f"\\{one}" if one in _META else one for one in text)


def _by_login(settings: Settings) -> dict[str, Any]:
    """Somebody else is asked who this is; what is answered is the answer, unless it is yes."""
    taken = {
        "handler": "headers",
        "request": {"set": {USER_HEADER: ["{http.reverse_proxy.header." + USER_HEADER + "}"]}},
    }
    asks = {
        "handler": "reverse_proxy",
        "upstreams": [{"dial": f"unix/{settings.login}"}],
        # Of a path that nobody asks for: where a rewriting changes nothing, Caddy sends the body along.
        "rewrite": {"method": "GET", "uri": "/corral/who"},
        "headers": {"request": {"set": {"X-Forwarded-Method": ["{http.request.method}"]}}},
        "handle_response": [{"match": {"status_code": [2]}, "routes": [{"handle": [taken]}]}],
    }
    # Below another, or Caddy's metrics would take it for what goes to a replica.
    return {"handler": "subroute", "routes": [{"handle": [asks]}]}


def proxy_to(service: ServiceRoute, port: PortRoute, settings: Settings, pointed: int) -> dict[str, Any]:
    """`pointed`: how many ports have their replicas asked for; 0 = this one has not.

    It stands in a route of its own: Caddy's metrics name a route after the first that it does.
    """
    traffic = service.traffic
    transport: dict[str, Any] = {"protocol": "http", "keep_alive": {"idle_timeout": _IDLE}, "dial_timeout": 3 * SECOND}
    if port.speech == "h2c":
        transport["versions"] = ["h2c", "2"]
    elif port.speech == "https":
        transport["tls"] = {"insecure_skip_verify": True}
    if traffic.timeout:
        transport["response_header_timeout"] = int(traffic.timeout * SECOND)
    proxy: dict[str, Any] = {
        "handler": "reverse_proxy",
        "transport": transport,
        "load_balancing": {
            "selection_policy": _policy(service, port),
            "try_duration": 5 * SECOND,
            "try_interval": 50 * MILLISECOND,
            # Only what has not been sent is sent again: no request is of this method.
            "retry_match": [{"method": ["NEVER"]}],
        },
        "health_checks": {"passive": _passive(traffic)},
        "stream_close_delay": _STREAMS_LAST,
    }
    if port.speech == "http":
        # With HTTP/2 Caddy knows by itself what is a stream; hurried, it would part the head of an answer that has nothing else from
        # its end, and gRPC's clients would not see the error that is in it.
        proxy["flush_interval"] = -1
    waiting = [{"dial": f"unix/{settings.waiting / key_of(service, port)}"}]
    if service.external:
        proxy["upstreams"] = [{"dial": target.address} for target in port.targets]
        proxy["headers"] = {"request": {"set": {"Host": ["{http.reverse_proxy.upstream.hostport}"]}}}
    elif pointed:
        resolver = {"addresses": [f"unix/{settings.pointers}"]}
        transport["resolver"] = resolver
        refresh = min(max(_REFRESH[0], pointed), _REFRESH[1]) * MILLISECOND
        proxy["dynamic_upstreams"] = {
            "source": "srv", "name": f"{key_of(service, port)}.s.", "refresh": refresh, "resolver": resolver,
        }  # fmt: skip
        proxy["upstreams"] = waiting
    else:
        proxy["upstreams"] = [{"dial": target.address} for target in weighted(port.targets)] or waiting
    return proxy


def _passive(traffic: Traffic) -> dict[str, Any]:
    """A replica to which no connection can be made is left alone for a moment."""
    found: dict[str, Any] = {"fail_duration": SECOND, "max_fails": 2}
    if traffic.most_per_replica:
        found["unhealthy_request_count"] = traffic.most_per_replica
    return found


def _policy(service: ServiceRoute, port: PortRoute) -> dict[str, Any]:
    traffic = service.traffic
    plain = {"policy": _POLICIES[traffic.balancing]}
    if traffic.balancing == "least-requests" and len({target.weight for target in port.targets}) > 1:
        plain = {"policy": "random"}  # shares of the traffic are meant, not of what is in flight
    match traffic.sticky:
        case "cookie":
            return {"policy": "cookie", "name": traffic.sticky_name, "fallback": plain}
        case "header":
            return {"policy": "header", "field": traffic.sticky_name, "fallback": plain}
        case "client-ip":
            return {"policy": "client_ip_hash"}
        case _:
            return plain
