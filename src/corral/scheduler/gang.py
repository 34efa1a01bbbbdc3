"""When do the components of a heterogeneous job start? All at once, or not at all.

A place is sought for one after the other in what is left beside those before; what was taken is given back when one finds none. A planned
start is the earliest moment found at which all of them fit beside what is planned already.
"""

from typing import NamedTuple

import numpy as np

from corral.model.allocation import Allocation
from corral.scheduler.backfill import Planned, Planner, is_countable, thinned
from corral.scheduler.demand import Demand
from corral.scheduler.nodetable import BoolColumn


class Part(NamedTuple):
    """A component in one of its partitions: what it asks for, where it may run, and for how long."""

    demand: Demand
    rows: BoolColumn
    span: float


def plan(planner: Planner, parts: list[Part], latest: float, since: float = 0.0) -> list[Planned] | None:
    """The earliest start found for all of them, which nobody after them can have any more; None = there is none until then."""
    since = max(since, planner.now)
    moments = np.unique(
        np.concatenate([planner.openings(part.demand, part.rows, part.span, since).moments for part in parts])
    )
    for start in thinned(moments):
        if start > latest:
            break
        found = _place_all(planner, parts, start, apart=True) or _place_all(planner, parts, start, apart=False)
        if found is not None:
            planned = [
                Planned(start, start + part.span, allocation) for part, allocation in zip(parts, found, strict=True)
            ]
            for part, one in zip(parts, planned, strict=True):
                planner.keep(one, part.demand)
            return planned
    return None


def _place_all(planner: Planner, parts: list[Part], start: float, apart: bool) -> list[Allocation] | None:
    """`apart`: no two of them on one node. Each is held while places are sought for those after it."""
    found: list[Allocation] = []
    table = planner.times.table
    taken: BoolColumn = np.zeros(len(table), np.bool_)
    whole: BoolColumn = np.zeros(len(table), np.bool_)
    for part in parts:
        rows = part.rows & ~taken if apart else part.rows & ~whole
        if not is_countable(part.demand):
            rows = rows & ~taken
        allocation = planner.fit(part.demand, rows, start, part.span)
        if allocation is None:
            break
        planner.times.hold(allocation, start, start + part.span)
        found.append(allocation)
        at = [table.index[name] for name in allocation.node_names]
        taken[at] = True
        if not is_countable(part.demand):
            whole[at] = True
    for part, allocation in zip(parts, found, strict=False):
        planner.times.hold(allocation, start, start + part.span, -1)
    return found if len(found) == len(parts) else None
