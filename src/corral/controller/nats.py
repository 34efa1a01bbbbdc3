"""Who keeps the message bus up? The controller starts the NATS server of the cluster, or finds it, and restarts a dead one."""

import asyncio
import os
from pathlib import Path

from corral.bus.credentials import ClusterKeys
from corral.bus.errors import BusError
from corral.bus.server import RunningServer, Tls, start_server
from corral.daemon.logs import Log
from corral.model.cluster import NatsConfig

#: Seconds between two looks at whether it lives.
INTERVAL = 0.5


class NatsKeeper:
    """Of our own server; with a configured URL there is nothing to keep."""

    def __init__(self, config: NatsConfig, directory: Path, keys: ClusterKeys, log: Log) -> None:
        self._config = config
        self._directory = directory
        self._keys = keys
        self._log = log
        self._server: RunningServer | None = None

    @property
    def is_ours(self) -> bool:
        return not self._config.url

    @property
    def url(self) -> str:
        """For the controller itself."""
        if not self.is_ours:
            return self._config.url
        if self._config.certificate and self._config.advertise:
            return self._config.advertise  # the certificate says this name
        return self._server.url.replace("//0.0.0.0:", "//127.0.0.1:") if self._server else ""

    @property
    def advertised(self) -> str:
        """For agents and clients."""
        return self._config.advertise or self.url

    async def start(self) -> None:
        """Try until it runs."""
        while self.is_ours:
            try:
                self._server = await asyncio.to_thread(self._start)
                self._write_url()
                return
            except (BusError, OSError) as error:
                self._log.error("the NATS server does not start", error)
                await asyncio.sleep(1.0)

    def _start(self) -> RunningServer:
        host, _, port = self._config.listen.rpartition(":")
        tls = None
        if self._config.certificate:
            authority = Path(self._config.ca) if self._config.ca else None
            tls = Tls(Path(self._config.certificate), Path(self._config.key), authority)
        return start_server(self._directory, self._keys, host=host.strip("[]"), port=int(port or 0), tls=tls)

    def _write_url(self) -> None:
        """For agents on this machine."""
        path = self._directory / "url"
        temporary = path.with_name(f"url.{os.getpid()}")
        temporary.write_text(self.advertised + "\n")
        os.replace(temporary, path)

    async def run(self) -> None:
        """Restart it whenever it has died. Its port stays the same, so that everyone finds it again."""
        while self.is_ours:
            await asyncio.sleep(INTERVAL)
            if self._server is not None and not self._server.is_alive():
                self._log.warning("the NATS server died, starting another", pid=self._server.pid)
                await self.start()

    def stop(self) -> None:
        if self._server is not None:
            self._server.stop()
