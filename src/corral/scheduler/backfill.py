"""When may a later job start without delaying an earlier one?

Theory: waiting jobs that do not fit get a planned start in the order of priority: the earliest moment from which on, with running work gone
by its limit, there is all the time enough for them beside what is planned for those before; and the nodes that have it. What they
will have is taken out of the timetable, so that nobody else is planned, or starts, where that would be missing. So no planned start
is ever delayed by what is backfilled.

The moments to look at are found for all nodes at once: each node has stretches in which it could take a task, and the job may begin
where enough of these overlap. That is a necessary condition; the nodes are then chosen as for a start now. Jobs whose needs are no
mere amounts (sockets, CPUs shared with others, nodes of one user, a partition's share of a node) are looked at moment by moment on
tables of their own, and have their nodes to themselves until they begin.
"""

from collections.abc import Iterable, Iterator

import msgspec
import numpy as np

from corral.model.allocation import Allocation
from corral.scheduler.demand import Demand
from corral.scheduler.nodetable import BoolColumn, IntColumn, NodeTable
from corral.scheduler.plan import Expected
from corral.scheduler.reservations import Reserved
from corral.scheduler.resources import place
from corral.scheduler.running import RunningJob
from corral.scheduler.stretches import FOREVER, Times
from corral.scheduler.timetable import Capacity, Timetable, derived
from corral.syntax import hostlist

#: So many moments are tried one after another; then steps grow, and a start may be planned later than it could be.
TRIES = 64
_MANY = 1 << 40


class Planned(msgspec.Struct, frozen=True):
    """One planned start."""

    start: float
    end: float
    allocation: Allocation


def is_countable(demand: Demand) -> bool:
    """Do amounts of CPUs, memory and GRES on each node say whether it can run there?"""
    return not (
        demand.share or demand.sharers or demand.only_user or demand.cpus_limit is not None
        or demand.geometry.wants_sockets
    )  # fmt: skip


def allocation_has_parts(allocation: Allocation) -> bool:
    """Has it CPUs or GPUs that others have too?"""
    return bool(allocation.sharers) or any(gres.milli for share in allocation.nodes for gres in share.gres)


