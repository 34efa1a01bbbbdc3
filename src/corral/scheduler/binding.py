"""Which cores and GPUs inside one node?

Whole cores are given, as by Slurm's CR_Core. They are taken task by task: the cores of one task from one socket if it has them, the
tasks round the sockets (cyclic, the default), or one socket after another (block).
"""

import functools

from corral.model.gres import GresRequest, GresShare, gpus_of
from corral.scheduler import fragmentation, gpulinks
from corral.scheduler.demand import ANY_CORES, Demand, Geometry
from corral.scheduler.feasibility import MANY
from corral.scheduler.nodetable import NodeTable, ids_of, whole_cores
from corral.scheduler.popular import need_of


def _is_alone(asked: Geometry, each: int) -> bool:
    """No task has a core together with another: each is one's own, or each socket is."""
    return each > 1 and (asked.tasks_per_core == 1 or asked.tasks_per_socket == 1)


def cores_needed(demand: Demand, tasks: int, cpus: int, threads: int) -> int:
    """Cores for so many tasks and at least so many CPUs, where each core lends so many threads."""
    each = demand.cpus_per_task
    if _is_alone(demand.geometry, each):
        return max(tasks * -(-each // threads), -(-cpus // threads))
    return -(-max(tasks * each, cpus) // threads)


def choose_cpus(
    table: NodeTable, row: int, demand: Demand, tasks: int, cores: int, threads: int, gres: tuple[GresShare, ...] = ()
) -> tuple[int, ...] | None:
    """The CPU ids of so many whole cores, all their threads; None when they are not free, or not where they may be."""
    mask = table.free_mask(row, demand.partition, demand.sharers)
    units = gpus_of(gres) if gres and demand.gres_flags != "disable-binding" else ()
    near = gpulinks.near_cpus(table.inventories[row].gres, units, table.layouts[row][2]) if units else 0
    if near:
        found = _cpus_in(table, row, demand, tasks, cores, threads, mask & near)
        if found is not None or demand.gres_flags == "enforce-binding":
            return found
    return _cpus_in(table, row, demand, tasks, cores, threads, mask)


def _cpus_in(
    table: NodeTable, row: int, demand: Demand, tasks: int, cores: int, threads: int, mask: int
) -> tuple[int, ...] | None:
    if cores == 1 and demand.geometry is ANY_CORES:  # the lowest one, as it would be chosen below
        width = table.layouts[row][2]
        free = whole_cores(mask, width)
        first = (free & -free).bit_length() - 1
        return tuple(range(first, first + width)) if free else None
    return _chosen(
        mask,
        table.layouts[row],
        demand.geometry,
        demand.cpus_per_task,
        0 if demand.overcommit else tasks,
        cores,
        threads,
    )


@functools.lru_cache(maxsize=8192)  # in a large cluster most nodes look alike
def _chosen(
    mask: int, layout: tuple[int, int, int], asked: Geometry, each: int, tasks: int, cores: int, threads: int
) -> tuple[int, ...] | None:
    sockets, per_socket, width = layout
    if sockets == 1 and not asked.wants_sockets:
        chosen = [first // width for first in ids_of(whole_cores(mask, width))[:cores]]
    else:
        free = _free_by_socket(mask, layout)
        chosen = _by_socket(free, per_socket, asked, _portions(asked, each, tasks, cores, threads))
    if len(chosen) < cores:
        return None
    return tuple(core * width + thread for core in sorted(chosen) for thread in range(width))


def _by_socket(free: list[list[int]], size: int, asked: Geometry, portions: list[tuple[int, int]]) -> list[int]:
    """`size` = the cores of a socket."""
    if asked.cores:
        free = [found if len(found) >= asked.cores else [] for found in free]
    if asked.sockets and sum(map(bool, free)) < asked.sockets:
        return []
    limit = [asked.tasks_per_socket or MANY] * len(free)
    chosen: list[int] = []
    position = 0
    for need, together in portions:
        at = _socket_for(free, limit, need, together, position, asked.order)
        if at is not None:
            chosen += free[at][:need]
            del free[at][:need]
            limit[at] -= together
            position = at if asked.order == "block" else at + 1
        else:
            spread = _round_robin(free, need, position if asked.order != "block" else 0, asked.order == "block")
            if len(spread) < need or (asked.tasks_per_socket and need <= size):
                return []
            chosen += spread
    return chosen


def _portions(asked: Geometry, each: int, tasks: int, cores: int, threads: int) -> list[tuple[int, int]]:
    """(cores, tasks) that are to be on one socket, one after another; in all `cores`."""
    if not tasks:
        return [(1, 1)] * cores
    portions: list[tuple[int, int]] = []
    alone = _is_alone(asked, each)
    if each >= threads or alone:
        given = 0
        for number in range(1, tasks + 1):
            upto = number * -(-each // threads) if alone else -(-number * each // threads)
            if upto > given:
                portions.append((upto - given, 1))
                given = upto
    else:
        together = threads // each
        if asked.tasks_per_socket:
            together = min(together, asked.tasks_per_socket)
        left = tasks
        while left > 0:
            portions.append((1, min(together, left)))
            left -= together
        given = len(portions)
    if asked.order == "fcyclic":  # core by core, whosever they are
        portions = [
            (1, together if first else 0) for need, together in portions for first in [True] + [False] * (need - 1)
        ]
    return portions + [(1, 0)] * (cores - given)


def _free_by_socket(mask: int, layout: tuple[int, int, int]) -> list[list[int]]:
    sockets, cores, width = layout
    free: list[list[int]] = [[] for _ in range(sockets)]
    for first in ids_of(whole_cores(mask, width)):
        core = first // width
        free[core // cores].append(core)
    return free


def _socket_for(
    free: list[list[int]], limit: list[int], need: int, together: int, position: int, order: str
) -> int | None:
    """The next socket with so many free cores and room for so many tasks more."""
    count = len(free)
    begin = 0 if order == "block" else position
    for step in range(count):
        at = (begin + step) % count
        if len(free[at]) >= need and limit[at] >= together:
            return at
    return None


def _round_robin(free: list[list[int]], need: int, position: int, is_block: bool) -> list[int]:
    """Cores for a task that no socket has room for."""
    taken: list[int] = []
    while len(taken) < need and any(free):
        for step in range(len(free)):
            found = free[(position + step) % len(free)]
            while found and len(taken) < need:
                taken.append(found.pop(0))
                if not is_block:
                    break
    return taken


def choose_share(table: NodeTable, row: int, demand: Demand, share: GresRequest, strategy: str) -> GresShare | None:
    """A part of which GPU: where it leaves the fewest fragments; else of the fullest that has room, or (spread) of the emptiest."""
    gpus = table.gpus
    if gpus is None:
        return None
    wanted = gpus.thousandths(share.milli, share.count)
    able = gpus.usable(wanted, share.type, demand.owner)[row].nonzero()[0]
    milli = int(wanted[row])
    if not len(able):
        return None
    need = need_of(demand) if strategy == "fragmentation" and table.popular else None
    unit = fragmentation.best_unit(table, need, row) if need is not None else None
    if unit is None:
        free = gpus.free[row, able]
        unit = int(able[free.argmax() if strategy == "spread" else free.argmin()])
    type = next((type for type, there in gpus.types.items() if there[row, unit]), "")
    return GresShare("shard", type, (unit,), milli, gpus.counted(row, milli) if share.milli else share.count)


def choose_gres(table: NodeTable, row: int, requests: tuple[GresRequest, ...]) -> tuple[GresShare, ...] | None:
    """Free units for each request, GPUs that are linked, else the lowest; None when they are not there."""
    taken: dict[tuple[str, str], int] = {}
    masks = table.gres_masks[row]
    for request in sorted(requests, key=lambda r: r.type == ""):  # typed ones first: the untyped take what is left
        need = request.count
        for kind in masks:
            if need and kind[0] == request.name and request.type in ("", kind[1]):
                free = masks[kind] & ~taken.get(kind, 0)
                chosen = ids_of(free)[:need]
                if kind[0] == "gpu" and 0 < len(chosen) < free.bit_count():
                    chosen = gpulinks.together(table.inventories[row].gres, free, need)
                for unit in chosen:
                    taken[kind] = taken.get(kind, 0) | (1 << unit)
                    need -= 1
        if need:
            return None
    return tuple(GresShare(name, type, ids_of(mask)) for (name, type), mask in taken.items())
