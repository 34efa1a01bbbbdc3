"""What is a line of Slurm's files, and what has been made of all of them so far?"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

_WORD = re.compile(r"""([A-Za-z_][\w-]*)\s*=\s*("[^"]*"|\S*)""")


@dataclass(frozen=True, slots=True)
class Line:
    """One logical line of a Slurm file."""

    file: str
    number: int
    text: str

    @property
    def words(self) -> dict[str, str]:
        """Keys in lower case."""
        return {name.lower(): value.strip('"') for name, value in _WORD.findall(self.text)}


@dataclass(slots=True)
class Imported:
    """The configuration so far, and what could not be said in it."""

    top: dict[str, Any] = field(default_factory=dict)
    tables: dict[str, dict[str, Any]] = field(default_factory=dict)
    nodes: list[dict[str, Any]] = field(default_factory=list)
    partitions: list[dict[str, Any]] = field(default_factory=list)
    switches: list[dict[str, Any]] = field(default_factory=list)
    blocks: list[dict[str, Any]] = field(default_factory=list)
    selection: dict[str, tuple[Line, str]] = field(default_factory=dict)  #: SelectType and its parameters
    devices: list[dict[str, Any]] = field(default_factory=list)
    has_containers: bool = False  #: JobContainerType=job_container/tmpfs: job_container.conf counts
    has_tree: bool = False  #: TopologyPlugin=topology/tree or block: topology.conf counts
    left: list[tuple[Line, str]] = field(default_factory=list)  #: lines that could not be carried over, and why

    def toml(self) -> str:
        parts = [_table(self.top)] if self.top else []
        parts += [f"[{name}]\n{_table(values)}" for name, values in self.tables.items() if values]
        parts += [f"[[switch]]\n{_table(values)}" for values in self.switches]
        parts += [f"[[block]]\n{_table(values)}" for values in self.blocks]
        parts += [f"[[gres]]\n{_table(values)}" for values in self.devices]
        parts += [f"[[node]]\n{_table(values)}" for values in self.nodes]
        parts += [f"[[partition]]\n{_table(values)}" for values in self.partitions]
        return "\n".join(parts)


# ---------------------------------------------------------------------------------------------------- as TOML


def _table(values: dict[str, Any]) -> str:
    return "".join(f"{key} = {_value(value)}\n" for key, value in values.items())


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(key)} = {_value(one)}" for key, one in value.items()) + " }"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_value, value)) + "]"
    return json.dumps(value, ensure_ascii=False)
