"""What does a job get: which nodes, how many tasks on each, and what of each?"""

import hashlib

import msgspec

from corral.model.allocation import Allocation, NodeShare
from corral.model.gres import GresRequest, GresShare
from corral.scheduler import binding
from corral.scheduler.choice import choose_rows
from corral.scheduler.demand import ALL_MEMORY, Demand
from corral.scheduler.feasibility import (
    free_cpus,
    free_units,
    on_sockets,
    parsed,
    rows_with,
    task_capacity,
    tasks_in,
    threads_lent,
)
from corral.scheduler.nodetable import BoolColumn, IntColumn, NodeTable, ids_of
from corral.syntax import features


def place(table: NodeTable, demand: Demand, rows: BoolColumn, strategy: str = "pack") -> Allocation | None:
    """The nodes, tasks, cores and GPUs for one job out of what is free in `rows`; None when it does not fit now."""
    if "[" in demand.constraint:
        for one in features.alternatives(parsed(demand.constraint)):
            text = features.format_features(one)
            found = _place(
                table, msgspec.structs.replace(demand, constraint=text), rows & rows_with(table, one), strategy
            )
            if found is not None:
                return found
        return None
    return _place(table, demand, rows, strategy)


def _place(table: NodeTable, demand: Demand, rows: BoolColumn, strategy: str) -> Allocation | None:
    """CPUs that nobody has before those that others share."""
    if demand.sharers:
        own = _place_in(table, msgspec.structs.replace(demand, sharers=0), rows, strategy)
        if own is not None:
            return msgspec.structs.replace(own, sharers=demand.sharers)
    return _place_in(table, demand, rows, strategy)


def _place_in(table: NodeTable, demand: Demand, rows: BoolColumn, strategy: str) -> Allocation | None:
    capacity = task_capacity(table, demand, rows)
    strategy = "spread" if demand.spread else strategy
    while True:
        chosen = choose_rows(table, demand, capacity, strategy)
        if chosen is None:
            return None
        shares = fill(table, demand, capacity, chosen, strategy)
        if not isinstance(shares, int):
            return allocation_of(demand, tuple(shares))
        capacity[shares] = 0  # the columns promised more than the very units hold: do without that node


def allocation_of(demand: Demand, shares: tuple[NodeShare, ...]) -> Allocation:
    """What the job gets, when it gets these."""
    counts = demand.ntasks is None or demand.tasks_per_node
    return Allocation(
        nodes=shares,
        partition=demand.partition,
        ntasks=sum(share.tasks for share in shares) if counts else demand.ntasks or 1,
        cpus_per_task=demand.cpus_per_task,
        exclusive=demand.exclusive,
        user=demand.user,
        only_user=demand.only_user,
        sharers=demand.sharers,
        owner=demand.owner,
    )


#: So many answers are remembered until a node changes.
MAX_REMEMBERED = 20_000


def fits_when_empty(table: NodeTable, demand: Demand, rows: BoolColumn) -> bool:
    """Would it fit in these rows, were nothing running? Asked again and again, so the answer is remembered."""
    empty = table.emptied()
    question = (demand, hashlib.blake2b(rows.tobytes(), digest_size=16).digest())
    answer = empty.remembered.get(question)
    if answer is None:
        if len(empty.remembered) >= MAX_REMEMBERED:
            empty.remembered.clear()
        answer = empty.remembered[question] = place(empty, demand, rows) is not None
    return bool(answer)


def fill(
    table: NodeTable, demand: Demand, capacity: IntColumn, chosen: list[int], strategy: str = "pack"
) -> list[NodeShare] | int:
    """What each of these rows gives; or the row that can't give its part."""
    tasks = spread_tasks(table, demand, capacity, chosen)
    totals = spread_total_gres(table, demand, chosen)
    if totals is None:
        return chosen[-1]
    if demand.tasks_per_gpu and demand.gres_total:
        tasks = [demand.tasks_per_gpu * sum(request.count for request in extra) for extra in totals]
    shares = []
    known: dict[object, NodeShare] = {}  # most nodes of a large job are alike
    are_alike = len(chosen) > 1 and not demand.sharers and not demand.share and demand.cpus_limit is None
    for row, count, extra in zip(chosen, tasks, totals, strict=True):
        gres = table.gres_masks[row]
        kind = (
            (count, table.cpu_masks[row], tuple(gres.items()) if gres else (), tuple(extra) if extra else (), table.kinds[row])
            if are_alike else row
        )  # fmt: skip
        share = known.get(kind)
        if share is None or (share.memory_mb and share.memory_mb > table.free_memory[row]):
            share = node_share(table, demand, row, count, extra, strategy)
            if share is None:
                return row
            known[kind] = share
        else:
            share = NodeShare(
                node=table.names[row], cpus=share.cpus, memory_mb=share.memory_mb, gres=share.gres, tasks=count,
                threads=share.threads, usable=share.usable,
            )  # fmt: skip
        shares.append(share)
    return shares


