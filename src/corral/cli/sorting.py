"""How does `-S P,t,-p` order rows?"""

from __future__ import annotations

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    #: fields of the API, and what makes a key of their values (None: the value itself)
    Key = tuple[str, Callable[..., Any] | None]


class InvalidSort(Exception):
    """The letter that no column has."""


def parse(text: str, known: Mapping[str, Key], strict: bool = True) -> list[tuple[Key, bool]]:
    """Keys and whether each is reversed, the most important first. Commas and signs may be left out.

    `#P` is a key of its own where there is one (the order of the configuration), else the same as `P`; so is `-S`, where
    turning round the order of `S` would not do. Unless `strict`, letters that are no key count for nothing.
    """
    found: list[tuple[Key, bool]] = []
    reverse = False
    mark = wrong = ""
    for letter in text:
        if letter == "-":
            reverse = True
        elif letter == "#":
            mark = "#"
        elif letter not in "+,":
            own = known.get("-" + letter) if reverse else None
            key = own or known.get(mark + letter) or known.get(letter)
            if key is not None:
                found.append((key, reverse and own is None))
            elif strict:
                wrong = letter  # Slurm reads them from the end, and tells of the first that it finds so
            reverse, mark = False, ""
    if wrong:
        raise InvalidSort(wrong)
    return found


def fields(order: list[tuple[Key, bool]]) -> list[str]:
    """What sorting needs of the API."""
    return [field for (names, _), _ in order for field in names.split()]


def _is_one(values: list[Any]) -> bool:
    return not values or values.count(values[0]) == len(values)


def in_order(rows: list[Any], index: Mapping[str, Any], order: list[tuple[Key, bool]]) -> None:
    """Sort in place; equal rows keep their places."""
    for (names, make), reverse in reversed(order):
        places = [index[name] for name in names.split()]
        if all(_is_one([row[place] for row in rows]) for place in places):
            continue  # all are equal
        if make is None:
            place = places[0]
            rows.sort(key=lambda row, at=place: row[at], reverse=reverse)  # type: ignore[misc]
        else:
            rows.sort(key=lambda row, many=places, key=make: key(*[row[at] for at in many]), reverse=reverse)  # type: ignore[misc]
