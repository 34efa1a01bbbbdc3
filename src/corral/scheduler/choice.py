"""Which of the nodes that have room does a job get?

The fewest for its tasks; among equals the fullest (pack) or the emptiest (spread), then the lowest name. What the user says of the
nodes together (names, counted features, neighbourhood, switches) comes before that: some nodes are required, and the others follow
in the order of preference.
"""

import numpy as np

from corral.scheduler import preference, topology
from corral.scheduler.demand import Demand
from corral.scheduler.feasibility import MANY, free_units, parsed, rows_with
from corral.scheduler.nodetable import IntColumn, NodeTable
from corral.scheduler.wanted import Wanted
from corral.syntax import features


def choose_rows(table: NodeTable, demand: Demand, capacity: IntColumn, strategy: str) -> list[int] | None:
    """Rows in node order; None when there are none that will do."""
    candidates = (capacity > 0).nonzero()[0]
    if len(candidates) < demand.nodes_min:
        return None
    if demand.overcommit:
        capacity = np.where(capacity > 0, MANY, 0)
    named = [table.index.get(name, -1) for name in demand.nodelist]
    if any(row < 0 or capacity[row] < 1 for row in named):
        return None
    if any(capacity[row] < tasks for row, tasks in zip(named, demand.tasks_on, strict=False)):
        return None
    wanted = Wanted(demand, named, len(candidates))
    if wanted.most < wanted.least:
        return None
    if demand.contiguous:
        return _neighbours(table, demand, capacity, wanted)
    keys = preference.keys(table, demand, candidates, "spread" if demand.many_nodes else strategy)
    if _takes_any(table, demand):
        count = min(wanted.count, len(candidates))
        first: IntColumn = preference.foremost(candidates, keys, count)
        if count >= wanted.least and capacity[first].sum() >= wanted.ntasks:
            return first.tolist()  # type: ignore[no-any-return]
    order = preference.in_order(candidates, keys)

    def within(rows: IntColumn, count: int) -> Wanted | None:
        """Who must be among them when it is to be these rows; None when it can't be."""
        also = _required(table, demand, rows, named)
        found = Wanted(demand, named + also, count) if also is not None else None
        return found if found is not None and found.most >= found.least else None

    if table.topology is not None and not demand.many_nodes:
        return topology.choose(table, demand, capacity, order, wanted, within, pick)
    found = within(order, len(order))
    picked = (
        pick(table, demand, capacity, topology.in_front(order, found.required), found) if found is not None else None
    )
    return sorted(picked) if picked is not None else None


def _takes_any(table: NodeTable, demand: Demand) -> bool:
    """Does it want nothing of its nodes together?"""
    return not (
        table.topology is not None or demand.nodelist or demand.batch_features or demand.gres_total or "*" in demand.constraint
    )  # fmt: skip


def pick(table: NodeTable, demand: Demand, capacity: IntColumn, order: IntColumn, wanted: Wanted) -> list[int] | None:
    """Out of these rows, the preferred first and of those the required."""
    if demand.gres_total:
        return _pick_units(table, demand, capacity, order, wanted)
    picked = _pick(order, capacity, min(wanted.count, len(order)), wanted)
    if picked is None and wanted.count < wanted.most:
        picked = _pick_fewest(order, capacity, wanted)
    return picked if picked is not None and len(picked) >= wanted.least else None


# -- nodes that must be among them


def _required(table: NodeTable, demand: Demand, order: IntColumn, named: list[int]) -> list[int] | None:
    """Out of these rows the nodes for counted features, and one for the script, beside those that are named; None = there are none."""
    required: list[int] = []
    if "*" in demand.constraint:
        counted = _counted(table, demand, order, named)
        if counted is None:
            return None
        required += counted
    if demand.batch_features:
        fit = rows_with(table, parsed(demand.batch_features))
        if not any(fit[row] for row in named + required):
            able = order[fit[order]]
            if not len(able):
                return None
            required.append(int(able[0]))
    return required


def _counted(table: NodeTable, demand: Demand, order: IntColumn, required: list[int]) -> list[int] | None:
    """a*2&b*1: so many for each term, the rarest term first; in brackets a node counts for one term only. Named nodes count too."""
    terms = features.counts(parsed(demand.constraint))
    rows = [(rows_with(table, term), count) for term, count in terms]
    rows.sort(key=lambda term: int(term[0][order].sum()))
    apart = "[" in demand.constraint
    named = set(required)
    taken: list[int] = []
    for fit, count in rows:
        if not apart:
            count -= sum(1 for row in taken if fit[row])
        able = [row for row in required if fit[row] and row not in taken]
        able += [row for row in order[fit[order]].tolist() if row not in taken and row not in named]
        if len(able) < count:
            return None
        taken += able[: max(0, count)]
    return sorted(set(taken) - named)


