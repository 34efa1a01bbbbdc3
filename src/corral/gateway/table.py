"""What does the gateway know of the services? What the controller has told, put together, and kept for when it is away."""

import os
from pathlib import Path

import msgspec

from corral.model.kube.meta import ObjectKey
from corral.protocol.routes import IngressRoute, Routes, ServiceRoute

_decode = msgspec.json.Decoder(Routes).decode


class Table:
    """All that is known. `version` is what to ask for changes after."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.version = ""
        self.services: dict[ObjectKey, ServiceRoute] = {}
        self.ingresses: dict[ObjectKey, IngressRoute] = {}

    def load(self) -> None:
        """What was known when the gateway last ran."""
        try:
            self.take(_decode(self._path.read_bytes()))
        except (OSError, msgspec.DecodeError):
            return

    def save(self) -> None:
        services, ingresses = tuple(self.services.values()), tuple(self.ingresses.values())
        routes = Routes(version=self.version, full=True, services=services, ingresses=ingresses)
        new = self._path.with_name(f"{self._path.name}.new")
        new.touch(mode=0o600)
        new.write_bytes(msgspec.json.encode(routes))
        os.replace(new, self._path)

    def take(self, routes: Routes) -> bool:
        """Is it other than before?"""
        self.version = routes.version
        services = {one.key: one for one in routes.services}
        ingresses = {one.key: one for one in routes.ingresses}
        gone = {ObjectKey(*key) for key in routes.removed}
        if routes.full:
            gone |= {key for known in (self.services, self.ingresses) for key in known} - set(services) - set(ingresses)
        is_other = False
        for key in gone:
            is_other |= self.services.pop(key, None) is not None
            is_other |= self.ingresses.pop(key, None) is not None
        for key, service in services.items():
            is_other |= self.services.get(key) != service
            self.services[key] = service
        for key, ingress in ingresses.items():
            is_other |= self.ingresses.get(key) != ingress
            self.ingresses[key] = ingress
        return is_other
