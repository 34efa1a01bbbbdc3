"""Which switches connect the nodes?"""

from collections.abc import Iterable

import msgspec

from corral.syntax import hostlist


class Switch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A `[[switch]]` table: a leaf has nodes, one above it has switches."""

    name: str
    nodes: str = ""  #: a hostlist
    switches: str = ""  #: a hostlist: those below it
    link_speed: int = 1  #: shown, and nothing else


class Topology:
    """The tree (or trees) of switches."""

    def __init__(self, switches: Iterable[Switch]) -> None:
        self.switches = tuple(switches)
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
        """SLURM_TOPOLOGY_ADDR and its _PATTERN: top.s3.node7, switch.switch.node."""
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
