"""What is free on each node, from now to the end of time?

Theory: each node has a line of moments at which something gets free or is taken, and for each stretch between two of them what is free
then: CPUs, memory, units of every kind of GRES; and, as a negative number, the jobs there. Running jobs give back at their limits; what
is planned, or begins in this cycle, is taken out of its stretches. All lines lie in one array: a question to 5,000 nodes is a few passes
over it, however many plans there are.

Only amounts are kept: which CPUs a planned job gets is decided when it begins. Where ids are asked for all the same, they are those
that are free now or that running jobs will have given back by then, the lowest of them, as many as are not planned for.
"""

import bisect
from collections.abc import Callable, Iterable
from typing import NamedTuple, TypeVar

import msgspec
import numpy as np

from corral.model.allocation import Allocation, NodeShare
from corral.scheduler.demand import Demand
from corral.scheduler.feasibility import task_capacity
from corral.scheduler.licensetimes import LicenseTimes
from corral.scheduler.nodetable import BoolColumn, GresKind, IntColumn, NodeTable, mask_of, units_of
from corral.scheduler.running import RunningJob
from corral.scheduler.stretches import FOREVER, Stretches, Times

T = TypeVar("T")

#: Lines of the array; then the kinds of GRES.
_CPUS, _MEMORY, _JOBS, _GRES = 0, 1, 2, 3
_MANY = 1 << 50
#: A running job that should have ended already is thought of as gone after so many seconds.
OVERDUE = 1.0


