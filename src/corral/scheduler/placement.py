"""Which nodes does a job get, and how many tasks on each?"""

import numpy as np

from corral.model.allocation import Allocation, NodeShare
from corral.model.gres import GresRequest, GresShare
from corral.scheduler import binding
from corral.scheduler.demand import ALL_MEMORY, Demand
from corral.scheduler.feasibility import MANY, free_cpus, free_units, task_capacity
from corral.scheduler.nodetable import BoolColumn, IntColumn, NodeTable, ids_of


def place(table: NodeTable, demand: Demand, rows: BoolColumn, strategy: str = "pack") -> Allocation | None:
    """The nodes, tasks, cores and GPUs for one job out of what is free in `rows`; None when it does not fit now."""
    capacity = task_capacity(table, demand, rows)
    strategy = "spread" if demand.spread else strategy
    while True:
        chosen = choose_rows(table, demand, capacity, strategy)
        if chosen is None:
            return None
        shares = fill(table, demand, capacity, chosen)
        if not isinstance(shares, int):
            return Allocation(
                nodes=tuple(shares),
                partition=demand.partition,
                ntasks=sum(share.tasks for share in shares)
                if demand.ntasks is None or demand.tasks_per_node
                else demand.ntasks,
                cpus_per_task=demand.cpus_per_task,
                exclusive=demand.exclusive,
                user=demand.user,
                only_user=demand.only_user,
            )
        capacity[shares] = 0  # the columns promised more than the very units hold: do without that node


#: So many answers are remembered until a node changes.
MAX_REMEMBERED = 20_000


def fits_when_empty(table: NodeTable, demand: Demand, rows: BoolColumn) -> bool:
    """Would it fit in these rows, were nothing running? Asked again and again, so the answer is remembered."""
    empty = table.emptied()
    question = (demand, rows.tobytes())
    answer = empty.remembered.get(question)
    if answer is None:
        if len(empty.remembered) >= MAX_REMEMBERED:
            empty.remembered.clear()
        answer = empty.remembered[question] = place(empty, demand, rows) is not None
    return bool(answer)


def fill(table: NodeTable, demand: Demand, capacity: IntColumn, chosen: list[int]) -> list[NodeShare] | int:
    """What each of these rows gives; or the row that can't give its part."""
    tasks = spread_tasks(demand, capacity, chosen)
    totals = spread_total_gres(table, demand, chosen)
    if totals is None:
        return chosen[-1]
    shares = []
    for row, count, extra in zip(chosen, tasks, totals, strict=True):
        share = node_share(table, demand, row, count, extra)
        if share is None:
            return row
        shares.append(share)
    return shares


def choose_rows(table: NodeTable, demand: Demand, capacity: IntColumn, strategy: str) -> list[int] | None:
    """Rows in node order. Fewest nodes for the tasks; among equals the fullest (pack) or the emptiest (spread), then the lowest name."""
    required = []
    for name in demand.nodelist:
        row = table.index.get(name)
        if row is None or capacity[row] < 1:
            return None
        required.append(row)
    candidates = (capacity > 0).nonzero()[0]
    if len(candidates) < demand.nodes_min:
        return None
    order = _preference(table, demand, candidates, strategy)
    if required:
        wanted = set(required)
        order = np.array(required + [row for row in order.tolist() if row not in wanted], np.int64)
    ntasks = demand.ntasks or demand.nodes_min
    if demand.overcommit:
        capacity = np.where(capacity > 0, MANY, 0)
    most = demand.nodes_max if demand.nodes_max is not None else len(order)
    if demand.nodes_limit is not None:
        most = min(most, demand.nodes_limit)
        if most < demand.nodes_min:
            return None
    if demand.nodes_max is not None and demand.nodes_max > demand.nodes_min:
        count = min(most, len(order))  # a range asks for as many nodes as there are, up to its end
    else:
        count = demand.nodes_min
    count = max(count, len(required))
    if demand.gres_total:
        picked = _pick_units(table, demand, order, capacity, count, most, ntasks, len(required))
        return sorted(picked) if picked is not None else None
    picked = _pick(order, capacity, count, ntasks, len(required))
    if picked is None and count < most:
        picked = _pick_fewest(order, capacity, demand.nodes_min, most, ntasks, len(required))
    if picked is None:
        return None
    return sorted(picked)


def _preference(table: NodeTable, demand: Demand, candidates: IntColumn, strategy: str) -> IntColumn:
    sign = 1 if strategy == "pack" else -1
    free_cpus = table.free_cpus[candidates] * sign
    gpus = table.gres_column("gpu")[candidates] * sign if table.total_gres else np.zeros(len(candidates), np.int64)
    weight = table.weight[candidates]
    # A job without GPUs goes where few GPUs are free, so that whole ones stay for those who need them.
    keys = (candidates, free_cpus, gpus, weight)
    order: IntColumn = candidates[np.lexsort(keys)]
    return order


def _pick(order: IntColumn, capacity: IntColumn, count: int, ntasks: int, required: int) -> list[int] | None:
    """`count` nodes that together take the tasks: the preferred ones, else the first large enough, else the largest."""
    if count > len(order):
        return None
    first = order[:count]
    if capacity[first].sum() >= ntasks:
        return [int(row) for row in first]
    if count == 1 and not required:
        fits = order[capacity[order] >= ntasks]
        return [int(fits[0])] if len(fits) else None
    rest = order[required:]
    largest = rest[np.argsort(-capacity[rest], kind="stable")]
    picked = np.concatenate([order[:required], largest[: count - required]])
    return [int(row) for row in picked] if capacity[picked].sum() >= ntasks else None


