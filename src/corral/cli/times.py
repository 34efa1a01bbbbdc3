"""How are moments and spans written: 2030-01-31T16:00:00, or as SLURM_TIME_FORMAT says; 1-12:00:00?"""

from __future__ import annotations

import os
import time

from corral.syntax.duration import UNLIMITED, format_padded, format_seconds

_known: dict[int, str] = {}


def moment(when: float | None, none: str = "N/A") -> str:
    """The local time; `none` stands for 0, no time at all."""
    if not when:
        return none
    second = int(when)
    text = _known.get(second)
    if text is None:
        text = _known[second] = _written(second)
    return text


def _written(second: int) -> str:
    style = os.environ.get("SLURM_TIME_FORMAT", "")
    if style and style != "standard":
        from corral.syntax.timestamp import format_time

        return format_time(second, style, time.time())
    year, month, day, hour, minute, sec = time.localtime(second)[:6]
    return f"{year}-{month:02}-{day:02}T{hour:02}:{minute:02}:{sec:02}"


def or_unknown(when: float | None) -> str:
    return moment(when, "Unknown")


def date_line() -> str:
    """What -l and -i print first: Tue Nov 24 00:41:19 2026"""
    return time.strftime("%a %b %d %H:%M:%S %Y")


class _Spans(dict[float, str]):
    """Texts of spans; many jobs have the same, so each is made once."""

    def __missing__(self, seconds: float) -> str:
        text = self[seconds] = format_seconds(seconds)
        return text


#: 4:00:00
span = _Spans().__getitem__


def padded(seconds: float) -> str:
    """04:00:00"""
    return format_padded(seconds)


def left(limit: float, used: float) -> str:
    if limit >= UNLIMITED:
        return "UNLIMITED"
    return format_seconds(limit - used) if limit >= used else "INVALID"


__all__ = ["UNLIMITED", "date_line", "left", "moment", "or_unknown", "padded", "span"]


def minutes_text(minutes: int) -> str:
    """As sacctmgr has limits of time: 01:40:00, 1-00:00:00."""
    return format_padded(minutes * 60)
