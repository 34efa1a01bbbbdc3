"""How does JSON become one of our records? All that does not fit is told with its path."""

import difflib
import functools
import math
from datetime import datetime
from typing import Any

import msgspec
from msgspec import inspect

from corral.errors import InvalidQuantity
from corral.services.manifests.problems import Problems
from corral.services.manifests.refused import REFUSED
from corral.syntax import quantity

#: Numbers that Kubernetes holds in 64 bits; all others in 32.
_LONG = frozenset(
    ("activeDeadlineSeconds", "terminationGracePeriodSeconds", "runAsUser", "runAsGroup", "fsGroup", "supplementalGroups",
     "tolerationSeconds",
     "expirationSeconds", "deletionGracePeriodSeconds", "generation", "observedGeneration", "seconds")
)  # fmt: skip
#: Fields of objects that nobody writes into a manifest.
NOT_GIVEN = ("creator", "status")
#: By record: an older name of a field, and the present one.
OLDER_NAMES = {"PodSpec": (("serviceAccount", "serviceAccountName"),)}
#: Stands for what could not be read: it is told already.
_WRONG: Any = object()


class Field(msgspec.Struct, frozen=True):
    """Of a record."""

    name: str
    wire: str
    type: inspect.Type
    required: bool


@functools.cache
def fields_of(record: type[msgspec.Struct]) -> dict[str, Field]:
    """By their names in manifests."""
    known = inspect.type_info(record)
    assert isinstance(known, inspect.StructType)
    return {
        one.encode_name: Field(one.name, one.encode_name, one.type, one.required)
        for one in known.fields
        if one.name not in NOT_GIVEN
    }


def record_of(record: type[msgspec.Struct], value: Any, path: str, problems: Problems) -> Any:
    """The record that a mapping describes, or None where something in it is wrong."""
    if not isinstance(value, dict):
        problems.type(path, value, "an object")
        return None
    value = _renamed(record, value, path, problems)
    known = fields_of(record)
    refused = REFUSED.get(record.__name__, {})
    given: dict[str, Any] = {}
    good = True
    for wire, one in value.items():
        if one is None:
            continue
        place = f"{path}.{wire}" if path else str(wire)
        if (why := refused.get(wire)) is not None:
            if one not in why.takes:
                problems.unsupported(place, why.why)
                good = False
            continue
        field = known.get(wire)
        if field is None:
            near = difflib.get_close_matches(str(wire), [*known, *refused], 1, 0.7)
            problems.unknown(place, near[0] if near else "")
            good = False
            continue
        found = value_of(field.type, one, place, problems, wire)
        if found is _WRONG:
            good = False
        else:
            given[field.name] = found
    for wire, field in known.items():
        if field.required and field.name not in given and value.get(wire) is None:
            problems.required(f"{path}.{wire}" if path else wire)
            good = False
    return record(**given) if good else None


def _renamed(record: type[msgspec.Struct], value: dict[str, Any], path: str, problems: Problems) -> dict[str, Any]:
    """What has an older name too is read by either."""
    for older, wire in OLDER_NAMES.get(record.__name__, ()):
        if (given := value.get(older)) is not None:
            value = {name: one for name, one in value.items() if name != older}
            if value.setdefault(wire, given) != given and given != "":
                problems.invalid(f"{path}.{older}", given, f"must be as {wire}, or be left out")
    return value


def value_of(kind: inspect.Type, value: Any, path: str, problems: Problems, wire: str = "") -> Any:
    """The value as its field's type has it, or _WRONG."""
    match kind:
        case inspect.UnionType(types):
            return _of_union(types, value, path, problems, wire)
        case inspect.StructType(cls):
            found = record_of(cls, value, path, problems)
            return _WRONG if found is None else found
        case inspect.VarTupleType(item):
            return _sequence(item, value, path, problems, wire)
        case inspect.DictType(_, item):
            return _mapping(item, value, path, problems, wire)
        case inspect.LiteralType(values):
            if value in values:
                return value
            problems.choice(path, value, values)
            return _WRONG
        case inspect.AnyType():
            return value
    return _scalar(kind, value, path, problems, wire)


