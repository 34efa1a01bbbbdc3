"""Which columns have the reports of sreport, and how is time written in them?"""

from __future__ import annotations

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from typing import Any

    Row = dict[str, Any]

#: How time is written: what the head says, how many seconds make one, is a share shown, and is it all.
FORMATS = {
    "Seconds": ("Seconds", 1), "Minutes": ("Minutes", 60), "Hours": ("Hours", 3600), "Percent": ("Percentage of Total", 1),
    "SecPer": ("Seconds/Percentage of Total", 1), "MinPer": ("Minutes/Percentage of Total", 60),
    "HourPer": ("Hours/Percentage of Total", 3600),
}  # fmt: skip
#: Digits of a share behind a number: (100.00%).
_SHARE = 9


def time_format(word: str) -> str | None:
    low = word.lower()
    return next((name for name in FORMATS if low and name.lower().startswith(low)), None)


class Time:
    """Seconds, and of how many they are a part."""

    __slots__ = ("seconds", "whole")

    def __init__(self, seconds: float, whole: float) -> None:
        self.seconds = seconds
        self.whole = whole

    def text(self, form: str) -> str:
        share = f"{self.seconds / self.whole * 100 if self.whole else 0.0:.2f}%"
        if form == "Percent":
            return share
        number = f"{self.seconds / FORMATS[form][1]:.0f}"
        return f"{number}({share})" if form.endswith("Per") else number


class Column:
    """A column: the word for format=, its header and width."""

    __slots__ = ("header", "left", "name", "width")

    def __init__(self, name: str, header: str, width: int, left: bool = False) -> None:
        self.name = name
        self.header = header
        self.width = width
        self.left = left


CLUSTER, LOGIN, PROPER = (
    Column("Cluster", "Cluster", 9),
    Column("Login", "Login", 9),
    Column("Proper", "Proper Name", 15),
)
ACCOUNT, TREE = Column("Account", "Account", 15), Column("Account", "Account", 20, left=True)
WCKEY, TRES = Column("WCKey", "WCKey", 15), Column("TresName", "TRES Name", 14)
USED, ENERGY = Column("Used", "Used", 8), Column("Energy", "Energy", 8)

UTILIZATION = (
    CLUSTER, Column("TresCount", "TRES Count", 10), TRES, Column("Allocated", "Allocated", 8), Column("Down", "Down", 8),
    Column("PlannedDown", "PLND Down", 8), Column("Idle", "Idle", 8), Column("Planned", "Planned", 8),
    Column("Reserved", "Planned", 8), Column("Reported", "Reported", 8), Column("OverCommitted", "Over Comm", 8),
)  # fmt: skip
#: Those that hold time: they are as wide as it needs.
TIMES = frozenset(
    ("Allocated", "Down", "PlannedDown", "Idle", "Planned", "Reserved", "Reported", "OverCommitted", "Used", "Energy")
)


class UnknownField(Exception):
    """The word that is no field."""


class Chosen:
    """A column as format= wants it."""

    __slots__ = ("column", "left", "width")

    def __init__(self, column: Column, width: int = 0, left: bool | None = None) -> None:
        self.column = column
        self.width = width or column.width
        self.left = column.left if left is None else left

    def cell(self, text: str) -> str:
        return text[: self.width].ljust(self.width) if self.left else text[: self.width].rjust(self.width)


def parse(known: tuple[Column, ...], text: str) -> list[Chosen]:
    """login%-20,used: the beginning of a name is enough; a whole name comes before a beginning."""
    chosen = []
    for word in filter(None, map(str.strip, text.split(","))):
        name, percent, digits = word.partition("%")
        low = name.lower()
        found = next((c for c in known if c.name.lower() == low), None)
        found = found or next((c for c in known if low and c.name.lower().startswith(low)), None)
        number = digits.lstrip("-")
        if found is None or (percent and not number.isdigit()):
            raise UnknownField(name)
        chosen.append(Chosen(found, int(number) if percent else 0, digits.startswith("-") if percent else None))
    return chosen


def fit(chosen: list[Chosen], rows: list[Row], form: str) -> None:
    """Columns of time become as wide as their largest number of seconds, and a share behind it."""
    for one in chosen:
        name = one.column.name
        if name in TIMES and one.width == one.column.width:
            longest = max((len(f"{row[name].seconds:.0f}") for row in rows), default=0)
            one.width = max(8, longest) + (_SHARE if form.endswith("Per") else 0)


def text_of(value: Any, form: str) -> str:
    return value.text(form) if isinstance(value, Time) else str(value)


def lines(chosen: list[Chosen], rows: list[Row], form: str, parsable: str, header: bool) -> list[str]:
    if parsable:
        end = "|" if parsable == "parsable" else ""
        head = ["|".join(one.column.header for one in chosen) + end] if header else []
        return head + ["|".join(text_of(row[one.column.name], form) for one in chosen) + end for row in rows]
    head = []
    if header:
        head = [
            " ".join([*(one.cell(one.column.header) for one in chosen), ""]),
            " ".join([*("-" * one.width for one in chosen), ""]),
        ]
    return head + [" ".join([*(one.cell(text_of(row[one.column.name], form)) for one in chosen), ""]) for row in rows]
