"""When may a later job start without delaying an earlier one?

Theory: waiting jobs that do not fit get a planned start in the order of priority: the earliest moment found at which, with running
work gone by its limit and off the nodes that others have planned for that time, they fit; and the nodes that they will have then.
A later job may start now if it ends before the plans of its nodes begin, or if what it takes is left over beside them: a plan
knows how much of each node is free at its start and not needed for it. So no planned start is ever delayed by what is
backfilled, at the price of some holes unused.
"""

from collections.abc import Callable, Iterable

import numpy as np

from corral.model.allocation import Allocation, NodeShare
from corral.scheduler.demand import Demand
from corral.scheduler.licenses import Pool
from corral.scheduler.nodetable import BoolColumn, NodeTable
from corral.scheduler.resources import place
from corral.scheduler.running import RunningJob
from corral.syntax import hostlist
from corral.syntax.licenses import Licenses

#: What is left over beside a plan is worked out for plans of up to so many nodes; larger ones keep theirs whole.
MOST_NODES_SHARED = 64
#: Looks ahead that are kept for the next one.
MOST_TABLES = 12
#: How often a place is tried that then conflicts with a plan.
TRIES = 8

#: CPUs, MiB, and units of each kind of GRES.
Left = tuple[int, int, dict[tuple[str, str], int]]


class Planned:
    """One planned start."""

    def __init__(self, start: float, end: float, allocation: Allocation, demand: Demand, future: NodeTable) -> None:
        self.start, self.end, self.allocation = start, end, allocation
        self.rows: BoolColumn = np.zeros(len(future), np.bool_)
        self.left: dict[int, Left] = {}  #: by row, what is free at its start and not needed for it
        self.licenses = demand.licenses
        self.licenses_left = future.licenses.without([demand.licenses]) if demand.licenses else Pool()
        self.keeps_all = bool(
            demand.exclusive or demand.cpus_limit is not None or demand.user >= 0 or demand.sharers
            or demand.geometry.wants_sockets or demand.contiguous
            or len(allocation.nodes) > MOST_NODES_SHARED
        )  # fmt: skip
        for share in allocation.nodes:
            row = future.index[share.node]
            self.rows[row] = True
            if not self.keeps_all:
                units = {kind: int(column[row]) for kind, column in future.free_gres.items()}
                free = int(future.free_cpus[row]), int(future.free_memory[row]), units
                self.left[row] = _less(free, share)

    def touches(self, start: float, end: float) -> bool:
        return self.start < end and start < self.end

    def conflicts(self, share: NodeShare, row: int) -> bool:
        """Would it lack something at its start if this were held then?"""
        if not self.rows[row]:
            return False
        if self.keeps_all:
            return True
        cpus, memory, units = _less(self.left[row], share)
        return cpus < 0 or memory < 0 or any(count < 0 for count in units.values())

    def lacks(self, licenses: Licenses) -> bool:
        """Would it lack a licence at its start if these were held then?"""
        own = dict(self.licenses)
        return any(name in own and count > self.licenses_left.free(name) for name, count in licenses)

    def yield_to(self, share: NodeShare, row: int) -> None:
        """This is held at its start, and is not left over any more."""
        if row in self.left:
            self.left[row] = _less(self.left[row], share)


def _less(free: Left, share: NodeShare) -> Left:
    units = dict(free[2])
    for gres in share.gres:
        kind = (gres.name, gres.type)
        units[kind] = units.get(kind, 0) - len(gres.indices)
    return free[0] - len(share.cpus), free[1] - share.memory_mb, units


