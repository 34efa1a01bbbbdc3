"""Which cores and GPUs inside one node?

Whole cores are given, as by Slurm's CR_Core. They are taken task by task: the cores of one task from one socket if it has them, the
tasks round the sockets (cyclic, the default), or one socket after another (block).
"""

from corral.model.gres import GresRequest, GresShare
from corral.scheduler.demand import Demand
from corral.scheduler.feasibility import MANY
from corral.scheduler.nodetable import NodeTable, ids_of, whole_cores


def cores_needed(demand: Demand, tasks: int, cpus: int, threads: int) -> int:
    """Cores for so many tasks and at least so many CPUs, where each core lends so many threads."""
    each = demand.cpus_per_task
    if demand.geometry.tasks_per_core == 1 and each > 1:
        return max(tasks * -(-each // threads), -(-cpus // threads))
    return -(-max(tasks * each, cpus) // threads)


def choose_cpus(
    table: NodeTable, row: int, demand: Demand, tasks: int, cores: int, threads: int
) -> tuple[int, ...] | None:
    """The CPU ids of so many whole cores, all their threads; None when they are not free, or not where they may be."""
    mask = table.free_mask(row, demand.partition, demand.sharers)
    width = int(table.threads[row])
    if table.sockets[row] == 1 and not demand.geometry.wants_sockets:
        free = ids_of(whole_cores(mask, width))
        chosen = [first // width for first in free[:cores]]
    else:
        chosen = _by_socket(table, row, demand, mask, tasks, cores, threads)
    if len(chosen) < cores:
        return None
    return tuple(core * width + thread for core in sorted(chosen) for thread in range(width))


def _by_socket(
    table: NodeTable, row: int, demand: Demand, mask: int, tasks: int, cores: int, threads: int
) -> list[int]:
    asked = demand.geometry
    free = _free_by_socket(table, row, mask)
    if asked.cores:
        free = [found if len(found) >= asked.cores else [] for found in free]
    if asked.sockets and sum(map(bool, free)) < asked.sockets:
        return []
    limit = [asked.tasks_per_socket or MANY] * len(free)
    chosen: list[int] = []
    position = 0
    for need, together in _portions(demand, tasks, cores, threads):
        at = _socket_for(free, limit, need, position, asked.order)
        if at is not None:
            chosen += free[at][:need]
            del free[at][:need]
            limit[at] -= together
            position = at if asked.order == "block" else at + 1
        else:
            spread = _round_robin(free, need, position if asked.order != "block" else 0, asked.order == "block")
            if len(spread) < need or (asked.tasks_per_socket and not _fits_nowhere(table, row, need)):
                return []
            chosen += spread
    return chosen


def _fits_nowhere(table: NodeTable, row: int, need: int) -> bool:
    """Is a task larger than a socket?"""
    return need > int(table.cores[row])


def _portions(demand: Demand, tasks: int, cores: int, threads: int) -> list[tuple[int, int]]:
    """(cores, tasks) that are to be on one socket, one after another; in all `cores`."""
    each = demand.cpus_per_task
    if not tasks or demand.overcommit:
        return [(1, 1)] * cores
    portions: list[tuple[int, int]] = []
    alone = demand.geometry.tasks_per_core == 1 and each > 1
    if each >= threads or alone:
        given = 0
        for number in range(1, tasks + 1):
            upto = number * -(-each // threads) if alone else -(-number * each // threads)
            if upto > given:
                portions.append((upto - given, 1))
                given = upto
    else:
        together = threads // each
        if demand.geometry.tasks_per_socket:
            together = min(together, demand.geometry.tasks_per_socket)
        left = tasks
        while left > 0:
            portions.append((1, min(together, left)))
            left -= together
        given = len(portions)
    if demand.geometry.order == "fcyclic":  # core by core, whosever they are
        portions = [
            (1, together if first else 0) for need, together in portions for first in [True] + [False] * (need - 1)
        ]
    return portions + [(1, 0)] * (cores - given)


def _free_by_socket(table: NodeTable, row: int, mask: int) -> list[list[int]]:
    width, cores = int(table.threads[row]), int(table.cores[row])
    free: list[list[int]] = [[] for _ in range(int(table.sockets[row]))]
    for first in ids_of(whole_cores(mask, width)):
        core = first // width
        free[core // cores].append(core)
    return free


def _socket_for(free: list[list[int]], limit: list[int], need: int, position: int, order: str) -> int | None:
    """The next socket with so many free cores and room for a task more."""
    count = len(free)
    begin = 0 if order == "block" else position
    for step in range(count):
        at = (begin + step) % count
        if len(free[at]) >= need and limit[at] > 0:
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


def choose_gres(table: NodeTable, row: int, requests: tuple[GresRequest, ...]) -> tuple[GresShare, ...] | None:
    """The lowest free units for each request; None when they are not there."""
    taken: dict[tuple[str, str], int] = {}
    masks = table.gres_masks[row]
    for request in sorted(requests, key=lambda r: r.type == ""):  # typed ones first: the untyped take what is left
        need = request.count
        for kind in masks:
            if need and kind[0] == request.name and request.type in ("", kind[1]):
                free = masks[kind] & ~taken.get(kind, 0)
                for unit in ids_of(free)[:need]:
                    taken[kind] = taken.get(kind, 0) | (1 << unit)
                    need -= 1
        if need:
            return None
    return tuple(GresShare(name, type, ids_of(mask)) for (name, type), mask in taken.items())
