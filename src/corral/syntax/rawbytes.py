"""How do bytes that are no UTF-8 travel as text?

Python has each such byte as a lone surrogate, which neither JSON nor MessagePack can carry. On the way each is one of the last 128
private characters instead, U+10FF80 to U+10FFFF, which nobody writes.
"""

_SURROGATE, _CARRIED = 0xDC80, 0x10FF80
_OUT = {_SURROGATE + byte: _CARRIED + byte for byte in range(128)}
_BACK = {carried: surrogate for surrogate, carried in _OUT.items()}

#: With what every carried character begins in UTF-8; it is in few other texts.
MARK = b"\xf4\x8f"


def may_be_carried(data: bytes) -> bool:
    """Somewhere in this UTF-8. Its first byte alone is found many times as quickly."""
    return MARK[:1] in data and MARK in data


def carried(text: str) -> str:
    return text if text.isascii() else text.translate(_OUT)


def restored(text: str) -> str:
    """As Python has it, for `os` functions and for streams with the error handler "surrogateescape"."""
    return text if text.isascii() else text.translate(_BACK)
