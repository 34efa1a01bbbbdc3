"""When is now+1hour, 16:00 or 2030-01-31T16:00, and how do the commands write a time?"""

from __future__ import annotations

from datetime import datetime, timedelta

from corral.errors import InvalidTimestamp

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from datetime import tzinfo

_CLOCKS = {
    "midnight": (0, 0, 0),
    "elevenses": (11, 0, 0),
    "noon": (12, 0, 0),
    "fika": (15, 0, 0),
    "teatime": (16, 0, 0),
}
_UNITS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400, "week": 7 * 86400}

_Date = tuple[int | None, int, int]  # year, month, day
_Clock = tuple[int, int, int]


def parse(text: str, now: float, past: bool = False, zone: tzinfo | None = None) -> float:
    """Seconds since the epoch, as --begin and --deadline (times to come) or sacct's -S and -E (`past`) read it.

    A clock without a date is its next time, or, in the past, today's; a day without a year likewise. `zone` None = the local one.
    """
    words = text.strip().lower()
    if words.startswith("now"):
        return now + _offset(text, words[3:])
    if words.startswith("uts") and _is_number(words[3:], 12):
        return float(words[3:])
    here = datetime.fromtimestamp(now, zone)
    date: _Date | None = None
    clock: _Clock | None = None
    for piece in _pieces(words):
        found = _date(piece, here)
        if found and date is None:
            date = found
        elif not found and clock is None and (hours := _clock(piece)):
            clock = hours
        else:
            raise InvalidTimestamp(text=text)
    if date is None and clock is None:
        raise InvalidTimestamp(text=text)
    try:
        return _moment(date, clock, here, past).timestamp()
    except (ValueError, OverflowError) as error:
        raise InvalidTimestamp(text=text) from error


def format_time(
    when: float, style: str = "", now: float = 0.0, unknown: str = "Unknown", zone: tzinfo | None = None
) -> str:
    """2030-01-31T16:00:00, or as `style` (the value of SLURM_TIME_FORMAT) says; `unknown` stands for 0, no time at all.

    "relative" is short, seen from `now`: 16:00:00, Ystday 16:00, Tomorr 16:00, Thu 16:00, 5 Jan 16:00, 5 Jan 2030.
    """
    if when <= 0:
        return unknown
    moment = datetime.fromtimestamp(int(when), zone)
    if style == "relative":
        return _relative(moment, datetime.fromtimestamp(now, zone))
    if "%" in style:
        return moment.strftime(style)
    return f"{moment:%Y-%m-%dT%H:%M:%S}"


def _moment(date: _Date | None, clock: _Clock | None, here: datetime, past: bool) -> datetime:
    hour, minute, second = clock or (0, 0, 0)
    if date is None:
        moment = here.replace(hour=hour, minute=minute, second=second, microsecond=0, fold=0)
        if not past and (hour, minute) <= (here.hour, here.minute):
            moment += timedelta(days=1)
        return moment
    year, month, day = date
    if year is None:
        year = here.year
        if past and month > here.month:
            year -= 1
        elif not past and (month, day) < (here.month, here.day):
            year += 1
    return datetime(year, month, day, hour, minute, second, tzinfo=here.tzinfo)


def _offset(text: str, rest: str) -> float:
    """+1hour, +60, -2days, with white space anywhere; and nothing at all."""
    rest = "".join(rest.split())
    if not rest:
        return 0.0
    sign, amount = rest[0], rest[1:]
    digits = amount.rstrip("abcdefghijklmnopqrstuvwxyz")
    unit = amount[len(digits) :].removesuffix("s") or "second"
    if sign not in "+-" or not _is_number(digits, 10) or unit not in _UNITS:
        raise InvalidTimestamp(text=text)
    return float(int(digits) * _UNITS[unit] * (1 if sign == "+" else -1))


def _pieces(words: str) -> list[str]:
    """Dates and clocks, apart: 11/25-10:00, 2030-01-31t10:00, tomorrow 4:30 pm."""
    pieces: list[str] = []
    for word in words.split():
        if word in ("am", "pm") and pieces:
            pieces[-1] += word
            continue
        day, _, clock = word.rpartition("t")
        if not (day and clock[:1].isdigit()):
            day, _, clock = word.rpartition("-") if ":" in word else ("", "", word)
            if not day:
                pieces.append(word)
                continue
        pieces += [day, clock]
    return pieces


def _date(piece: str, here: datetime) -> _Date | None:
    if piece in ("today", "tomorrow"):
        day = here + timedelta(days=piece == "tomorrow")
        return day.year, day.month, day.day
    if _is_number(piece, 6) and len(piece) in (4, 6):  # MMDD, MMDDYY
        return _year(piece[4:]), int(piece[:2]), int(piece[2:4])
    for mark in "-/.":
        parts = piece.split(mark)
        if len(parts) > 1 and all(_is_number(part, 4) for part in parts):
            if mark == "-":  # YYYY-MM-DD
                return (int(parts[0]), int(parts[1]), int(parts[2])) if len(parts) == 3 and len(parts[0]) == 4 else None
            month, day_text, *year = parts
            if len(year) < 2 and all(len(part) in (2, 4) for part in year):
                return _year("".join(year)), int(month), int(day_text)
    return None


def _year(text: str) -> int | None:
    return (int(text) + 2000 if len(text) == 2 else int(text)) if text else None


def _clock(piece: str) -> _Clock | None:
    if piece in _CLOCKS:
        return _CLOCKS[piece]
    half = piece[-2:] if piece[-2:] in ("am", "pm") else ""
    parts = piece.removesuffix(half).split(":")
    if not all(_is_number(part, 2) for part in parts) or len(parts) > 3 or (len(parts) == 1 and not half):
        return None
    if any(len(part) != 2 for part in parts[1:]):
        return None
    hour, minute, second = ([int(part) for part in parts] + [0, 0])[:3]
    if half:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if half == "pm" else 0)
    return (hour, minute, second) if hour < 24 and minute < 60 and second < 60 else None


def _relative(moment: datetime, here: datetime) -> str:
    days = (moment.date() - here.date()).days
    if moment.year != here.year and abs(days) > 1:
        return f"{moment.day} {moment:%b %Y}"
    if days == 0:
        return f"{moment:%H:%M:%S}"
    if abs(days) == 1:
        return f"{'Tomorr' if days > 0 else 'Ystday'} {moment:%H:%M}"
    if abs(days) < 7:
        return f"{moment:%a %H:%M}"
    return f"{moment.day} {moment:%b %H:%M}"


def _is_number(text: str, longest: int) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= longest
