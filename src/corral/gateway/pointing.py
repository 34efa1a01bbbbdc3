"""How does Caddy learn at once where a service leads? Each service's addresses lie in a file, out of which `pointers.py` answers."""

import asyncio
import ipaddress
import os
import socket
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from corral.daemon.logs import Log
from corral.daemon.process import Program, ProgramFailed
from corral.gateway import pointers
from corral.protocol.routes import Target

#: Copies of one address, at most: a replica with a weight stands in the answer as often.
_MOST_COPIES = 40


class Pointing:
    """The files, and the program that reads them."""

    def __init__(self, directory: Path, sockets: Path, log: Log) -> None:
        self.directory = directory / "pointers"
        self.socket, self.copies = sockets / "pointers.sock", sockets / "ports.sock"
        self.on_start: Callable[[], None] = lambda: None
        self.program = Program("pointers", directory, self.directory, log)
        self._written: dict[str, bytes] = {}
        self._pointed: dict[str, tuple[Target, ...]] = {}
        self._names: dict[str, bytes] = {}  #: hosts that are no addresses, as they were resolved last

    async def start(self) -> None:
        self.directory.mkdir(mode=0o700, exist_ok=True)
        self._pointed = dict.fromkeys(os.listdir(self.directory), ())  # what an earlier gateway has left
        if not self.program.adopt():
            await self._again()

    async def run(self) -> None:
        await self.program.keep(self._again)

    async def _again(self) -> None:
        command = [sys.executable, "-I", "-S", pointers.__file__, str(self.socket), str(self.directory)]
        command.append(str(self.copies))
        self.socket.unlink(missing_ok=True)
        if not await self.program.start(command, {}, self._answers):
            raise ProgramFailed(program="pointers", reason=self.program.last_words())
        self.on_start()

    async def _answers(self) -> bool:
        return self.socket.exists()

    async def point(self, routes: dict[str, tuple[Target, ...]]) -> None:
        """By key; those that are not named are forgotten."""
        for key, targets in routes.items():
            if key in self._written and self._pointed.get(key) == targets and not self._has_names(targets):
                continue
            self._pointed[key] = targets
            data = pointers.service_records(await self._addresses(weighted(targets)))
            if self._written.get(key) != data:
                self._write(key, data)
        for key in [key for key in self._pointed if key not in routes]:
            (self.directory / key).unlink(missing_ok=True)
            self._written.pop(key, None)
            del self._pointed[key]

    def _has_names(self, targets: tuple[Target, ...]) -> bool:
        """They may stand for other addresses by now."""
        return any(target.host in self._names for target in targets)

    def _write(self, key: str, data: bytes) -> None:
        path = self.directory / key
        if data:
            new = self.directory.parent / "pointer.new"
            new.write_bytes(data)
            os.replace(new, path)
        else:
            path.unlink(missing_ok=True)
        self._written[key] = data

    async def _addresses(self, targets: Iterable[Target]) -> list[tuple[bytes, int]]:
        found = []
        for target in targets:
            try:
                packed = ipaddress.ip_address(target.host).packed
            except ValueError:
                packed = await self._resolved(target.host)
            if packed:
                found.append((packed, target.port))
        return found

    async def _resolved(self, host: str) -> bytes:
        """A node that is known by its name."""
        try:
            infos = await asyncio.get_running_loop().getaddrinfo(host, 0, type=socket.SOCK_STREAM)
            self._names[host] = ipaddress.ip_address(infos[0][4][0]).packed
        except OSError:
            pass
        return self._names.get(host, b"")


def weighted(targets: tuple[Target, ...]) -> list[Target]:
    """Each as often as its weight says, in the smallest numbers that are about right."""
    weights = [target.weight for target in targets]
    if not any(weights) or len(set(weights)) == 1:
        return [target for target in targets if target.weight]
    least = min(weight for weight in weights if weight)
    scale = max(1.0, max(weights) / least / _MOST_COPIES) * least
    return [target for target in targets for _ in range(max(1, round(target.weight / scale)) if target.weight else 0)]
