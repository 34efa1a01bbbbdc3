"""What does a slurm.conf, with the gres.conf, topology.conf, cgroup.conf and job_container.conf beside it, mean as a corral.toml?

Lines are read as Slurm reads them: `Key=Value` words, names without regard to case, `#` to the end, a backslash joins lines,
`Include` reads another file. Every key is carried over, or known to need no counterpart, or listed with what is lost.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from corral.config import slurm_backfill, slurm_keys, slurm_node_files, slurm_preemption, slurm_select
from corral.config.slurm_found import Imported, Line
from corral.errors import ConfigError, UsageError
from corral.syntax import hostlist


def read(path: Path) -> Imported:
    """ConfigError when a file cannot be read or a line of it cannot be understood."""
    found = Imported()
    defaults: dict[str, dict[str, str]] = {"nodename": {}, "partitionname": {}}
    for line in lines_of(path):
        words = line.words
        kind = next((kind for kind in slurm_keys.ENTITIES if kind in words), "")
        try:
            if kind in defaults and words[kind].upper() == "DEFAULT":
                defaults[kind] |= {name: value for name, value in words.items() if name != kind}
            elif kind == "nodename":
                _node(found, line, defaults[kind] | words)
            elif kind == "partitionname":
                _partition(found, line, defaults[kind] | words)
            elif kind:
                found.left.append((line, slurm_keys.ENTITIES[kind]))
            else:
                _settings(found, line, words)
        except (UsageError, ValueError) as error:
            raise ConfigError(file=line.file, line=line.number, problem=f"{line.text}: {error}") from None
    for line in _beside(path, "gres.conf"):
        slurm_node_files.gres_line(found, line)
    if lines := _beside(path, "cgroup.conf"):
        slurm_node_files.cgroup_lines(found, lines)
    if found.has_containers:
        slurm_node_files.container_lines(found, _beside(path, "job_container.conf"))
    _select(found)
    topology_path = path.with_name("topology.conf")
    if found.has_tree and topology_path.exists():
        for line in lines_of(topology_path):
            _switch(found, line)
    return found


def _beside(path: Path, name: str) -> list[Line]:
    """Of a file that need not be there."""
    other = path.with_name(name)
    return list(lines_of(other)) if other.exists() else []


def lines_of(path: Path) -> Iterator[Line]:
    try:
        text = path.read_text(errors="replace")
    except OSError as error:
        raise ConfigError(file=path, line=1, problem=f"the file cannot be read: {error.strerror}") from None
    joined, begun = "", 0
    for number, raw in enumerate(text.splitlines(), 1):
        joined, begun = joined + re.sub(r"(?<!\\)#.*", "", raw), begun or number
        if joined.rstrip().endswith("\\"):
            joined = joined.rstrip()[:-1] + " "
            continue
        line, joined, number = joined.strip(), "", begun
        begun = 0
        if include := re.fullmatch(r"(?i)include\s+(\S+)", line):
            yield from lines_of(path.parent / include[1])
        elif line:
            yield Line(str(path), number, line)


# ---------------------------------------------------------------------------------------------------- one line


def _settings(found: Imported, line: Line, words: dict[str, str]) -> None:
    if not words:
        found.left.append((line, "not understood"))
    found.has_containers |= words.get("jobcontainertype", "") == "job_container/tmpfs"
    found.has_tree |= words.get("topologyplugin", "") in ("topology/tree", "topology/block")
    if planning := slurm_backfill.switches(words.get("schedulerparameters", "")):
        found.tables.setdefault("scheduling", {}).update(planning)
    if preemption := slurm_preemption.switches(words):
        found.tables.setdefault("preemption", {}).update(preemption)
    for name, value in words.items():
        if name in ("selecttype", "selecttypeparameters"):
            found.selection[name] = (line, value)
        elif rule := slurm_keys.SETTINGS.get(name):
            table, key, convert = rule
            _put(found, line, table, key, name, value, convert)
        elif name not in slurm_keys.WITHOUT_EFFECT:
            found.left.append((line, slurm_keys.LOST.get(name, f"there is nothing like {name} yet")))


def _select(found: Imported) -> None:
    texts = {name: value for name, (_, value) in found.selection.items()}
    keys, *lost = slurm_select.scheduling_of(
        texts.get("selecttype", "select/linear"), texts.get("selecttypeparameters", "")
    )
    if keys:
        found.tables.setdefault("scheduling", {}).update(keys)
    for name, why in zip(("selecttype", "selecttypeparameters"), lost, strict=True):
        if why:
            found.left.append((found.selection[name][0], why))


def _put(
    found: Imported, line: Line, table: str, key: str, name: str, value: str, convert: Callable[[str], Any]
) -> None:
    try:
        converted = convert(value)
    except slurm_keys.NotCarried as reason:
        found.left.append((line, str(reason)))
        return
    if converted is not None:
        target = found.tables.setdefault(table, {}) if table else found.top
        target[key] = converted


def _node(found: Imported, line: Line, words: dict[str, str]) -> None:
    hostlist.expand(words["nodename"])
    node: dict[str, Any] = {"name": words["nodename"]}
    for name, value in words.items():
        if rule := slurm_keys.NODE.get(name):
            key, convert = rule
            node[key] = convert(value)
        elif name not in slurm_keys.NODE_WITHOUT_EFFECT:
            found.left.append((line, f"{name} of a node: there is nothing like it yet"))
    if "cpus" not in node and "cores_per_socket" in node:
        node["cpus"] = node.get("sockets", 1) * node["cores_per_socket"] * node.get("threads_per_core", 1)
    slurm_node_files.mps_as_shares(found, line, node)
    found.nodes.append(node)


def _partition(found: Imported, line: Line, words: dict[str, str]) -> None:
    partition: dict[str, Any] = {"name": words["partitionname"]}
    for name, value in words.items():
        if rule := slurm_keys.PARTITION.get(name):
            key, convert = rule
            try:
                converted = convert(value)
            except slurm_keys.NotCarried as reason:
                found.left.append((line, str(reason)))
                continue
            if converted is not None:
                partition[key] = converted
        elif name not in slurm_keys.PARTITION_WITHOUT_EFFECT:
            found.left.append((line, f"{name} of a partition: there is nothing like it yet"))
    if partition.get("nodes", "").upper() == "ALL":
        partition["nodes"] = "ALL"
    found.partitions.append(partition)


def _switch(found: Imported, line: Line) -> None:
    words = line.words
    if "blocksizes" in words or "blockname" in words:
        _block(found, line)
        return
    if "switchname" not in words:
        found.left.append((line, "not understood"))
        return
    switch: dict[str, Any] = {"name": words["switchname"]}
    for name, value in words.items():
        if rule := slurm_keys.SWITCH.get(name):
            switch[rule[0]] = rule[1](value)
        elif name != "switchname":
            found.left.append((line, f"{name} of a switch: there is nothing like it yet"))
    found.switches.append(switch)


def _block(found: Imported, line: Line) -> None:
    words = dict(line.words)
    if "blocksizes" in words:
        sizes = words.pop("blocksizes").split(",")
        if all(size.strip().isascii() and size.strip().isdigit() for size in sizes):
            found.top["block_sizes"] = [int(size) for size in sizes]
        else:
            found.left.append((line, "BlockSizes: not numbers of nodes"))
    if "blockname" in words:
        found.blocks.append({"name": words.pop("blockname"), "nodes": words.pop("nodes", "")})
    for name in words:
        found.left.append((line, f"{name} of a block: there is nothing like it yet"))
