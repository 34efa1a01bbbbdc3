"""Which nodes, cores and licences are kept for whom, and when?

Theory: a job may start at a time if its nodes are kept for nobody else between then and its limit. For a start now that is a mask over
the nodes. For a planned start it changes with the time: a node is of no use to a job that would still run when it is kept for others.
Reserved cores and licences are taken out of a copy of the table.
"""

from collections.abc import Callable, Iterator

import msgspec
import numpy as np

from corral.scheduler.demand import Demand
from corral.scheduler.nodetable import BoolColumn, NodeTable
from corral.syntax.licenses import Licenses

#: So many stretches of time are searched for a planned start.
MOST_STRETCHES = 64
_NEVER = float("inf")


class Window(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """One reservation, as the scheduler sees it."""

    name: str
    times: tuple[tuple[float, float], ...]  #: (start, end), ascending
    ahead: float = 0.0  #: it begins so many seconds from now, at any time; 0 = it has times
    rows: BoolColumn
    cpus: dict[int, int] = {}  #: by row, a mask of the CPUs reserved there; {} = whole nodes
    licenses: Licenses = ()
    maintenance: bool = False
    overlaps: bool = False
    flexible: bool = False  #: its jobs are held to neither its nodes nor its times
    any_nodes: bool = False  #: its jobs are not held to nodes

    def touches(self, start: float, end: float) -> bool:
        if self.ahead:
            return end - start > self.ahead
        return any(begins < end and start < over for begins, over in self.times)

    def end_of(self, time: float) -> float:
        """When it closes, if it is open then; 0 = it is not."""
        return next((over for begins, over in self.times if begins <= time < over), 0.0)


class Reserved:
    """All reservations."""

    def __init__(self, windows: tuple[Window, ...] = ()) -> None:
        self.windows = windows
        self.named = {window.name: window for window in windows}

    def __bool__(self) -> bool:
        return bool(self.windows)

    def is_open(self, demand: Demand, time: float) -> bool:
        """May a job start in the reservation that it names?"""
        if not demand.reservation:
            return True
        own = self.named.get(demand.reservation)
        return own is not None and (own.flexible or own.end_of(time) > 0)

    def closes(self, name: str, time: float) -> float:
        """When jobs that run in it now are ended."""
        own = self.named.get(name)
        return _NEVER if own is None or own.flexible else own.end_of(time) or _NEVER

    def kept(self, demand: Demand, start: float, end: float) -> tuple[int, ...]:
        """The reservations that this job must keep off between then and then, by number."""
        own = self.named.get(demand.reservation)
        return tuple(
            number
            for number, window in enumerate(self.windows)
            if window is not own and not _may_cross(own, window) and window.touches(start, end)
        )

    def next_kept(self, demand: Demand, now: float) -> float:
        """When the next reservation of others begins."""
        own = self.named.get(demand.reservation)
        starts = [
            window.ahead + now if window.ahead else begins
            for window in self.windows
            if window is not own and not _may_cross(own, window)
            for begins, _ in window.times or ((now, now),)
        ]
        return min((start for start in starts if start > now), default=_NEVER)

    def rows(self, demand: Demand, rows: BoolColumn, kept: tuple[int, ...]) -> BoolColumn:
        """The nodes that are left."""
        own = self.named.get(demand.reservation)
        if own is not None and not own.flexible and not own.any_nodes:
            rows = rows & own.rows
        for number in kept:
            window = self.windows[number]
            if not window.cpus or demand.exclusive:
                rows = rows & ~window.rows
        return rows

    def view(self, demand: Demand, kept: tuple[int, ...]) -> Callable[[NodeTable], NodeTable] | None:
        """What takes reserved cores and licences out of a table; None = there are none."""
        own = self.named.get(demand.reservation)
        mine = own.cpus if own is not None and not own.flexible else {}
        others = [self.windows[number] for number in kept]
        with_cpus = [window.cpus for window in others if window.cpus]
        with_licenses = [window for window in others if window.licenses] if demand.licenses else []
        if not mine and not with_cpus and not with_licenses:
            return None

        def seen(table: NodeTable) -> NodeTable:
            copy = table.copy()
            for row, mask in mine.items():
                copy.withhold(row, ~mask)
            for masks in with_cpus:
                for row, mask in masks.items():
                    copy.withhold(row, mask)
            for window in with_licenses:
                copy.licenses.change(unused(table, window), 1)
            return copy

        return seen

    def away(self, demand: Demand, span: float) -> Iterator[tuple[BoolColumn, float, float]]:
        """The nodes that are kept for others as a whole: which, from when, until when."""
        own = self.named.get(demand.reservation)
        for window in self.windows:
            if window is own or _may_cross(own, window) or (window.cpus and not demand.exclusive):
                continue
            if window.ahead:
                if span > window.ahead:
                    yield window.rows, -_NEVER, _NEVER
            else:
                for begins, over in window.times:
                    yield window.rows, begins, over

    def begins(self, demand: Demand, now: float) -> list[float]:
        """Where a stretch begins in which what is kept from the job only grows."""
        own = self.named.get(demand.reservation)
        begins = {now}
        for window in self.windows:
            begins.update(begin if window is own else over for begin, over in window.times)
        return sorted(begin for begin in begins if now <= begin < _NEVER)[:MOST_STRETCHES]


NOTHING = Reserved()


def _may_cross(own: Window | None, other: Window) -> bool:
    """A job in a reservation for maintenance, or in one that overlaps, may run on the nodes of others."""
    return own is not None and (own.maintenance or (own.overlaps and not other.maintenance))


def unused(table: NodeTable, window: Window) -> list[tuple[str, int]]:
    """The licences of a reservation that its own jobs do not hold."""
    held: dict[str, int] = {}
    for allocation in table.holders.values():
        if allocation.reservation == window.name:
            for name, count in allocation.licenses:
                held[name] = held.get(name, 0) + count
    return [(name, max(0, count - held.get(name, 0))) for name, count in window.licenses]


def by_maintenance(reserved: Reserved, kept: tuple[int, ...], rows: BoolColumn) -> bool:
    """Are all of these nodes down for maintenance?"""
    return any(
        reserved.windows[number].maintenance and not bool(np.any(rows & ~reserved.windows[number].rows))
        for number in kept
    )
