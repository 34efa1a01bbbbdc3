"""Which labels or fields does -l app=web,tier!=db,env in (a,b),!old or --field-selector status.phase=Running ask for?"""

import re
from collections.abc import Mapping
from typing import Literal, NamedTuple

Operator = Literal["in", "notin", "exists", "!"]

_NAME = r"(?:[A-Za-z0-9](?:[-A-Za-z0-9.]*[A-Za-z0-9])?/)?[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?"
_VALUE = r"(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?)?"
_SET = re.compile(rf"\s*({_NAME})\s+(in|notin)\s*\(([^()]*)\)\s*")
_EQUAL = re.compile(rf"\s*({_NAME})\s*(!=|==|=)\s*({_VALUE})\s*")
_HAS = re.compile(rf"\s*(!?)\s*({_NAME})\s*")
_IS_VALUE = re.compile(_VALUE)

#: No honest selector is longer.
_LONGEST = 20_000


class NotASelector(ValueError):
    """Says where it cannot be read."""


class Requirement(NamedTuple):
    key: str
    operator: Operator
    values: tuple[str, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        value = labels.get(self.key)
        match self.operator:
            case "in":
                return value is not None and value in self.values
            case "notin":
                return value is None or value not in self.values
            case "exists":
                return value is not None
            case "!":
                return value is None


def labels(text: str) -> tuple[Requirement, ...]:
    """All must hold; () selects everything."""
    if len(text) > _LONGEST:
        raise NotASelector("the selector is too long")
    if not text.strip():
        return ()
    found, at = [], 0
    while True:
        one, at = _one(text, at)
        found.append(one)
        if at == len(text):
            return tuple(found)
        if text[at] != ",":
            raise NotASelector(f"found {text[at : at + 20]!r}, expected: ',' or the end")
        at += 1


def _one(text: str, at: int) -> tuple[Requirement, int]:
    if (found := _SET.match(text, at)) is not None:
        values = tuple(sorted({word.strip() for word in found[3].split(",")}))
        for value in values:
            if not _IS_VALUE.fullmatch(value):
                raise NotASelector(f"{value!r} is not a value of a label")
        return Requirement(found[1], "in" if found[2] == "in" else "notin", values), found.end()
    if (found := _EQUAL.match(text, at)) is not None:
        return Requirement(found[1], "notin" if found[2] == "!=" else "in", (found[3],)), found.end()
    if (found := _HAS.match(text, at)) is not None:
        return Requirement(found[2], "!" if found[1] else "exists"), found.end()
    raise NotASelector(f"couldn't parse the selector string {text[at:]!r}")


def format_labels(requirements: tuple[Requirement, ...]) -> str:
    """The text of them: labels(format_labels(x)) == x."""
    words = []
    for key, operator, values in requirements:
        if operator in ("exists", "!"):
            words.append(("!" if operator == "!" else "") + key)
        elif len(values) == 1:
            words.append(f"{key}{'=' if operator == 'in' else '!='}{values[0]}")
        else:
            words.append(f"{key} {operator} ({','.join(values)})")
    return ",".join(words)


class FieldRequirement(NamedTuple):
    field: str
    is_equal: bool
    value: str


def fields(text: str) -> tuple[FieldRequirement, ...]:
    """a.b=c,d!=e; a backslash keeps the comma, the = or the backslash after it."""
    if len(text) > _LONGEST:
        raise NotASelector("the selector is too long")
    found = []
    for part in re.split(r"(?<!\\),", text):
        if not part.strip():
            continue
        match = re.fullmatch(r"\s*([A-Za-z][A-Za-z0-9_.]*)\s*(!=|==|=)((?:[^\\=,]|\\.)*)", part)
        if match is None:
            raise NotASelector(f"invalid selector: {part!r}; can't understand it")
        found.append(FieldRequirement(match[1], match[2] != "!=", re.sub(r"\\(.)", r"\1", match[3]).strip()))
    return tuple(found)