class Timetable:
    """The table may only change by what `hold` is told of as well."""

    def __init__(self, table: NodeTable, running: Iterable[RunningJob], now: float, resolution: float = 0.0) -> None:
        self.table, self.now, self.resolution = table, now, resolution
        self.kinds: list[GresKind] = list(table.free_gres)
        self.busy_first = False  #: what is planned takes nodes that are in use now before others of their weight
        self.licenses = LicenseTimes(table.licenses, now)
        self.ends: dict[int, float] = {}  #: until when each job has what it holds
        self.owners: dict[int, tuple[float, Allocation]] = {}  #: running work: until when, and what it holds
        self.has_plans: BoolColumn = np.zeros(len(table), np.bool_)  #: rows of which something is held by a plan
        self.plans: list[
            tuple[float, float, IntColumn]
        ] = []  #: what is held later than now: from when, until when, in which rows
        self._plan_starts: list[float] = []  #: when plans begin, ascending
        self._views: dict[float, _View] = {}  #: by the last of these that counts
        self._moment = 1  #: grows with each change
        self._changed: IntColumn = np.zeros(len(table), np.int64)  #: when each row did
        self._by_node: dict[str, list[tuple[float, NodeShare]]] | None = None
        self.shared_until: dict[tuple[int, int], float] = {}  #: row and GPU -> when the last share of it ends
        self._begun: list[tuple[IntColumn, float]] = []  #: what has begun that the lines don't show yet, and until when
        self._lines = self._build(running)

    @property
    def lines(self) -> Stretches:
        """With all that has begun: it is entered when somebody looks, many starts at once."""
        if self._begun:
            held = np.concatenate([amounts for amounts, _ in self._begun])
            ends = np.repeat(np.array([end for _, end in self._begun]), [len(amounts) for amounts, _ in self._begun])
            self._begun.clear()
            self._lines.add_each(held[:, 0], -held[:, 1:].T, ends)
        return self._lines

    def __len__(self) -> int:
        """How many moments there are, of all nodes together."""
        return len(self.lines)

    # -- how it comes to be

    def _build(self, running: Iterable[RunningJob]) -> Stretches:
        table = self.table
        columns = [table.free_cpus, table.free_memory, -table.jobs, *(table.free_gres[kind] for kind in self.kinds)]
        rows, times, amounts = self._releases(running)
        return Stretches(self.now, np.stack(columns), rows, times, amounts)

    def _releases(self, running: Iterable[RunningJob]) -> tuple[IntColumn, Times, IntColumn]:
        """Which rows get back how much, and when."""
        soon, holders = self.now + OVERDUE, self.table.holders
        found: list[IntColumn] = [np.zeros((0, 1 + _GRES + len(self.kinds)), np.int64)]
        counts, ends = [0], [0.0]
        shared: dict[int, list[tuple[float, int]]] = {}
        parts: dict[tuple[int, int], tuple[float, GresKind]] = {}  #: GPUs of which jobs have shares
        for job in running:
            allocation = holders.get(job.id)
            if allocation is None:
                continue
            end = self._rounded(job.ends if job.ends > self.now else soon)
            self.owners[job.id] = end, allocation
            self.ends[job.id] = end
            if allocation.licenses:
                self.licenses.release(allocation.licenses, end)
            for at, unit, kind in self._parts(allocation):
                parts[at, unit] = max(parts.get((at, unit), (end, kind)), (end, kind))
            amounts = self.amounts_of(job.id, allocation)
            if allocation.sharers:
                amounts = amounts.copy()
                amounts[:, 1 + _CPUS] = 0
                for share in allocation.nodes:
                    if (row := self.table.index.get(share.node)) is not None:
                        shared.setdefault(row, []).append((end, mask_of(share.cpus)))
            found.append(amounts)
            counts.append(len(amounts))
            ends.append(end)
        for row, masks in shared.items():
            seen = 0
            for end, mask in sorted(masks, reverse=True):  # a CPU gets free with the last that has it
                if fresh := mask & ~seen:
                    seen |= fresh
                    extra = np.zeros((1, 1 + _GRES + len(self.kinds)), np.int64)
                    extra[0, 0], extra[0, 1 + _CPUS] = row, fresh.bit_count()
                    found.append(extra)
                    counts.append(1)
                    ends.append(end)
        for (row, unit), (end, kind) in parts.items():  # a GPU gets free with the last share of it
            self.shared_until[row, unit] = end
            if kind in self.kinds:
                extra = np.zeros((1, 1 + _GRES + len(self.kinds)), np.int64)
                extra[0, 0], extra[0, 1 + _GRES + self.kinds.index(kind)] = row, 1
                found.append(extra)
                counts.append(1)
                ends.append(end)
        every = np.concatenate(found)
        return every[:, 0], np.repeat(np.array(ends), counts), every[:, 1:]

    def amounts_of(self, job: int, allocation: Allocation) -> IntColumn:
        """A line for each node: the row, and what is held there. Remembered for running jobs."""
        known = self.table.amounts.get(job)
        if known is None or known[0] is not allocation:
            known = allocation, self._amounts(allocation)
            if job > 0:
                self.table.amounts[job] = known
        return known[1]

    def _amounts(self, allocation: Allocation) -> IntColumn:
        index, lines = self.table.index, []
        number = {kind: position for position, kind in enumerate(self.kinds)}
        for share in allocation.nodes:
            row = index.get(share.node)
            if row is None:
                continue
            units = [0] * len(self.kinds)
            for kind, count in units_of(share):
                if kind in number:
                    units[number[kind]] += count
            lines.append((row, len(share.cpus), share.memory_mb, 1, *units))
        return np.array(lines, np.int64).reshape(len(lines), 1 + _GRES + len(self.kinds))

    def _parts(self, allocation: Allocation) -> Iterable[tuple[int, int, GresKind]]:
        """Of which GPUs it has shares: row, number, kind."""
        for share in allocation.nodes:
            row = self.table.index.get(share.node)
            for gres in share.gres if row is not None else ():
                if gres.milli and row is not None:
                    yield from ((row, unit, ("gpu", gres.type)) for unit in gres.indices)

    def _rounded(self, time: float) -> float:
        step = self.resolution
        return -(-time // step) * step if step else time

    # -- what is taken

    def begin(self, job: int, allocation: Allocation, end: float) -> None:
        """A job has begun, and has this until then."""
        if any(gres.milli for share in allocation.nodes for gres in share.gres):
            self._hold(allocation, self.now, end)
        else:
            held = self._amounts(allocation)
            self._begun.append((held, end))
            if allocation.licenses:
                self.licenses.change(allocation.licenses, self.now, end, 1)
            self._touched(held[:, 0])
        self.ends[job] = end
        self.owners[job] = end, allocation
        if self._by_node is not None:
            for share in allocation.nodes:
                self._by_node.setdefault(share.node, []).append((end, share))

    def undo(self, job: int, allocation: Allocation, end: float) -> None:
        """It has not begun after all."""
        self._hold(allocation, self.now, end, -1)
        del self.ends[job], self.owners[job]
        self._by_node = None

    def exchange(self, job: int, before: Allocation, after: Allocation) -> None:
        """A job that runs holds this instead, as long as it would have held that."""
        end = self.ends[job]
        self._hold(before, self.now, end, -1)
        self._hold(after, self.now, end)
        self.owners[job] = end, after
        if self._by_node is not None:
            left = {share.node: share for share in after.nodes}
            for share in before.nodes:
                found = self._by_node.get(share.node, [])
                found[:] = [entry for entry in found if entry[1] is not share]
                if share.node in left:
                    found.append((end, left[share.node]))

    def hold(self, allocation: Allocation, start: float, end: float, sign: int = 1) -> None:
        """It is planned to be held between then and then; with -1 it is not, after all."""
        rows = self._hold(allocation, start, end, sign)
        self._note_plan(rows, start, end, sign)

    def _hold(self, allocation: Allocation, start: float, end: float, sign: int = 1) -> IntColumn:
        held = self._amounts(allocation)
        rows = held[:, 0]
        if allocation.licenses:
            self.licenses.change(allocation.licenses, start, end, sign)
        self.lines.add(rows, -sign * held[:, 1:].T, start, end)
        for row, unit, kind in self._parts(allocation) if sign > 0 else ():
            until = self.shared_until.get((row, unit), start)
            if until < end and kind in self.kinds:  # nobody has the whole of it before its last share is given back
                self.shared_until[row, unit] = end
                taken = np.zeros((_GRES + len(self.kinds), 1), np.int64)
                taken[_GRES + self.kinds.index(kind)] = -1
                self.lines.add(np.array([row]), taken, max(start, until), end)
        self._touched(rows)
        return rows

    def hold_whole(self, allocation: Allocation, start: float, end: float) -> None:
        """Nobody else gets anything of its nodes."""
        rows = self._amounts(allocation)[:, 0]
        if allocation.licenses:
            self.licenses.change(allocation.licenses, start, end, 1)
        most = np.zeros(_GRES + len(self.kinds), np.int64)
        most[_JOBS] = -1
        self.lines.limit(rows, most, start, end)
        self._note_plan(rows, start, end)
        self._touched(rows)

    def _note_plan(self, rows: IntColumn, start: float, end: float, sign: int = 1) -> None:
        if sign > 0:
            self.has_plans[rows] = True
            at = bisect.bisect_left(self._plan_starts, start)
            if at == len(self._plan_starts) or self._plan_starts[at] != start:
                self._plan_starts.insert(at, start)
        if start > self.now and sign > 0:
            self.plans.append((start, end, rows))
        elif start > self.now:
            for at in reversed(range(len(self.plans))):
                if self.plans[at][:2] == (start, end) and np.array_equal(self.plans[at][2], rows):
                    del self.plans[at]
                    break

    def _touched(self, rows: IntColumn) -> None:
        self._moment += 1
        self._changed[rows] = self._moment

    # -- what is free

    def lacks_from(self, allocation: Allocation, since: float) -> float:
        """The first moment from then on at which some of it will not be free; it is until then."""
        held = self._amounts(allocation)
        needed = held[:, 1:].T.copy()
        needed[_JOBS] = 0 if allocation.exclusive else -_MANY
        return self.lines.lacks_from(held[:, 0], needed, since)

    def capacity(self, demand: Demand, rows: BoolColumn, since: float) -> "Capacity":
        """How many tasks of it have room in these rows, from then on."""
        places = self.lines.of(rows, since)
        row, free = self.lines.row[places], self.lines.free
        flat = derived(self.table)
        flat.names = range(len(places))  # type: ignore[assignment]  # only their number counts
        flat.free_cpus, flat.free_memory, flat.jobs = free[_CPUS, places], free[_MEMORY, places], -free[_JOBS, places]
        wanted = demand.gres_names
        flat.free_gres = {kind: free[_GRES + i, places] for i, kind in enumerate(self.kinds) if kind[0] in wanted}
        for name in ("threads", "cores", "sockets", "memory", "cpus"):
            setattr(flat, name, getattr(self.table, name)[row])
        if demand.user >= 0:
            demand = msgspec.structs.replace(demand, user=-1)
        tasks = task_capacity(flat, demand, np.ones(len(places), np.bool_))
        return Capacity(row, self.lines.times[places], self.lines.ends(places), tasks)

    def at(self, start: float, end: float, rows: IntColumn) -> NodeTable:
        """A table of what is free all the time between, in these rows."""
        view = derived(self.table)
        least = self.lines.least(rows, start, end)
        for name, line in (("free_cpus", _CPUS), ("free_memory", _MEMORY), ("jobs", _JOBS)):
            column = np.zeros(len(self.table), np.int64)
            column[rows] = -least[line] if line == _JOBS else least[line]
            setattr(view, name, column)
        view.free_gres = {}
        for number, kind in enumerate(self.kinds):
            column = view.free_gres[kind] = np.zeros(len(self.table), np.int64)
            column[rows] = least[_GRES + number]
        if self.busy_first:
            view.weight = self.table.weight * 2 + (self.table.jobs == 0)
        view.cpu_masks = Lazy(lambda row: lowest(self._cpu_mask(row, start), int(view.free_cpus[row])))
        view.gres_masks = Lazy(lambda row: trimmed(view, row, self._gres_masks(row, start)))
        view._by_socket, view._stale = None, set()
        return view

    def beside(self, end: float) -> NodeTable:
        """A table of what may be taken from now until then. It is the same for all ends before which the same plans begin."""
        at = bisect.bisect_left(self._plan_starts, end)
        last = self._plan_starts[at - 1] if at else self.now
        view = self._views.get(last)
        if view is None:
            view = self._views[last] = _View(self)
        if view.moment != self._moment:
            self._refresh(view, end)
        return view.table

    def beside_in(self, other: NodeTable, end: float) -> NodeTable:
        """Likewise, were this table the true one, in which some jobs have gone: they do not go once more at their limits.

        Until something is planned for a node, it has what the other table says; from then on, what it will have anyhow.
        """
        start = np.full(len(other), FOREVER)
        for begins, _, planned in self.plans:
            start[planned] = np.minimum(start[planned], begins)
        rows = np.flatnonzero(start < end)
        if not len(rows):
            return other
        view = derived(other)
        least = self.lines.least(rows, start[rows][:, None], end)
        for name, line in (("free_cpus", _CPUS), ("free_memory", _MEMORY)):
            column = getattr(other, name).copy()
            column[rows] = np.minimum(column[rows], least[line])
            setattr(view, name, column)
        view.jobs = other.jobs.copy()
        view.jobs[rows] = np.maximum(view.jobs[rows], -least[_JOBS])
        view.free_gres = {kind: column.copy() for kind, column in other.free_gres.items()}
        for number, kind in enumerate(self.kinds):
            view.free_gres[kind][rows] = np.minimum(view.free_gres[kind][rows], least[_GRES + number])
        view.cpu_masks = Lazy(lambda row: lowest(other.cpu_masks[row], int(view.free_cpus[row])))
        view.gres_masks = Lazy(lambda row: trimmed(view, row, other.gres_masks[row]))
        view._by_socket, view._stale = None, set()
        return view

    def _refresh(self, view: "_View", end: float) -> None:
        table, true = view.table, self.table
        rows = (self.has_plans if view.moment < 0 else self._changed > view.moment).nonzero()[0]
        is_planned = self.has_plans[rows]
        here = rows[~is_planned]  # what is free now will be until somebody begins
        if len(here):
            for name in ("free_cpus", "free_memory", "jobs"):
                getattr(table, name)[here] = getattr(true, name)[here]
            for kind in self.kinds:
                table.free_gres[kind][here] = true.free_gres[kind][here]
        rows = rows[is_planned]
        if len(rows):
            least = self.lines.least(rows, self.now, end)
            table.free_cpus[rows], table.free_memory[rows] = least[_CPUS], least[_MEMORY]
            table.jobs[rows] = -least[_JOBS]
            for number, kind in enumerate(self.kinds):
                table.free_gres[kind][rows] = least[_GRES + number]
        view.cpu_masks.forget()
        view.gres_masks.forget()
        table._by_socket = None
        view.moment = self._moment

    def planned_rows(self, start: float, end: float) -> BoolColumn:
        """Rows of which something is planned for between then and then."""
        found: BoolColumn = np.zeros(len(self.table), np.bool_)
        for begins, over, rows in self.plans:
            if begins < end and start < over:
                found[rows] = True
        return found

    # -- ids

    def _cpu_mask(self, row: int, time: float) -> int:
        mask, others = 0, 0
        for end, share in self._on(row):
            if end <= time:
                mask |= mask_of(share.cpus)
            else:
                others |= mask_of(share.cpus)
        return self.table.cpu_masks[row] | mask & ~others

    def _gres_masks(self, row: int, time: float) -> dict[GresKind, int]:
        masks = dict(self.table.gres_masks[row])
        for end, share in self._on(row):
            for gres in share.gres if end <= time else ():
                kind = (gres.name, gres.type)
                if gres.milli:
                    kind = ("gpu", gres.type)
                    gone = [unit for unit in gres.indices if self.shared_until.get((row, unit), end) <= time]
                    masks[kind] = masks.get(kind, 0) | mask_of(gone) & self.table.all_gres[row].get(kind, 0)
                elif kind in masks:
                    masks[kind] |= mask_of(gres.indices) & self.table.all_gres[row][kind]
        return masks

    def _on(self, row: int) -> list[tuple[float, NodeShare]]:
        """What runs there."""
        if self._by_node is None:
            self._by_node = {}
            for end, allocation in self.owners.values():
                for share in allocation.nodes:
                    self._by_node.setdefault(share.node, []).append((end, share))
        return self._by_node.get(self.table.names[row], [])


class Capacity(NamedTuple):
    """By row, then by time: from when, until when, and how many tasks have room."""

    row: IntColumn
    start: Times
    end: Times
    tasks: IntColumn


class _View:
    """A table for starts now: what of the true one is not planned for until some time."""

    def __init__(self, times: Timetable) -> None:
        true = times.table
        table = self.table = derived(true)
        for name in ("free_cpus", "free_memory", "jobs"):
            setattr(table, name, getattr(true, name).copy())
        table.free_gres = {kind: column.copy() for kind, column in true.free_gres.items()}
        self.cpu_masks = table.cpu_masks = Lazy(lambda row: lowest(true.cpu_masks[row], int(table.free_cpus[row])))
        self.gres_masks = table.gres_masks = Lazy(lambda row: trimmed(table, row, true.gres_masks[row]))
        table._stale = set()
        self.moment = -1  #: of which it is; -1 = what is planned has not been looked at


class Lazy(list[T]):
    """Items that are worked out when they are asked for: few of them are."""

    def __init__(self, source: Callable[[int], T]) -> None:
        super().__init__()
        self._source, self._known = source, dict[int, T]()

    def __getitem__(self, row):  # type: ignore[no-untyped-def]  # only single items are asked for
        found = self._known.get(row)
        if found is None:
            found = self._known[row] = self._source(row)
        return found

    def __setitem__(self, row, value):  # type: ignore[no-untyped-def]  # likewise
        self._known[row] = value

    def copy(self) -> "Lazy[T]":
        other = Lazy(self._source)
        other._known = self._known.copy()
        return other

    def forget(self) -> None:
        self._known.clear()


def derived(table: NodeTable) -> NodeTable:
    """Of the same nodes; its columns are to be replaced."""
    other = NodeTable.__new__(NodeTable)
    other.__dict__.update(table.__dict__)
    return other


def trimmed(table: NodeTable, row: int, masks: dict[GresKind, int]) -> dict[GresKind, int]:
    """As many units as the columns say are free."""
    return {kind: lowest(mask, int(table.free_gres[kind][row])) for kind, mask in masks.items()}


def lowest(mask: int, count: int) -> int:
    """So many of the bits, the lowest."""
    surplus = mask.bit_count() - max(0, count)
    while surplus > 0:
        mask &= ~(1 << (mask.bit_length() - 1))
        surplus -= 1
    return mask