def _pick_fewest(
    order: IntColumn, capacity: IntColumn, least: int, most: int, ntasks: int, required: int
) -> list[int] | None:
    """The smallest number of nodes that takes the tasks."""
    rest = order[required:]
    ranked = np.concatenate([order[:required], rest[np.argsort(-capacity[rest], kind="stable")]])
    together = np.cumsum(capacity[ranked])
    enough = int(np.searchsorted(together, ntasks)) + 1
    count = max(enough, least, required)
    if count > min(most, len(ranked)):
        return None
    return [int(row) for row in ranked[:count]]


def _pick_units(
    table: NodeTable, demand: Demand, order: IntColumn, capacity: IntColumn, least: int, most: int, ntasks: int,
    required: int,
) -> list[int] | None:  # fmt: skip
    """The fewest nodes that together take the tasks and have the units of --gpus, at least one each."""
    most = min(most, len(order), *(request.count for request in demand.gres_total))
    if least > most and demand.nodes_max is not None and demand.nodes_max > demand.nodes_min:
        least = max(demand.nodes_min, required)
    columns = [free_units(table, demand, request) for request in demand.gres_total]
    rest = order[required:]
    fullest = rest[np.argsort(-np.sum(columns, axis=0)[rest], kind="stable")]
    for ranked in (order, np.concatenate([order[:required], fullest])):
        enough = np.cumsum(capacity[ranked]) >= ntasks
        for request, column in zip(demand.gres_total, columns, strict=True):
            enough &= np.cumsum(column[ranked]) >= request.count
        counts = np.flatnonzero(enough) + 1
        counts = counts[(counts >= least) & (counts <= most)]
        if len(counts) and (ranked is not order or counts[0] == least):
            return [int(row) for row in ranked[: counts[0]]]
    return None


def spread_tasks(demand: Demand, capacity: IntColumn, rows: list[int]) -> list[int]:
    """Block fill as the real one's: each node takes all it can, but one task is kept for each later node."""
    if demand.ntasks is None:
        return [1] * len(rows)
    if demand.tasks_per_node:
        return [demand.tasks_per_node] * len(rows)
    left = demand.ntasks
    if demand.overcommit:
        each, more = divmod(left, len(rows))
        return [each + (1 if i < more else 0) for i in range(len(rows))]
    tasks = []
    for position, row in enumerate(rows):
        later = len(rows) - position - 1
        count = max(1, min(int(capacity[row]), left - later))
        tasks.append(count)
        left -= count
    return tasks


def spread_total_gres(table: NodeTable, demand: Demand, rows: list[int]) -> list[list[GresRequest]] | None:
    """Where the units of --gpus=N go: each node at least one, then as many as it has."""
    extra: list[list[GresRequest]] = [[] for _ in rows]
    for request in demand.gres_total:
        free = free_units(table, demand, request)
        left = request.count
        if left < len(rows) or int(sum(free[row] for row in rows)) < left:
            return None
        for position, row in enumerate(rows):
            count = min(int(free[row]), left - (len(rows) - position - 1))
            if count > 0:
                extra[position].append(GresRequest(request.name, request.type, count))
                left -= count
        if left:
            return None
    return extra


def node_share(table: NodeTable, demand: Demand, row: int, tasks: int, extra: list[GresRequest]) -> NodeShare | None:
    """The very cores and units on one node."""
    requests = list(demand.gres_per_node) + extra
    requests += [GresRequest(r.name, r.type, r.count * tasks) for r in demand.gres_per_task]
    if demand.exclusive:
        gres = tuple(
            GresShare(name, type, ids_of(mask)) for (name, type), mask in table.gres_masks[row].items() if mask
        )
        cpus = ids_of(table.cpu_masks[row])
    else:
        chosen = binding.choose_gres(table, row, tuple(requests)) if requests else ()
        if chosen is None:
            return None
        gres = chosen
        gpus = sum(len(g.indices) for g in gres if g.name == "gpu")
        count = tasks * demand.cpus_per_task
        if demand.overcommit:
            count = min(count, int(table.free_cpus[row]))
        if demand.cpus_per_gpu:
            count = max(count if demand.ntasks else 0, demand.cpus_per_gpu * gpus)
        if count > table.free_cpus[row]:
            return None
        cpus = binding.choose_cpus(table, row, count)
        if demand.cpus_limit is not None and len(cpus) > free_cpus(table, demand)[row]:
            return None
    if demand.memory_per_node_mb == ALL_MEMORY:
        memory = int(table.memory[row])
    elif demand.memory_per_cpu_mb:
        memory = demand.memory_per_cpu_mb * len(cpus)
    elif demand.memory_per_gpu_mb:
        memory = demand.memory_per_gpu_mb * sum(len(g.indices) for g in gres if g.name == "gpu")
    else:
        memory = demand.memory_per_node_mb
    if memory > table.free_memory[row]:
        return None
    if demand.ntasks is None and (demand.exclusive or demand.cpus_per_gpu):
        tasks = max(1, len(cpus) // demand.cpus_per_task)
    return NodeShare(node=table.names[row], cpus=cpus, memory_mb=memory, gres=gres, tasks=tasks)