class Planner:
    """The planned starts of one cycle."""

    def __init__(
        self,
        table: NodeTable,
        running: Iterable[RunningJob],
        now: float,
        reserved: Reserved,
        strategy: str,
        resolution: float = 0.0,
        busy_first: bool = False,
    ) -> None:
        self.now, self.reserved = now, reserved
        # Where a job will be is only expected: that is not worth a look at the fragments of every node.
        self.strategy = "pack" if strategy == "fragmentation" else strategy
        self.times = Timetable(table, running, now, resolution)
        self.times.busy_first = busy_first
        self.planned: list[Planned] = []
        self.demands: list[Demand] = []  #: of each of these
        self._not_before: dict[tuple[Demand, float], float] = {}
        self._after: tuple[int, NodeTable] | None = None

    # -- starts now

    def on_start(self, job: int, allocation: Allocation, end: float) -> None:
        """The table has just given it this."""
        self.times.begin(job, allocation, end)
        self._after = None

    def on_return(self, job: int, allocation: Allocation, end: float) -> None:
        """It has given it back, after all."""
        self.times.undo(job, allocation, end)
        self._after = None

    def on_room(self, before: dict[int, Allocation], key: int, allocation: Allocation, end: float) -> bool:
        """These jobs, which held that, make room for what the key now has until then; False: it has to be renewed."""
        holders = self.times.table.holders
        if allocation_has_parts(allocation) or any(
            job not in self.times.ends or allocation_has_parts(held) for job, held in before.items()
        ):
            return False
        for job, held in before.items():
            self.times.exchange(job, held, holders[job])
        self.on_start(key, allocation, end)
        return True

    def beside(
        self, demand: Demand, end: float, rows: BoolColumn, other: NodeTable | None = None
    ) -> tuple[NodeTable, BoolColumn]:
        """Out of which table, and of which of these rows, it may have what it needs until then; `other` = were this so now."""
        if demand.sharers or demand.only_user or demand.share:
            rows = rows & ~self.times.planned_rows(self.now, end)
        return self.times.beside(end) if other is None else self.times.beside_in(other, end), rows

    def renew(self, running: Iterable[RunningJob]) -> None:
        """The table has changed otherwise than by starts."""
        before = self.times
        self.times = Timetable(before.table, running, self.now, before.resolution)
        self.times.busy_first = before.busy_first
        self._after = None
        for planned, demand in zip(self.planned, self.demands, strict=True):
            self._hold(planned, demand)

    def can_be_longer(self, demand: Demand, allocation: Allocation, end: float, most: float) -> float:
        """Until when it could hold this, if it can until `end`."""
        most = min(most, self.times.lacks_from(allocation, end))
        for moment in sorted(self.times.licenses.moments(demand.licenses)):
            if end <= moment < most and not self.times.licenses.has(demand.licenses, moment, moment):
                return moment
        return most

    # -- starts to come

    def plan(self, ways: Iterable[tuple[Demand, BoolColumn]], span: float, latest: float = FOREVER) -> Planned | None:
        """Its earliest start in one of these ways, which nobody after it can have any more; None = there is none until then."""
        best = self.best(ways, span, latest)
        if best is None:
            return None
        self.keep(*best)
        return best[0]

    def best(
        self, ways: Iterable[tuple[Demand, BoolColumn]], span: float, latest: float = FOREVER
    ) -> tuple[Planned, Demand] | None:
        """Its earliest start, and in which of these ways; nothing is kept for it."""
        best: tuple[Planned, Demand] | None = None
        for demand, rows in ways:
            found = self.find(demand, rows, span, latest)
            if found is not None and (best is None or found.start < best[0].start):
                best, latest = (found, demand), found.start
        return best

    def keep(self, planned: Planned, demand: Demand) -> None:
        self.planned.append(planned)
        self.demands.append(demand)
        self._hold(planned, demand)

    def _hold(self, planned: Planned, demand: Demand) -> None:
        hold = self.times.hold if is_countable(demand) else self.times.hold_whole
        hold(planned.allocation, planned.start, planned.end)

    def find(self, demand: Demand, rows: BoolColumn, span: float, latest: float, since: float = 0.0) -> Planned | None:
        question = (demand, span)
        since = max(self.now, since, self._not_before.get(question, 0.0))
        openings = self.openings(demand, rows, span, since)
        for start in thinned(openings.moments):
            if start > latest:
                break
            if not openings.may_fit(demand, start, span):
                continue
            allocation = self.fit(demand, openings.rows(start, rows), start, span)
            if allocation is not None:
                self._not_before[question] = start
                return Planned(start, start + span, allocation)
        return None

    def fit(self, demand: Demand, rows: BoolColumn, start: float, span: float) -> Allocation | None:
        """What it would have at that time."""
        if demand.licenses and not self.times.licenses.has(demand.licenses, start, start + span):
            return None
        view = None
        if self.reserved or demand.reservation:
            if not self.reserved.is_open(demand, start):
                return None
            kept = self.reserved.kept(demand, start, start + span)
            rows = self.reserved.rows(demand, rows, kept)
            view = self.reserved.view(demand, kept)
        if is_countable(demand):
            numbers = np.flatnonzero(rows)
            if len(numbers) < demand.nodes_min:
                return None
            table = self.times.at(start, start + span, numbers)
            if demand.user >= 0:
                over = self.times.ends
                table.holders = {job: held for job, held in table.holders.items() if over.get(job, FOREVER) > start}
        else:
            table = self._table_at(start)
            rows = rows & ~self.times.planned_rows(start, start + span)
        if demand.licenses:
            table = derived(table)
            table.licenses = self.times.licenses.pool(demand.licenses, start, start + span)
        return place(table if view is None else view(table), demand, rows, self.strategy)

    def openings(self, demand: Demand, rows: BoolColumn, span: float, since: float) -> "Openings":
        """When, and in which rows, there may be enough for it."""
        if not is_countable(demand):
            return Openings(self._all_moments(demand, since))
        found = self._openings(demand, self.reserved.rows(demand, rows, ()) if self.reserved else rows, span, since)
        if self.reserved:
            found = self._cut_by_reservations(demand, found, span)
        moments = [found.begins]
        if demand.licenses:
            moments.append(np.array(self.times.licenses.moments(demand.licenses)))
        if self.reserved:
            moments.append(np.array(self.reserved.begins(demand, self.now)))
        every = np.unique(np.concatenate(moments))
        every = every[(every >= since) & (every < FOREVER)]
        found.moments = every[found.enough(demand, every)]
        if demand.reservation:
            found.moments = np.array([t for t in found.moments.tolist() if self.reserved.is_open(demand, t)])
        return found

    def _openings(self, demand: Demand, rows: BoolColumn, span: float, since: float) -> "Openings":
        """Stretches in which some node could take a task of it: the first and the last moment to begin, and how many tasks."""
        capacity = self.times.capacity(demand, rows, since)
        row, start, end, tasks = capacity
        alone = demand.nodes_max == 1 and demand.ntasks is not None and not demand.overcommit
        is_open = tasks >= (max(1, demand.ntasks or 1) if alone else 1)
        joined = is_open[1:] & is_open[:-1] & (row[1:] == row[:-1])
        first, last = is_open.copy(), is_open.copy()
        first[1:] &= ~joined
        last[:-1] &= ~joined
        at = np.flatnonzero(first)
        if not len(at):
            return Openings(np.zeros(0), row=at)
        begins, over = np.maximum(start[at], since), end[last]
        most = np.maximum.reduceat(tasks, at)
        enough = begins + span <= over
        begins, over = begins[enough], over[enough]
        ends = np.maximum(over - span, begins) if span < FOREVER else np.full(len(begins), FOREVER)
        return Openings(np.zeros(0), begins, ends, most[enough], row[at][enough], capacity)

    def _cut_by_reservations(self, demand: Demand, found: "Openings", span: float) -> "Openings":
        """Without the time in which whole nodes are kept for others."""
        begins, ends, most, row = found.begins, found.ends, found.most, found.row
        assert row is not None
        for mask, start, over in self.reserved.away(demand, span):
            inside = mask[row]
            if not inside.any():
                continue
            early, late = np.minimum(ends[inside], start - span), np.maximum(begins[inside], over)
            first, second = begins[inside] <= early, late <= ends[inside]
            begins = np.concatenate([begins[~inside], begins[inside][first], late[second]])
            ends = np.concatenate([ends[~inside], early[first], ends[inside][second]])
            most = np.concatenate([most[~inside], most[inside][first], most[inside][second]])
            row = np.concatenate([row[~inside], row[inside][first], row[inside][second]])
        return Openings(found.moments, begins, ends, most, row, found.capacity)

    # -- moment by moment

    def _all_moments(self, demand: Demand, since: float) -> Times:
        """Whenever something gets free."""
        moments = [self.times.lines.moments(), np.array([since, *self.reserved.begins(demand, self.now)])]
        found = np.unique(np.concatenate(moments))
        return found[(found >= since) & (found < FOREVER)]

    def _table_at(self, time: float) -> NodeTable:
        """The very table, when those have ended that will have by then."""
        gone = [job for job, end in self.times.ends.items() if end <= time]
        if self._after is None or self._after[0] != len(gone):
            table = self.times.table.copy()
            for job in gone:
                table.give_back(job)
            self._after = len(gone), table
        return self._after[1]


