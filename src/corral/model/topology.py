"""Which switches connect the nodes, or in which blocks do they stand?"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

import msgspec

from corral.syntax import hostlist


class Switch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A `[[switch]]` table: a leaf has nodes, one above it has switches."""

    name: str
    nodes: str = ""  #: a hostlist
    switches: str = ""  #: a hostlist: those below it
    link_speed: int = 1  #: shown, and nothing else


class Block(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A `[[block]]` table: nodes that are closely connected, as the NVLink domain of a rack."""

    name: str
    nodes: str  #: a hostlist


class Topology:
    """The tree (or trees) of switches; or blocks, as leaves under those that stand for several neighbouring ones."""

    def __init__(self, switches: Iterable[Switch], blocks: Iterable[Block] = (), sizes: Sequence[int] = ()) -> None:
        self.blocks = tuple(blocks)
        self.switches = tuple(switches) or tuple(_aggregated(self.blocks, sizes))
        self.by_name = {switch.name: switch for switch in self.switches}
        self.below: dict[str, tuple[str, ...]] = {}
        self.parent: dict[str, str] = {}
        self.leaf_of: dict[str, str] = {}
        self.level: dict[str, int] = {}
        for switch in self.switches:
            self.below[switch.name] = tuple(hostlist.expand(switch.switches)) if switch.switches else ()
            self.parent |= dict.fromkeys(self.below[switch.name], switch.name)
            if switch.nodes:
                self.leaf_of |= dict.fromkeys(hostlist.expand(switch.nodes), switch.name)
        for switch in self.switches:
            self._find_level(switch.name, 0)
        self.height = max(self.level.values(), default=-1) + 1

    def _find_level(self, name: str, depth: int) -> int:
        if name not in self.level:
            if depth > len(self.switches) or name not in self.below:
                return 0
            self.level[name] = 1 + max((self._find_level(one, depth + 1) for one in self.below[name]), default=-1)
        return self.level[name]

    def leaves_under(self, name: str) -> tuple[str, ...]:
        """In the order they are written."""
        below = self.below.get(name, ())
        return (name,) if not below else tuple(leaf for one in below for leaf in self.leaves_under(one))

    def nodes_under(self, name: str) -> list[str]:
        return [
            node
            for leaf in self.leaves_under(name)
            if leaf in self.by_name and self.by_name[leaf].nodes
            for node in hostlist.expand(self.by_name[leaf].nodes)
        ]

    def address(self, node: str) -> tuple[str, str]:
        """SLURM_TOPOLOGY_ADDR and its _PATTERN: top.s3.node7, switch.switch.node; block2.node7, block.node."""
        if self.blocks:
            return f"{self.leaf_of.get(node, '')}.{node}", "block.node"
        path = [node]
        at = self.leaf_of.get(node, "")
        while at and len(path) <= len(self.switches):
            path.append(at)
            at = self.parent.get(at, "")
        path += [""] * (self.height + 1 - len(path))
        return ".".join(reversed(path)), ".".join(["switch"] * (len(path) - 1) + ["node"])

    def problem(self) -> tuple[int, str, str] | None:
        """What is wrong with the tree: (number of the switch, key, words); None = nothing."""
        above: dict[str, str] = {}
        leaf: dict[str, str] = {}
        for number, switch in enumerate(self.switches):
            if not switch.name or self.by_name[switch.name] is not switch:
                return number, "name", "a switch needs a name of its own"
            if bool(switch.nodes) == bool(switch.switches):
                return number, "name", f"switch {switch.name} has either 'nodes' or 'switches'"
            for one in self.below[switch.name]:
                if one not in self.by_name:
                    return number, "switches", f"there is no switch {one}"
                if above.setdefault(one, switch.name) != switch.name:
                    return number, "switches", f"switch {one} is below {above[one]} and {switch.name}"
                if one == switch.name or self.level[one] >= self.level[switch.name]:
                    return number, "switches", f"switch {one} is above itself"
            for node in hostlist.expand(switch.nodes) if switch.nodes else ():
                if leaf.setdefault(node, switch.name) != switch.name:
                    return number, "nodes", f"node {node} is at {leaf[node]} and {switch.name}"
        return None


def _aggregated(blocks: Sequence[Block], sizes: Sequence[int]) -> Iterator[Switch]:
    """Each block; and for each size beyond the first so many neighbouring ones together as have it."""
    names = [block.name for block in blocks]
    yield from (Switch(name=block.name, nodes=block.nodes) for block in blocks)
    for smaller, size in pairwise(sizes):
        together = max(2, size // max(1, smaller))
        groups = [names[at : at + together] for at in range(0, len(names), together)]
        names = [f"{size}-nodes-{number}" for number in range(1, len(groups) + 1)]
        for name, group in zip(names, groups, strict=True):
            yield Switch(name=name, switches=",".join(group))


def block_problem(blocks: Sequence[Block], sizes: Sequence[int]) -> tuple[int | None, str, str] | None:
    """What is wrong with the blocks: (number of the block, None = their sizes; key; words); None = nothing."""
    seen: set[str] = set()
    of: dict[str, str] = {}
    for number, block in enumerate(blocks):
        if not block.name or block.name in seen:
            return number, "name", "a block needs a name of its own"
        seen.add(block.name)
        names = hostlist.expand(block.nodes) if block.nodes else []
        if not names:
            return number, "nodes", f"block {block.name} has no nodes"
        if sizes and len(names) < sizes[0]:
            return (
                number,
                "nodes",
                f"block {block.name} has {len(names)} nodes, fewer than the first of block_sizes, {sizes[0]}",
            )
        for node in names:
            if of.setdefault(node, block.name) != block.name:
                return number, "nodes", f"node {node} is in {of[node]} and {block.name}"
    if sizes and not blocks:
        return None, "block_sizes", "there are no [[block]] tables"
    for smaller, size in pairwise(sizes):
        times = size // max(1, smaller)
        if size % max(1, smaller) or times < 2 or times & (times - 1):
            return None, "block_sizes", f"{size} is not {smaller} times a power of two"
    if sizes and sizes[0] < 1:
        return None, "block_sizes", "a block has at least one node"
    return None
