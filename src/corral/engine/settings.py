"""What becomes of an association or a QOS when these settings are applied to it?"""

import math
from typing import TypeVar

import msgspec

from corral.engine.books import Books
from corral.engine.draft import Refusal
from corral.model.account import Association, Limits
from corral.model.preemption import mode_of
from corral.model.qos import FLAGS, Qos, QosLimits
from corral.protocol.accounting import CLEAR, Settings

T = TypeVar("T", Association, Qos)

#: What a count or an amount may be at most: everything larger is a mistake.
MOST = 1 << 53

_NUMBERS: dict[type, dict[str, object]] = {
    Association: {"shares": 1, "priority": None},
    Qos: {
        "priority": 0, "grace_time": 0, "preempt_exempt_time": None, "usage_factor": 1.0, "usage_threshold": None,
        "limit_factor": None,
    },
}  # fmt: skip
_FRACTIONS = ("usage_factor", "usage_threshold", "limit_factor")
_WORDS: dict[type, tuple[str, ...]] = {Association: ("default_qos",), Qos: ("description", "preempt_mode")}
_LISTS: dict[type, tuple[str, ...]] = {Association: ("qos",), Qos: ("flags", "preempt")}


def applied(books: Books, record: T, settings: Settings) -> T:
    """The record with these; Refusal when one of them means nothing."""
    kind = type(record)
    fields: dict[str, object] = {}
    limits: dict[str, object] = {}
    known: tuple[str, ...] = (Limits if kind is Association else QosLimits).__struct_fields__
    for name, number in settings.numbers.items():
        if name in _NUMBERS[kind]:
            fields[name] = _number(name, number, _NUMBERS[kind][name])
        elif name in known and not isinstance(getattr(record.limits, name), dict):
            limits[name] = _number(name, number, None)
        else:
            raise Refusal(f"Unknown option: {name}")
    for name, amounts in settings.tres.items():
        if name not in known or not isinstance(getattr(record.limits, name), dict):
            raise Refusal(f"Unknown option: {name}")
        limits[name] = _amounts(name, getattr(record.limits, name), amounts)
    for name, word in settings.words.items():
        if name not in _WORDS[kind]:
            raise Refusal(f"Unknown option: {name}")
        fields[name] = _word(books, name, word)
    for name, words in settings.lists.items():
        if name not in _LISTS[kind]:
            raise Refusal(f"Unknown option: {name}")
        fields |= _list(books, record, name, words)
    changed = msgspec.structs.replace(record, **fields)
    if limits:
        changed = msgspec.structs.replace(changed, limits=msgspec.structs.replace(changed.limits, **limits))
    return changed


def _number(name: str, number: float, cleared: object) -> object:
    if not math.isfinite(number) or number > MOST or (number < 0 and number != CLEAR):
        raise Refusal(f"Invalid value for {name} ({number:g})")
    if number == CLEAR:
        return cleared
    return float(number) if name in _FRACTIONS else int(number)


def _amounts(name: str, old: dict[str, int], new: dict[str, int]) -> dict[str, int]:
    for resource, amount in new.items():
        if len(resource) > 100 or not resource or amount > MOST or (amount < 0 and amount != CLEAR):
            raise Refusal(f"Invalid value for {name} ({resource[:100]}={amount})")
    both = {**old, **new}
    return {resource: both[resource] for resource in sorted(both) if both[resource] != CLEAR}


def _word(books: Books, name: str, word: str) -> object:
    if name == "default_qos":
        if word in ("", "-1"):
            return None
        if word.lower() not in books.qos:
            raise Refusal(f"You gave a bad default qos '{word}'.  Use 'list qos' to get complete list.")
        return word.lower()
    if name == "preempt_mode":
        if word.lower() in ("", "cluster"):
            return ""
        mode = mode_of(word)
        if mode is None:
            raise Refusal(f"Bad Preempt Mode given: {word}")
        return str(mode).lower()
    if len(word) > 1024:
        raise Refusal(f"{name} is too long")
    return word.lower()


def _list(books: Books, record: Association | Qos, name: str, words: tuple[str, ...]) -> dict[str, object]:
    known = FLAGS if name == "flags" else tuple(books.qos)
    for word in words:
        if word[:1] not in ("=", "+", "-") or (word[1:] and word[1:] not in known):
            what = "QOS flag" if name == "flags" else "qos"
            raise Refusal(f"You gave a bad {what} '{word[1:]}'. Valid ones are {','.join(known)}")
    old: tuple[str, ...] | None = getattr(record, name)
    if isinstance(record, Association) and (not words or all(word == "=" for word in words)):
        return {"qos": None, "qos_changes": ()}
    if isinstance(record, Association) and old is None and all(word[0] != "=" for word in words):
        kept = [change for change in record.qos_changes if change[1:] not in {word[1:] for word in words}]
        return {"qos_changes": (*kept, *words)}
    anew = any(word[0] == "=" for word in words)
    found = {} if anew else dict.fromkeys(old or ())
    for word in words:
        if word[0] == "-":
            found.pop(word[1:], None)
        elif word[1:]:
            found[word[1:]] = None
    order = {one: at for at, one in enumerate(known)}
    result = tuple(sorted(found, key=lambda one: order.get(one, len(order))))
    return {"qos": result, "qos_changes": ()} if isinstance(record, Association) else {name: result}
