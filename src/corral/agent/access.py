"""Where is the bus, and as whom does the agent go there?

An agent on the controller's machine, with the same state directory, finds both there. Any other is told by its configuration.
"""

import asyncio
from pathlib import Path

from corral.bus import subjects
from corral.bus.credentials import ClusterKeys, may_publish
from corral.bus.errors import ConnectionLost
from corral.errors import ConfigError
from corral.model.cluster import NatsConfig
from corral.syntax import hostlist

#: Between two looks whether the controller has started its server for the first time.
_LOOK_SECONDS = 0.005


class Access:
    def __init__(self, nats: NatsConfig, state_dir: Path, cluster: str, name: str, nodes: tuple[str, ...]) -> None:
        self._nats, self._state_dir, self._name, self._nodes = nats, state_dir, name, nodes
        self._reports = subjects.reports(cluster, name, nodes)
        self._jwt = ""

    def url(self) -> str:
        """ConnectionLost while nobody knows."""
        if self._nats.url:
            return self._nats.url
        try:
            return (self._state_dir / "nats" / "url").read_text().strip()
        except OSError:
            raise ConnectionLost(reason=f"no controller has run in {self._state_dir} yet") from None

    def jwt(self) -> str:
        if self._nats.credentials:
            return self._token_in(Path(self._nats.credentials))
        if not self._jwt:
            try:
                keys = ClusterKeys.load(self._state_dir / "keys")
            except OSError:
                return ""
            self._jwt = keys.agent_jwt(self._name, self._nodes)
        return self._jwt

    async def known(self, stopping: asyncio.Event) -> None:
        """A new cluster's controller and agent start at once: the agent waits for the other. Later the file is there."""
        file = self._state_dir / "nats" / "url"
        while not (self._nats.url or stopping.is_set() or file.exists()):  # noqa: ASYNC110 - once in a cluster's life
            await asyncio.sleep(_LOOK_SECONDS)

    def _token_in(self, path: Path) -> str:
        try:
            token = path.read_text().strip()
        except OSError as error:
            problem = f"the credentials of [nats] cannot be read: {error.strerror}"
            raise ConfigError(file=path, line=1, problem=problem) from None
        if not may_publish(token, self._reports):
            nodes = hostlist.fold(self._nodes)
            option = "" if nodes == self._name else f" --nodes '{nodes}'"
            problem = f"this token is for another agent or for other nodes: `corral token node '{self._name}'{option}` makes one"
            raise ConfigError(file=path, line=1, problem=problem)
        return token
