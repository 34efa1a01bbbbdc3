"""Which signal is TERM, SIGUSR1 or 10? (`signal` would cost 3 ms to import: it makes enums.)"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found, unused-ignore]


def number(text: str) -> int:
    """0 when it is none."""
    if text.isascii() and text.isdigit():
        return int(text[:9])
    name = text.upper()
    found = getattr(_signal, name if name.startswith("SIG") else f"SIG{name}", None)
    return found if isinstance(found, int) and not name.removeprefix("SIG").startswith("_") else 0


def name(number: int) -> str:
    """KILL; "" when it is none."""
    for word in dir(_signal):
        if word.startswith("SIG") and word[3:4] != "_" and getattr(_signal, word) == number and word != "SIGCLD":
            return word[3:]
    return ""
