"""Which nodes satisfy --constraint: a&b, (a|b)&c, graphics*4, [rack1|rack2], [rack1*2&rack2*4]?

As in Slurm, & and | bind equally and are read from the left: a|b&c is (a|b)&c. A comma is an &. Brackets stand once, and hold
either alternatives of which all nodes share one, or counted terms of which each node meets one.
"""

from __future__ import annotations

from collections import namedtuple

from corral.errors import InvalidFeatures

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from collections.abc import Sequence, Set
    from typing import NoReturn

_MARKS = "&|,*()[]"
_IN_NAMES = "_-.:=@+/"
_DEPTH = 20


class Features(namedtuple("Features", ("kind", "name", "parts", "count"), defaults=("", (), 0))):
    """A constraint, or a part of one.

    kind     meaning
    name     nodes with the feature `name`
    all      nodes that meet every one of `parts`
    any      nodes that meet at least one of `parts`
    count    at least `count` nodes meet the one part; it says nothing of the others
    shared   [a|b]: all nodes meet the same one of `parts`
    mixed    [a*2&b*4]: `parts` are counts, and each node is there for one of them
    """

    __slots__ = ()
    kind: str
    name: str
    parts: tuple[Features, ...]
    count: int

    def __str__(self) -> str:
        return format_features(self)


def parse(text: str) -> Features:
    """The constraint written so; a text that is none is refused."""
    return _Reader(text).constraint()


def matches(wanted: Features, features: Set[str]) -> bool:
    """May a node with these features be one of the job's?"""
    match wanted.kind:
        case "name":
            return wanted.name in features
        case "all":
            return all(matches(part, features) for part in wanted.parts)
        case "any" | "shared":
            return any(matches(part, features) for part in wanted.parts)
        case "mixed":
            return any(matches(part.parts[0], features) for part in wanted.parts)
        case _:
            return True  # a count: other nodes may be what they like


def satisfied(wanted: Features, nodes: Sequence[Set[str]]) -> bool:
    """Do nodes with these features, together, meet the whole constraint, counts and brackets too?"""
    match wanted.kind:
        case "all":
            return all(satisfied(part, nodes) for part in wanted.parts)
        case "any" if any(needs_more_than_one_look(part) for part in wanted.parts):
            return any(satisfied(part, nodes) for part in wanted.parts)
        case "shared":
            return any(satisfied(part, nodes) for part in wanted.parts)
        case "count":
            return sum(matches(wanted.parts[0], node) for node in nodes) >= wanted.count
        case "mixed":
            return all(matches(wanted, node) for node in nodes) and _can_be_dealt_out(wanted.parts, nodes)
        case _:
            return all(matches(wanted, node) for node in nodes)


def needs_more_than_one_look(wanted: Features) -> bool:
    """Does the constraint say something of the nodes together (counts, brackets), so that `matches` alone does not decide?"""
    return wanted.kind in ("count", "shared", "mixed") or any(needs_more_than_one_look(part) for part in wanted.parts)


def alternatives(wanted: Features) -> list[Features]:
    """The constraint without [a|b]: one for each choice, in the order written. Try them one by one."""
    if wanted.kind == "shared":
        return list(wanted.parts)
    for at, part in enumerate(wanted.parts):
        if len(choices := alternatives(part)) > 1 or choices[0] != part:  # there is one pair of brackets at most
            return [wanted._replace(parts=(*wanted.parts[:at], choice, *wanted.parts[at + 1 :])) for choice in choices]
    return [wanted]


def counts(wanted: Features) -> list[tuple[Features, int]]:
    """Every counted term and how many nodes must meet it."""
    if wanted.kind == "count":
        return [(wanted.parts[0], wanted.count)]
    return [found for part in wanted.parts for found in counts(part)]


def names(wanted: Features) -> list[str]:
    """Every feature named, in order, each once: a name no node has is a slip worth refusing."""
    found = [wanted.name] if wanted.kind == "name" else [name for part in wanted.parts for name in names(part)]
    return list(dict.fromkeys(found))


