"""When is */5 4 1 jan-mar mon or @daily next, and what does a crontab line say?"""

from __future__ import annotations

from datetime import datetime

from corral.errors import InvalidCron

#: What a word stands for.
NICKNAMES = {
    "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *", "@weekly": "0 0 * * 0", "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *", "@hourly": "0 * * * *", "@elevenses": "0 11 * * *", "@noon": "0 12 * * *", "@fika": "0 15 * * *",
    "@teatime": "0 16 * * *",
}  # fmt: skip

_LETTERS = frozenset("0123456789*,-/ABCDEFGHIJKLMNOPQRSTUVWXYZ")


def split(line: str) -> tuple[str, str]:
    """The time and the command of a line. Raises InvalidCron."""
    text = line.strip()
    if text.startswith("@"):
        word, _, command = text.partition(" ")
        spec = NICKNAMES.get(word.lower(), "")
        if not spec:
            raise InvalidCron(text=word, reason=f"it is none of {', '.join(NICKNAMES)}")
    else:
        words = text.split(None, 5)
        spec, command = " ".join(words[:5]), words[5] if len(words) > 5 else ""
    if not command.strip():
        raise InvalidCron(text=line.strip(), reason="five fields for the time and a command are needed")
    next_after(spec, 0.0)
    return spec, command.strip()


def next_in(schedule: str, zone: str, now: float) -> float:
    """The first time later than `now` of a CronJob's schedule; infinity if there is none. Raises InvalidCron."""
    return _in_zone(schedule, zone, now, back=False)


def last_in(schedule: str, zone: str, now: float) -> float:
    """The last time not later than `now`; 0.0 if there is none. Raises InvalidCron."""
    return _in_zone(schedule, zone, now + 1.0, back=True)


def _in_zone(schedule: str, zone: str, now: float, *, back: bool) -> float:
    from zoneinfo import ZoneInfo

    from cronsim import CronSim, CronSimError

    spec = NICKNAMES.get(schedule.lower(), schedule.replace("?", "*"))
    try:
        where = ZoneInfo(zone) if zone else None
    except (ValueError, OSError, KeyError) as error:
        raise InvalidCron(text=zone, reason="there is no such time zone") from error
    if len(spec.split()) != 5:
        raise InvalidCron(text=schedule, reason="five fields: minute, hour, day of month, month, day of week")
    begin = datetime.fromtimestamp(now, where)
    try:
        found: datetime = next(CronSim(spec, begin, reverse=True) if back else CronSim(spec, begin))
    except StopIteration:
        return 0.0 if back else float("inf")
    except CronSimError as error:
        raise InvalidCron(text=schedule, reason=str(error)) from error
    return found.timestamp()


def next_after(spec: str, now: float) -> float:
    """The first time later than `now`, in the controller's zone; never twice in one minute. Raises InvalidCron."""
    from cronsim import CronSim, CronSimError

    fields = spec.split()
    if (
        len(fields) != 5
        or not _LETTERS.issuperset("".join(fields).upper())
        or "L" in fields[2].upper() + fields[4].upper()
    ):
        raise InvalidCron(text=spec, reason="five fields: minute, hour, day of month, month, day of week")
    try:
        found: datetime = next(CronSim(spec, datetime.fromtimestamp(now)))
    except (CronSimError, StopIteration) as error:
        raise InvalidCron(text=spec, reason=str(error) or "that day never comes") from error
    return found.timestamp()
