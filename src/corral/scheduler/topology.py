"""Under which switches does a job run?

As with Slurm's topology/tree: under the lowest switch that has enough; where that is no leaf, on as few leaves as possible, the
largest first, and at the end the smallest that has the rest.
"""

from collections.abc import Callable

import numpy as np

from corral.scheduler.demand import Demand
from corral.scheduler.nodetable import IntColumn, NodeTable
from corral.scheduler.wanted import Wanted

Pick = Callable[[NodeTable, Demand, IntColumn, IntColumn, Wanted], list[int] | None]

#: More leaves than there are.
_ANY = 1 << 30


def choose(
    table: NodeTable, demand: Demand, capacity: IntColumn, order: IntColumn, wanted: Wanted, pick: Pick
) -> list[int] | None:
    """Rows in node order, on at most as many leaves as the job wants; `order` begins with the required ones."""
    most = demand.switches or _ANY
    numbers = table.leaves().of_row
    for leaves in _switches(table, capacity, order, wanted):
        inside = order[np.isin(numbers[order], leaves)]
        if len(leaves) > 1:
            inside = _few_leaves(capacity, inside, numbers, wanted)
        picked = pick(table, demand, capacity, inside, wanted)
        if picked is not None and len({int(numbers[row]) for row in picked}) <= most:
            return sorted(picked)
    if demand.switches:
        return None
    picked = pick(table, demand, capacity, order, wanted)  # over trees that nothing connects
    return sorted(picked) if picked is not None else None


def _switches(table: NodeTable, capacity: IntColumn, order: IntColumn, wanted: Wanted) -> list[tuple[int, ...]]:
    """The leaves of each switch that may have enough: the lowest switches first, of those the smallest."""
    known_leaves = table.leaves()
    numbers, count = known_leaves.of_row, known_leaves.count
    at_leaf = numbers[order]
    known = at_leaf >= 0
    nodes = np.bincount(at_leaf[known], minlength=count)
    tasks = np.bincount(at_leaf[known], weights=capacity[order][known].astype(float), minlength=count)
    required = {int(numbers[row]) for row in wanted.required}
    found = []
    for level, position, leaves in known_leaves.switches:
        index = list(leaves)
        if nodes[index].sum() >= wanted.least and tasks[index].sum() >= wanted.ntasks and required <= set(leaves):
            enough = nodes[index].sum() >= wanted.count
            found.append((not enough, level, int(nodes[index].sum()), position, leaves))
    return [entry[-1] for entry in sorted(found)]


def _few_leaves(capacity: IntColumn, order: IntColumn, numbers: IntColumn, wanted: Wanted) -> IntColumn:
    """The rows leaf by leaf: those of required ones, then the largest until one has all that is missing; of those the smallest."""
    left = order.tolist()
    groups: dict[int, list[int]] = {}
    for row in left:
        groups.setdefault(int(numbers[row]), []).append(row)
    found = list(wanted.required)
    begun = {int(numbers[row]) for row in found}
    for leaf in sorted(begun):
        found += [row for row in groups.pop(leaf, ()) if row not in set(wanted.required)]
    while groups:
        nodes = wanted.count - len(found)
        tasks = wanted.ntasks - int(capacity[found].sum()) if found else wanted.ntasks
        sizes = {leaf: (len(rows), int(capacity[rows].sum())) for leaf, rows in groups.items()}
        enough = [leaf for leaf, (n, t) in sizes.items() if n >= nodes and t >= tasks]
        if enough:
            leaf = min(enough, key=lambda one: (*sizes[one], one))
        else:
            leaf = max(groups, key=lambda one: (*sizes[one], -one))
        found += groups.pop(leaf)
    return np.array(found, np.int64)