def _neighbours(table: NodeTable, demand: Demand, capacity: IntColumn, wanted: Wanted) -> list[int] | None:
    """Rows without a gap: as few as will do, the first of those."""
    tasks = np.concatenate([[0], np.cumsum(capacity)])
    there = np.concatenate([[0], np.cumsum(capacity > 0)])
    low, high = (min(wanted.required), max(wanted.required)) if wanted.required else (len(capacity), -1)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], capacity > 0, [False]]).astype(np.int8)))
    longest = int((edges[1::2] - edges[::2]).max(initial=0))
    least = -(-wanted.ntasks // max(1, int(capacity.max(initial=1))))
    up = range(max(wanted.count, least), min(wanted.most, longest) + 1)
    down = range(min(wanted.count - 1, longest), max(wanted.least, least) - 1, -1)
    for count in (*up, *down):
        starts = np.flatnonzero(
            (there[count:] - there[:-count] == count) & (tasks[count:] - tasks[:-count] >= wanted.ntasks)
        )
        for start in starts[(starts <= low) & (starts + count > high)].tolist():
            rows = list(range(start, start + count))
            if _is_satisfied(table, demand, rows):
                return rows
    return None


def _is_satisfied(table: NodeTable, demand: Demand, rows: list[int]) -> bool:
    """Do they have the features, together, and are they on as few switches as wanted?"""
    if (
        demand.switches
        and not demand.many_nodes
        and table.topology is not None
        and len({*table.leaves().of_row[rows].tolist()}) > demand.switches
    ):
        return False
    if "*" in demand.constraint and not features.satisfied(
        parsed(demand.constraint), [table.features[row] for row in rows]
    ):
        return False
    if not demand.batch_features:
        return True
    wanted = parsed(demand.batch_features)
    return any(features.matches(wanted, table.features[row]) for row in rows)


# -- of an order


def _pick(order: IntColumn, capacity: IntColumn, count: int, wanted: Wanted) -> list[int] | None:
    """`count` nodes that together take the tasks: the preferred ones, else the first large enough, else the largest."""
    required, ntasks = len(wanted.required), wanted.ntasks
    first_ones = order[:count]
    if capacity[first_ones].sum() >= ntasks:
        return [int(row) for row in first_ones]
    if count == 1 and not required:
        fits = order[capacity[order] >= ntasks]
        return [int(fits[0])] if len(fits) else None
    rest = order[required:]
    largest = rest[np.argsort(-capacity[rest], kind="stable")]
    picked = np.concatenate([order[:required], largest[: count - required]])
    return [int(row) for row in picked] if capacity[picked].sum() >= ntasks else None


def _pick_fewest(order: IntColumn, capacity: IntColumn, wanted: Wanted) -> list[int] | None:
    """The smallest number of nodes that takes the tasks."""
    required = len(wanted.required)
    rest = order[required:]
    ranked = np.concatenate([order[:required], rest[np.argsort(-capacity[rest], kind="stable")]])
    together = np.cumsum(capacity[ranked])
    enough = int(np.searchsorted(together, wanted.ntasks)) + 1
    count = max(enough, wanted.least)
    if count > min(wanted.most, len(ranked)):
        return None
    return [int(row) for row in ranked[:count]]


def _pick_units(
    table: NodeTable, demand: Demand, capacity: IntColumn, order: IntColumn, wanted: Wanted
) -> list[int] | None:
    """The fewest nodes that together take the tasks and have the units of --gpus, at least one each."""
    required = len(wanted.required)
    most = min(wanted.most, len(order), *(request.count for request in demand.gres_total))
    least = wanted.count if wanted.count <= most else wanted.least
    columns = [free_units(table, demand, request) for request in demand.gres_total]
    rest = order[required:]
    fullest = rest[np.argsort(-np.sum(columns, axis=0)[rest], kind="stable")]
    for ranked in (order, np.concatenate([order[:required], fullest])):
        enough = np.cumsum(capacity[ranked]) >= wanted.ntasks
        for request, column in zip(demand.gres_total, columns, strict=True):
            enough &= np.cumsum(column[ranked]) >= request.count
        counts = np.flatnonzero(enough) + 1
        counts = counts[(counts >= least) & (counts <= most)]
        if len(counts) and (ranked is not order or counts[0] == least):
            return [int(row) for row in ranked[: counts[0]]]
    return None