class Openings:
    """When a job may begin: in each row from when on and until when, at most with how many tasks; and when there is enough of that."""

    def __init__(
        self,
        moments: Times,
        begins: Times | None = None,
        ends: Times | None = None,
        most: IntColumn | None = None,
        row: IntColumn | None = None,
        capacity: Capacity | None = None,
    ) -> None:
        self.moments = moments  #: ascending
        self.begins = begins if begins is not None else np.zeros(0)
        self.ends = ends if ends is not None else np.zeros(0)
        self.most = most if most is not None else np.zeros(0, np.int64)
        self.row = row  #: None = any
        self.capacity = capacity

    def rows(self, time: float, rows: BoolColumn) -> BoolColumn:
        """Those of these rows in which it could begin then."""
        if self.row is None:
            return rows
        found: BoolColumn = np.zeros(len(rows), np.bool_)
        found[self.row[(self.begins <= time) & (time <= self.ends)]] = True
        return found

    def may_fit(self, demand: Demand, time: float, span: float) -> bool:
        """Would so many nodes, those with most room all that time, take its tasks?"""
        if self.row is None or self.capacity is None or demand.ntasks is None or demand.overcommit:
            return True
        row, start, end, tasks = self.capacity
        at = np.flatnonzero(np.diff(row, prepend=-1))
        least = np.minimum.reduceat(np.where((start < time + span) & (end > time), tasks, _MANY), at)
        rooms = np.zeros(int(row.max(initial=0)) + 1, np.int64)
        rooms[row[at]] = least
        rooms = rooms[self.row[(self.begins <= time) & (time <= self.ends)]]
        if demand.nodes_max is not None and len(rooms) > demand.nodes_max:
            rooms = np.partition(rooms, -demand.nodes_max)[-demand.nodes_max :]
        return int(rooms.sum()) >= demand.ntasks

    def enough(self, demand: Demand, moments: Times) -> BoolColumn:
        """May there be enough nodes and tasks then?"""
        order, closing = np.argsort(self.begins), np.argsort(self.ends)
        opened = np.searchsorted(self.begins[order], moments, side="right")
        closed = np.searchsorted(self.ends[closing], moments, side="left")
        fits: BoolColumn = opened - closed >= max(demand.nodes_min, len(demand.nodelist))
        if demand.ntasks is not None and not demand.overcommit:
            grown = np.concatenate([[0], np.cumsum(self.most[order])])
            shrunk = np.concatenate([[0], np.cumsum(self.most[closing])])
            fits &= grown[opened] - shrunk[closed] >= demand.ntasks
        return fits


def thinned(moments: Times) -> Iterator[float]:
    """One after another, and after many in steps that grow, with the last at the end."""
    step, at = 1, 0
    while at < len(moments):
        yield float(moments[at])
        if at >= TRIES:
            step *= 2
        if at == len(moments) - 1:
            return
        at = min(at + step, len(moments) - 1)


def expected(planned: Planned) -> Expected:
    """For the plan of a cycle."""
    return Expected(planned.start, folded(planned.allocation.node_names), planned.allocation)


def folded(names: tuple[str, ...]) -> str:
    """As squeue shows planned nodes."""
    return hostlist.fold(list(names))
