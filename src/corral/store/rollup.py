"""What has been used in which hour, by whom? The sums that sreport adds up, kept as runs end.

Each day (of UTC) has its sums too, so that a long report adds up days, and hours only where it begins and ends; and what all have used
of CPUs in an hour is kept beside who has.

A run counts in every hour that it ran in, each resource it held by the seconds: cpu, mem (MB), node, billing, gres/gpu. Its wait, from
eligible to start, counts as `planned`: the CPUs that it asked for, by the seconds, under nobody's name. So a report of a year adds up
some thousand rows, and looks at no run.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

import msgspec

from corral.errors import UsageError
from corral.store.rows import EVER, HistoryQuery, Run
from corral.syntax import tres

HOUR = 3600
DAY = 86400
PLANNED = "planned"


class UsageKey(NamedTuple):
    hour: int  #: its first second
    account: str
    user: str
    wckey: str
    tres: str


Usage = dict[UsageKey, float]


class NodeChange(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """From this moment on a node has so much, and is so."""

    node: str
    time: float
    kind: str  #: up, down (or drained), gone
    tres: str


class JobSizes(NamedTuple):
    """Runs of one size, for `sreport job Sizes`: how long within the window, and how many."""

    account: str
    wckey: str
    user: str
    tres: str
    seconds: float
    jobs: int


@lru_cache(maxsize=1024)
def amounts_of(text: str) -> tuple[tuple[str, int], ...]:
    try:
        return tuple(tres.parse(text).items())
    except UsageError:
        return ()


def add_run(usage: Usage, run: Run, now: float = 0.0, window: tuple[float, float] = (0.0, EVER)) -> None:
    """What a run has used, by the hour; of one that has not ended, up to now. Only what lies within the window."""
    end = run.end or now
    if run.start and end > run.start:
        over = end - run.suspended
        held = amounts_of(run.tres_alloc)
        for hour, seconds in hours(max(run.start, window[0]), min(over, window[1])):
            for name, amount in held:
                if amount:
                    key = UsageKey(hour, run.account, run.user, run.wckey, name)
                    usage[key] = usage.get(key, 0.0) + amount * seconds
    waited_until = run.start or end
    if run.eligible and run.req_cpus and waited_until > run.eligible:
        for hour, seconds in hours(max(run.eligible, window[0]), min(waited_until, window[1])):
            key = UsageKey(hour, "", "", "", PLANNED)
            usage[key] = usage.get(key, 0.0) + run.req_cpus * seconds


def by_day(usage: Usage) -> Usage:
    days: Usage = {}
    for (hour, account, user, wckey, name), seconds in usage.items():
        if name != PLANNED:
            key = UsageKey(hour // DAY * DAY, account, user, wckey, name)
            days[key] = days.get(key, 0.0) + seconds
    return days


def of_all(usage: Usage) -> dict[tuple[int, str], float]:
    """CPU seconds that were used and waited for in each hour, by whomever."""
    found: dict[tuple[int, str], float] = {}
    for key, seconds in usage.items():
        if key.tres in ("cpu", PLANNED):
            found[key.hour, key.tres] = found.get((key.hour, key.tres), 0.0) + seconds
    return found


def hours(start: float, end: float) -> Iterator[tuple[int, float]]:
    """Each hour between, with its seconds."""
    hour = int(start) // HOUR * HOUR
    while hour < end:
        yield hour, min(end, hour + HOUR) - max(start, hour)
        hour += HOUR


def add_size(
    found: dict[tuple[str, str, str, str], list[float]], run: Run, query: HistoryQuery, now: float = 0.0
) -> None:
    """Count a run that ran within the window."""
    end = min((run.end or now) - run.suspended, query.until or EVER)
    seconds = end - max(run.start, query.since)
    if not run.start or seconds <= 0 or (query.nodes and query.nodes.isdisjoint(run.node_names)):
        return
    if query.gids and run.gid not in query.gids:
        return
    total = found.setdefault((run.account, run.wckey, run.user, run.tres_alloc), [0.0, 0])
    total[0] += seconds
    total[1] += 1


def sizes(found: dict[tuple[str, str, str, str], list[float]]) -> list[JobSizes]:
    return [JobSizes(*key, seconds, int(jobs)) for key, (seconds, jobs) in sorted(found.items())]
