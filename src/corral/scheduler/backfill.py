"""When may a later job start without delaying an earlier one?

Theory: a waiting job that does not fit gets a planned start, the earliest moment at which, with all running and planned work gone
by its limit, it fits; and the nodes that it will have then. A later job may start now if it ends before that moment, or if it keeps
off those nodes. So no planned start is ever delayed by what is backfilled, at the price of some holes unused.
"""

from corral.model.job import UNLIMITED
from corral.scheduler.demand import Demand
from corral.scheduler.nodetable import BoolColumn, NodeTable
from corral.scheduler.placement import place
from corral.scheduler.snapshot import RunningJob
from corral.syntax import hostlist


def planned_start(
    table: NodeTable, demand: Demand, rows: BoolColumn, running: list[RunningJob], now: float, strategy: str
) -> tuple[float, tuple[str, ...]] | None:
    """The earliest (time, nodes) for a job that does not fit now; None when even an empty cluster (of usable nodes) is too small.

    Bisection over the sorted ends: what fits at one moment fits at every later one, as nothing new is placed in between.
    """
    ends = [job for job in sorted(running, key=lambda job: (job.ends, job.id)) if job.ends < now + UNLIMITED / 2]
    low, high = 0, len(ends)
    found: tuple[float, tuple[str, ...]] | None = None
    while low < high:
        middle = (low + high) // 2
        future = table.copy()
        for job in ends[: middle + 1]:
            future.give_back(job.id)
        allocation = place(future, demand, rows, strategy)
        if allocation is None:
            low = middle + 1
        else:
            found = (max(now, ends[middle].ends), allocation.node_names)
            high = middle
    return found


def folded(names: tuple[str, ...]) -> str:
    """As squeue shows planned nodes."""
    return hostlist.fold(list(names))
