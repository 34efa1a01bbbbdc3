"""What is given out: cores or whole nodes, with their memory or without (Slurm's SelectType and SelectTypeParameters)?"""

import msgspec

from corral.model.cluster import Scheduling
from corral.model.job import JobSpec
from corral.scheduler.demand import ALL_MEMORY, Demand
from corral.syntax import distribution


def given_out(demand: Demand, spec: JobSpec, rules: Scheduling) -> Demand:
    """The demand as the cluster serves it. Most clusters give out cores and memory, and nothing changes."""
    fields: dict[str, object] = {}
    if rules.select == "nodes" and not demand.exclusive:
        fields |= {"exclusive": True, "sharers": 0}
    if not rules.count_memory and (demand.memory_per_node_mb or demand.memory_per_cpu_mb or demand.memory_per_gpu_mb):
        fields |= {
            "least_memory_mb": _least_memory(demand), "memory_per_node_mb": 0, "memory_per_cpu_mb": 0, "memory_per_gpu_mb": 0,
        }  # fmt: skip
    geometry = demand.geometry
    if rules.one_task_per_core and not geometry.tasks_per_core and not geometry.threads:
        geometry = msgspec.structs.replace(geometry, tasks_per_core=1)
    if rules.core_order == "block" and not _says_cores(spec.distribution):
        geometry = msgspec.structs.replace(geometry, order="block")
    if geometry is not demand.geometry:
        fields["geometry"] = geometry
    return msgspec.structs.replace(demand, **fields) if fields else demand


def _least_memory(demand: Demand) -> int:
    """MiB that a node must have at all, with one task on it."""
    if demand.memory_per_node_mb == ALL_MEMORY:
        return 0
    per_cpu = demand.memory_per_cpu_mb * demand.cpus_per_task * (demand.tasks_per_node or 1)
    return max(demand.memory_per_node_mb, per_cpu)


def _says_cores(text: str) -> bool:
    return bool(text and distribution.parse(text).sockets)
