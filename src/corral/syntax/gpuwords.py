"""What do Links= and Cores= of gres.conf say of each GPU: -1,4,4,0 and 0-15?"""

from collections.abc import Sequence

from corral.errors import InvalidGpuWords

#: No machine has a core with such a number.
MOST = 1 << 16


def links(lines: Sequence[str]) -> tuple[tuple[int, ...], ...]:
    """For each GPU how many links it has to each; what is no link (-1, itself) is 0."""
    found = tuple(tuple(max(0, _number(line, part, -1)) for part in line.split(",")) for line in lines)
    for line, row in zip(lines, found, strict=True):
        if len(row) != len(found):
            raise InvalidGpuWords(text=line, reason=f"{len(row)} numbers for {len(found)} GPUs")
    return found


def cores(lines: Sequence[str]) -> tuple[tuple[int, ...], ...]:
    """For each GPU the numbers of its cores."""
    return tuple(_cores(line) for line in lines)


def _cores(line: str) -> tuple[int, ...]:
    found: set[int] = set()
    for part in line.split(",") if line.strip() else ():
        low, dash, high = part.partition("-")
        first = _number(line, low, 0)
        last = _number(line, high, 0) if dash else first
        if last < first:
            raise InvalidGpuWords(text=line, reason=f"{part} goes from the higher to the lower")
        found.update(range(first, last + 1))
    return tuple(sorted(found))


def _number(line: str, text: str, least: int) -> int:
    word = text.strip()
    digits = word.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) < 6) or not least <= int(word) < MOST:
        raise InvalidGpuWords(text=line, reason=f"{word!r} is no such number")
    return int(word)
