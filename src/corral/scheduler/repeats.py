"""Where does the next of many equal jobs go, when nothing but the node of the one before has changed?

Of jobs that want some CPUs and some memory on one node, and no more, the first is placed as every job is. For the next ones all nodes are
put in order once; after each start only the node that has been taken is looked at again. The answers are those of placement.place.
"""

import heapq

import numpy as np

from corral.model.allocation import Allocation
from corral.scheduler import fragmentation
from corral.scheduler.demand import ALL_MEMORY, ANY_CORES, Demand
from corral.scheduler.feasibility import task_capacity
from corral.scheduler.nodetable import BoolColumn, IntColumn, NodeTable
from corral.scheduler.placement import allocation_of, node_share
from corral.scheduler.popular import Scores, cpus_on_a_node
from corral.scheduler.resources import place

#: (weight, what a node is preferred by, free CPUs or less of them, row): the least one is taken.
_Key = tuple[int, float, int, int]


def is_plain(demand: Demand, table: NodeTable) -> bool:
    """Does it want some CPUs and memory of one node, whichever?"""
    return (
        demand.pod is None and demand.nodes_min == 1 and demand.geometry is ANY_CORES and demand.memory_per_node_mb != ALL_MEMORY
        and demand.cpus_per_node == 1 and demand.user < 0 and demand.cpus_limit is None and table.topology is None
        and not (
            demand.wants_gres or demand.gpus_per_socket or demand.memory_per_gpu_mb or demand.cpus_per_gpu or demand.tasks_per_gpu
            or demand.exclusive or demand.overcommit or demand.tasks_per_node or demand.nodelist or demand.batch_features
            or demand.contiguous or demand.switches or demand.many_nodes or demand.few_nodes or demand.sharers
            or demand.spread or demand.licenses or demand.reservation or "*" in demand.constraint or "[" in demand.constraint
            or (demand.nodes_max or 1) > 1 or demand.nodes_limit == 0
        )
    )  # fmt: skip


class Repeats:
    """Of one table and one strategy; `place` is asked again and again."""

    def __init__(self, table: NodeTable, strategy: str) -> None:
        self.table = table
        self.strategy = strategy
        self.demand: Demand | None = None  #: of the job before
        self.moment = (-1, -1)  #: when it was asked for
        self.last: Allocation | None = None  #: what it got
        self.keys: list[_Key] | None = (
            None  #: of nodes that nobody has taken since, the best at the end; None = not made yet
        )
        self.taken: list[_Key] = []  #: of those that have been (a heap)

    def place(self, demand: Demand, rows: BoolColumn) -> Allocation | None:
        """As placement.place."""
        if demand is not self.demand:
            self.demand, self.keys, self.last = demand, None, None
            if not is_plain(demand, self.table):
                self.demand = None
                return place(self.table, demand, rows, self.strategy)
        elif self.last is not None and self._is_as_left():
            if self.keys is None:
                self._sort(demand, rows)
            else:
                self._look_again(demand, self.last)
            return self._noted(self._next(demand) or place(self.table, demand, rows, self.strategy))
        self.keys = None
        return self._noted(place(self.table, demand, rows, self.strategy))

    def _noted(self, allocation: Allocation | None) -> Allocation | None:
        self.moment = (self.table.moves, self.table.grown)
        self.last = allocation if allocation is not None and len(allocation.nodes) == 1 else None
        return allocation

    def _is_as_left(self) -> bool:
        """Has that job been started, and nothing else happened?"""
        table = self.table
        if (table.moves - 1, table.grown) != self.moment or self.last is None:
            return False
        return next(reversed(table.holders.values())).nodes is self.last.nodes

    def _sort(self, demand: Demand, rows: BoolColumn) -> None:
        table = self.table
        capacity = task_capacity(table, demand, rows)
        fit = (capacity >= (demand.ntasks or 1)).nonzero()[0]
        weight, by, free = table.weight[fit], self._preferred_by(demand, fit), table.free_cpus[fit] * self._sign
        order = np.lexsort((fit, free, by, weight))[::-1]
        self.keys = list(
            zip(weight[order].tolist(), by[order].tolist(), free[order].tolist(), fit[order].tolist(), strict=True)
        )
        self.taken = []

    @property
    def _sign(self) -> int:
        return -1 if self.strategy == "spread" else 1

    def _preferred_by(self, demand: Demand, rows: IntColumn) -> Scores:
        """Before the free CPUs (scheduler/choice.py)."""
        table = self.table
        if self.strategy == "fragmentation" and table.gpus is not None and table.popular:
            return fragmentation.beside_gpus(table, table.gpus, rows, cpus_on_a_node(demand))
        gpus: Scores = (table.gres_column("gpu")[rows] * self._sign).astype(np.float64)
        return gpus

    def _look_again(self, demand: Demand, last: Allocation) -> None:
        """At the node that has been taken."""
        table, row = self.table, self.table.index[last.nodes[0].node]
        threads = int(table.threads[row])
        room = int(table.free_cpus[row]) // threads * threads // demand.cpus_per_task
        memory = int(table.free_memory[row])
        if demand.memory_per_node_mb and memory < demand.memory_per_node_mb:
            room = 0
        elif demand.memory_per_cpu_mb:
            room = min(room, memory // (demand.memory_per_cpu_mb * demand.cpus_per_task))
        if room >= (demand.ntasks or 1):
            if table.popular and table.total_gres:
                by = float(self._preferred_by(demand, np.array([row], np.int64))[0])
            else:
                free = (mask.bit_count() for (name, _), mask in table.gres_masks[row].items() if name == "gpu")
                by = float(sum(free) * self._sign)
            key = (int(table.weight[row]), by, int(table.free_cpus[row]) * self._sign, row)
            heapq.heappush(self.taken, key)

    def _next(self, demand: Demand) -> Allocation | None:
        """The best node; None when no single one has room."""
        keys, taken = self.keys, self.taken
        while keys or taken:
            key = heapq.heappop(taken) if taken and (not keys or taken[0] < keys[-1]) else keys.pop() if keys else None
            assert key is not None
            tasks = demand.ntasks or 1
            share = node_share(self.table, demand, key[3], tasks, [], self.strategy)
            if share is not None:
                return allocation_of(demand, (share,))
        return None
