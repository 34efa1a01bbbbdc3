"""Who keeps the proxy up? The controller: from its first use on, or always where it is configured; a dead one is started again."""

import asyncio
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from corral.daemon.logs import Log
from corral.errors import CorralError
from corral.model.cluster import ClusterConfig

#: Seconds until it must listen, and between two starts of one that dies.
START_SECONDS, PAUSE_SECONDS = 15.0, 1.0
_ANYWHERE = ("", "0.0.0.0", "::")


class ProxyDown(CorralError):
    """The proxy does not start: {reason}"""


class ProxyKeeper:
    """corral.proxy, in a process of its own."""

    def __init__(
        self, config: Callable[[], ClusterConfig], directory: Path, config_path: Path | None, endpoint: str, log: Log
    ) -> None:
        self._config, self._directory, self._config_path = config, directory, config_path
        self._endpoint, self._log = endpoint, log
        self._is_wanted = asyncio.Event()
        self._process: asyncio.subprocess.Process | None = None
        self._told: dict[str, Any] = {}

    @property
    def _ready(self) -> Path:
        return self._directory / "proxy.ready"

    async def run(self) -> None:
        if self._config().proxy.listen or self._ready.exists():
            self._is_wanted.set()
        try:
            while True:
                await self._is_wanted.wait()
                await self._serve()
                await asyncio.sleep(PAUSE_SECONDS)
        finally:
            if self._process is not None and self._process.returncode is None:
                self._process.terminate()

    async def _serve(self) -> None:
        words = ["--dir", str(self._directory), "--endpoint", self._endpoint]
        words += ["--config", str(self._config_path)] if self._config_path else []
        self._told = {}
        with open(self._directory / "proxy.err", "wb") as errors:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "corral.proxy", *words, stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL, stderr=errors,
            )  # fmt: skip
        status = await self._process.wait()
        self._log.warning("the proxy ended, starting another", status=status, words=self._last_words())

    async def address(self) -> str:
        """http://127.0.0.1:40123, when it listens."""
        self._is_wanted.set()
        deadline = asyncio.get_running_loop().time() + START_SECONDS
        while not self._is_up():
            if asyncio.get_running_loop().time() > deadline:
                raise ProxyDown(reason=self._last_words() or "it takes too long")
            await asyncio.sleep(0.05)
        config = self._config().proxy
        if config.advertise:
            return config.advertise.rstrip("/")
        host = config.listen.rpartition(":")[0] or "127.0.0.1"
        if host.strip("[]") in _ANYWHERE:
            host = socket.getfqdn()
        return f"{self._told['scheme']}://{host}:{self._told['port']}"

    def _is_up(self) -> bool:
        process = self._process
        if process is None or process.returncode is not None:
            return False
        if self._told.get("pid") != process.pid:
            try:
                self._told = msgspec.json.decode(self._ready.read_bytes())
            except (OSError, msgspec.MsgspecError):
                return False
        return bool(self._told.get("pid") == process.pid)

    def _last_words(self) -> str:
        try:
            return (self._directory / "proxy.err").read_text(errors="replace").strip()[-500:]
        except OSError:
            return ""
