"""Which elements has an array 0-31:4%8, and how are they written short?"""

from __future__ import annotations

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Any

    from corral.errors import InvalidArraySpec

#: MaxArraySize as Slurm has it when nobody says otherwise: the highest index is one less.
MAX_SIZE = 1001

#: What squeue shows of a long list (SLURM_BITSTR_LEN).
SHOWN = 64


class ArraySpec:
    """The elements, ascending and each once, and how many may run at once (0 = all)."""

    __slots__ = ("indices", "throttle")

    def __init__(self, indices: tuple[int, ...], throttle: int) -> None:  # importing namedtuple would cost 2 ms
        self.indices = indices
        self.throttle = throttle

    def __iter__(self) -> Iterator[Any]:
        yield self.indices
        yield self.throttle

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ArraySpec) and (self.indices, self.throttle) == (other.indices, other.throttle)

    def __hash__(self) -> int:
        return hash((self.indices, self.throttle))

    def __str__(self) -> str:
        return fold(self.indices, self.throttle)


def parse(text: str, max_size: int = MAX_SIZE) -> ArraySpec:
    """The elements and the throttle of 1,3,5-7 or 0-31:4%8; every index is below `max_size`."""
    ranges, _, limit = text.strip().partition("%")
    if ranges.startswith("[") and (ranges.endswith("]") or limit.endswith("]")):
        ranges, limit = ranges[1:].removesuffix("]"), limit.removesuffix("]")
    throttle = _number(text, limit) if limit else 0  # Slurm takes 1-3% as well
    indices: set[int] = set()
    for part in ranges.split(","):
        span, colon, step_text = part.partition(":")
        low, dash, high = span.partition("-")
        first = _number(text, low)
        last = _number(text, high) if dash else first
        step = _number(text, step_text) if colon else 1
        if last < first:
            raise _invalid(text, f"{part} runs backwards")
        if step == 0 or (colon and not dash):
            raise _invalid(text, "a step is at least 1 and follows a range")
        if last >= max_size:
            raise _invalid(text, f"the highest index here is {max_size - 1}")
        indices.update(range(first, last + 1, step))
    return ArraySpec(tuple(sorted(indices)), throttle)


def fold(indices: Iterable[int], throttle: int = 0, limit: int = 0) -> str:
    """0-3,7%8, as squeue and scontrol write what still waits; `limit` cuts the list as SLURM_BITSTR_LEN does (0 = never)."""
    ordered = sorted(set(indices))
    return _cut(_stepped(ordered) or ",".join(runs(ordered)), throttle, limit)


def fold_ranges(ranges: Iterable[Sequence[int]], throttle: int = 0, limit: int = 0) -> str:
    """As `fold`, of (first, last, step): long runs are not walked through."""
    found = list(ranges)
    if not any(step == 1 and last > first for first, last, step in found):  # then the whole may have a step of its own
        return fold((n for first, last, step in found for n in range(first, last + 1, step)), throttle, limit)
    return _cut(spans(found), throttle, limit)


def spans(ranges: Iterable[Sequence[int]]) -> str:
    """0-3,7 of (first, last, step) in any order: steps are written out, neighbours joined."""
    pieces: list[tuple[int, int]] = []
    for first, last, step in ranges:
        pieces += [(first, last)] if step == 1 else [(n, n) for n in range(first, last + 1, step)]
    pieces.sort()
    joined: list[tuple[int, int]] = []
    for first, last in pieces:
        if joined and first <= joined[-1][1] + 1:
            joined[-1] = joined[-1][0], max(last, joined[-1][1])
        else:
            joined.append((first, last))
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in joined)


def _cut(text: str, throttle: int, limit: int) -> str:
    if limit > 4 and len(text) >= limit:
        text = text[: limit - 4] + "..."
    return f"{text}%{throttle}" if throttle else text


def _stepped(ordered: list[int]) -> str:
    """Slurm writes a step from six elements on that reach over more than ten, when the whole array has the one step."""
    if len(ordered) < 6 or ordered[-1] - ordered[0] <= 10:
        return ""
    step = ordered[1] - ordered[0]
    if step == 1 or ordered != list(range(ordered[0], ordered[-1] + 1, step)):
        return ""
    return f"{ordered[0]}-{ordered[-1]}:{step}"


def runs(ordered: list[int]) -> list[str]:
    """0-3 and 7 of 0, 1, 2, 3, 7."""
    written: list[str] = []
    start = 0
    for at in range(1, len(ordered) + 1):
        if at < len(ordered) and ordered[at] == ordered[at - 1] + 1:
            continue
        first, last = ordered[start], ordered[at - 1]
        written.append(str(first) if first == last else f"{first}-{last}")
        start = at
    return written


def _number(text: str, digits: str) -> int:
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 10):
        raise _invalid(text, f"{digits!r} is not a number" if digits else "a number is missing")
    return int(digits)


def _invalid(text: str, reason: str) -> InvalidArraySpec:
    from corral.errors import InvalidArraySpec  # squeue reads many, and few are wrong

    return InvalidArraySpec(text=text, reason=reason)