def _scalar(kind: inspect.Type, value: Any, path: str, problems: Problems, wire: str) -> Any:
    wanted = ""
    match kind:
        case inspect.StrType():
            if isinstance(value, str) and is_text(value):
                return value
            wanted = (
                "text in UTF-8"
                if isinstance(value, str)
                else "a string" + (f' (in quotes: "{_plain(value)}")' if isinstance(value, (int, float)) else "")
            )
        case inspect.BoolType():
            if isinstance(value, bool):
                return value
            wanted = "true or false"
        case inspect.IntType():
            if isinstance(value, float) and value.is_integer():
                value = int(value)
            if isinstance(value, int) and not isinstance(value, bool):
                bits = 63 if wire in _LONG else 31
                if -(1 << bits) <= value < 1 << bits:
                    return value
                wanted = f"a whole number of {bits + 1} bits"
            else:
                wanted = "a whole number"
        case inspect.FloatType():
            if isinstance(value, str) and (when := seconds(value)) is not None:
                return when
            if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
                return float(value)
            wanted = "a time such as 2030-01-31T16:00:00Z"
    problems.type(path, value, wanted)
    return _WRONG


def _of_union(types: tuple[inspect.Type, ...], value: Any, path: str, problems: Problems, wire: str) -> Any:
    kinds = {type(one) for one in types}
    if inspect.FloatType in kinds:  # Quantity
        return _quantity(value, path, problems)
    if inspect.StrType in kinds and inspect.IntType in kinds:  # IntOrString
        if isinstance(value, str):
            return _scalar(inspect.StrType(), value, path, problems, wire)
        if isinstance(value, (int, float)):
            return _scalar(inspect.IntType(), value, path, problems, wire)
        problems.type(path, value, "a whole number or a string")
        return _WRONG
    for one in types:
        if not isinstance(one, inspect.NoneType):
            return value_of(one, value, path, problems, wire)
    return value


def _quantity(value: Any, path: str, problems: Problems) -> Any:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        problems.type(path, value, "a quantity such as 2, 500m or 1Gi")
        return _WRONG
    try:
        return quantity.canonical(value)
    except InvalidQuantity:
        problems.invalid(path, value, "not a quantity: write 2, 500m, 1.5 or 512Mi, for instance")
        return _WRONG


def _sequence(item: inspect.Type, value: Any, path: str, problems: Problems, wire: str) -> Any:
    if not isinstance(value, list):
        problems.type(path, value, "a list")
        return _WRONG
    found = []
    for index, one in enumerate(value):
        if one is None:
            problems.required(f"{path}[{index}]")
            found.append(_WRONG)
        else:
            found.append(value_of(item, one, f"{path}[{index}]", problems, wire))
    return _WRONG if any(one is _WRONG for one in found) else tuple(found)


def _mapping(item: inspect.Type, value: Any, path: str, problems: Problems, wire: str) -> Any:
    if not isinstance(value, dict):
        problems.type(path, value, "an object")
        return _WRONG
    found = {}
    for key, one in value.items():
        if not isinstance(key, str) or not is_text(key):
            problems.type(path, key, f'a string as key (in quotes: "{_plain(key)}")')
            found[key] = _WRONG
        elif one is None:
            if not isinstance(item, inspect.StrType):
                continue
            found[key] = ""  # as Kubernetes' decoder has it
        else:
            found[key] = value_of(item, one, f"{path}[{key}]", problems, wire)
    return _WRONG if any(one is _WRONG for one in found.values()) else found


def _plain(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def is_text(value: str) -> bool:
    """JSON can write halves of characters (\\ud800), which nothing else can carry."""
    return value.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in value)


def seconds(text: str) -> float | None:
    """Since the epoch, of an RFC 3339 time; None = it is none."""
    try:
        moment = datetime.fromisoformat(text)
        return moment.timestamp() if moment.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None
