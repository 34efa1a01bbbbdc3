"""What does a gateway know of the services: which ports, which addresses behind them, who comes in by which name?"""

from typing import Literal

import msgspec

from corral.model.kube.meta import ObjectKey

#: How a port is spoken to: HTTP/1.1, HTTP/2 without TLS (gRPC too), either over TLS, or bytes.
Speech = Literal["http", "h2c", "https", "tcp"]


class Target(msgspec.Struct, frozen=True, order=True, omit_defaults=True):
    """One replica."""

    host: str
    port: int
    weight: int = 1
    pod: str = ""
    own: str = ""  #: its own address and port, which nodes translate; "" = it has none
    own_port: int = 0

    @property
    def address(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Traffic(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How requests are dealt with, as a Service's or an Ingress' annotations say."""

    balancing: Literal["least-requests", "round-robin", "random", "first"] = "least-requests"
    sticky: Literal["", "cookie", "header", "client-ip"] = ""
    sticky_name: str = ""  #: of the cookie or header
    max_body: int = 0  #: bytes; 0 = any
    timeout: float = 0.0  #: seconds until the head of the answer is there; 0.0 = any
    most_per_replica: int = 0  #: requests at once; 0 = any
    auth: Literal["", "login", "token"] = ""
    tokens: tuple[str, ...] = ()  #: each lets in
    redirects: bool = True  #: of an Ingress: to https, where it has that


class PortRoute(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One port of a service."""

    port: int
    name: str = ""
    speech: Speech = "http"
    listen: int = 0  #: where the gateway takes connections for it; 0 = it has none of its own
    targets: tuple[Target, ...] = ()


class ServiceRoute(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    namespace: str
    name: str
    ports: tuple[PortRoute, ...] = ()
    external: bool = False  #: it leads out of the cluster
    external_name: str = ""  #: then: to this host
    traffic: Traffic = Traffic()

    @property
    def key(self) -> ObjectKey:
        return ObjectKey("Service", self.namespace, self.name)


class PathRoute(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an Ingress says of one path."""

    service: str
    port: int = 0
    port_name: str = ""
    host: str = ""  #: "" = any
    path: str = ""  #: "" = any
    exact: bool = False


class Certificate(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    hosts: tuple[str, ...] = ()
    certificate: str = ""  #: PEM; "" = one of the cluster's authority
    key: str = ""


class IngressRoute(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    namespace: str
    name: str
    paths: tuple[PathRoute, ...] = ()
    certificates: tuple[Certificate, ...] = ()
    traffic: Traffic = Traffic()
    created: float = 0.0  #: seconds since the epoch; of two that say the same, the older one counts

    @property
    def key(self) -> ObjectKey:
        return ObjectKey("Ingress", self.namespace, self.name)


class Routes(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is new to a gateway; `full`: all there is, and what is not named is gone."""

    version: str
    full: bool = False
    services: tuple[ServiceRoute, ...] = ()
    ingresses: tuple[IngressRoute, ...] = ()
    removed: tuple[ObjectKey, ...] = ()
