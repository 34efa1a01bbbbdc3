"""On which CPUs of its step does a task run: --cpu-bind=cores, rank, map_cpu:0,4, mask_cpu:0x3,0xc, verbose, none?"""

from __future__ import annotations

from collections import namedtuple

from corral.errors import InvalidBinding

_KINDS = ("none", "rank", "rank_ldom", "sockets", "cores", "threads", "ldoms")
_ALIASES = {"no": "none", "socket": "sockets", "core": "cores", "thread": "threads", "ldom": "ldoms"}
_LISTS = ("map_cpu", "mask_cpu", "map_ldom", "mask_ldom")
_MOST = 8192


class CpuBinding(namedtuple("CpuBinding", ("kind", "numbers", "verbose"), defaults=("", (), False))):
    """ "" = not said. `numbers` are CPUs, sockets or masks of them, one for each task of a node in turn."""

    __slots__ = ()
    kind: str
    numbers: tuple[int, ...]
    verbose: bool

    def __str__(self) -> str:
        return format_binding(self)


def parse(text: str) -> CpuBinding:
    """The binding written so; a text that is none is refused."""
    kind, verbose = "", False
    numbers: tuple[int, ...] = ()
    rest = text.strip()
    while rest:
        word, _, after = rest.partition(",")
        low = word.lower()
        if low in ("q", "quiet", "v", "verbose"):
            verbose, rest = low[0] == "v", after
            continue
        name, colon, _ = low.partition(":")
        if colon and name in _LISTS:
            kind, numbers, rest = name, _numbers(text, name, rest[len(name) + 1 :]), ""
        elif low in _KINDS or low in _ALIASES:
            kind, numbers, rest = _ALIASES.get(low, low), (), after
        else:
            raise InvalidBinding(text=text, part=word, reason="")
    return CpuBinding(kind, numbers, verbose)


def format_binding(binding: CpuBinding) -> str:
    parts = ["verbose"] if binding.verbose else []
    if binding.kind:
        numbers = [hex(n) if binding.kind.startswith("mask") else str(n) for n in binding.numbers]
        parts.append(binding.kind + (":" + ",".join(numbers) if numbers else ""))
    return ",".join(parts)


def _numbers(text: str, kind: str, rest: str) -> tuple[int, ...]:
    """0,4 or 0x3*2: a number, and how many tasks have it."""
    if not rest:
        raise InvalidBinding(text=text, part=kind, reason=f'missing list for "--cpu-bind={kind}:<list>"')
    found: list[int] = []
    for part in rest.split(","):
        word, star, times = part.partition("*")
        digits = word.lower().removeprefix("0x")
        allowed = "0123456789abcdef" if kind.startswith("mask") or digits != word.lower() else "0123456789"
        wrong = next((letter for letter in digits if letter not in allowed), "")
        if wrong or not digits or (star and not (times.isascii() and times.isdigit())):
            reason = f"Failed to validate number: {part}, the offending character is {wrong or part[-1:]}"
            raise InvalidBinding(text=text, part=part, reason=reason)
        count = int(times[:6]) if star else 1
        if not 0 < count <= _MOST or len(found) + count > _MOST or len(digits) > _MOST // 4:
            raise InvalidBinding(text=text, part=part, reason="")
        found += [int(digits, 16 if len(allowed) == 16 else 10)] * count
    return tuple(found)
