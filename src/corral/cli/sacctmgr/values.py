"""What does the text behind MaxJobs=, GrpTRES=, MaxWall= or QOS= mean, and what is said when it means nothing?"""

from __future__ import annotations

from corral.cli.sacctmgr.words import names, unquoted
from corral.errors import UsageError
from corral.syntax import duration

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from collections.abc import Sequence

CLEAR = -1
PARENT = 0x7FFFFFFF


class BadValue(Exception):
    """The text is what sacctmgr says of it ("" = nothing more than that the option is unknown)."""

    def __init__(self, text: str, is_error: bool = False) -> None:
        super().__init__(text)
        self.is_error = is_error  #: after "sacctmgr: error: "


def count(text: str, what: str) -> int:
    """A whole number; -1 takes the limit away."""
    text = unquoted(text)
    try:
        number = int(text)
    except ValueError:
        raise BadValue(f"Invalid value for {what} ({text})", True) from None
    return CLEAR if number < 0 else number


def fraction(text: str, what: str) -> float:
    text = unquoted(text)
    try:
        number = float(text)
    except ValueError:
        raise BadValue(f"Invalid value for {what} ({text})", True) from None
    if number != number or number in (float("inf"), float("-inf")):
        raise BadValue(f"Invalid value for {what} ({text})", True)
    return CLEAR if number < 0 else number


def shares(text: str, what: str) -> int:
    return PARENT if unquoted(text).lower() == "parent" else count(text, what)


def minutes(text: str, what: str, word: str) -> int:
    """A time as --time has it; -1 takes the limit away."""
    text = unquoted(text)
    if text == "-1":
        return CLEAR
    try:
        seconds = duration.parse(text)
    except UsageError:
        raise BadValue(f" Bad {what} time format: {word}") from None
    return CLEAR if seconds >= duration.UNLIMITED else -(-seconds // 60)


def tres(text: str, what: str, known: Sequence[Sequence[object]]) -> dict[str, int]:
    """cpu=4,mem=10G,gres/gpu=2; -1 takes the limit of one away."""
    found: dict[str, int] = {}
    there = {f"{kind}/{name}" if name else str(kind) for kind, name, _ in known}
    for part in unquoted(text).split(","):
        if not part:
            continue
        name, equals, amount = part.partition("=")
        name = name.strip()
        if name.isdigit():
            name = next((f"{k}/{n}" if n else str(k) for k, n, number in known if str(number) == name), name)
        if not equals:
            raise BadValue(f"slurmdb_format_tres_str: no TRES id found for {part}", True)
        low = name.lower()
        base = low.partition(":")[0]
        if low not in there and base not in there:
            raise BadValue(f"slurmdb_format_tres_str: no TRES known by type {low}", True)
        found[low] = _amount(low, amount.strip(), part)
    return found


def _amount(name: str, text: str, part: str) -> int:
    if text == "-1":
        return CLEAR
    digits, factor = text, 1
    units = "KMGTP"
    unit = text[-1:].upper()
    if unit in units and unit:
        digits = text[:-1]
        factor = 1 << 10 * (units.index(unit) + (0 if name in ("mem", "vmem", "fs/disk") else 1))
        if name in ("mem", "vmem", "fs/disk"):
            factor = {"K": 1, "M": 1024, "G": 1 << 20, "T": 1 << 30, "P": 1 << 40}[unit]
    elif name in ("mem", "vmem", "fs/disk"):
        factor = 1024
    if not (digits.isascii() and digits.isdigit() and len(digits) < 18):
        raise BadValue(f"Invalid unit type '{text.lstrip('0123456789')[:1]}'. Possible options are 'KMGTP'", True)
    number = int(digits) * factor
    return -(-number // 1024) if name in ("mem", "vmem", "fs/disk") else number


def qos_list(text: str, option: str, known: Sequence[str]) -> list[str]:
    """=a (the list anew), +a, -a; "" alone: as the account above."""
    found = []
    words = names(text)
    for word in words:
        sign = option
        if word[:1] in ("+", "-"):
            sign, word = word[0], word[1:]
        if word not in known:
            raise BadValue(f"You gave a bad qos '{word}'. Valid QOS's are {','.join(known) or '(null)'}", True)
        found.append(sign + word)
    return found or ["="]


def level(text: str) -> str:
    """As Slurm reads it; "" when it means nothing."""
    word = unquoted(text).lower()
    if word and "none".startswith(word):
        return "None"
    if word.startswith("operator"[: max(1, len(word))]) and "operator".startswith(word[:1]):
        return "Operator"
    if word and (word in ("superuser", "super_user", "super") or "administrator".startswith(word[:2])):
        return "Administrator"
    return ""
