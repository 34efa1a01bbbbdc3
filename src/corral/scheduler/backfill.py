"""When may a later job start without delaying an earlier one?

Theory: a waiting job that does not fit gets a planned start, the earliest moment at which, with all running and planned work gone
by its limit, it fits; and the nodes that it will have then. A later job may start now if it ends before that moment, or if it keeps
off those nodes. So no planned start is ever delayed by what is backfilled, at the price of some holes unused.
"""

from corral.scheduler.demand import Demand
from corral.scheduler.nodetable import BoolColumn, NodeTable
from corral.scheduler.placement import place
from corral.scheduler.snapshot import RunningJob
from corral.syntax import hostlist


def planned_start(
    table: NodeTable, demand: Demand, rows: BoolColumn, running: list[RunningJob], now: float, strategy: str
) -> tuple[float, tuple[str, ...]] | None:
    """The earliest (time, nodes) for a job that does not fit now; None when it does not even when all others are gone.

    What fits at one moment fits at every later one, as nothing new is placed in between: so the step doubles until it fits, and
    the last stretch is halved.
    """
    ends = sorted(running, key=lambda job: (job.ends, job.id))
    done, stride = 0, 1
    future = table.copy()
    while done < len(ends):
        upto = min(done + stride, len(ends))
        later = future.copy()
        for job in ends[done:upto]:
            later.give_back(job.id)
        allocation = place(later, demand, rows, strategy)
        if allocation is None:
            future, done, stride = later, upto, stride * 2
        elif upto - done == 1:
            return max(now, ends[upto - 1].ends), allocation.node_names
        else:
            stride = (upto - done) // 2
            ends = ends[:upto]
    return None


def folded(names: tuple[str, ...]) -> str:
    """As squeue shows planned nodes."""
    return hostlist.fold(list(names))
