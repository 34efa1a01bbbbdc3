"""In which order do tasks go to nodes, sockets and cores: --distribution=block:cyclic:block,Pack?"""

from __future__ import annotations

from collections import namedtuple

from corral.errors import InvalidDistribution

_NODES = ("block", "cyclic", "arbitrary")
_WITHIN = ("block", "cyclic", "fcyclic")
_PACK = ("pack", "nopack")
#: More tasks no node takes.
_LARGEST_PLANE = (1 << 31) - 1


class Distribution(
    namedtuple("Distribution", ("nodes", "plane", "sockets", "cores", "pack"), defaults=("", 0, "", "", ""))
):
    """ "" = not said.

    nodes    "block", "cyclic", "arbitrary" or "plane"
    plane    how many tasks a plane has
    sockets  "block", "cyclic", "fcyclic"
    cores    likewise
    pack     "pack", "nopack"
    """

    __slots__ = ()
    nodes: str
    plane: int
    sockets: str
    cores: str
    pack: str

    def __str__(self) -> str:
        return format_distribution(self)


def parse(text: str) -> Distribution:
    """The order written so; a text that is none is refused."""
    words, *flags = text.lower().split(",")
    if words in _PACK:
        words, flags = "", [words, *flags]
    if len(flags) > 1 or any(flag not in _PACK for flag in flags):
        raise InvalidDistribution(text=text)
    pack = flags[0] if flags else ""
    if words.startswith("plane"):
        size = words[6:]
        if words[5:6] != "=" or not (size.isascii() and size.isdigit() and 0 < int(size[:11]) <= _LARGEST_PLANE):
            raise InvalidDistribution(text=text)
        return Distribution("plane", int(size), "", "", pack)
    levels = [word if word != "*" else "" for word in words.split(":")]
    if len(levels) > 3:
        raise InvalidDistribution(text=text)
    nodes, sockets, cores = (*levels, "", "")[:3]
    if nodes not in (*_NODES, "") or any(word not in (*_WITHIN, "") for word in (sockets, cores)):
        raise InvalidDistribution(text=text)
    if sockets or cores:
        nodes = nodes or "block"
    if cores:
        sockets = sockets or "cyclic"
    return Distribution(nodes, 0, sockets, cores, pack)


def format_distribution(order: Distribution) -> str:
    """The text of this order, as SLURM_DISTRIBUTION has it."""
    levels = ":".join(word for word in (order.nodes, order.sockets, order.cores) if word)
    if order.nodes == "plane":
        levels = f"plane={order.plane}"
    return ",".join(part for part in (levels, order.pack) if part)
