"""Which GPUs of its step does a task see: --gpu-bind=closest, single:2, per_task:1, map_gpu:0,1, mask_gpu:0x1,0x2?"""

from __future__ import annotations

from collections import namedtuple

from corral.errors import InvalidBinding

_WITH_COUNT = ("single", "per_task")
_WITH_LIST = ("map_gpu", "mask_gpu")
_PLAIN = ("closest", "none")


class GpuBinding(namedtuple("GpuBinding", ("kind", "numbers", "verbose"), defaults=((), False))):
    """The kind, and its number (of tasks that share one, of GPUs for each), its GPU numbers or its masks."""

    __slots__ = ()
    kind: str
    numbers: tuple[int, ...]
    verbose: bool


def parse(text: str) -> GpuBinding:
    words = text.lower()
    verbose = False
    for mark in ("verbose,", "v,"):
        if words.startswith(mark):
            verbose, words = True, words[len(mark) :]
    words = words.removeprefix("gpu:")
    kind, colon, rest = words.partition(":")
    if kind in _PLAIN and not colon:
        return GpuBinding(kind, (), verbose)
    if kind in _WITH_COUNT and rest.isascii() and rest.isdigit() and 0 < int(rest[:10]) < 1 << 31:
        return GpuBinding(kind, (int(rest),), verbose)
    if kind in _WITH_LIST and rest:
        return GpuBinding(kind, _numbers(text, rest, kind == "mask_gpu"), verbose)
    raise InvalidBinding(text=text, part=words, reason="")


def chosen(binding: GpuBinding, held: tuple[int, ...], local: int) -> tuple[int, ...]:
    """Of the GPUs that a step holds on a node, those of its task with this local number; () = all.

    map_gpu and mask_gpu count from the first one held; what names none of them means the first, as in Slurm.
    """
    match binding.kind:
        case "single":
            return (held[local // binding.numbers[0] % len(held)],)
        case "per_task":
            return tuple(
                sorted({held[(local * binding.numbers[0] + i) % len(held)] for i in range(binding.numbers[0])})
            )
        case "map_gpu":
            number = binding.numbers[local % len(binding.numbers)]
            return (held[number] if number < len(held) else held[0],)
        case "mask_gpu":
            mask = binding.numbers[local % len(binding.numbers)]
            return tuple(gpu for place, gpu in enumerate(held) if mask >> place & 1) or held[:1]
        case _:
            return ()


def _numbers(text: str, rest: str, is_mask: bool) -> tuple[int, ...]:
    """0,1,0*2: a number and how often it stands there."""
    found: list[int] = []
    for part in rest.split(","):
        word, star, times = part.partition("*")
        try:
            number = int(word, 16 if is_mask or word.startswith("0x") else 10)
            count = int(times) if star else 1
        except ValueError:
            raise InvalidBinding(text=text, part=part, reason="") from None
        if number < 0 or not 0 < count <= 1024 or len(found) > 4096:
            raise InvalidBinding(text=text, part=part, reason="")
        found += [number] * count
    return tuple(found)
