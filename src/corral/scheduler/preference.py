"""Which nodes does a job rather have than others, when all of them have room?

A node's keys are numbers, the most important first: its weight, what goes lost on it (fragments, free GPUs), what is free of its CPUs;
then its place in the order of names. The least are taken. Mostly it is only asked which so many are the foremost, and that is far
cheaper than the whole order.
"""

import numpy as np

from corral.scheduler import fragmentation
from corral.scheduler.columns import IntColumn
from corral.scheduler.demand import Demand
from corral.scheduler.nodetable import NodeTable
from corral.scheduler.popular import Scores, cpus_on_a_node, need_of

Key = IntColumn | Scores


def keys(table: NodeTable, demand: Demand, candidates: IntColumn, strategy: str) -> list[Key]:
    """Of these rows."""
    weight, free_cpus = table.weight[candidates], table.free_cpus[candidates]
    if strategy == "fragmentation":
        grown = _grown(table, demand, candidates)
        if grown is not None:
            return [weight, grown, free_cpus]
        strategy = "pack"
    # A job without GPUs goes where few GPUs are free, so that whole ones stay for those who need them.
    gpus = table.gres_column("gpu")[candidates] if table.total_gres else np.zeros(len(candidates), np.int64)
    return [weight, gpus, free_cpus] if strategy == "pack" else [weight, -gpus, -free_cpus]


def _grown(table: NodeTable, demand: Demand, candidates: IntColumn) -> Scores | None:
    """How much the usual GPU jobs lose; None = whole nodes leave no fragments."""
    if table.gpus is None or not table.popular or demand.exclusive:
        return None
    need = need_of(demand)
    if need is None:
        return fragmentation.beside_gpus(table, table.gpus, candidates, cpus_on_a_node(demand))
    if need.gpus >= table.gpus.free.shape[1]:
        return None
    return fragmentation.growth(table, need, candidates)


def in_order(candidates: IntColumn, keys: list[Key]) -> IntColumn:
    """All of them, the preferred first."""
    order: IntColumn = candidates
    for key in reversed(keys):  # from the least to the most important, each keeps the order before it
        order = _sorted_by(key, candidates, order)
    return order


def foremost(candidates: IntColumn, keys: list[Key], count: int) -> IntColumn:
    """The first so many of that order, by row."""
    at = np.arange(len(candidates))  #: among whom there still are some to be taken
    taken: list[IntColumn] = []
    for key in keys:
        if len(at) <= count:
            break
        here = key[at]
        last = here.min() if count == 1 else np.partition(here, count - 1)[count - 1]
        before = here < last
        if before.any():
            taken.append(at[before])
            count -= len(taken[-1])
        at = at[here == last]
    taken.append(at[:count])
    found: IntColumn = candidates[np.sort(np.concatenate(taken)) if len(taken) > 1 else taken[0]]
    return found


def _sorted_by(key: Key, rows: IntColumn, order: IntColumn) -> IntColumn:
    """These rows by their keys; `order` is how they stand now. Small numbers are sorted digit by digit."""
    if not len(key) or (low := key.min()) == (high := key.max()):
        return order
    if order is not rows:
        place = np.zeros(int(rows[-1]) + 1, np.int64)
        place[rows] = np.arange(len(rows))
        key = key[place[order]]
    is_small = key.dtype == np.int64 and low >= -(1 << 15) and high < 1 << 15
    found: IntColumn = order[np.argsort(key.astype(np.int16) if is_small else key, kind="stable")]
    return found
