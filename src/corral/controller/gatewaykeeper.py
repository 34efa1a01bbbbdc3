"""Who starts the gateway? The controller, on its own machine, once there is something to serve; and again when it has died."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from corral.daemon.logs import Log
from corral.engine.kubeobjects import Objects
from corral.model.cluster import GatewayConfig

#: Seconds between two looks.
_INTERVAL = 0.2
#: One that ends again and again is waited for longer and longer, at most so many seconds.
_LONGEST = 30.0


class GatewayKeeper:
    """Of the gateway in the controller's state directory. One that somebody else has started there is left alone."""

    def __init__(
        self, config: Callable[[], GatewayConfig], objects: Callable[[], Objects], directory: Path, config_path: Path | None,
        endpoint: str, log: Log,
    ) -> None:  # fmt: skip
        self._config, self._objects = config, objects
        self._directory, self._config_path, self._endpoint, self._log = directory, config_path, endpoint, log
        self._child = 0

    async def run(self) -> None:
        pause = 1.0
        while True:
            await asyncio.sleep(_INTERVAL)
            if not self._config().start or not self._is_wanted() or self._is_running():
                continue
            self._child = self._spawn()
            self._log.info("started the gateway", pid=self._child)
            await asyncio.sleep(pause)
            pause = 1.0 if self._is_running() else min(_LONGEST, pause * 2)

    def _is_wanted(self) -> bool:
        objects = self._objects()
        return any(next(iter(objects.everywhere(kind)), None) is not None for kind in ("Service", "Ingress"))

    def _is_running(self) -> bool:
        if self._child:
            try:
                if os.waitpid(self._child, os.WNOHANG)[0] == self._child:
                    self._child = 0
            except ChildProcessError:
                self._child = 0
        if self._child:
            return True
        try:
            pid = int((self._directory / "gateway" / "lock").read_bytes().partition(b"\n")[0] or b"0")
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except (OSError, ValueError):
            return False
        return b"corral.gateway" in words and os.fsencode(self._directory) in words

    def _spawn(self) -> int:
        home = self._directory / "gateway"
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        command = [sys.executable, "-m", "corral.gateway", "--dir", str(self._directory), "--endpoint", self._endpoint]
        if self._config_path is not None:
            command += ["--config", str(self._config_path)]
        return os.posix_spawn(
            command[0],
            command,
            os.environ,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, str(home / "gateway.err"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o640),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
            setsid=True,
            setsigmask=(),
            setsigdef=(signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE, signal.SIGUSR1, signal.SIGUSR2),
        )
