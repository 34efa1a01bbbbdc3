"""How does root make a Pod's network: a namespace, a pair of interfaces, and the kernel's NAT?

Each Pod has two addresses of the pool, one at either end of its pair. Its ports of the node are translated in the chain
CORRAL-PODS; what it sends outwards is masqueraded. Addresses and ports are claimed in /run/corral-pods, so that the agents of one
machine, of one cluster or of several, never give out the same.
"""

import asyncio
import fcntl
import functools
import ipaddress
import os
import shlex
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from corral.agent.netrecord import Net
from corral.agent.podnet import CannotConnect, PortsTaken, run, said_by
from corral.agent.processes import has_capability

_CLAIMS = "/run/corral-pods"
_NAMESPACES = "/run/netns"
#: Of this machine's ends; iptables' cv+ means all of them.
_INTERFACE = "cv"
_CHAIN = "CORRAL-PODS"
_CAPABILITIES = ((12, "CAP_NET_ADMIN"), (21, "CAP_SYS_ADMIN"))
#: Done in a new namespace: everybody there may have any port, and ping.
_INSIDE = (
    "echo 0 > /proc/sys/net/ipv4/ip_unprivileged_port_start; echo '0 2147483647' > /proc/sys/net/ipv4/ping_group_range; "
    "exec ip -batch -"
)
_LOCAL = ("-m", "addrtype", "--dst-type", "LOCAL", "-j", _CHAIN)


class RootNetworks:
    """Needs ip (iproute2) and iptables."""

    def __init__(self, pool: str) -> None:
        self._pool = ipaddress.IPv4Network(pool)
        self._next = 0
        self._is_ready = False
        self._preparing = asyncio.Lock()

    async def make(self, name: str, place: str, ports: tuple[tuple[str, int, int], ...]) -> Net:
        async with self._preparing:
            if not self._is_ready:
                await self._prepare()
                self._is_ready = True
        if _is_there(f"{_NAMESPACES}/{name}"):  # by an agent that was killed over it
            await run("ip", "netns", "del", name)
        await run("ip", "netns", "add", name)
        try:
            left: set[str] = set()
            with _claiming():
                taken = [
                    port for kind, port, _ in ports if not _claimed("ports", port, name, left) or _is_bound(kind, port)
                ]
                index = self._free_index(name, left)
            net = Net(
                path=f"{_NAMESPACES}/{name}",
                name=name,
                index=index,
                address=str(self._pool[2 * index + 1]),
                ports=ports,
            )
            if taken:
                raise PortsTaken(taken)
            if left:  # whose agent never came back: their rules would win
                await _drop_rules(left)
            await self._connect(net)
            return net
        except BaseException:
            await self._give_up(name, ports)
            raise

    async def _give_up(self, name: str, ports: tuple[tuple[str, int, int], ...]) -> None:
        try:
            await run("ip", "netns", "del", name)
        except CannotConnect:
            pass
        _release(name, [port for _, port, _ in ports], -1)

    async def _connect(self, net: Net) -> None:
        ours, theirs = self._pool[2 * net.index], net.address
        end = f"{_INTERFACE}{net.index}"
        if _is_there(f"/sys/class/net/{end}"):
            await run("ip", "link", "del", end)
        outside = f"link add {end} type veth peer name eth0 netns {net.name}\naddr add {ours}/31 dev {end}\nlink set {end} up\n"
        await run("ip", "-batch", "-", text=outside)
        inside = f"addr add {theirs}/31 dev eth0\nlink set eth0 up\nlink set lo up\nroute add default via {ours}\n"
        await run("ip", "netns", "exec", net.name, "sh", "-c", _INSIDE, text=inside)
        _set(f"net/ipv4/conf/{end}/route_localnet", "1")  # 127.0.0.1:PORT of the node leads there as well
        if net.ports:
            rules = "".join(f"-A {_CHAIN} {_rule(net, *one)}\n" for one in net.ports)
            await run("iptables-restore", "-w", "--noflush", text=f"*nat\n{rules}COMMIT\n")

    async def remove(self, net: Net) -> None:
        for one in net.ports:
            try:
                await run("iptables", "-w", "-t", "nat", "-D", _CHAIN, *_rule(net, *one).split())
            except CannotConnect:
                pass  # it had not come so far
        if _is_there(net.path):
            await run("ip", "netns", "del", net.name)
        _release(net.name, [port for _, port, _ in net.ports], net.index)

    def is_left(self, name: str) -> bool:
        return _is_there(f"{_NAMESPACES}/{name}")

    async def remove_left(self, name: str) -> None:
        """Its address and ports are taken for free as soon as the namespace is gone."""
        await _drop_rules({name})
        await run("ip", "netns", "del", name)

    def is_there(self, net: Net) -> bool:
        return os.path.exists(net.path)

    def _free_index(self, name: str, left: set[str]) -> int:
        count = self._pool.num_addresses // 2
        for offset in range(1, count):
            index = (self._next + offset) % count
            if index and _claimed("addresses", index, name, left):
                self._next = index
                return index
        raise CannotConnect(f"all addresses of {self._pool} (pod_network in corral.toml) are in use on this machine")

    async def _prepare(self) -> None:
        """Once: what holds for all Pods. It may be there already."""
        pods, ends = str(self._pool), f"{_INTERFACE}+"
        for table, chain, rule in (
            ("nat", "PREROUTING", _LOCAL),
            ("nat", "OUTPUT", _LOCAL),
            ("nat", "POSTROUTING", ("-s", pods, "!", "-o", ends, "-j", "MASQUERADE")),
            ("nat", "POSTROUTING", ("-s", pods, "-o", ends, "-m", "conntrack", "--ctstate", "DNAT", "-j", "MASQUERADE")),
            ("nat", "POSTROUTING", ("-s", "127.0.0.0/8", "-o", ends, "-j", "MASQUERADE")),
            ("filter", "FORWARD", ("-i", ends, "-j", "ACCEPT")),
            ("filter", "FORWARD", ("-o", ends, "-m", "conntrack", "--ctstate", "RELATED,ESTABLISHED,DNAT", "-j", "ACCEPT")),
            # What listens on the node's 127.0.0.1 is not for Pods, though their interfaces may carry that address.
            ("filter", "INPUT", ("-i", ends, "-d", "127.0.0.0/8", "-m", "conntrack", "!", "--ctstate", "RELATED,ESTABLISHED,DNAT",
                                 "-j", "DROP")),
        ):  # fmt: skip
            if rule is _LOCAL:
                await _quietly("iptables", "-w", "-t", "nat", "-N", _CHAIN)
            if not await _quietly("iptables", "-w", "-t", table, "-C", chain, *rule):
                await run("iptables", "-w", "-t", table, "-I", chain, *rule)
        # By it they reach services on this machine: what listens on 127.0.0.1 they do not see.
        await run("ip", "address", "replace", f"{self._pool[-2]}/32", "dev", "lo")
        if _get("net/ipv4/ip_forward") != "1":
            _set("net/ipv4/ip_forward", "1")


