"""Which exit codes are meant by 1-9,18?"""

from __future__ import annotations

LARGEST = 255


def parse(text: str) -> list[tuple[int, int]]:
    """From, to; "all" is every one but 0. Raises ValueError."""
    if text.strip().lower() == "all":
        return [(1, LARGEST)]
    found = []
    for part in text.split(","):
        if not part.strip():
            continue
        low, dash, high = part.strip().partition("-")
        first, last = int(low), int(high if dash else low)
        if not 0 <= first <= last <= LARGEST:
            raise ValueError(f"{part.strip()!r} are no exit codes from 0 to {LARGEST}")
        found.append((first, last))
    return found


def contains(text: str, code: int) -> bool:
    """Is it one of them?"""
    return bool(text) and any(first <= code <= last for first, last in parse(text))
