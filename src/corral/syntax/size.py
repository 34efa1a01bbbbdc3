"""How much memory is 4G, and how do squeue and sacct write it?"""

from __future__ import annotations

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from corral.errors import InvalidSize

_UNITS = " KMGTPE"
_LARGEST = 1 << 53  # MiB; what a float still holds exactly


def parse(text: str) -> int:
    """MiB, as --mem counts: 100 and 100M are the same, 1500K is rounded up to 2."""
    number, unit = _split(text)
    if not (number.isascii() and number.isdigit() and len(number) <= 18):
        raise _invalid(text)
    return _whole(int(number) * 1024, unit, text)


def parse_printed(text: str) -> int:
    """MiB, as the commands print it: with a fraction too (62.50G)."""
    number, unit = _split(text)
    whole, _, fraction = number.partition(".")
    digits = whole + fraction
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 18):
        raise _invalid(text)
    return _whole(-(-int(digits) * 1024 // 10 ** len(fraction)), unit, text)


def format_memory(mib: int) -> str:
    """As squeue's %m and scontrol: 100M, 4G, 62.50G; never less exact than the number."""
    return format_size(mib, "M")


def format_size(value: float, unit: str = " ", to: str = "") -> str:
    """As sacct writes sizes and counts, given in `unit` (" " = ones, K, M, ...): in the largest unit that loses nothing.

    `to` asks for a certain unit instead (--units), and may round.
    """
    if int(value) == 0:
        return "0"
    step = _UNITS.index(unit)
    if to:
        value = value * 1024.0 ** (step - _UNITS.index(to))
        step = _UNITS.index(to)
    else:
        # Slurm counts halves as exact: 1.50G, but 1025M.
        while value >= 1024 and value % 512 == 0 and step < len(_UNITS) - 1:
            value, step = value / 1024, step + 1
    number = str(int(value)) if value == int(value) else f"{value:.2f}"
    return number + _UNITS[step].strip()


def _split(text: str) -> tuple[str, str]:
    text = text.strip().upper()
    if len(text) > 2 and text[-1] == "B" and text[-2] in "KMGTPE":
        text = text[:-1]
    if text and text[-1] in "KMGTPE":
        return text[:-1], text[-1]
    return text, "M"


def _whole(kib_of_unit: int, unit: str, text: str) -> int:
    """1024ths of `unit` as MiB, rounded up."""
    mib = -(-kib_of_unit * (1 << 10 * _UNITS.index(unit)) // (1 << 30))
    if mib > _LARGEST:
        raise _invalid(text)
    return mib


def _invalid(text: str) -> InvalidSize:
    from corral.errors import InvalidSize  # sbatch reads sizes, and few are wrong

    return InvalidSize(text=text)
