"""What does this node have: CPUs, memory, disk, GPUs?"""

import os
import platform
import shutil
from glob import glob
from importlib import metadata
from pathlib import Path

import msgspec

from corral.agent.gpu import gpus_of_this_machine
from corral.agent.gpumemory import remembered
from corral.model.cluster import GresConfig
from corral.model.devices import declared
from corral.model.gres import GresDevice
from corral.model.node import NodeInventory


class VirtualNodes(msgspec.Struct, frozen=True, kw_only=True):
    """Nodes that share this machine, with sizes that are claimed, not found."""

    names: tuple[str, ...]
    cpus: int = 1
    sockets: int = 1
    cores_per_socket: int | None = None  #: None = as many as the CPUs give
    threads_per_core: int = 1
    memory_mb: int = 1
    gres: tuple[GresDevice, ...] = ()
    features: tuple[str, ...] = ()


def inventory_of_this_machine(
    name: str, agent_start_time: float, gres: tuple[GresConfig, ...] = (), memory: str = ""
) -> NodeInventory:
    """`gres`: devices that the operator tells of. `memory`: file of the GPUs that were found before."""
    sockets, cores_per_socket, threads = topology()
    cpus = len(os.sched_getaffinity(0))
    if sockets * cores_per_socket * threads != cpus:
        # Some of the machine's CPUs are not ours (a container, taskset): no more is known than their number.
        sockets, cores_per_socket, threads = 1, cpus, 1
    machine = _of_machine(name, agent_start_time)
    gpus = gpus_of_this_machine(threads=threads)
    if memory:
        gpus = remembered(memory, machine.boot_id, gpus)
    return msgspec.structs.replace(
        machine,
        cpus=cpus,
        sockets=sockets,
        cores_per_socket=cores_per_socket,
        threads_per_core=threads,
        memory_mb=memory_mb(),
        tmp_disk_mb=shutil.disk_usage("/tmp").total >> 20,
        gres=declared(gpus, gres, name),
    )


def virtual_inventories(nodes: VirtualNodes, agent_start_time: float) -> tuple[NodeInventory, ...]:
    cores = nodes.cores_per_socket or max(1, nodes.cpus // (nodes.sockets * nodes.threads_per_core))
    model = msgspec.structs.replace(
        _of_machine("", agent_start_time),
        cpus=nodes.cpus,
        sockets=nodes.sockets,
        cores_per_socket=cores,
        threads_per_core=nodes.threads_per_core,
        memory_mb=nodes.memory_mb,
        tmp_disk_mb=shutil.disk_usage("/tmp").total >> 20,
        gres=nodes.gres,
        features=nodes.features,
        virtual=True,
    )
    return tuple(msgspec.structs.replace(model, name=name) for name in nodes.names)


def topology() -> tuple[int, int, int]:
    """Sockets, cores per socket, threads per core of the CPUs that are on."""
    sockets: set[str] = set()
    cores: set[tuple[str, str]] = set()
    threads = 0
    for directory in glob("/sys/devices/system/cpu/cpu[0-9]*/topology"):
        socket, core = _read(f"{directory}/physical_package_id"), _read(f"{directory}/core_id")
        if socket:
            sockets.add(socket)
            cores.add((socket, core))
            threads += 1
    if not threads:
        return 1, os.cpu_count() or 1, 1
    return len(sockets), max(1, len(cores) // len(sockets)), max(1, threads // len(cores))


def address_towards(url: str) -> str:
    """By which of its addresses this machine goes to a server elsewhere; "" = by none that others could use."""
    import socket
    from urllib.parse import urlsplit

    try:
        place = urlsplit(url.split(",")[0])
        host, port = place.hostname, place.port or 4222
        if host is None:
            return ""
        family, kind, protocol, _, to = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, kind, protocol) as sock:
            sock.connect(to)  # nothing is sent
            own = str(sock.getsockname()[0])
    except (OSError, ValueError):
        return ""
    return "" if own.startswith("127.") or own == "::1" else own


def memory_mb() -> int:
    """Of the machine, or of the container that this is."""
    total = _meminfo("MemTotal")
    for file in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        limit = _read(file)
        if limit.isdigit():
            total = min(total, int(limit) >> 20)
    return total


def free_memory_mb() -> int:
    return _meminfo("MemAvailable")


def boot_time() -> float:
    for line in _read("/proc/stat").splitlines():
        if line.startswith("btime "):
            return float(line.split()[1])
    return 0.0


def _of_machine(name: str, agent_start_time: float) -> NodeInventory:
    system = platform.uname()
    return NodeInventory(
        name=name,
        hostname=system.node,
        address=system.node,
        arch=system.machine,
        os=f"{system.system} {system.release} {system.version}",
        version=_version(),
        boot_time=boot_time(),
        boot_id=_read("/proc/sys/kernel/random/boot_id"),
        agent_start_time=agent_start_time,
    )


def _version() -> str:
    try:
        return metadata.version("corral")
    except metadata.PackageNotFoundError:
        return ""


def _meminfo(key: str) -> int:
    for line in _read("/proc/meminfo").splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1]) >> 10
    return 0


def _read(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""
