"""How does a program deal with memory: what was needed only once goes back, and what stays is not looked through again and again."""

import ctypes
import gc

#: Allocations between two looks at the youngest objects, and so on: jobs live long, and looking at 100,000 of them costs.
_GC_THRESHOLDS = (50_000, 20, 50)

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8


def _libc() -> ctypes.CDLL | None:
    libc = ctypes.CDLL(None)
    return libc if hasattr(libc, "mallopt") and hasattr(libc, "malloc_trim") else None  # musl has neither


def be_frugal() -> None:
    """To be called before threads start: one heap for all, and large blocks go back to the system at once."""
    libc = _libc()
    if libc is not None:
        libc.mallopt(_M_ARENA_MAX, 1)
        libc.mallopt(_M_MMAP_THRESHOLD, 256 << 10)
        libc.mallopt(_M_TRIM_THRESHOLD, 1 << 20)


def give_back() -> None:
    """Free pages in the middle of the heap as well; takes some milliseconds."""
    libc = _libc()
    if libc is not None:
        libc.malloc_trim(0)


def collect_seldom() -> None:
    """What is there now is never garbage, and there will be many records that live long."""
    gc.collect()
    give_back()
    gc.freeze()
    gc.set_threshold(*_GC_THRESHOLDS)
