"""How are the GPUs that were found one by one put together into groups of equal ones?"""

from collections.abc import Mapping, Sequence

import msgspec

from corral.model.gres import GresDevice


class Unit(msgspec.Struct, frozen=True, kw_only=True):
    """One GPU, or one slice of it."""

    type: str = ""
    file: str = ""
    uuid: str = ""
    bus: str = ""  #: its PCI address
    memory_mb: int = 0
    cores: tuple[int, ...] = ()
    more_files: tuple[str, ...] = ()


def grouped(found: Sequence[Unit], links: Mapping[tuple[str, str], int] = {}) -> tuple[GresDevice, ...]:
    """Units in index order -> groups of equal neighbours. `links`: between two PCI addresses; slices of one GPU are not linked."""
    groups: list[list[Unit]] = []
    for unit in found:
        if groups and (groups[-1][0].type, groups[-1][0].memory_mb) == (unit.type, unit.memory_mb):
            groups[-1].append(unit)
        else:
            groups.append([unit])
    has_near = len({unit.cores for unit in found}) > 1  # where all are near the same, nothing is said by it
    return tuple(_device(group, links, has_near=has_near) for group in groups)


def _device(group: list[Unit], links: Mapping[tuple[str, str], int], *, has_near: bool) -> GresDevice:
    rows = tuple(tuple(links.get((one.bus, other.bus), 0) for other in group) for one in group)
    return GresDevice(
        name="gpu",
        type=group[0].type,
        count=len(group),
        memory_mb=group[0].memory_mb,
        files=tuple(unit.file for unit in group),
        uuids=_each([unit.uuid for unit in group]),
        buses=_each([unit.bus for unit in group]),
        cores=tuple(unit.cores for unit in group) if has_near else (),
        more_files=tuple(unit.more_files for unit in group) if any(unit.more_files for unit in group) else (),
        links=rows if any(map(any, rows)) else (),
    )


def _each(values: list[str]) -> tuple[str, ...]:
    return tuple(values) if all(values) else ()


def short_type(name: str) -> str:
    """A GRES type from a product's name: "NVIDIA A100-SXM4-80GB" -> "a100", "Tesla V100-SXM2-16GB" -> "v100"."""
    words = [
        w for w in name.lower().replace("-", " ").split() if w not in ("nvidia", "tesla", "geforce", "quadro", "amd")
    ]
    if words[:1] in (["rtx"], ["gtx"], ["instinct"], ["radeon"]) and len(words) > 1:
        return words[0] + words[1] if words[0] in ("rtx", "gtx") else words[1]
    return words[0] if words else ""
