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

    @property
    def address(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


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

    @property
    def key(self) -> ObjectKey:
        return ObjectKey("Service", self.namespace, self.name)


class Routes(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is new to a gateway; `full`: all there is, and what is not named is gone."""

    version: str
    full: bool = False
    services: tuple[ServiceRoute, ...] = ()
    removed: tuple[ObjectKey, ...] = ()
