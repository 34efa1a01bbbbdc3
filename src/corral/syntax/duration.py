"""How many seconds is 1-12:00:00, and how do squeue and scontrol write them?"""

from __future__ import annotations

#: Seconds that stand for UNLIMITED: larger than any limit, so that min() and comparison just work.
UNLIMITED = 1 << 40

_WORDS = ("UNLIMITED", "INFINITE", "-1")


def parse(text: str) -> int:
    """Seconds of minutes, minutes:seconds, hours:minutes:seconds, days-hours[:minutes[:seconds]]; or UNLIMITED."""
    text = text.strip()
    if text.upper() in _WORDS:
        return UNLIMITED
    days, dash, clock = text.partition("-")
    if not dash:
        days, clock = "0", text
    parts = clock.split(":") if clock or not dash else ["0"]
    if len(parts) > 3 or not all(_is_number(part) for part in (days, *parts)):
        from corral.errors import InvalidDuration

        raise InvalidDuration(text=text)
    numbers = [int(part) for part in parts]
    if dash:  # days-hours[:minutes[:seconds]]
        hours, minutes, seconds = (*numbers, 0, 0)[:3]
    elif len(numbers) == 3:
        hours, minutes, seconds = numbers
    else:  # minutes[:seconds]
        hours, (minutes, seconds) = 0, (*numbers, 0)[:2]
    return min(int(days) * 86400 + hours * 3600 + minutes * 60 + seconds, UNLIMITED)


def parse_limit(text: str) -> int:
    """As --time counts: rounded up to whole minutes, and 0 asks for no limit."""
    seconds = parse(text)
    if seconds in (0, UNLIMITED):
        return UNLIMITED
    return -(-seconds // 60) * 60


def format_seconds(seconds: float, unlimited: str = "UNLIMITED") -> str:
    """As squeue's %M and %l, and sinfo's %l (which says "infinite"): 0:05, 4:00:00, 1-12:00:00."""
    if seconds >= UNLIMITED:
        return unlimited
    days, hours, minutes, rest = _split(seconds)
    if days:
        return f"{days}-{hours:02}:{minutes:02}:{rest:02}"
    if hours:
        return f"{hours}:{minutes:02}:{rest:02}"
    return f"{minutes}:{rest:02}"


def format_minutes(minutes: int, unlimited: str = "UNLIMITED") -> str:
    """As `format_seconds`, of minutes."""
    return format_seconds(minutes * 60, unlimited)


def format_padded(seconds: float, unlimited: str = "UNLIMITED") -> str:
    """As scontrol's TimeLimit and sacct's Elapsed: 00:00:05, 1-12:00:00."""
    if seconds >= UNLIMITED:
        return unlimited
    days, hours, minutes, rest = _split(seconds)
    clock = f"{hours:02}:{minutes:02}:{rest:02}"
    return f"{days}-{clock}" if days else clock


def _split(seconds: float) -> tuple[int, int, int, int]:
    minutes, rest = divmod(max(0, int(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    return days, hours, minutes, rest


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 12
