"""Which licences does --licenses=matlab:2,ansys ask for, and how are they written?"""

from collections.abc import Iterable

from corral.errors import InvalidLicenses

#: (name, how many), by name, each name once.
Licenses = tuple[tuple[str, int], ...]

_MOST = (1 << 31) - 1


def parse(text: str) -> Licenses:
    """Names with a count behind a colon (1 without one), set apart by , or ;. A name that comes again adds up."""
    found: dict[str, int] = {}
    for part in text.replace(";", ",").split(","):
        if not part:
            continue
        name, colon, number = part.partition(":")
        digits = number.removeprefix("+")
        if any(c.isspace() for c in part) or not name or not (digits.isascii() and (digits.isdigit() or not number)):
            raise InvalidLicenses(text=text)
        count = int(digits or 0) if colon else 1
        if count > _MOST:
            raise InvalidLicenses(text=text)
        found[name] = found.get(name, 0) + count
    return tuple(sorted(found.items()))


def write(licenses: Iterable[tuple[str, int]]) -> str:
    """matlab:2,ansys:1"""
    return ",".join(f"{name}:{count}" for name, count in licenses)
