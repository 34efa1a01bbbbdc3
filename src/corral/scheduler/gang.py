"""When do the components of a heterogeneous job start? All at once, or not at all.

A place is sought for one after the other in what is left beside those before; what was taken is given back when one finds none. A planned
start is the earliest moment found at which all of them fit on nodes that nobody else has planned.
"""

from typing import NamedTuple

import numpy as np

from corral.model.allocation import Allocation
from corral.scheduler import backfill
from corral.scheduler.demand import Demand
from corral.scheduler.nodetable import BoolColumn, NodeTable
from corral.scheduler.reservations import Reserved
from corral.scheduler.resources import place


class Part(NamedTuple):
    """A component in one of its partitions: what it asks for, where it may run, and for how long."""

    demand: Demand
    rows: BoolColumn
    span: float


def place_all(
    table: NodeTable, parts: list[Part], reserved: Reserved, start: float, strategy: str
) -> list[Allocation] | None:
    """In what is free, on nodes of their own if there are enough; the table is left as it was."""
    return _place_all(table, parts, reserved, start, strategy, apart=True) or _place_all(
        table, parts, reserved, start, strategy, apart=False
    )


def _place_all(
    table: NodeTable, parts: list[Part], reserved: Reserved, start: float, strategy: str, apart: bool
) -> list[Allocation] | None:
    found: list[Allocation] = []
    keys: list[int] = []
    taken: BoolColumn = np.zeros(len(table), np.bool_)
    for part in parts:
        kept = reserved.kept(part.demand, start, start + part.span) if reserved else ()
        rows = reserved.rows(part.demand, part.rows, kept) if reserved else part.rows
        rows = rows & ~taken
        view = reserved.view(part.demand, kept) if reserved else None
        allocation = None
        if not reserved or reserved.is_open(part.demand, start):
            allocation = place(table if view is None else view(table), part.demand, rows, strategy)
        if allocation is None:
            break
        key = -1_000_000_000 - len(keys)
        table.take(key, allocation)
        keys.append(key)
        found.append(allocation)
        if apart:
            taken[[table.index[name] for name in allocation.node_names]] = True
    for key in keys:
        table.give_back(key)
    return found if len(found) == len(parts) else None


def plan(
    timeline: backfill.Timeline,
    parts: list[Part],
    planned: list[backfill.Planned],
    reserved: Reserved,
    strategy: str,
    window: float,
) -> list[backfill.Planned] | None:
    """The earliest start found for all of them; None when there is none, or none within the window (0 = any time)."""
    if planned:
        taken = np.logical_or.reduce([other.rows for other in planned])
        parts = [part._replace(rows=part.rows & ~taken) for part in parts]
    latest = timeline.now + window if window else float("inf")
    begins = sorted({begin for part in parts for begin in reserved.begins(part.demand, timeline.now)})
    for number, begin in enumerate(begins):
        until = begins[number + 1] if number + 1 < len(begins) else float("inf")
        later = timeline.later(begin, None)
        moment = begin
        for _ in range(backfill.TRIES):
            found = _earliest(later, parts, reserved, moment, strategy)
            if found is None or found[0] >= until or found[0] > latest:
                break
            start, table, allocations = found
            if place_all(table, parts, reserved, start, strategy) is not None:
                return _planned(start, table, parts, allocations)
            moment = start
    return None


def _earliest(
    timeline: backfill.Timeline, parts: list[Part], reserved: Reserved, moment: float, strategy: str
) -> tuple[float, NodeTable, list[Allocation]] | None:
    """As the reservations are at that moment."""
    last: list[Allocation] = []

    def fits(table: NodeTable) -> Allocation | None:
        found = place_all(table.copy(), parts, reserved, moment, strategy)
        if found is None:
            return None
        last[:] = found
        return found[0]

    best = timeline.earliest(fits)
    if best is None:
        return None
    table = timeline.after(best[0]).copy()
    allocations = place_all(table, parts, reserved, moment, strategy)
    return None if allocations is None else (max(moment, timeline.time(best[0])), table, allocations)


def _planned(
    start: float, table: NodeTable, parts: list[Part], allocations: list[Allocation]
) -> list[backfill.Planned]:
    """Each knows what is left over beside all of them."""
    found = []
    for number, (part, allocation) in enumerate(zip(parts, allocations, strict=True)):
        beside = table.copy()
        for other, taken in enumerate(allocations):
            if other != number:
                beside.take(-2_000_000_000 - other, taken)
        found.append(backfill.Planned(start, start + part.span, allocation, part.demand, beside))
    return found
