"""How does a daemon give memory back that it needed only once? By telling glibc to; Python alone keeps it."""

import ctypes

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