@functools.cache
def why_not() -> str:
    """What is missing for it; "" = nothing."""
    missing = [name for name in ("ip", "iptables", "iptables-restore") if shutil.which(name) is None]
    if missing:
        return f"no {missing[0]}"
    for number, name in _CAPABILITIES:
        if not has_capability(number):
            return f"root without {name}"
    found = subprocess.run(["iptables", "-w", "5", "-t", "nat", "-S", "PREROUTING"], capture_output=True, check=False)
    words = found.stderr.decode(errors="replace").strip().splitlines()
    return f"iptables: {words[-1] if words else found.returncode}" if found.returncode else ""


def _is_there(path: str) -> bool:
    return os.path.exists(path)


def _rule(net: Net, kind: str, port: int, own: int) -> str:
    return (
        f"-p {kind.lower()} --dport {port} -m comment --comment {net.name} -j DNAT --to-destination {net.address}:{own}"
    )


async def _drop_rules(names: set[str]) -> None:
    """Of these networks."""
    for rule in await said_by("iptables", "-w", "-t", "nat", "-S", _CHAIN):
        words = shlex.split(rule)
        if "--comment" in words and words[words.index("--comment") + 1] in names:
            await _quietly("iptables", "-w", "-t", "nat", "-D", *words[1:])


async def _quietly(program: str, *arguments: str) -> bool:
    try:
        await run(program, *arguments)
        return True
    except CannotConnect:
        return False


def _get(name: str) -> str:
    with open(f"/proc/sys/{name}") as file:
        return file.read().strip()


def _set(name: str, value: str) -> None:
    with open(f"/proc/sys/{name}", "w") as file:
        file.write(value)


def _is_bound(kind: str, port: int) -> bool:
    """By some program of the node itself."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM if kind == "UDP" else socket.SOCK_STREAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind(("0.0.0.0", port))
        except OSError:
            return True
    return False


@contextmanager
def _claiming() -> Iterator[None]:
    """One agent of the machine at a time."""
    for kind in ("ports", "addresses"):
        os.makedirs(f"{_CLAIMS}/{kind}", exist_ok=True)
    fd = os.open(f"{_CLAIMS}/lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def _claimed(kind: str, number: int, name: str, left: set[str]) -> bool:
    """Is it this network's now? Not, if it is that of one that is still there. `left`: who had it and is gone is added."""
    path = f"{_CLAIMS}/{kind}/{number}"
    try:
        with open(path) as file:
            holder = file.read()
    except FileNotFoundError:
        holder = ""
    if holder not in ("", name) and os.path.exists(f"{_NAMESPACES}/{holder}"):
        return False
    if holder not in ("", name):
        left.add(holder)
    with open(path, "w") as file:
        file.write(name)
    return True


def _release(name: str, ports: list[int], index: int) -> None:
    with _claiming():
        for path in [f"{_CLAIMS}/ports/{port}" for port in ports] + [f"{_CLAIMS}/addresses/{index}"]:
            try:
                with open(path) as file:
                    holder = file.read()
                if holder == name:
                    os.unlink(path)
            except FileNotFoundError:
                continue
