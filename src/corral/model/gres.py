"""Generic resources: what a node has, and how much of it is asked for."""

import msgspec


class GresRequest(msgspec.Struct, frozen=True, array_like=True):
    """`gpu:v100:2`: two units of this name; type "" = any."""

    name: str
    type: str = ""
    count: int = 1

    def __str__(self) -> str:
        return f"{self.name}:{self.type}:{self.count}" if self.type else f"{self.name}:{self.count}"


class GresDevice(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A group of equal units on a node: their indices count on from the group before."""

    name: str  #: "gpu"
    type: str = ""
    count: int = 1
    files: tuple[str, ...] = ()  #: device files in index order; () = a count only (virtual)
    uuids: tuple[str, ...] = ()


class GresShare(msgspec.Struct, frozen=True, array_like=True):
    """What a job or step holds of one kind on one node: the very units."""

    name: str
    type: str
    indices: tuple[int, ...]
