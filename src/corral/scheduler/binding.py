"""Which cores and GPUs inside one node?"""

from corral.model.gres import GresRequest, GresShare
from corral.scheduler.nodetable import NodeTable, ids_of


def choose_cpus(table: NodeTable, row: int, count: int) -> tuple[int, ...]:
    """The lowest free CPU ids, whole cores first where a core has several threads (CPU id = core * threads + thread)."""
    mask = table.cpu_masks[row]
    threads = int(table.threads[row])
    if threads > 1:
        count = min(-(-count // threads) * threads, mask.bit_count())
        core = (1 << threads) - 1
        whole = 0
        for start in range(0, table.inventories[row].cpus, threads):
            if (mask >> start) & core == core:
                whole |= core << start
        if whole.bit_count() >= count:
            mask = whole
    chosen: list[int] = []
    while mask and len(chosen) < count:
        low = mask & -mask
        chosen.append(low.bit_length() - 1)
        mask ^= low
    return tuple(chosen)


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
