"""Which nodes share a line of sinfo? Those of one partition that are alike in all that the line shows."""

from __future__ import annotations

from corral.cli.node_columns import EXACT, PARTITION, RANGES
from corral.syntax import hostlist

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

    Row = dict[str, Any]

_BASE = {"UNKNOWN": 0, "DOWN": 1, "IDLE": 2, "ALLOCATED": 3, "MIXED": 5}
_FLAGS = {
    "RESERVED": 1 << 5, "MAINTENANCE": 1 << 15, "DRAIN": 1 << 9, "COMPLETING": 1 << 10, "NOT_RESPONDING": 1 << 11,
    "FAIL": 1 << 13, "REBOOT_REQUESTED": 1 << 21, "REBOOT_ISSUED": 1 << 18,
}  # fmt: skip

#: Shown for a partition none of whose nodes is to be shown.
_EMPTY: Row = {
    "count": 0, "nodes": "", "state_text": "n/a", "state_long": "n/a", "state_complete": "n/a", "state_number": -1, "state_words": [],
    "nodes_alloc_idle": (0, 0), "nodes_by_state": (0, 0, 0, 0), "cpus_by_state": (0, 0, 0, 0), "features": [], "gres": "",
    "gres_used": "", "reason": "", "reason_by": "", "reason_time": 0.0, "hostname": "", "address": "", "version": "",
    "comment": "", "memory_alloc_mb": 0, **dict.fromkeys(RANGES, (0, 0)),
}  # fmt: skip


def state_number(node: Mapping[str, Any]) -> int:
    """As Slurm numbers states: what sinfo sorts by."""
    number = _BASE[node["state"]]
    for flag in node["flags"]:
        number |= _FLAGS.get(flag, 0)
    return number


def state_complete(node: Mapping[str, Any]) -> str:
    """The state with all its flags: idle+drain."""
    return "+".join([node["state"].lower(), *[flag.lower() for flag in node["flags"]]])


def _kind(node: Mapping[str, Any]) -> int:
    """0 allocated, 1 idle, 2 other: in which number of A/I/O a node counts."""
    state, flags = node["state"], node["flags"]
    if state in ("DOWN", "UNKNOWN") or ("NOT_RESPONDING" in flags):
        return 2
    if state in ("ALLOCATED", "MIXED") or "COMPLETING" in flags:
        return 0
    return 2 if "DRAIN" in flags else 1


def lines(
    partitions: Sequence[Row],
    nodes: Sequence[Row],
    needed: Iterable[str],
    per_node: bool,
    exact: bool,
    keep_empty: bool,
) -> list[Row]:
    """A row for each line, partitions in their order and nodes in theirs."""
    needed = set(needed)
    alike = sorted(needed & EXACT) + (sorted(needed & set(RANGES)) if exact else [])
    by_partition = bool(needed & PARTITION)
    place = {node["name"]: node for node in nodes}
    groups: dict[tuple[Any, ...], tuple[Row, list[Row]]] = {}
    seen: set[str] = set()
    for partition in partitions:
        found = False
        for name in partition["node_names"]:
            node = place.get(name)
            if node is None:
                continue
            found = True
            if not by_partition and name in seen:
                continue
            seen.add(name)
            key = (
                partition["name"] if by_partition else "", name if per_node else "", *[str(node[field]) for field in alike],
            )  # fmt: skip
            groups.setdefault(key, (partition, []))[1].append(node)
        if not found and keep_empty and by_partition:
            groups[(partition["name"], "")] = (partition, [])
    return [_line(partition, members, number) for number, (partition, members) in enumerate(groups.values())]


def _line(partition: Row, members: list[Row], number: int) -> Row:
    line = {
        **partition, "partition": partition["name"], "available": _AVAILABLE[partition["state"]], "place": number,
        "partition_nodes": partition["nodes"],
    }  # fmt: skip
    if not members:
        return {**line, **_EMPTY}
    first = members[0]
    kinds = [_kind(node) for node in members]
    cpus = [0, 0, 0, 0]
    for node, kind in zip(members, kinds, strict=True):
        total, taken = node["cpus"], node["cpus_alloc"]
        cpus[0] += taken
        cpus[2 if kind == 2 or "DRAIN" in node["flags"] else 1] += total - taken
        cpus[3] += total
    line |= {name: first[name] for name in EXACT if name in first}
    line |= {name: _range([node[name] for node in members]) for name in RANGES if name in first}
    line |= {
        "count": len(members), "nodes": hostlist.fold_sorted(node["name"] for node in members),
        "state_number": first["state_number"], "state_words": [first["state"], *first["flags"]],
        "nodes_alloc_idle": (kinds.count(0), kinds.count(1)),
        "nodes_by_state": (kinds.count(0), kinds.count(1), kinds.count(2), len(members)), "cpus_by_state": tuple(cpus),
    }  # fmt: skip
    return line


def _range(values: list[float]) -> tuple[float, float]:
    return min(values), max(values)


_AVAILABLE = {"UP": "up", "DOWN": "down", "DRAIN": "drain", "INACTIVE": "inact"}
