"""What is a reservation: nodes, cores or licences kept for some users for some time?"""

import enum
from collections.abc import Iterator
from datetime import datetime, timedelta

import msgspec

DAY = 86400.0
#: So many of the times to come of one that repeats are looked at; it is taken as held for ever after them.
OCCURRENCES = 32


class Flag(enum.StrEnum):
    """In the order in which scontrol shows them."""

    MAINT = "MAINT"
    FLEX = "FLEX"
    OVERLAP = "OVERLAP"
    IGNORE_JOBS = "IGNORE_JOBS"
    HOURLY = "HOURLY"
    DAILY = "DAILY"
    WEEKDAY = "WEEKDAY"
    WEEKEND = "WEEKEND"
    WEEKLY = "WEEKLY"
    SPEC_NODES = "SPEC_NODES"  #: nodes were named: none takes the place of another
    ALL_NODES = "ALL_NODES"
    ANY_NODES = "ANY_NODES"  #: licences only
    STATIC = "STATIC"
    PART_NODES = "PART_NODES"  #: the nodes of its partition, whichever these are
    FIRST_CORES = "FIRST_CORES"
    TIME_FLOAT = "TIME_FLOAT"  #: it begins so many seconds from now, at any time
    REPLACE = "REPLACE"
    REPLACE_DOWN = "REPLACE_DOWN"
    PURGE_COMP = "PURGE_COMP"
    NO_HOLD_JOBS_AFTER_END = "NO_HOLD_JOBS_AFTER_END"
    MAGNETIC = "MAGNETIC"


REPEATING = (Flag.HOURLY, Flag.DAILY, Flag.WEEKDAY, Flag.WEEKEND, Flag.WEEKLY)


class NodeCores(msgspec.Struct, frozen=True):
    """Some of a node's CPUs, by their ids."""

    node: str
    cpus: tuple[int, ...]


class Reservation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Times are seconds since the epoch. Of one that repeats, they are those of the present or next time."""

    name: str
    number: int = 0  #: root_1 is the first
    start_time: float
    end_time: float
    float_seconds: float = 0.0  #: TIME_FLOAT: so far ahead
    nodes: tuple[str, ...] = ()
    node_count: int = 0  #: so many were asked for, and are kept up; 0 = they were named
    cores: tuple[NodeCores, ...] = ()  #: () = whole nodes
    partition: str = ""
    features: str = ""
    licenses: tuple[tuple[str, int], ...] = ()
    users: tuple[str, ...] = ()
    users_denied: bool = False  #: all but these
    groups: tuple[str, ...] = ()
    members: dict[str, tuple[str, ...]] = {}  #: the users of each group
    accounts: tuple[str, ...] = ()
    accounts_denied: bool = False
    flags: tuple[Flag, ...] = ()
    purge_seconds: int = 0
    idle_since: float = 0.0  #: no job has used it since then

    def has(self, flag: Flag) -> bool:
        return flag in self.flags

    @property
    def repeats(self) -> bool:
        return any(flag in self.flags for flag in REPEATING)

    def is_active(self, now: float) -> bool:
        return not self.float_seconds and self.start_time <= now < self.end_time

    @property
    def core_count(self) -> int:
        return sum(len(share.cpus) for share in self.cores)

    def admits(self, user: str, account: str) -> bool:
        """May this user run in it, under this account?"""
        if self.groups and not any(user in self.members.get(group, ()) for group in self.groups):
            return False
        if self.users and (user in self.users) == self.users_denied:
            return False
        return not self.accounts or (account in self.accounts) != self.accounts_denied


def next_time(reservation: Reservation, start: float) -> float:
    """When it begins again after it has begun at `start`: at the same time of day by the controller's clock on the wall."""
    if reservation.has(Flag.HOURLY):
        return start + 3600.0
    day = datetime.fromtimestamp(start)
    both = reservation.has(Flag.WEEKDAY) and reservation.has(Flag.WEEKEND)
    if reservation.has(Flag.WEEKLY) and not reservation.has(Flag.DAILY):
        return (day + timedelta(days=7)).timestamp()
    while True:
        day += timedelta(days=1)
        weekend = day.weekday() >= 5
        if both or reservation.has(Flag.DAILY) or not reservation.has(Flag.WEEKEND if not weekend else Flag.WEEKDAY):
            return day.timestamp()


def times(reservation: Reservation, after: float = 0.0) -> Iterator[tuple[float, float]]:
    """(start, end) of each time that is not over at `after`; the last one of one that repeats has no end."""
    start, length = reservation.start_time, reservation.end_time - reservation.start_time
    if not reservation.repeats:
        if reservation.end_time > after:
            yield start, reservation.end_time
        return
    found = 0
    while found < OCCURRENCES:
        if start + length > after:
            yield start, start + length
            found += 1
        start = next_time(reservation, start)
    yield start, float("inf")


def rolled_on(reservation: Reservation, now: float) -> Reservation:
    """The next time of one that repeats, now that this one is over."""
    start, length = reservation.start_time, reservation.end_time - reservation.start_time
    while start + length <= now:
        start = next_time(reservation, start)
    return msgspec.structs.replace(reservation, start_time=start, end_time=start + length)


def overlap(one: Reservation, other: Reservation) -> bool:
    """Is there a time at which both hold?"""
    if one.float_seconds or other.float_seconds:
        return True
    mine, others = list(times(one)), list(times(other))
    return any(start < end_b and start_b < end for start, end in mine for start_b, end_b in others)
