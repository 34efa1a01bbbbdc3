"""How do the programs of a node reach a Service at its own address (clusterIP) and port?

The kernel translates it, by rules that this node's agent keeps (addressrules.py), as the controller tells. The node's name server answers
with an address as soon as its rules are there, and not before (resolver.py): elsewhere names lead to the gateway itself. The rules outlive
the agent; its successor finds in its directory what they were. This takes root and iptables, and a range that nothing else here has.
"""

import asyncio
import functools
import ipaddress
import os
import shutil
import subprocess

import msgspec

from corral.agent import addressrules
from corral.agent.addressfile import Known, path_in
from corral.agent.podnet import PROBLEM, CannotConnect, run, said_by
from corral.agent.processes import has_capability
from corral.daemon import clock, natrules
from corral.daemon.logs import Log
from corral.protocol.orders import TellAddresses

_NEEDED = ("iptables-restore", "iptables-save", "ip")
_CAP_NET_ADMIN = 12
_AGAIN_SECONDS = 5.0
#: Somebody may have taken the rules away (a firewall that was started anew): so often it is looked at.
_LOOK_SECONDS = 30.0


def why_not(network: str) -> str:
    """What is missing for it on this node; "" = nothing."""
    return _lacks() or _meets(network)


@functools.cache
def _lacks() -> str:
    if os.geteuid() != 0:
        return "the agent is not root"
    missing = [name for name in _NEEDED if shutil.which(name) is None]
    if missing:
        return f"no {missing[0]}"
    if not has_capability(_CAP_NET_ADMIN):
        return "root without CAP_NET_ADMIN"
    found = subprocess.run(["iptables", "-w", "5", "-t", "nat", "-S", "OUTPUT"], capture_output=True, check=False)
    words = found.stderr.decode(errors="replace").strip().splitlines()
    return f"iptables: {words[-1] if words else found.returncode}" if found.returncode else ""


def _meets(network: str) -> str:
    """Which route or address of the node lies in the range; "" = none."""
    wanted = ipaddress.IPv4Network(network)
    for words in (("route", "show"), ("address", "show")):
        said = subprocess.run(["ip", "-4", "-o", *words], capture_output=True, check=False, text=True).stdout
        for line in said.splitlines():
            found = _network_of(line, is_route=words[0] == "route")
            if found is not None and found.overlaps(wanted) and not _is_ours(line, network):
                return f"{network} meets {found} of this node: choose another service_cidr in [kubernetes]"
    return ""


def _own_addresses() -> list[str]:
    said = subprocess.run(["ip", "-4", "-o", "address", "show"], capture_output=True, check=False, text=True).stdout
    return [word.partition("/")[0] for line in said.splitlines() for word in line.split()[3:4]]


def _network_of(line: str, *, is_route: bool) -> ipaddress.IPv4Network | None:
    words = line.split()
    try:
        text = words[0 if words[0][0].isdigit() else 1] if is_route else words[words.index("inet") + 1]
        return ipaddress.IPv4Network(text, strict=False)
    except (IndexError, ValueError):
        return None  # default, and the like


def _is_ours(line: str, network: str) -> bool:
    return line.split()[:3] == [network, "dev", "lo"]


