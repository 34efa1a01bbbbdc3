"""What does a partition allow a job, and what does it make of what the job asks for?

A job beyond a limit waits and says why: as in Slurm without EnforcePartLimits, it may be changed, or the limit.
"""

import msgspec

from corral.model.job import JobSpec
from corral.model.partition import Partition
from corral.model.reason import Reason
from corral.scheduler.demand import ALL_MEMORY, Demand


def within(demand: Demand, spec: JobSpec, partition: Partition, uid: int = -1) -> Demand:
    """The demand as this partition serves it. `uid` = whose job it is, where nodes are not shared between users."""
    fields: dict[str, object] = {}
    if partition.min_nodes > demand.nodes_min and (spec.nodes_max or partition.min_nodes) >= partition.min_nodes:
        fields["nodes_min"] = partition.min_nodes
        if demand.nodes_max is not None:
            fields["nodes_max"] = max(demand.nodes_max, partition.min_nodes)
    if partition.max_nodes is not None:
        fields["nodes_limit"] = partition.max_nodes
    if partition.max_cpus_per_node is not None:
        fields["cpus_limit"] = partition.max_cpus_per_node
    if partition.lln:
        fields["spread"] = True
    if partition.oversubscribe == "EXCLUSIVE":
        fields["exclusive"] = True
    if uid >= 0:
        fields |= {"user": uid, "only_user": partition.exclusive_user}
    return msgspec.structs.replace(demand, **fields) if fields else demand


def beyond(demand: Demand, partition: Partition, time_limit: int, time_min: int) -> Reason | None:
    """Which limit of the partition keeps the job waiting?"""
    if (time_min or time_limit) > partition.max_time:
        return Reason.PARTITION_TIME_LIMIT
    if partition.max_nodes is not None and demand.nodes_min > partition.max_nodes:
        return Reason.PARTITION_NODE_LIMIT
    if demand.nodes_max is not None and demand.nodes_max < partition.min_nodes:
        return Reason.PARTITION_NODE_LIMIT
    most = partition.max_memory_per_node_mb
    if most is not None and demand.memory_per_node_mb != ALL_MEMORY and _least_memory(demand) > most:
        return Reason.MAX_MEM_PER_LIMIT
    return None


def _least_memory(demand: Demand) -> int:
    """MiB on a node with one task, at least."""
    tasks = demand.tasks_per_node or 1
    gpus = sum(request.count for request in demand.gres_per_node if request.name == "gpu") or 1
    return max(
        demand.memory_per_node_mb,
        demand.memory_per_cpu_mb * demand.cpus_per_task * tasks,
        demand.memory_per_gpu_mb * gpus,
    )
