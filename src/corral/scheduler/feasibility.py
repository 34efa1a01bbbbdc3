"""How many tasks of a job can each node take now, and which nodes can't take any?"""

import functools
from typing import TypeVar

import numpy as np

from corral.model.gres import GresRequest
from corral.scheduler import nodewords
from corral.scheduler.demand import ALL_MEMORY, ANY_CORES, Demand
from corral.scheduler.nodetable import BoolColumn, IntColumn, NodeTable
from corral.syntax import features

#: More tasks than any node takes.
MANY = 1 << 30
#: Of so many questions for features the answers are kept.
MOST_KEPT = 256

Count = TypeVar("Count", int, IntColumn)


def feature_rows(table: NodeTable, constraint: str) -> BoolColumn:
    """Which nodes have the features asked for?"""
    if not constraint:
        return np.ones(len(table), np.bool_)
    return rows_with(table, parsed(constraint))


@functools.lru_cache(maxsize=4096)
def parsed(constraint: str) -> features.Features:
    return features.parse(constraint)


def rows_with(table: NodeTable, wanted: features.Features) -> BoolColumn:
    """Which nodes may be one of the job's? Asked once for each set of features that nodes have."""
    rows = table.matching.get(wanted)
    if rows is None:
        able = np.array([features.matches(wanted, found) for found in table.feature_sets], np.bool_)
        rows = able[table.feature_set] if len(able) else np.zeros(0, np.bool_)
        if len(table.matching) >= MOST_KEPT:
            table.matching.clear()
        table.matching[wanted] = rows
    return rows


def static_rows(table: NodeTable, demand: Demand, partition_rows: BoolColumn) -> BoolColumn:
    """Which nodes may this job use at all, whatever is free?"""
    rows = partition_rows.copy()
    if demand.constraint:
        rows &= feature_rows(table, demand.constraint)
    for name in demand.exclude:
        if name in table.index:
            rows[table.index[name]] = False
    if demand.tmp_disk_mb:
        rows &= table.tmp_disk >= demand.tmp_disk_mb
    if demand.least_memory_mb:
        rows &= table.memory >= demand.least_memory_mb
    if demand.pod is not None:
        rows &= nodewords.static(table, demand.pod)
    asked = demand.geometry
    if asked is not ANY_CORES:
        rows &= (table.sockets >= asked.sockets) & (table.cores >= asked.cores) & (table.threads >= asked.threads)
    return rows


def threads_used(table: NodeTable, demand: Demand) -> IntColumn:
    """How many threads of each core the job's tasks use."""
    asked = demand.geometry
    used = table.threads
    if asked.threads:
        used = np.minimum(used, asked.threads)
    if asked.tasks_per_core and not demand.overcommit:
        used = np.minimum(used, asked.tasks_per_core * demand.cpus_per_task)
    return used


def threads_lent(table: NodeTable, demand: Demand, row: int) -> int:
    """As `threads_used`, of one node."""
    asked = demand.geometry
    used = table.layouts[row][2]
    if asked.threads:
        used = min(used, asked.threads)
    if asked.tasks_per_core and not demand.overcommit:
        used = min(used, asked.tasks_per_core * demand.cpus_per_task)
    return used


def tasks_in(demand: Demand, cores: Count, threads: Count) -> Count:
    """So many tasks have room in so many cores of which each lends so many threads."""
    each = demand.cpus_per_task
    if demand.geometry.tasks_per_core == 1 and each > 1:  # a core is one task's alone
        return cores // -(-each // threads)
    return cores * threads // each


