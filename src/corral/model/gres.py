"""Generic resources: what a node has, and how much of it is asked for."""

from collections.abc import Iterable

import msgspec

#: Of a GPU that nobody else has.
WHOLE = 1000


class GresRequest(msgspec.Struct, frozen=True, array_like=True):
    """`gpu:v100:2`: two units of this name; type "" = any. `gpu:0.5`: one, of which 500 thousandths are wanted."""

    name: str
    type: str = ""
    count: int = 1
    milli: int = 0  #: thousandths of the unit; 0 = all of it

    @property
    def is_share(self) -> bool:
        """A part of one GPU: in thousandths, or in shards."""
        return self.milli > 0 or self.name == "shard"

    @property
    def amount(self) -> str:
        return str(self.count) if not self.milli else f"{self.milli / WHOLE:g}"

    def __str__(self) -> str:
        return f"{self.name}:{self.type}:{self.amount}" if self.type else f"{self.name}:{self.amount}"


class GresDevice(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A group of equal units on a node: their indices count on from the group before."""

    name: str  #: "gpu"
    type: str = ""
    count: int = 1
    files: tuple[str, ...] = ()  #: device files in index order; () = a count only (virtual)
    uuids: tuple[str, ...] = ()
    links: tuple[
        tuple[int, ...], ...
    ] = ()  #: a line for each unit: how many links it has to each of them; () = not known
    cores: tuple[tuple[int, ...], ...] = ()  #: of each unit the cores that are near it; () = not known
    buses: tuple[str, ...] = ()  #: PCI addresses, "0000:65:00.0"
    memory_mb: int = 0  #: of each unit; 0 = not known
    more_files: tuple[tuple[str, ...], ...] = ()  #: of each unit the files that it needs beside its own


class GresShare(msgspec.Struct, frozen=True, array_like=True):
    """What a job or step holds of one kind on one node: the very units.

    A share of a GPU has the name "shard", the GPU's type and number, and how many thousandths of it are held.
    """

    name: str
    type: str
    indices: tuple[int, ...]
    milli: int = 0  #: thousandths of the unit; 0 = all of it
    shards: int = 0  #: as how many of the node's shards a share counts

    @property
    def count(self) -> int:
        """As limits and accounting count it."""
        return self.shards or len(self.indices)


def gpus_of(shares: Iterable[GresShare]) -> tuple[int, ...]:
    """The numbers of the GPUs that are held, all of them or shares."""
    return tuple(index for share in shares if share.name in ("gpu", "shard") for index in share.indices)


def uuids_of(devices: Iterable[GresDevice]) -> tuple[str, ...]:
    """Of the GPUs in index order; "" where one has none."""
    return tuple(
        device.uuids[place] if place < len(device.uuids) else ""
        for device in devices
        if device.name == "gpu"
        for place in range(device.count)
    )


def uuids_held(shares: Iterable[GresShare], devices: Iterable[GresDevice]) -> tuple[str, ...]:
    """Of the GPUs that are held, those that have one."""
    uuids = uuids_of(devices)
    return tuple(uuids[gpu] for gpu in sorted({*gpus_of(shares)}) if gpu < len(uuids) and uuids[gpu])


def cores_of(devices: Iterable[GresDevice]) -> tuple[tuple[int, ...], ...]:
    """Of the GPUs in index order the cores near each; () where they are not known."""
    return tuple(
        device.cores[place] if place < len(device.cores) else ()
        for device in devices
        if device.name == "gpu"
        for place in range(device.count)
    )
