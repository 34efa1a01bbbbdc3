"""How does a changed corral.toml take effect while the controller runs?"""

from collections.abc import Callable
from pathlib import Path

import msgspec

from corral.config.cluster import load
from corral.controller.api.service import Service
from corral.errors import CorralError
from corral.model.cluster import ClusterConfig
from corral.protocol.replies import Done, Rejected, Reply
from corral.protocol.requests import Caller

#: Keys that count only at the start of a controller.
_FIXED = ("cluster", "state_dir", "nats", "api", "proxy", "store")


class Reconfigurer:
    def __init__(self, path: Path | None, service: Service, take_over: Callable[[ClusterConfig], None]) -> None:
        self._path = path
        self._service = service
        self._take_over = take_over

    async def reconfigure(self, caller: Caller) -> Reply:
        if not caller.is_operator:
            return Rejected(error="Access/permission denied", code="denied")
        if self._path is None:
            return Done(messages=("The controller was started without a configuration file: nothing to read.",))
        try:
            new = msgspec.structs.replace(load(self._path), state_dir=self._service.config.state_dir)
        except (CorralError, OSError) as error:
            return Rejected(error=str(error), detail="The old configuration goes on.")
        old = self._service.config
        fixed = [key for key in _FIXED if getattr(new, key) != getattr(old, key)]
        self._take_over(new)
        await self._service.loop.configure(new)
        messages = tuple(f"{key}: takes effect when the controller is started again" for key in fixed)
        return Done(messages=messages)
