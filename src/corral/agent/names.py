"""How do the programs of a node find services by their names?

They have a name server of their own (resolver.py). Over /etc/resolv.conf lies, for jobs alone, a file of the agent's. As long as there are
no services it says what the machine's says, and no program runs; with the first one it names that name server, and programs that run
already follow, since resolvers read it again when it has changed. A Pod's file is its own (podroom.py): it searches its namespace first,
and names an address that is seen from other networks too.

All tasks of a node share one mount namespace for it (viewing.py), so that a job's start costs nothing more. That takes root.
"""

import asyncio
import hashlib
import os
import subprocess
import sys

import msgspec

from corral.agent import resolver
from corral.agent.addressfile import path_in
from corral.agent.processes import has_capability
from corral.agent.resolverfile import MACHINES, addresses_of, directory_of, jobs_text
from corral.agent.viewing import file_of
from corral.daemon.logs import Log
from corral.daemon.process import Program, ProgramFailed
from corral.protocol.orders import Names

#: Another agent of the machine may have an address.
_ATTEMPTS = 16
_CAPABILITIES = ((21, "CAP_SYS_ADMIN"), (10, "CAP_NET_BIND_SERVICE"))


def why_not() -> str:
    """What is missing for it; "" = nothing."""
    if os.geteuid() != 0:
        return "the agent is not root"
    for number, name in _CAPABILITIES:
        if not has_capability(number):
            return f"root without {name}"
    return "" if os.path.isfile(MACHINES) else f"no {MACHINES}"


class NodeNames:
    """Of one agent."""

    def __init__(self, agents: str, log: Log, domain: str, *, has_pod_networks: bool) -> None:
        self.directory, self._translated = directory_of(agents), path_in(agents)
        self._log, self._has_pod_networks = log, has_pod_networks
        self._table = f"{self.directory}/table"
        self.known = self._told_before() or Names(domain)
        self._machines: object = None
        self._starting: asyncio.Task[None] | None = None
        self._keeping: asyncio.Task[None] | None = None
        self._program: Program | None = None
        self.refresh()

    def _told_before(self) -> Names | None:
        os.makedirs(self.directory, mode=0o755, exist_ok=True)
        try:
            with open(self._table, "rb") as file:
                return msgspec.json.decode(file.read(), type=Names)
        except (OSError, msgspec.DecodeError):
            return None

    # -- the jobs' file

    def refresh(self) -> None:
        """The machine's may have changed."""
        try:
            with open(MACHINES, encoding="utf-8", errors="replace") as file:
                text = file.read()
        except OSError:
            return
        found = addresses_of(self.directory) if self.known.servers else []
        if found:
            text = jobs_text(text, found[0], self.known.domain)
        if text != self._machines:
            _write_in_place(file_of(self.directory), text)
            self._machines = text

    # -- the name server

    def take(self, names: Names) -> None:
        """As the controller says."""
        if names == self.known:
            return
        self.known = names
        self._write_table()
        self.ensure()

    def _write_table(self) -> None:
        with open(f"{self._table}.new", "wb") as file:
            file.write(msgspec.json.encode(self.known))
        os.replace(f"{self._table}.new", self._table)

    def ensure(self) -> asyncio.Task[None]:
        """It runs, and is kept."""
        if self._starting is None or (self._starting.done() and self._keeping is None):
            self._starting = asyncio.get_running_loop().create_task(self._start())
        elif self._starting.done():
            self.refresh()
        return self._starting

    def resume(self) -> None:
        """After the agent's start: what there was, there is again."""
        if self.known.servers or addresses_of(self.directory):
            self.ensure()

    async def _start(self) -> None:
        from pathlib import Path

        if self._program is None:
            self._program = Program("resolver", Path(self.directory), Path(self._table), self._log)
        if self._program.adopt() and not self._is_of_today(self._program.pid):
            await self._program.end()
        if not self._program.pid:
            try:
                self._write_table()
                await self._again()
            except (ProgramFailed, OSError) as error:
                self._log.error("names of services are not resolved", error)
                return
        self._keeping = asyncio.get_running_loop().create_task(self._program.keep(self._again))
        self.refresh()

    def _is_of_today(self, pid: int) -> bool:
        """Or has an earlier version started it?"""
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                return os.fsencode(self._translated) in file.read().split(b"\0")
        except OSError:
            return False

    async def _again(self) -> None:
        """At the addresses that it had, since Pods that run know them; at others, where they are taken."""
        assert self._program is not None
        before = addresses_of(self.directory)
        _unlink(f"{self.directory}/ready")
        tries = ([before] if before else []) + [self._addresses(number) for number in range(_ATTEMPTS)]
        for addresses in tries:
            for one in addresses:
                if one.startswith(resolver.LINK_LOCAL):
                    _on_loopback("replace", one)
            command = [
                sys.executable,
                "-I",
                "-S",
                resolver.__file__,
                self._table,
                self._translated,
                f"{self.directory}/ready",
                *addresses,
            ]
            if await self._program.start(command, {}, self._answers):
                return
        raise ProgramFailed(program="the name server of jobs", reason=self._program.last_words())

    async def _answers(self) -> bool:
        return bool(addresses_of(self.directory))

    def _addresses(self, number: int) -> list[str]:
        mark = int(hashlib.sha256(os.fsencode(os.path.abspath(self.directory))).hexdigest()[:8], 16) + number
        found = [f"127.83.{mark // 250 % 250}.{mark % 250 + 1}"]
        if self._has_pod_networks:
            found.append(f"{resolver.LINK_LOCAL}53.{mark % 250 + 1}")
        return found

    def end(self) -> None:
        """With all jobs."""
        if self._keeping is not None:
            self._keeping.cancel()
        if self._program is not None:
            self._program.stop()
        for one in addresses_of(self.directory):
            if one.startswith(resolver.LINK_LOCAL):
                _on_loopback("del", one)
        _unlink(f"{self.directory}/ready")


def _write_in_place(path: str, text: str) -> None:
    """It is mounted: what takes its place would not be seen."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        data = text.encode()
        os.write(fd, data)
        os.ftruncate(fd, len(data))
        os.fchmod(fd, 0o644)
    finally:
        os.close(fd)


def _on_loopback(verb: str, address: str) -> None:
    subprocess.run(["ip", "address", verb, f"{address}/32", "dev", "lo"], capture_output=True, check=False)


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
