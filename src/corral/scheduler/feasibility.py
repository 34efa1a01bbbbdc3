"""How many tasks of a job can each node take now, and which nodes can't take any?"""

import numpy as np

from corral.model.gres import GresRequest
from corral.scheduler.demand import ALL_MEMORY, Demand
from corral.scheduler.nodetable import BoolColumn, IntColumn, NodeTable
from corral.syntax import features

#: More tasks than any node takes.
MANY = 1 << 30


def feature_rows(table: NodeTable, constraint: str) -> BoolColumn:
    """Which nodes have the features asked for?"""
    if not constraint:
        return np.ones(len(table), np.bool_)
    expression = features.parse(constraint)
    return np.array([features.matches(expression, node) for node in table.features], np.bool_)


def static_rows(table: NodeTable, demand: Demand, partition_rows: BoolColumn) -> BoolColumn:
    """Which nodes may this job use at all, whatever is free?"""
    rows = partition_rows.copy()
    if demand.constraint:
        rows &= feature_rows(table, demand.constraint)
    for name in demand.exclude:
        if name in table.index:
            rows[table.index[name]] = False
    return rows


def gpus_per_node(demand: Demand) -> int:
    return sum(request.count for request in demand.gres_per_node if request.name == "gpu")


def free_units(table: NodeTable, demand: Demand, request: GresRequest) -> IntColumn:
    """How many units of --gpus each node can give, the CPUs that go with each counted."""
    free = table.gres_column(request.name, request.type)
    if demand.cpus_per_gpu and request.name == "gpu":
        free = np.minimum(free, table.free_cpus // demand.cpus_per_gpu)
    if demand.memory_per_gpu_mb and request.name == "gpu":
        free = np.minimum(free, table.free_memory // demand.memory_per_gpu_mb)
    return free


def free_cpus(table: NodeTable, demand: Demand) -> IntColumn:
    """Per node, as far as the partition lets its jobs have them."""
    if demand.cpus_limit is None:
        return table.free_cpus
    left = np.full(len(table), demand.cpus_limit, np.int64)
    for allocation in table.holders.values():
        if allocation.partition == demand.partition:
            for share in allocation.nodes:
                row = table.index.get(share.node)
                if row is not None:
                    left[row] -= len(share.cpus)
    return np.clip(left, 0, table.free_cpus)


def without_others(table: NodeTable, demand: Demand, capacity: IntColumn) -> IntColumn:
    """Nodes that one user has are not another's."""
    capacity = capacity.copy()
    for allocation in table.holders.values():
        if allocation.user not in (-1, demand.user) and (allocation.only_user or demand.only_user):
            for share in allocation.nodes:
                row = table.index.get(share.node)
                if row is not None:
                    capacity[row] = 0
    return capacity


def task_capacity(table: NodeTable, demand: Demand, rows: BoolColumn) -> IntColumn:
    """Tasks each node could take with what is free on it; 0 where it can take none (or where `rows` is false)."""
    cpus = free_cpus(table, demand)
    if demand.overcommit:
        capacity = np.where(cpus > 0, MANY, 0)
    else:
        capacity = cpus // demand.cpus_per_task
    if demand.memory_per_node_mb == ALL_MEMORY:
        capacity = np.where(table.free_memory >= table.memory, capacity, 0)
    elif demand.memory_per_node_mb:
        capacity = np.where(table.free_memory >= demand.memory_per_node_mb, capacity, 0)
    elif demand.memory_per_cpu_mb:
        capacity = np.minimum(capacity, table.free_memory // (demand.memory_per_cpu_mb * demand.cpus_per_task))
    if demand.exclusive:
        capacity = np.where(table.jobs == 0, capacity, 0)
    for request in demand.gres_per_node:
        capacity = np.where(table.gres_column(request.name, request.type) >= request.count, capacity, 0)
    for request in demand.gres_per_task:
        free = table.gres_column(request.name, request.type)
        capacity = np.minimum(capacity, free // max(1, request.count))
        if demand.memory_per_gpu_mb:
            capacity = np.minimum(capacity, table.free_memory // (demand.memory_per_gpu_mb * max(1, request.count)))
    for request in demand.gres_total:
        capacity = np.where(free_units(table, demand, request) >= 1, capacity, 0)
    if demand.memory_per_gpu_mb and not demand.gres_per_task:
        wanted = max(1, gpus_per_node(demand)) * demand.memory_per_gpu_mb
        capacity = np.where(table.free_memory >= wanted, capacity, 0)
    if demand.cpus_per_gpu and not demand.gres_per_task:
        wanted = max(1, gpus_per_node(demand)) * demand.cpus_per_gpu
        capacity = np.where(cpus >= wanted, capacity, 0)
    if demand.user >= 0:
        capacity = without_others(table, demand, capacity)
    if demand.tasks_per_node:
        exact = demand.tasks_per_node
        capacity = np.where(capacity >= exact, exact, 0)
    return np.where(rows, capacity, 0)
