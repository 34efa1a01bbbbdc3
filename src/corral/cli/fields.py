"""How do sacct, sstat and their like choose fields by --format, and write them as a table or with marks between?"""

from __future__ import annotations

from corral.cli.usage_columns import EXACT, Units

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

    from corral.cli.usage_columns import Sized

    Row = dict[str, Any]
    Getter = Callable[[Row], Any]


class Field:
    """One field: its name as the header has it, its width, and its text for a row."""

    __slots__ = ("get", "left", "name", "needs", "sized", "width")

    def __init__(
        self, name: str, width: int, needs: str, get: Getter | Sized, left: bool = False, sized: bool = False
    ) -> None:
        self.name = name
        self.width = width
        self.needs = needs.split()  #: fields of the API
        self.get: Any = get
        self.left = left
        self.sized = sized  #: its text depends on the units, which `get` takes too


class UnknownField(Exception):
    """The word that is no field."""


class Chosen:
    """A field as -o wants it."""

    __slots__ = ("field", "get", "left", "width")

    def __init__(self, field: Field, width: int, left: bool, units: Units) -> None:
        self.field = field
        self.get: Getter = (lambda row: field.get(row, units)) if field.sized else field.get
        self.width = width
        self.left = left

    def cell(self, value: Any) -> str:
        """As wide as the column; what is too long ends in a plus sign."""
        text = str(value)
        if len(text) > self.width:
            text = text[: self.width - 1] + "+"
        return text.ljust(self.width) if self.left else text.rjust(self.width)

    def header(self) -> str:
        text = self.field.name[: self.width]
        return text.ljust(self.width) if self.left else text.rjust(self.width)


def parse(table: Sequence[Field], text: str, units: Units = EXACT) -> list[Chosen]:
    """jobid,state%20,jobname%-30: the beginning of a name is enough; `all` is every field."""
    if text.lower() == "all":
        return [Chosen(field, field.width, field.left, units) for field in table]
    chosen = []
    for word in map(str.strip, text.split(",")):
        name, percent, digits = word.partition("%")
        if not word:
            continue
        field = _named(table, name.lower())
        left = digits.startswith("-")
        digits = digits.lstrip("-")
        if field is None or (percent and not (digits.isdigit() and int(digits))):
            raise UnknownField(word if field is not None else name)
        chosen.append(Chosen(field, int(digits) if percent else field.width, left if percent else field.left, units))
    return chosen


def _named(table: Sequence[Field], low: str) -> Field | None:
    for field in table:
        if field.name.lower() == low:
            return field
    return next((field for field in table if low and field.name.lower().startswith(low)), None)


def help_lines(table: Sequence[Field], last: str = "") -> str:
    """What -e prints: all names, four to a line."""
    words = [f"{field.name:<19}{last}" for field in table]
    return "".join(" ".join(words[at : at + 4]) + "\n" for at in range(0, len(words), 4))


def table_lines(chosen: Sequence[Chosen], rows: Iterable[Row], header: bool) -> list[str]:
    """Each column ends with a blank, the last one too."""
    lines = []
    if header:
        lines = [
            " ".join([*(one.header() for one in chosen), ""]),
            " ".join([*("-" * one.width for one in chosen), ""]),
        ]
    makers = [(one.cell, one.get) for one in chosen]
    return lines + [" ".join([*(cell(get(row)) for cell, get in makers), ""]) for row in rows]


def separated_lines(chosen: Sequence[Chosen], rows: Iterable[Row], header: bool, mark: str, at_end: bool) -> list[str]:
    """-p and -P: values as they are, with a mark between; -p puts one at the end too."""
    end = mark if at_end else ""
    getters = [one.get for one in chosen]
    lines = [mark.join(one.field.name for one in chosen) + end] if header else []
    return lines + [mark.join(str(get(row)) for get in getters) + end for row in rows]