def task_room(table: NodeTable, demand: Demand, cpus: IntColumn) -> IntColumn:
    """Tasks by what is free of sockets, cores and threads; `cpus` are free in all."""
    if demand.geometry is ANY_CORES and not demand.gpus_per_socket:
        whole: IntColumn = cpus if table.has_single_threads else cpus // table.threads * table.threads
        return whole if demand.cpus_per_task == 1 else whole // demand.cpus_per_task
    threads = threads_used(table, demand)
    cores = cpus // table.threads
    asked = demand.geometry
    if not asked.wants_sockets:
        return tasks_in(demand, cores, threads)
    by_socket = table.by_socket()
    if demand.sharers:
        by_socket = by_socket.copy()
        for row in table.shared.rows(demand.partition):
            by_socket[row] = table.cores_free_in(row, table.free_mask(row, demand.partition, demand.sharers))
    if asked.cores:
        by_socket = np.where(by_socket >= asked.cores, by_socket, 0)
    if asked.sockets:
        by_socket = np.where(((by_socket > 0).sum(axis=1) >= asked.sockets)[:, None], by_socket, 0)
    room = tasks_in(demand, np.minimum(by_socket.sum(axis=1), cores), threads)
    if asked.tasks_per_socket:
        # A task larger than a socket is one of each of its sockets.
        span = np.maximum(1, -(-demand.cpus_per_task // np.maximum(1, table.cores * threads)))
        on_socket = tasks_in(demand, by_socket, threads[:, None])
        single = np.minimum(on_socket, asked.tasks_per_socket).sum(axis=1)
        room = np.minimum(room, np.where(span > 1, (by_socket > 0).sum(axis=1) // span, single))
        room = np.where(table.cores * table.threads >= asked.tasks_per_socket, room, 0)
    found: IntColumn = room
    return found


def gpus_per_node(demand: Demand) -> int:
    return sum(request.count for request in demand.gres_per_node if request.name == "gpu")


def on_sockets(demand: Demand) -> tuple[GresRequest, ...]:
    """--gpus-per-socket, where it is no mere rule for GPUs that are asked for otherwise."""
    asked = demand.gres_total + demand.gres_per_node + demand.gres_per_task
    return () if any(request.name == "gpu" for request in asked) else demand.gpus_per_socket


def free_units(table: NodeTable, demand: Demand, request: GresRequest) -> IntColumn:
    """How many units of --gpus each node can give, the CPUs that go with each counted."""
    free = table.gres_column(request.name, request.type)
    if demand.cpus_per_gpu and request.name == "gpu":
        free = np.minimum(free, table.free_cpus // demand.cpus_per_gpu)
    if demand.memory_per_gpu_mb and request.name == "gpu":
        free = np.minimum(free, table.free_memory // demand.memory_per_gpu_mb)
    return free


def has_share(table: NodeTable, demand: Demand, share: GresRequest) -> BoolColumn:
    """Which nodes have a GPU with room for this share of one?"""
    gpus = table.gpus
    if gpus is None:
        return np.zeros(len(table), np.bool_)
    wanted = gpus.thousandths(share.milli, share.count)
    found: BoolColumn = np.logical_or.reduce(gpus.usable(wanted, share.type, demand.owner), axis=1)
    return found


def free_cpus(table: NodeTable, demand: Demand) -> IntColumn:
    """Per node, as far as the partition lets its jobs have them."""
    free = table.free_cpus_of(demand.partition, demand.sharers)
    if demand.cpus_limit is None:
        return free
    left = np.full(len(table), demand.cpus_limit, np.int64)
    for allocation in table.holders.values():
        if allocation.partition == demand.partition:
            for share in allocation.nodes:
                row = table.index.get(share.node)
                if row is not None:
                    left[row] -= len(share.cpus)
    return np.clip(left, 0, free)


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
        capacity = task_room(table, demand, cpus)
    if demand.cpus_per_node > 1:
        whole = cpus // table.threads * threads_used(table, demand)
        capacity = np.where(whole >= demand.cpus_per_node, capacity, 0)
    if demand.memory_per_node_mb == ALL_MEMORY:
        capacity = np.where(table.free_memory >= table.memory, capacity, 0)
    elif demand.memory_per_node_mb:
        capacity = np.where(table.free_memory >= demand.memory_per_node_mb, capacity, 0)
    elif demand.memory_per_cpu_mb:
        capacity = np.minimum(capacity, table.free_memory // (demand.memory_per_cpu_mb * demand.cpus_per_task))
    if demand.exclusive:
        capacity = np.where(table.jobs == 0, capacity, 0)
    if demand.share is not None:
        capacity = np.where(has_share(table, demand, demand.share), capacity, 0)
    for request in on_sockets(demand):
        wanted = request.count * max(1, demand.geometry.sockets)
        capacity = np.where(table.gres_column(request.name, request.type) >= wanted, capacity, 0)
    for request in demand.gres_per_node:
        capacity = np.where(table.gres_column(request.name, request.type) >= request.count, capacity, 0)
    for request in demand.gres_per_task:
        free = table.gres_column(request.name, request.type)
        capacity = np.minimum(capacity, free // max(1, request.count))
        if demand.memory_per_gpu_mb:
            capacity = np.minimum(capacity, table.free_memory // (demand.memory_per_gpu_mb * max(1, request.count)))
    if demand.tasks_per_gpu:
        capacity = np.minimum(capacity, table.gres_column("gpu") * demand.tasks_per_gpu)
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
