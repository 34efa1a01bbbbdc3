"""Which GPUs of a node go together, and which cores are near them?

What is known is said by the node's inventory: for each GPU how many links it has to each other one (as Links= of gres.conf), and its
cores (Cores=). GPUs of one job are chosen so that the links among them are most; of equals those with the fewest links to GPUs that stay
free, so that these stay together too.
"""

import functools

from corral.model.gres import GresDevice
from corral.scheduler.bits import ids_of, mask_of

Devices = tuple[GresDevice, ...]


@functools.lru_cache(maxsize=1024)  # in a large cluster most nodes look alike
def links_of(devices: Devices) -> dict[tuple[int, int], int]:
    """How many links there are between two GPUs; empty = nothing is known."""
    found: dict[tuple[int, int], int] = {}
    first = 0
    for device in devices:
        if device.name == "gpu":
            for one, row in enumerate(device.links):
                found |= {
                    (first + one, first + other): count for other, count in enumerate(row) if other != one and count > 0
                }
            first += device.count
    return found


@functools.lru_cache(maxsize=1024)
def near_cpus(devices: Devices, units: tuple[int, ...], threads: int) -> int:
    """The CPU ids of the cores of these GPUs, as a mask; 0 = nothing is known."""
    mask = first = 0
    for device in devices:
        if device.name == "gpu":
            for unit in units:
                if 0 <= unit - first < len(device.cores):
                    mask |= mask_of(
                        core * threads + thread for core in device.cores[unit - first] for thread in range(threads)
                    )
            first += device.count
    return mask


@functools.lru_cache(maxsize=8192)
def together(devices: Devices, free: int, need: int) -> tuple[int, ...]:
    """So many of the free GPUs; the lowest where links say nothing."""
    links, units = links_of(devices), ids_of(free)
    if not links or need >= len(units):
        return units[:need]
    best: tuple[int, int, tuple[int, ...]] | None = None
    for start in units:
        chosen = [start]
        while len(chosen) < need:
            left = [unit for unit in units if unit not in chosen]
            chosen.append(max(left, key=lambda unit: (sum(links.get((unit, one), 0) for one in chosen), -unit)))
        inside = sum(links.get((one, other), 0) for one in chosen for other in chosen)
        across = sum(links.get((one, other), 0) for one in chosen for other in units if other not in chosen)
        found = (-inside, across, tuple(sorted(chosen)))
        if best is None or found < best:
            best = found
    return best[2] if best is not None else ()