def spread_tasks(table: NodeTable, demand: Demand, capacity: IntColumn, rows: list[int]) -> list[int]:
    """Block fill as the real one's: each node lends all it can, but one task is kept for each later node; the tasks then go round
    the nodes, each as far as its whole cores have room."""
    if demand.ntasks is None:
        return [1] * len(rows)
    if demand.tasks_per_node:
        return [demand.tasks_per_node] * len(rows)
    if demand.tasks_on:
        named = dict(zip(demand.nodelist, demand.tasks_on, strict=True))
        return [named[table.names[row]] for row in rows]
    left = max(demand.ntasks, len(rows))
    if demand.overcommit:
        each, more = divmod(left, len(rows))
        return [each + (1 if i < more else 0) for i in range(len(rows))]
    tasks = []
    later = len(rows)
    for room in capacity[rows].tolist():
        later -= 1
        count = max(1, min(room, left - later))
        tasks.append(count)
        left -= count
    if len(rows) > 1 and (table.threads[rows] > 1).any():
        return _round_robin(
            max(demand.ntasks, len(rows)),
            [_room_of(table, demand, row, n, int(capacity[row])) for row, n in zip(rows, tasks, strict=True)],
        )
    return tasks


def _room_of(table: NodeTable, demand: Demand, row: int, tasks: int, most: int) -> int:
    """So many tasks have room in the cores that this many need; never more than the node takes at all."""
    threads = threads_lent(table, demand, row)
    return max(tasks, min(most, tasks_in(demand, binding.cores_needed(demand, tasks, 0, threads), threads)))


def _round_robin(ntasks: int, room: list[int]) -> list[int]:
    """One after another to each that has room: full rounds at once."""
    tasks = [0] * len(room)
    while ntasks:
        open_ones = [i for i, most in enumerate(room) if tasks[i] < most]
        rounds = min(min(room[i] - tasks[i] for i in open_ones), ntasks // len(open_ones))
        for i in open_ones if rounds else open_ones[:ntasks]:
            tasks[i] += rounds or 1
        ntasks -= rounds * len(open_ones) if rounds else ntasks
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


def node_share(
    table: NodeTable, demand: Demand, row: int, tasks: int, extra: list[GresRequest], strategy: str = "pack"
) -> NodeShare | None:
    """The very cores and units on one node."""
    requests = list(demand.gres_per_node) + extra
    requests += [GresRequest(r.name, r.type, r.count * max(1, demand.geometry.sockets)) for r in on_sockets(demand)]
    requests += [GresRequest(r.name, r.type, r.count * tasks) for r in demand.gres_per_task]
    threads = threads_lent(table, demand, row)
    cpus: tuple[int, ...] | None
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
        if demand.share is not None:
            part = binding.choose_share(table, row, demand, demand.share, strategy)
            if part is None:
                return None
            gres = (*gres, part)
        gpus = sum(len(g.indices) for g in gres if g.name == "gpu")
        counted = 0 if demand.overcommit else tasks
        least = max(demand.cpus_per_node, demand.cpus_per_task if demand.overcommit else 0)
        if demand.cpus_per_gpu:
            counted = counted if demand.ntasks else 0
            least = max(least, demand.cpus_per_gpu * gpus)
        cores = binding.cores_needed(demand, counted, least, threads)
        cpus = binding.choose_cpus(table, row, demand, counted, cores, threads, gres)
        if cpus is None:
            return None
        if demand.cpus_limit is not None and len(cpus) > free_cpus(table, demand)[row]:
            return None
    width = table.layouts[row][2]
    lent = min(width, demand.geometry.threads or width)
    usable = len(cpus) // width * lent if lent < width else 0
    if demand.memory_per_node_mb == ALL_MEMORY:
        memory = int(table.memory[row])
    elif demand.memory_per_cpu_mb:
        memory = demand.memory_per_cpu_mb * (usable or len(cpus))
    elif demand.memory_per_gpu_mb:
        memory = demand.memory_per_gpu_mb * sum(len(g.indices) for g in gres if g.name == "gpu")
    else:
        memory = demand.memory_per_node_mb
    if memory > table.free_memory[row]:
        return None
    return NodeShare(
        node=table.names[row], cpus=cpus, memory_mb=memory, gres=gres, tasks=tasks, threads=width, usable=usable
    )
