"""What does a partition allow a job, and what does it make of what the job asks for?

A job beyond a limit waits and says why: as in Slurm without EnforcePartLimits, it may be changed, or the limit.
"""

import msgspec

from corral.model.job import UNLIMITED, JobSpec
from corral.model.partition import Partition
from corral.model.reason import Reason
from corral.scheduler.demand import ALL_MEMORY, Demand


def relaxed(partition: Partition, ignores: frozenset[str]) -> Partition:
    """As it is for jobs whose QOS lifts some of its limits: time, max_nodes, min_nodes."""
    if not ignores:
        return partition
    fields: dict[str, object] = {}
    if "time" in ignores:
        fields["max_time"] = UNLIMITED
    if "max_nodes" in ignores:
        fields["max_nodes"] = None
    if "min_nodes" in ignores:
        fields["min_nodes"] = 0
    return msgspec.structs.replace(partition, **fields)


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
    elif (
        partition.sharers > 1
        and not spec.exclusive
        and (spec.oversubscribe or partition.oversubscribe.startswith("FORCE"))
    ):
        fields["sharers"] = partition.sharers
    if uid >= 0:
        fields |= {"user": uid, "only_user": partition.exclusive_user or spec.exclusive_user}
    demand = msgspec.structs.replace(demand, **fields) if fields else demand
    if partition.default_cpus_per_gpu or partition.default_memory_per_gpu_mb or partition.max_memory_per_cpu_mb:
        demand = _per_unit(demand, spec, partition)
    return demand


def _per_unit(demand: Demand, spec: JobSpec, partition: Partition) -> Demand:
    """Defaults for each GPU; and who asks for more memory for a CPU than there may be gets CPUs that go with it."""
    fields: dict[str, object] = {}
    if demand.wants_gpus:
        if partition.default_cpus_per_gpu and not spec.cpus_per_gpu and spec.cpus_per_task is None:
            fields["cpus_per_gpu"] = partition.default_cpus_per_gpu
        asked = (spec.memory_per_node_mb, spec.memory_per_cpu_mb, spec.memory_per_gpu_mb)
        if partition.default_memory_per_gpu_mb and not any(number is not None for number in asked):
            fields |= {
                "memory_per_gpu_mb": partition.default_memory_per_gpu_mb, "memory_per_cpu_mb": 0, "memory_per_node_mb": 0,
            }  # fmt: skip
    most = partition.max_memory_per_cpu_mb
    if most and demand.memory_per_cpu_mb > most:
        times = -(-demand.memory_per_cpu_mb // most)
        fields |= {
            "cpus_per_task": demand.cpus_per_task * times, "memory_per_cpu_mb": -(-demand.memory_per_cpu_mb // times),
        }  # fmt: skip
    elif most and demand.memory_per_node_mb > most:
        fields["cpus_per_node"] = max(demand.cpus_per_node, -(-demand.memory_per_node_mb // most))
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
        demand.least_memory_mb,
        demand.memory_per_node_mb,
        demand.memory_per_cpu_mb * demand.cpus_per_task * tasks,
        demand.memory_per_gpu_mb * gpus,
    )
