"""What do usual GPU jobs want of a node, and how much of what is free there is a fragment to them?"""

import functools
from collections.abc import Iterable

import msgspec
import numpy as np
import numpy.typing as npt

from corral.model.gres import WHOLE
from corral.scheduler.columns import IntColumn
from corral.scheduler.demand import ALL_MEMORY, Demand
from corral.scheduler.gpushares import ANYBODY

Scores = npt.NDArray[np.float64]

#: Weight of "how many more fit" beside "does one more fit".
FILLING = 0.1
#: Shares below so many thousandths count as if they were as large.
LEAST_SHARE = 100
#: Shapes that are looked at, the most usual ones.
MOST_SHAPES = 64
#: From so many states on, equal ones are looked for first.
MANY_STATES = 48


class Shape(msgspec.Struct, frozen=True, order=True, cache_hash=True):
    """What a usual GPU job has on a node."""

    cpus: int
    memory_mb: int
    gpus: int  #: how many
    milli: int = WHOLE  #: of each


class Popular:
    """The usual shapes, as columns. Never changed."""

    def __init__(self, counts: Iterable[tuple[Shape, int]]) -> None:
        usual = sorted(((shape, count) for shape, count in counts if count > 0), key=lambda one: (-one[1], one[0]))
        usual = _with_whole_ones(usual[:MOST_SHAPES])
        # Shapes that want the same of GPUs stand together: that part is worked out once.
        kinds = sorted({(shape.milli, shape.gpus) for shape, _ in usual})
        usual.sort(key=lambda one: (one[0].milli, one[0].gpus, one[0]))
        self.kinds = kinds
        self.kind = np.array([kinds.index((shape.milli, shape.gpus)) for shape, _ in usual], np.int64)
        self.cpus = np.array([max(1, shape.cpus) for shape, _ in usual], np.float64)
        self.memory = np.array([max(1, shape.memory_mb) for shape, _ in usual], np.float64)
        size = np.array([max(LEAST_SHARE, shape.milli * shape.gpus) for shape, _ in usual], np.float64)
        weight = np.array([count for _, count in usual], np.float64) / size
        self.weight = weight / weight.sum() if len(usual) else weight
        self.wanted = np.array([milli * gpus for milli, gpus in kinds], np.float64)
        self.milli = np.array([milli for milli, _ in kinds], np.int64)
        self.gpus = np.array([gpus for _, gpus in kinds], np.float64)

        self.cpus_per_gpu = _third_quartile(usual)

    def __bool__(self) -> bool:
        return len(self.weight) > 0

    def fragments(self, cpus: IntColumn, memory: IntColumn, gpus: IntColumn) -> Scores:
        """Of nodes with so much free: CPUs, MiB, and thousandths of each GPU (a line for each node)."""
        if len(cpus) < MANY_STATES:
            return self._fragments(cpus, memory, gpus)
        _, first, same = np.unique(hashed(cpus, memory, gpus), return_index=True, return_inverse=True)
        return self._fragments(cpus[first], memory[first], gpus[first])[same]

    def _fragments(self, cpus: IntColumn, memory: IntColumn, gpus: IntColumn) -> Scores:
        total = gpus.sum(axis=1, dtype=np.float64)[:, None]
        fits = gpus[:, None, :] >= self.milli[:, None]  # node, kind, GPU
        useful = (gpus[:, None, :] * fits).sum(axis=2, dtype=np.float64)
        copies = ((gpus[:, None, :] // self.milli[:, None]) * fits).sum(axis=2) // self.gpus
        room = np.minimum(cpus[:, None] / self.cpus, memory[:, None] / self.memory)
        np.floor(room, out=room)
        by_kind = copies[:, self.kind]
        one = np.where((room >= 1) & (by_kind >= 1), (total - useful)[:, self.kind], total)
        filled = total - np.minimum(room, by_kind) * self.wanted[self.kind]
        found: Scores = (one * (1 - FILLING) + filled * FILLING) @ self.weight
        return found


def _with_whole_ones(usual: list[tuple[Shape, int]]) -> list[tuple[Shape, int]]:
    """Jobs with whole GPUs count as if they were at least as usual as shares: else each share would begin a GPU of its own."""
    shares = sum(count for shape, count in usual if shape.milli < WHOLE)
    lacking = shares - sum(count for shape, count in usual if shape.milli == WHOLE)
    if lacking <= 0:
        return usual
    least = Shape(1, 0, 1)
    known = dict(usual)
    return list((known | {least: known.get(least, 0) + lacking}).items())


def _third_quartile(usual: list[tuple[Shape, int]]) -> float:
    """Three of four jobs have no more CPUs for each GPU of theirs."""
    ratios = sorted((shape.cpus * WHOLE / (shape.gpus * shape.milli), count) for shape, count in usual)
    left = sum(count for _, count in ratios) * 3 / 4
    for ratio, count in ratios:
        left -= count
        if left <= 0:
            return ratio
    return 0.0


_PRIMES = np.array([0x27D4EB2F165667C5 * (2 * i + 1) & ((1 << 62) - 1) for i in range(256)], np.int64)


def hashed(cpus: IntColumn, memory: IntColumn, gpus: IntColumn) -> IntColumn:
    """Most nodes of a cluster look alike: a number for each look."""
    key: IntColumn = cpus * 0x9E3779B1 + memory * 0x5EBCA77C2B2AE3D + gpus @ _PRIMES[: gpus.shape[1]]
    return key


class Need(msgspec.Struct, frozen=True, cache_hash=True):
    """What a job takes on each of its nodes, as far as it can be said before they are chosen."""

    cpus: int
    memory_mb: int
    gpus: int
    milli: int = 0  #: a share of so many thousandths
    shards: int = 0  #: or of so many shards
    type: str = ""
    owner: int = ANYBODY


def cpus_on_a_node(demand: Demand) -> int:
    nodes = max(1, demand.nodes_min)
    tasks = demand.tasks_per_node or -(-(demand.ntasks or nodes) // nodes)
    return max(tasks * demand.cpus_per_task, demand.cpus_per_node)


@functools.lru_cache(maxsize=4096)
def need_of(demand: Demand) -> Need | None:
    """None = no GPUs."""
    nodes = max(1, demand.nodes_min)
    tasks = demand.tasks_per_node or -(-(demand.ntasks or nodes) // nodes)
    gpus, type = 0, ""
    for requests, each in ((demand.gres_per_node, 1.0), (demand.gres_per_task, tasks), (demand.gres_total, 1 / nodes)):
        for request in requests:
            if request.name == "gpu":
                gpus, type = gpus + -int(-request.count * each // 1), request.type
    if not gpus and demand.share is None:
        return None
    cpus = max(cpus_on_a_node(demand), demand.cpus_per_gpu * gpus)
    memory = 0 if demand.memory_per_node_mb == ALL_MEMORY else demand.memory_per_node_mb
    memory = max(memory, demand.memory_per_cpu_mb * cpus, demand.memory_per_gpu_mb * gpus)
    if demand.share is None:
        return Need(cpus, memory, gpus, type=type)
    shards = 0 if demand.share.milli else demand.share.count
    return Need(cpus, memory, 0, demand.share.milli, shards, demand.share.type, demand.owner)


def shape_of(demand: Demand, shards_per_gpu: int = 0) -> Shape | None:
    """What it is counted as among the usual jobs; None = it wants no GPUs."""
    need = need_of(demand)
    if need is None:
        return None
    if need.gpus:
        return Shape(need.cpus, need.memory_mb, need.gpus)
    milli = need.milli or (need.shards * WHOLE // shards_per_gpu if shards_per_gpu else 0)
    return Shape(need.cpus, need.memory_mb, 1, min(milli, WHOLE)) if milli else None
