"""Under which switches does a job run?

As with Slurm's topology/tree: under the lowest switch that has enough; where that is no leaf, on as few leaves as possible, the
largest first, and at the end the smallest that has the rest.
"""

from collections.abc import Callable, Iterator

import numpy as np

from corral.scheduler.demand import Demand
from corral.scheduler.nodetable import BoolColumn, IntColumn, NodeTable
from corral.scheduler.wanted import Wanted

#: Who must be among them when it is to be these rows.
Within = Callable[[IntColumn, int], Wanted | None]
Pick = Callable[[NodeTable, Demand, IntColumn, IntColumn, Wanted], list[int] | None]

#: More leaves than there are.
_ANY = 1 << 30


def choose(
    table: NodeTable, demand: Demand, capacity: IntColumn, order: IntColumn, wanted: Wanted, within: Within, pick: Pick
) -> list[int] | None:
    """Rows in node order, on at most as many leaves as the job wants."""
    most = demand.switches or _ANY
    numbers = table.leaves().of_row
    for under in _switches(table, capacity, order, wanted):
        at = numbers[order]
        inside = order[under[at] & (at >= 0)]
        found = within(inside, len(order))
        if found is None:
            continue
        if np.count_nonzero(under) > 1:
            rows = _few_leaves(capacity, inside, numbers, found)
        else:
            rows = in_front(inside, found.required)
        picked = pick(table, demand, capacity, rows, found)
        if picked is not None and len({int(numbers[row]) for row in picked}) <= most:
            return sorted(picked)
    if demand.switches:
        return None
    found = within(order, len(order))  # over trees that nothing connects
    picked = pick(table, demand, capacity, in_front(order, found.required), found) if found is not None else None
    return sorted(picked) if picked is not None else None


def in_front(rows: IntColumn, required: list[int]) -> IntColumn:
    """The rows with these before the others."""
    if not required:
        return rows
    ahead = np.array(required, np.int64)
    return np.concatenate([ahead, rows[~np.isin(rows, ahead)]])


def _switches(table: NodeTable, capacity: IntColumn, order: IntColumn, wanted: Wanted) -> Iterator[BoolColumn]:
    """For each switch that may have enough which leaves are under it: the lowest switches first, of those the smallest."""
    leaves = table.leaves()
    at_leaf = leaves.of_row[order]
    known = at_leaf >= 0
    nodes = np.bincount(at_leaf[known], minlength=leaves.count)
    tasks = np.bincount(at_leaf[known], weights=capacity[order][known].astype(float), minlength=leaves.count)
    found = leaves.under @ nodes
    able = (found >= wanted.least) & (leaves.under @ tasks >= wanted.ntasks)
    for row in wanted.required:
        able &= leaves.under[:, leaves.of_row[row]] if leaves.of_row[row] >= 0 else False
    switches = np.flatnonzero(able)
    ranked = np.lexsort((switches, found[switches], leaves.levels[switches], found[switches] < wanted.count))
    return (leaves.under[switch] for switch in switches[ranked])


def _few_leaves(capacity: IntColumn, order: IntColumn, numbers: IntColumn, wanted: Wanted) -> IntColumn:
    """The rows leaf by leaf: those of required ones, then the largest until one has all that is missing; of those the smallest."""
    at = numbers[order]
    count = int(at.max()) + 1
    nodes = np.bincount(at, minlength=count)
    tasks = np.bincount(at, weights=capacity[order].astype(float), minlength=count)
    ranked = np.lexsort((np.arange(count), -tasks, -nodes))
    begun = np.isin(ranked, numbers[wanted.required]) if wanted.required else np.zeros(count, np.bool_)
    taken = list(ranked[begun])
    left = ranked[~begun]
    left = left[nodes[left] > 0]
    missing = wanted.count - int(nodes[taken].sum()), wanted.ntasks - float(tasks[taken].sum())
    while len(left) and (missing[0] > 0 or missing[1] > 0):
        enough = left[(nodes[left] >= missing[0]) & (tasks[left] >= missing[1])]
        leaf = left[0]
        if len(enough):  # the first of the smallest
            same = (nodes[enough] == nodes[enough[-1]]) & (tasks[enough] == tasks[enough[-1]])
            leaf = enough[same][0]
        taken.append(leaf)
        left = left[left != leaf]
        missing = missing[0] - int(nodes[leaf]), missing[1] - float(tasks[leaf])
    rank = np.full(count, count, np.int64)
    rank[np.array(taken, np.int64)] = np.arange(len(taken))
    rows = order[np.argsort(rank[at], kind="stable")]
    rows = rows[rank[numbers[rows]] < count]
    return in_front(rows, wanted.required)
