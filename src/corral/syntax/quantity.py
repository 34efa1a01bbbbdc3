"""How much is 500m, 1Gi or 1e3, and how does Kubernetes write it?

A quantity is exact to a billionth (1n); what is finer is rounded up, as Kubernetes does. Its canonical form has no fraction and the largest
suffix that loses nothing: 0.5 is 500m, 1.5Gi is 1536Mi, 1000m is 1.
"""

from __future__ import annotations

import re

from corral.errors import InvalidQuantity

_BINARY = {"Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30, "Ti": 1 << 40, "Pi": 1 << 50, "Ei": 1 << 60}
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_SUFFIX = {exponent: suffix for suffix, exponent in _DECIMAL.items()}
_NANO = 10**9
_MOST = (1 << 63) * _NANO  # what Kubernetes holds in 64 bits
_FORM = re.compile(r"([+-]?)(\d{0,40})(?:\.(\d{0,40}))?(?:([eE])([+-]?\d{1,3})|([KMGTPE]i|[numkMGTPE]))?", re.ASCII)


def nanos(quantity: str | int | float) -> int:
    """In billionths. Raises InvalidQuantity."""
    return _parsed(quantity)[0]


def millis(quantity: str | int | float) -> int:
    """In thousandths, rounded up: CPUs."""
    return -(-nanos(quantity) // 10**6)


def whole(quantity: str | int | float) -> int:
    """In ones, rounded up: bytes, GPUs, Pods."""
    return -(-nanos(quantity) // _NANO)


def canonical(quantity: str | int | float) -> str:
    """As Kubernetes writes it back: in the style (binary, decimal, exponent) in which it was given."""
    amount, style = _parsed(quantity)
    return written(amount, style)


def written(amount: int, style: str = "decimal") -> str:
    """So many billionths, as text. style: decimal (500m, 2G), binary (1536Mi) or exponent (2e3)."""
    if amount == 0:
        return "0"
    if style == "binary" and abs(amount) >= 1024 * _NANO and amount % _NANO == 0:
        ones, suffix = amount // _NANO, ""
        for name, factor in _BINARY.items():
            if ones % factor == 0:
                suffix = name
        return f"{ones // _BINARY.get(suffix, 1)}{suffix}"
    exponent = -9
    while amount % 1000 == 0 and exponent < 18:
        amount, exponent = amount // 1000, exponent + 3
    if style == "exponent":
        return f"{amount}e{exponent}" if exponent else str(amount)
    return f"{amount}{_SUFFIX[exponent]}"


def style_of(quantity: str | int | float) -> str:
    return _parsed(quantity)[1]


def _parsed(quantity: str | int | float) -> tuple[int, str]:
    text = repr(quantity) if isinstance(quantity, float) else str(quantity)
    found = _FORM.fullmatch(text)
    if found is None or not (found[2] or found[3]):
        raise InvalidQuantity(text=text)
    sign, before, after, _, power, suffix = found.groups()
    digits, places = int((before or "") + (after or "")), len(after or "")
    if suffix in _BINARY:
        amount, style = -(-digits * _NANO * _BINARY[suffix] // 10**places), "binary"
    else:
        exponent = (int(power) if power else _DECIMAL[suffix or ""]) + 9 - places
        amount = digits * 10**exponent if exponent >= 0 else -(-digits // 10**-exponent)
        style = "exponent" if power else "decimal"
    if amount > _MOST:
        raise InvalidQuantity(text=text)
    return -amount if sign == "-" else amount, style