class Timeline:
    """The nodes as they will be when running work has ended by its limit. The table must not change as long as this is used."""

    def __init__(self, table: NodeTable, running: Iterable[RunningJob], now: float) -> None:
        self.now = now
        self.ends = sorted(running, key=lambda job: (job.ends, job.id))
        self.tables: dict[int, NodeTable] = {0: table}
        self.counts_now = False  #: may something start at once?
        self.view: Callable[[NodeTable], NodeTable] | None = None  #: what a job sees of a table; None = all

    def later(self, time: float, view: Callable[[NodeTable], NodeTable] | None) -> "Timeline":
        """From this time on, and at this time too; as one sees it to whom not all is open."""
        count = self.ended_by(time)
        other = Timeline(self.after(count) if count else self.tables[0], self.ends[count:], time)
        other.counts_now, other.view = True, view
        return other

    def place(self, table: NodeTable, demand: Demand, rows: BoolColumn, strategy: str) -> Allocation | None:
        return place(table if self.view is None else self.view(table), demand, rows, strategy)

    def after(self, count: int) -> NodeTable:
        """When so many have ended."""
        known = self.tables.get(count)
        if known is None:
            nearest = max(number for number in self.tables if number < count)
            known = self.tables[nearest].copy()
            for job in self.ends[nearest:count]:
                known.give_back(job.id)
            if len(self.tables) < MOST_TABLES:
                self.tables[count] = known
        return known

    def time(self, count: int) -> float:
        return max(self.now, self.ends[count - 1].ends) if count else self.now

    def ended_by(self, time: float) -> int:
        low, high = 0, len(self.ends)
        while low < high:
            middle = (low + high) // 2
            low, high = (middle + 1, high) if self.ends[middle].ends <= time else (low, middle)
        return low

    def earliest(self, fits: Callable[[NodeTable], Allocation | None]) -> tuple[int, Allocation] | None:
        """The least number of ended jobs after which it fits.

        What fits at one moment fits at every later one, as nothing new is placed in between: so the step doubles until it fits,
        and the last stretch is halved.
        """
        if self.counts_now and (allocation := fits(self.tables[0])) is not None:
            return 0, allocation
        without, stride, upto = 0, 1, len(self.ends)
        best: Allocation | None = None
        while without < upto:
            count = min(without + stride, upto)
            allocation = fits(self.after(count))
            if allocation is None:
                if count == upto:
                    return None
                without = count
                if best is not None and upto - without == 1:
                    return upto, best
                stride = stride * 2 if best is None else (upto - without) // 2
            else:
                best, upto = allocation, count
                if upto - without == 1:
                    return upto, best
                stride = (upto - without) // 2
        return None

    def plan(
        self, demand: Demand, rows: BoolColumn, time_limit: float, planned: list[Planned], strategy: str, window: float
    ) -> Planned | None:
        """An early start beside what is planned already; None when there is none, or none within the window (0 = any time)."""

        def made(start: float, allocation: Allocation, future: NodeTable) -> Planned | None:
            if window and start > self.now + window:
                return None
            seen = future if self.view is None else self.view(future)
            return Planned(start, start + time_limit, allocation, demand, seen)

        first = self.earliest(lambda table: self.place(table, demand, rows, strategy))
        if first is None or (window and self.time(first[0]) > self.now + window):
            return None
        start = self.time(first[0])
        if not planned:
            return made(start, first[1], self.after(first[0]))
        moments = sorted({start, *(other.end for other in planned if start < other.end < float("inf"))})
        unplanned = rows & ~np.logical_or.reduce([other.rows for other in planned])
        others = [other.licenses for other in planned]

        def beside_all(table: NodeTable) -> Allocation | None:
            return self.place(table, demand, unplanned, strategy) if _has(table, demand, others) else None

        apart = self.earliest(beside_all) if unplanned.any() else None
        latest = self.time(apart[0]) if apart is not None else float("inf")
        step, position = 1, 0
        while position < len(moments) and moments[position] < latest:
            start = moments[position]
            future = self.after(self.ended_by(start))
            free = rows & ~kept(planned, start, start + time_limit, len(future))
            others = [other.licenses for other in planned if other.touches(start, start + time_limit)]
            allocation = self.place(future, demand, free, strategy) if _has(future, demand, others) else None
            if allocation is not None:
                return made(start, allocation, future)
            if position == len(moments) - 1:
                break
            step = step * 2 if position >= TRIES else 1
            position = min(position + step, len(moments) - 1)
        return made(latest, apart[1], self.after(apart[0])) if apart is not None else None


def kept(planned: list[Planned], start: float, end: float, size: int) -> BoolColumn:
    """The nodes of plans that touch this time."""
    rows: BoolColumn = np.zeros(size, np.bool_)
    for other in planned:
        if other.touches(start, end):
            rows |= other.rows
    return rows


def _has(table: NodeTable, demand: Demand, others: list[Licenses]) -> bool:
    """Are there licences for it and for these?"""
    return not demand.licenses or table.licenses.without(others).has(demand.licenses)


def place_beside(
    table: NodeTable, demand: Demand, rows: BoolColumn, planned: list[Planned], strategy: str
) -> Allocation | None:
    """A place now for a job that would still run when these plans begin."""
    if demand.licenses and any(plan.lacks(demand.licenses) for plan in planned):
        return None
    rows = rows.copy()
    for plan in planned:
        if plan.keeps_all:
            rows &= ~plan.rows
        elif not demand.overcommit:
            for row, (cpus, memory, _) in plan.left.items():
                if cpus < demand.cpus_per_task or memory < demand.memory_per_node_mb:
                    rows[row] = False
    for _ in range(TRIES):
        allocation = place(table, demand, rows, strategy)
        if allocation is None:
            return None
        at = [(share, table.index[share.node]) for share in allocation.nodes]
        wrong = [row for share, row in at if any(plan.conflicts(share, row) for plan in planned)]
        if not wrong:
            return allocation
        rows[wrong] = False
    for plan in planned:
        rows &= ~plan.rows
    return place(table, demand, rows, strategy)


def folded(names: tuple[str, ...]) -> str:
    """As squeue shows planned nodes."""
    return hostlist.fold(list(names))
