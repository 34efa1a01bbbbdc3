"""How do sacct and sstat write what a step's tasks have used?

A row's `usage` is what controller/api/usage_rows.py makes: of each kind the sum, the most and the least with their tasks and nodes,
and the average; None when nothing is known, and then the columns are blank.
"""

from __future__ import annotations

from corral.cli.times import padded
from corral.syntax.size import format_size

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Row = dict[str, Any]
    Sized = Callable[[Row, "Units"], Any]

#: What goes in and out, by the names of TRES, in the order of the texts: (TRES, kind of usage).
USED_IN = (
    ("cpu", "cpu"), ("energy", ""), ("fs/disk", "read"), ("gres/gpumem", "gpumem"), ("gres/gpuutil", "gpuutil"),
    ("mem", "mem"), ("pages", "pages"), ("vmem", "vmem"),
)  # fmt: skip
USED_OUT = (("energy", ""), ("fs/disk", "written"))


class Units:
    """How sizes are written: in the largest unit that loses nothing, as they are (--noconvert), or in one unit (--units)."""

    __slots__ = ("as_they_are", "to")

    def __init__(self, to: str = "", as_they_are: bool = False) -> None:
        self.to = to
        self.as_they_are = as_they_are

    def text(self, value: float, unit: str = " ") -> str:
        return format_size(value, unit, self.to or (unit if self.as_they_are else ""))

    def megabytes(self, value: float, unit: str = " ") -> str:
        """Bytes on disk, as sacct writes them: less than one megabyte with two digits behind the point."""
        size = value / (1 << 20) if unit == " " else value
        if size > 1:
            return self.text(size, "M" if unit == " " else " ")
        return f"{size:.2f}M" if size > 0 else "0"


EXACT = Units()


def amount(kind: str, what: str) -> Callable[[Row], Any]:
    """A number or a name of one kind: total, max, max_node, max_task, min, min_node, min_task, ave. "" = not known."""

    def get(row: Row) -> Any:
        usage = row["usage"]
        return usage[kind][what] if usage and kind in usage else ""

    return get


def size_of(kind: str, what: str) -> Sized:
    get = amount(kind, what)

    def text(row: Row, units: Units) -> str:
        value = get(row)
        return value if value == "" else units.text(value)

    return text


def disk(kind: str, what: str, in_bytes: bool = False) -> Sized:
    """sstat begins with bytes where sacct begins with megabytes."""
    get = amount(kind, what)

    def text(row: Row, units: Units) -> str:
        value = get(row)
        return value if value == "" else units.megabytes(value, "B" if in_bytes else " ")

    return text


def cpu_time(what: str) -> Callable[[Row], str]:
    get = amount("cpu", what)

    def text(row: Row) -> str:
        value = get(row)
        return value if value == "" else padded(value / 1000)

    return text


def tres_sizes(out: bool, what: str) -> Sized:
    """cpu=00:00:05,energy=0,fs/disk=11085,mem=3268K,pages=0,vmem=5512K"""

    def text(row: Row, units: Units) -> str:
        usage = row["usage"]
        if not usage:
            return ""
        parts = []
        for name, kind in USED_OUT if out else USED_IN:
            if not kind:
                parts.append(f"{name}=0")
            elif kind in usage:
                value = usage[kind][what]
                parts.append(f"{name}={padded(value / 1000) if kind == 'cpu' else units.text(value)}")
        return ",".join(parts)

    return text


def tres_places(out: bool, what: str, cpu_as_time: bool = False) -> Callable[[Row], str]:
    """cpu=dgx0183,energy=dgx0183,... or, of tasks, cpu=0,fs/disk=0,...: energy is a node's, no task's.

    sstat writes the task of cpu as if it were a time.
    """
    of_tasks = what.endswith("task")

    def text(row: Row) -> str:
        usage = row["usage"]
        if not usage:
            return ""
        parts = []
        for name, kind in USED_OUT if out else USED_IN:
            if not kind:
                if not of_tasks:
                    parts.append(f"{name}={usage['node']}")
            elif kind in usage:
                place = usage[kind][what]
                parts.append(f"{name}={padded(place) if cpu_as_time and kind == 'cpu' else place}")
        return ",".join(parts)

    return text