def format_features(wanted: Features) -> str:
    """The text of this constraint."""
    match wanted.kind:
        case "name":
            return wanted.name
        case "count":
            return f"{_grouped(wanted.parts[0])}*{wanted.count}"
        case "shared":
            return f"[{'|'.join(map(_grouped, wanted.parts))}]"
        case "mixed":
            return f"[{'&'.join(map(_grouped, wanted.parts))}]"
        case kind:
            return ("&" if kind == "all" else "|").join(map(_grouped, wanted.parts))


def _grouped(part: Features) -> str:
    return f"({format_features(part)})" if part.kind in ("all", "any") else format_features(part)


def _can_be_dealt_out(terms: Sequence[Features], nodes: Sequence[Set[str]]) -> bool:
    """Can every term get its own nodes? (Hall's condition: whatever terms one picks, enough nodes meet one of them.)"""
    able = [sum(1 << at for at, term in enumerate(terms) if matches(term.parts[0], node)) for node in nodes]
    return all(
        sum(1 for bits in able if bits & chosen) >= sum(term.count for at, term in enumerate(terms) if chosen >> at & 1)
        for chosen in range(1, 1 << len(terms))
    )


class _Reader:
    """Reads one constraint from left to right."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.words = self._split(text)
        self.at = 0
        self.depth = 0
        self.brackets = 0

    def constraint(self) -> Features:
        whole = self.chain(end="")
        if self.next():
            self.refuse(f"{self.next()!r} is not expected")
        return whole

    def chain(self, end: str) -> Features:
        """Terms joined by & and |, up to `end`."""
        left = self.term()
        while (mark := self.next()) and mark != end:
            if mark not in ("&", "|", ","):
                self.refuse(f"{mark!r} is not expected")
            self.at += 1
            kind = "any" if mark == "|" else "all"
            right = self.term()
            earlier = left.parts if left.kind == kind else (left,)
            left = Features(kind, "", (*earlier, right))
        return left

    def term(self) -> Features:
        """A name, a group or brackets, and perhaps a count behind."""
        word = self.next()
        self.at += 1
        if word == "[":
            return self.bracketed()
        if word == "(":
            self.depth += 1
            if self.depth > _DEPTH:
                self.refuse("too deep")
            term = self.chain(end=")")
            self.close(")")
            self.depth -= 1
        elif not word or word in _MARKS:
            self.refuse(f"a feature is missing before {word!r}" if word else "a feature is missing at the end")
        else:
            term = Features("name", word)
        if self.next() != "*":
            return term
        self.at += 1
        number = self.next()
        if not (number.isascii() and number.isdigit() and 0 < len(number) <= 9 and int(number)):
            self.refuse("a count is a number of nodes")
        if needs_more_than_one_look(term):
            self.refuse("a count cannot be counted")
        self.at += 1
        return Features("count", "", (term,), int(number))

    def bracketed(self) -> Features:
        self.brackets += 1
        if self.brackets > 1 or self.depth:
            self.refuse("one pair of brackets, outside of any other")
        self.depth += 1
        inside = self.chain(end="]")
        self.close("]")
        self.depth -= 1
        parts = inside.parts if inside.kind in ("all", "any") else (inside,)
        if all(part.kind == "count" for part in parts) and inside.kind != "any":
            if len(parts) > 12:
                self.refuse("too many counts")
            return Features("mixed", "", parts)
        if inside.kind == "all" or any(needs_more_than_one_look(part) for part in parts):
            self.refuse("brackets hold either alternatives, or terms with counts")
        return Features("shared", "", parts)

    def close(self, mark: str) -> None:
        if self.next() != mark:
            self.refuse(f"{mark!r} is missing")
        self.at += 1

    def next(self) -> str:
        return self.words[self.at] if self.at < len(self.words) else ""

    def refuse(self, reason: str) -> NoReturn:
        raise InvalidFeatures(text=self.text, reason=reason)

    def _split(self, text: str) -> list[str]:
        words: list[str] = []
        in_name = False
        for letter in text.strip():
            if letter in _MARKS:
                words.append(letter)
            elif not (letter.isalnum() or letter in _IN_NAMES):
                self.refuse(f"{letter!r} has no place in a feature's name")
            elif in_name:
                words[-1] += letter
            else:
                words.append(letter)
            in_name = letter not in _MARKS
        return words
