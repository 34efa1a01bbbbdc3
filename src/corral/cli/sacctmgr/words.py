"""Which keyword is meant by `maxj`, and where does its value begin? Slurm's abbreviations: so many letters are enough."""

from __future__ import annotations

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from collections.abc import Iterable

#: name, and how many of its letters are enough
Known = tuple[str, int]


def is_short_for(word: str, name: str, least: int) -> bool:
    """As strncasecmp over at least so many letters."""
    return len(word) >= least and name.lower().startswith(word.lower())


def meant(word: str, known: Iterable[Known]) -> str:
    """The first of the known names; "" when there is none."""
    for name, least in known:
        if is_short_for(word, name, least):
            return name
    return ""


def split(text: str) -> tuple[str, str, str | None]:
    """keyword, "=", "+" or "-", and the value; None when there is no equals sign."""
    at = text.find("=")
    if at < 0:
        return text, "=", None
    if at and text[at - 1] in "+-":
        return text[: at - 1], text[at - 1], text[at + 1 :]
    return text[:at], "=", text[at + 1 :]


def unquoted(text: str) -> str:
    """Without the quotes round it; those inside become backquotes, as Slurm has it."""
    if text[:1] in ("'", '"'):
        end = text.find(text[0], 1)
        text = text[1:end] if end > 0 else text[1:]
    return text.replace('"', "`").replace("'", "`")


def names(text: str, lower: bool = True) -> list[str]:
    """a,b,c, each once; a[1-3] stands for three."""
    text = unquoted(text)
    found: list[str] = []
    for part in _apart(text):
        part = part.strip()
        if "[" in part:
            from corral.errors import UsageError
            from corral.syntax import hostlist

            try:
                found += hostlist.expand(part)
                continue
            except UsageError:
                pass
        if part:
            found.append(part)
    return list(dict.fromkeys(one.lower() if lower else one for one in found))


def _apart(text: str) -> list[str]:
    found, depth, start = [], 0, 0
    for at, letter in enumerate(text + ","):
        depth += (letter == "[") - (letter == "]")
        if letter == "," and depth <= 0:
            found.append(text[start:at])
            start = at + 1
    return found
