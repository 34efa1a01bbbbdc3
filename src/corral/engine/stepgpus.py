"""Which GPUs of its job does a step get, and which of the job's cores: those that are linked, and near?"""

import msgspec

from corral.model.allocation import NodeShare
from corral.model.gres import GresDevice, GresShare
from corral.scheduler import gpulinks
from corral.scheduler.bits import mask_of

Devices = tuple[GresDevice, ...]


def linked(step: NodeShare, source: NodeShare, devices: Devices) -> NodeShare:
    """A step's share of one node, cut from `source`: as many GPUs and cores, the ones that belong together."""
    gres = tuple(_linked(one, source, devices) for one in step.gres)
    units = tuple(unit for one in gres if one.name == "gpu" for unit in one.indices)
    near = gpulinks.near_cpus(devices, units, source.threads) if units else 0
    cpus = step.cpus
    if near and len(cpus) < len(source.cpus):
        cpus = tuple(sorted(sorted(source.cpus, key=lambda cpu: not near >> cpu & 1)[: len(cpus)]))
    return msgspec.structs.replace(step, gres=gres, cpus=cpus)


def _linked(share: GresShare, source: NodeShare, devices: Devices) -> GresShare:
    free = [held for held in source.gres if (held.name, held.type) == (share.name, share.type) and not held.milli]
    if share.name != "gpu" or share.milli or not free or len(share.indices) == len(free[0].indices):
        return share
    return msgspec.structs.replace(
        share, indices=gpulinks.together(devices, mask_of(free[0].indices), len(share.indices))
    )


def by_tasks(gpus: tuple[int, ...], each: int, devices: Devices) -> tuple[int, ...]:
    """In such an order that each task's are linked, when every `each` of them are a task's."""
    if each < 2:
        return gpus
    ordered: tuple[int, ...] = ()
    left = gpus
    while len(left) > each:
        chosen = gpulinks.together(devices, mask_of(left), each)
        ordered, left = (*ordered, *chosen), tuple(unit for unit in left if unit not in chosen)
    return (*ordered, *left)
