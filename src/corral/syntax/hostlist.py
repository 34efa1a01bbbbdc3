"""Which names does node[01-04,07] stand for, and how is a list of names written short?

Reading and writing follow `scontrol show hostnames`, `hostlist` and `hostlistsorted`: only neighbours are joined, the order
and repeated names stay, and brackets are written round the last number only. Beyond Slurm, text may follow a bracket when read.

ClusterShell's NodeSet does all this and more, and takes over 30 ms to import: longer than a whole command may.
"""

from __future__ import annotations

from corral.errors import InvalidHostlist

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from collections.abc import Iterable

#: A list of more names than this is a slip of the pen.
MAX_HOSTS = 65536

_DIGITS = "0123456789"
_LONGEST = 20  # digits that count; int() refuses very long runs, and no host has such a name


def expand(text: str) -> list[str]:
    """The names, in the order written. Commas and white space separate; an empty text has none."""
    names: list[str] = []
    for start, part in _parts(text):
        if "[" in part:
            names += _product(text, start, part)
        elif "]" in part:
            raise InvalidHostlist(text=text, column=start + part.index("]") + 1)
        else:
            names.append(part)
        if len(names) > MAX_HOSTS:
            raise InvalidHostlist(text=_shortened(text), column=start + 1)
    return names


def words(text: str) -> list[str]:
    """The pieces as they are written, brackets and all."""
    return [part for _, part in _parts(text)]


def fold(names: Iterable[str]) -> str:
    """The short text of these names, in their order: n1,n2,n4 -> n[1-2,4]."""
    written: list[str] = []
    ranges: list[str] = []  # of one prefix, in the making
    prefix = ""
    first = last = ""  # texts of the numbers at both ends of the newest range
    value = width = -1  # number and width at that range's end

    for name in names:
        stem = name.rstrip(_DIGITS)
        number = name[len(stem) :]
        if ranges and stem == prefix and number:
            value += 1
            if number == str(value).zfill(width):
                last = number
                continue
            ranges[-1] = first if first == last else f"{first}-{last}"
        else:
            if ranges:
                ranges[-1] = first if first == last else f"{first}-{last}"
                written.append(_bracketed(prefix, ranges))
                ranges = []
            if not number:
                written.append(name)
                continue
        prefix, first, last, value, width = stem, number, number, int(number[-_LONGEST:]), len(number)
        ranges.append(number)
    if ranges:
        ranges[-1] = first if first == last else f"{first}-{last}"
        written.append(_bracketed(prefix, ranges))
    return ",".join(written)


def fold_sorted(names: Iterable[str]) -> str:
    """As `fold`, the names sorted first, as `scontrol show hostlistsorted` has them."""
    return fold(in_order(names))


def in_order(names: Iterable[str]) -> list[str]:
    """The names sorted by prefix, then number: n2 before n10, a2b1 before a10b1."""
    split = [(stem := name.rstrip(_DIGITS), name[len(stem) :], name) for name in names]
    padded: dict[str, set[int]] = {}
    for stem, number, _ in split:
        if len(number) > 1 and number[0] == "0":
            padded.setdefault(stem, set()).add(len(number))

    def key(item: tuple[str, str, str]) -> tuple[list[tuple[str, int]], int, int]:
        stem, number, _ = item
        # 099 and 100 count on from one another, 99 and 099 do not: numbers of one padding come together.
        widths = [width for width in padded.get(stem, ()) if width <= len(number)]
        return _natural(stem), max(widths, default=0), int(number[-_LONGEST:] or -1)

    return [name for _, _, name in sorted(split, key=key)]


def _natural(stem: str) -> list[tuple[str, int]]:
    """A key that orders the numbers within a prefix by value."""
    key: list[tuple[str, int]] = []
    rest = stem
    while rest:
        words = rest.rstrip(_DIGITS)
        number = rest[len(words) :]
        literal = words[_start_of_letters(words) :]
        key.append((literal, int(number[-_LONGEST:] or -1)))
        rest = words[: len(words) - len(literal)]
    return key[::-1]


def _start_of_letters(words: str) -> int:
    """Where the last run without digits begins."""
    at = len(words)
    while at and words[at - 1] not in _DIGITS:
        at -= 1
    return at


def _parts(text: str) -> list[tuple[int, str]]:
    """The pieces between top-level separators, each with its offset."""
    parts: list[tuple[int, str]] = []
    start, opened = 0, -1
    for at, letter in enumerate(text):
        if letter == "[":
            if opened >= 0:
                raise InvalidHostlist(text=text, column=at + 1)
            opened = at
        elif letter == "]":
            if opened < 0:
                raise InvalidHostlist(text=text, column=at + 1)
            opened = -1
        elif opened < 0 and (letter == "," or letter.isspace()):
            if at > start:
                parts.append((start, text[start:at]))
            start = at + 1
    if opened >= 0:
        raise InvalidHostlist(text=text, column=opened + 1)
    if len(text) > start:
        parts.append((start, text[start:]))
    return parts


def _product(text: str, start: int, part: str) -> list[str]:
    """Every name of one piece with brackets: a[1-2]b[3-4] -> a1b3 a1b4 a2b3 a2b4."""
    names = [""]
    at = 0
    while (opened := part.find("[", at)) >= 0:
        closed = part.index("]", opened)
        literal = part[at:opened]
        numbers = _numbers(text, start + opened + 1, part[opened + 1 : closed])
        if len(names) * len(numbers) > MAX_HOSTS:
            raise InvalidHostlist(text=_shortened(text), column=start + opened + 1)
        names = [f"{name}{literal}{number}" for name in names for number in numbers]
        at = closed + 1
    rest = part[at:]
    return [name + rest for name in names] if rest else names


def _numbers(text: str, column: int, inside: str) -> list[str]:
    """01-03,7 -> 01 02 03 7. The width of a range's first number is the width of all."""
    numbers: list[str] = []
    for item in inside.split(","):
        low, dash, high = item.partition("-")
        high = high if dash else low
        if not (_is_number(low) and _is_number(high)):
            raise InvalidHostlist(text=text, column=column + 1)
        first, last, width = int(low), int(high), len(low)
        if last < first or last - first >= MAX_HOSTS:
            raise InvalidHostlist(text=_shortened(text), column=column + 1)
        numbers += [low] if first == last else [str(number).zfill(width) for number in range(first, last + 1)]
        column += len(item) + 1
    return numbers


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _LONGEST


def _bracketed(prefix: str, ranges: list[str]) -> str:
    if len(ranges) == 1 and "-" not in ranges[0]:
        return prefix + ranges[0]
    return f"{prefix}[{','.join(ranges)}]"


def _shortened(text: str) -> str:
    return text if len(text) <= 200 else text[:200] + "..."
