"""On which machine is simulated: nodes of one kind, those of a corral.toml or of the trace; with some more, or without a partition?"""

import re
from collections.abc import Iterable

import msgspec

from corral.errors import UsageError
from corral.model.cluster import ClusterConfig, NodeConfig
from corral.model.gres import GresDevice
from corral.model.node import NodeInventory
from corral.model.partition import Partition
from corral.syntax import hostlist, tres

_TAIL = re.compile(r"(.*?)(\d*)$")


class BadMachine(UsageError):
    """{reason}"""


def of_one_kind(count: int, cpus: int, gpus: int = 0, memory_mb: int = 1) -> tuple[NodeInventory, ...]:
    gres = (GresDevice(name="gpu", count=gpus),) if gpus else ()
    width = len(str(count))
    return tuple(
        NodeInventory(name=f"n{number:0{width}d}", cpus=cpus, memory_mb=memory_mb, gres=gres)
        for number in range(1, count + 1)
    )


def configured(config: ClusterConfig) -> tuple[NodeInventory, ...]:
    """The [[node]] tables; nobody is there who could count what they leave out."""
    if not config.node:
        raise BadMachine(reason="the configuration has no [[node]] tables: they say what the machine is")
    return tuple(node for entry in config.node for node in _nodes_of(entry))


def _nodes_of(entry: NodeConfig) -> Iterable[NodeInventory]:
    parts = (entry.sockets, entry.cores_per_socket, entry.threads_per_core)
    cpus = entry.cpus
    if cpus is None and all(parts):
        cpus = (entry.sockets or 1) * (entry.cores_per_socket or 1) * (entry.threads_per_core or 1)
    if cpus is None:
        raise BadMachine(reason=f"[[node]] {entry.name} needs cpus: in a simulation nobody counts them")
    gres = (
        tuple(GresDevice(name=g.name, type=g.type, count=g.count) for g in tres.parse_gres(entry.gres))
        if entry.gres
        else ()
    )
    for name in hostlist.expand(entry.name):
        yield NodeInventory(
            name=name, cpus=cpus, sockets=entry.sockets or 1, cores_per_socket=entry.cores_per_socket or 1,
            threads_per_core=entry.threads_per_core or 1, memory_mb=entry.memory_mb or 1,
            tmp_disk_mb=entry.tmp_disk_mb or 0, gres=gres, features=entry.features,
        )  # fmt: skip


def with_more(
    nodes: tuple[NodeInventory, ...], config: ClusterConfig, text: str
) -> tuple[tuple[NodeInventory, ...], ClusterConfig]:
    """`dgx:2`: two more like the first node of which the name begins so, in its partitions."""
    prefix, colon, number = text.rpartition(":")
    if not colon or not number.isdigit() or not 0 < int(number) <= 1_000_000:
        raise BadMachine(reason=f"--add {text}: it is NAME:COUNT, as in dgx:2")
    like = next((node for node in nodes if node.name.startswith(prefix)), None)
    if like is None:
        raise BadMachine(reason=f"--add {text}: there is no node of which the name begins with {prefix!r}")
    found = _TAIL.match(like.name)
    assert found is not None
    stem, digits = found[1], found[2]
    taken = {node.name for node in nodes}
    new: list[str] = []
    at = max((int(m[2]) for name in taken if (m := _TAIL.match(name)) and m[1] == stem and m[2]), default=0)
    while len(new) < int(number):
        at += 1
        name = f"{stem}{at:0{len(digits)}d}"
        if name not in taken:
            new.append(name)
    partitions = tuple(_and(partition, like.name, new) for partition in config.partition)
    entries = tuple(
        msgspec.structs.replace(entry, name=f"{entry.name},{hostlist.fold(new)}")
        if like.name in hostlist.expand(entry.name) else entry
        for entry in config.node
    )  # fmt: skip
    more = tuple(msgspec.structs.replace(like, name=name) for name in new)
    return (*nodes, *more), msgspec.structs.replace(config, partition=partitions, node=entries)


def _and(partition: Partition, like: str, new: list[str]) -> Partition:
    if partition.nodes == "ALL" or like not in hostlist.expand(partition.nodes):
        return partition
    return msgspec.structs.replace(partition, nodes=f"{partition.nodes},{hostlist.fold(new)}")


def without_partition(
    nodes: tuple[NodeInventory, ...], config: ClusterConfig, name: str
) -> tuple[tuple[NodeInventory, ...], ClusterConfig]:
    """It is gone, with the nodes that no other partition has."""
    gone = next((partition for partition in config.partition if partition.name == name), None)
    if gone is None:
        names = ", ".join(partition.name for partition in config.partition)
        raise BadMachine(reason=f"--without-partition {name}: there is no such partition, but {names}")
    left = tuple(partition for partition in config.partition if partition is not gone)
    if not left:
        raise BadMachine(reason=f"--without-partition {name}: it is the only one")
    if gone.default:
        left = (msgspec.structs.replace(left[0], default=True), *left[1:])
    kept = nodes
    if not any(partition.nodes == "ALL" for partition in left):
        named = {node for partition in left for node in hostlist.expand(partition.nodes)}
        kept = tuple(node for node in nodes if node.name in named)
    return kept, msgspec.structs.replace(config, partition=left)
