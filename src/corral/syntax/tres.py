"""What do cpu=4,mem=8G,gres/gpu:h100=2 and --gres=gpu:v100:2 ask for?"""

from __future__ import annotations

from collections import namedtuple

from corral.errors import InvalidGres, InvalidShare, InvalidSize, InvalidTres
from corral.syntax import size

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_FACTORS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_IN_MEGABYTES = ("mem", "vmem", "fs/disk")


class Gres(namedtuple("Gres", ("name", "type", "count", "milli"), defaults=(0,))):
    """So many of one generic resource; type "" = any. `milli` thousandths of one unit, where it is a fraction; 0 = whole ones."""

    __slots__ = ()
    name: str
    type: str
    count: int
    milli: int


def parse(text: str) -> dict[str, int]:
    """cpu=4,mem=8G,gres/gpu:h100=2 -> the number of each, memory in MiB."""
    amounts: dict[str, int] = {}
    for part in text.split(",") if text.strip() else ():
        name, equals, amount = part.strip().partition("=")
        name = name.lower() if "/" not in name else name
        if not name or not equals:
            raise InvalidTres(text=text, part=part)
        if name in _IN_MEGABYTES:
            try:
                amounts[name] = size.parse_printed(amount)
            except InvalidSize as error:
                raise InvalidTres(text=text, part=part) from error
        else:
            count = _count(amount)
            if count is None:
                raise InvalidTres(text=text, part=part)
            amounts[name] = count
    return amounts


def format_tres(amounts: Mapping[str, int]) -> str:
    """The text of these amounts, in their order: cpu=4,mem=8G,node=1,billing=4,gres/gpu=2."""
    return ",".join(
        f"{name}={size.format_memory(amount) if name in _IN_MEGABYTES else amount}" for name, amount in amounts.items()
    )


def parse_gres(text: str) -> list[Gres]:
    """As --gres and --gpus-per-node's long form: gpu, gpu:2, gpu:v100, gpu:v100:2, gres:gpu:1; "none" asks for nothing."""
    if text.strip().lower() == "none":
        return []
    return [_gres(text, part.strip()) for part in text.split(",")]


def parse_gpus(text: str) -> list[Gres]:
    """As --gpus: 4, v100:2, v100:2,a100:1."""
    found: list[Gres] = []
    for part in text.split(","):
        part = part.strip()
        if not part or part.startswith(("gpu:", "gres:", "gres/")):
            raise InvalidGres(text=text, part=part)
        found.append(_gres(text, f"gpu:{part}"))
    return found


def format_gres(wanted: Iterable[Gres], prefix: str = "") -> str:
    """gpu:v100:2,lic:1. squeue and scontrol write it with the prefix "gres:"."""
    return ",".join(
        f"{prefix}{one.name}:{one.type + ':' if one.type else ''}{amount(one.count, one.milli)}" for one in wanted
    )


def amount(count: int, milli: int = 0) -> str:
    """2, 0.5"""
    return f"{milli / 1000:g}" if milli else str(count)


def _gres(text: str, part: str) -> Gres:
    words = part.replace("=", ":").removeprefix("gres/").removeprefix("gres:").split(":")
    if not all(_is_word(word) for word in words) or words[0][0] in "0123456789":
        raise InvalidGres(text=text, part=part)
    match words:
        case [name]:
            return Gres(name, "", 1)
        case ["gpu", number] if _is_fraction(number):
            return Gres("gpu", "", 1, _milli(text, part, number))
        case ["gpu", kind, number] if _is_fraction(number):
            return Gres("gpu", kind, 1, _milli(text, part, number))
        case ["shard", *_, number] if _is_fraction(number):
            raise InvalidShare(text=text, part=part, problem="shards are counted in whole numbers")
        case [name, word]:
            count = _count(word)  # a number of units, else the name of a type
            return Gres(name, word, 1) if count is None else Gres(name, "", count)
        case [name, kind, number]:
            count = _count(number)
            if count is not None and _count(kind) is None:
                return Gres(name, kind, count)
    raise InvalidGres(text=text, part=part)


def _count(text: str) -> int | None:
    factor = _FACTORS.get(text[-1:].upper(), 0)
    digits = text[:-1] if factor else text
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 18):
        return None
    return int(digits) * (factor or 1)


def _is_fraction(text: str) -> bool:
    """0.5, .25, 1.5: digits and one point."""
    whole, point, digits = text.partition(".")
    return (
        bool(point) and digits.isascii() and digits.isdigit() and (not whole or (whole.isascii() and whole.isdigit()))
    )


def _milli(text: str, part: str, number: str) -> int:
    """Thousandths of one GPU: more than none, less than all."""
    whole, _, digits = number.partition(".")
    rest = digits.rstrip("0")
    if whole.strip("0"):
        raise InvalidShare(
            text=text, part=part, problem="a share is less than one GPU; whole ones are asked for as gpu:N"
        )
    if len(rest) > 3:
        raise InvalidShare(text=text, part=part, problem="a GPU is shared in thousandths")
    if not rest:
        raise InvalidShare(text=text, part=part, problem="a share is more than nothing")
    return int(rest.ljust(3, "0"))


def _is_word(text: str) -> bool:
    return (
        text.isascii() and text.replace("_", "a").replace("-", "a").replace(".", "a").isalnum() and text[0] not in "-."
    )