class NodeAddresses:
    """Of one agent."""

    def __init__(self, agents: str, mark: str, log: Log) -> None:
        """mark: tells this agent's rules from others' of the machine."""
        self._agents, self._mark, self._log = os.path.abspath(agents), mark, log
        self._path = path_in(agents)
        self.wanted = self._kept()
        #: Of what is there; None = it cannot be made.
        self.version: str | None = self.wanted.version if self.wanted is not None else ""
        self._made = ""  #: the rules that are there
        self._written = self._problem = ""
        self._working = asyncio.Lock()
        self._asked = asyncio.Event()
        self._keeping: asyncio.Task[None] | None = None
        self._looked = 0.0
        self._is_left_alone = False

    def _kept(self) -> Known | None:
        try:
            with open(self._path, "rb") as file:
                return msgspec.json.decode(file.read(), type=Known)
        except (OSError, msgspec.DecodeError):
            return None

    def resume(self) -> None:
        """After the agent's start: what there was, there is again; what others have left is taken away."""
        self._keeping = asyncio.get_running_loop().create_task(self._keep())
        self._asked.set()

    def take(self, order: TellAddresses) -> None:
        """As the controller says. What changes something else is not understood: the heartbeat says so."""
        if order.base and (self.wanted is None or self.wanted.version != order.base):
            return
        found = {route.name: route for route in self.wanted.routes} if order.base and self.wanted is not None else {}
        for name in order.removed:
            found.pop(name, None)
        found |= {route.name: route for route in order.routes}
        routes = tuple(route for _, route in sorted(found.items()))
        names = {route.name: route.address for route in routes if not route.host}
        self.wanted = Known(
            version=order.version, network=order.network, host=order.host, shared=order.shared, routes=routes, names=names
        )  # fmt: skip
        self._asked.set()

    def look(self) -> None:
        """From time to time: are the rules still there? What has failed is tried again."""
        now = clock.monotonic()
        if now - self._looked > (_AGAIN_SECONDS if self.version is None else _LOOK_SECONDS):
            self._asked.set()

    def look_now(self) -> None:
        """A Pod of this node has got a network, or lost one."""
        if self.wanted is not None and any(route.host for route in self.wanted.routes):
            self._asked.set()

    async def _keep(self) -> None:
        await self._sweep()
        while True:
            await self._asked.wait()
            self._asked.clear()
            self._looked = clock.monotonic()
            wanted = self.wanted
            if wanted is None or self._is_left_alone:
                continue
            try:
                async with self._working:
                    await self._make(wanted)
                self._problem = ""
            except (CannotConnect, OSError, addressrules.NotAsAgreed) as error:
                self._fail(str(error).removeprefix(PROBLEM))

    async def _make(self, wanted: Known) -> None:
        saved = await said_by("iptables-save")
        if not wanted.routes:
            await self._remove(saved)
            self._made = ""
            self._write(wanted)
            return
        if why := await asyncio.to_thread(_meets, wanted.network):
            await self._remove(saved)
            raise CannotConnect(why)
        own = addressrules.ports_of_pods(saved, await asyncio.to_thread(_own_addresses))
        text = addressrules.rules(wanted, self._mark, own=own)
        if not addressrules.is_hooked(saved, self._mark, wanted.network):
            await _have_route(wanted.network)
            self._sign()
            whole = addressrules.hooked(text, wanted, self._mark, saved)
            await run("iptables-restore", "-w", "--noflush", text=whole)
        elif text != self._made or not addressrules.is_whole(saved, self._mark, text):
            await run("iptables-restore", "-w", "--noflush", text=text)
        self._made = text
        self._write(wanted)

    def _fail(self, problem: str) -> None:
        """Names lead to the gateway again."""
        if problem != self._problem:
            self._log.warning("addresses of services are not translated", error=problem)
        self._problem, self._made, self._written, self.version = problem, "", "", None
        _unlink(self._path)

    def _write(self, known: Known) -> None:
        self.version = known.version
        if self._written == known.version:
            return
        with open(f"{self._path}.new", "wb") as file:
            file.write(msgspec.json.encode(known))
        os.replace(f"{self._path}.new", self._path)
        self._written = known.version

    # -- others', and the end

    def _sign(self) -> None:
        os.makedirs(natrules.OWNERS, exist_ok=True)
        with open(f"{natrules.OWNERS}/{self._mark}", "w", encoding="utf-8") as file:
            file.write(self._agents)

    async def _sweep(self) -> None:
        """Rules of agents whose directories are gone."""
        try:
            saved = await said_by("iptables-save")
            known = natrules.owners()
            others = natrules.marks_in(saved) - {self._mark}
            gone = {mark for mark in others if not _is_there(known.get(mark, ""))}
            if text := natrules.removal(saved, gone):
                await run("iptables-restore", "-w", "--noflush", text=text)
                self._log.info("removed the rules of agents that are gone", marks=sorted(gone))
        except (CannotConnect, OSError) as error:
            self._log.error("rules that were left cannot be removed", error)

    async def _remove(self, saved: list[str]) -> None:
        if text := natrules.removal(saved, {self._mark}):
            await run("iptables-restore", "-w", "--noflush", text=text)
        if self.wanted is not None and natrules.marks_in(saved) <= {self._mark}:
            await asyncio.to_thread(_give_up_route, self.wanted.network)

    async def end(self) -> None:
        """With all jobs."""
        self._is_left_alone = True
        async with self._working:
            if self._keeping is not None:
                self._keeping.cancel()
            _unlink(self._path)
            try:
                await self._remove(await said_by("iptables-save"))
                _unlink(f"{natrules.OWNERS}/{self._mark}")
            except (CannotConnect, OSError) as error:
                self._log.error("the rules for addresses of services cannot be removed", error)


async def _have_route(network: str) -> None:
    """A machine without a default route gives up before it asks whether an address is translated."""
    try:
        await run("ip", "-4", "route", "get", str(ipaddress.IPv4Network(network)[1]))
    except CannotConnect:
        await run("ip", "route", "replace", network, "dev", "lo")


def _give_up_route(network: str) -> None:
    found = subprocess.run(["ip", "-4", "-o", "route", "show", network], capture_output=True, check=False, text=True)
    if any(_is_ours(line, network) for line in found.stdout.splitlines()):
        subprocess.run(["ip", "route", "del", network, "dev", "lo"], capture_output=True, check=False)


def _is_there(directory: str) -> bool:
    return os.path.isdir(directory)


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
