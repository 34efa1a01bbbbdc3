"""How are sets of small numbers (CPUs, GPUs) kept as bits of one number?"""

import functools
from collections.abc import Iterable


def mask_of(ids: Iterable[int]) -> int:
    """Bit mask of these ids."""
    return _mask_of(ids) if type(ids) is tuple else _mask_of.__wrapped__(ids)


@functools.lru_cache(maxsize=16384)  # jobs that are alike have the same ids on many nodes
def _mask_of(ids: Iterable[int]) -> int:
    mask = 0
    for i in ids:
        mask |= 1 << i
    return mask


@functools.lru_cache(maxsize=16384)
def ids_of(mask: int) -> tuple[int, ...]:
    """The ids of a bit mask, ascending."""
    ids = []
    while mask:
        low = mask & -mask
        ids.append(low.bit_length() - 1)
        mask ^= low
    return tuple(ids)
