"""What does a job ask of the nodes, once every option has been resolved?"""

import msgspec

from corral.model.gres import GresRequest
from corral.model.job import JobSpec
from corral.syntax import hostlist, licenses

#: Memory "all of the node's" (--mem=0).
ALL_MEMORY = -1


class Demand(msgspec.Struct, frozen=True, kw_only=True, cache_hash=True):
    """Jobs with equal demands have one answer within a cycle: this is the key of that cache."""

    partition: str
    nodes_min: int
    nodes_max: int | None  #: None = as few as the tasks need
    ntasks: int | None  #: None = the nodes decide (one per node)
    cpus_per_task: int = 1
    tasks_per_node: int | None = None
    memory_per_node_mb: int = 0  #: 0 = not counted
    memory_per_cpu_mb: int = 0
    memory_per_gpu_mb: int = 0
    gres_per_node: tuple[GresRequest, ...] = ()
    gres_per_task: tuple[GresRequest, ...] = ()
    gres_total: tuple[GresRequest, ...] = ()
    cpus_per_gpu: int = 0
    exclusive: bool = False
    overcommit: bool = False
    nodelist: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    constraint: str = ""
    # what the partition adds (limits.py)
    nodes_limit: int | None = None  #: never on more nodes
    cpus_limit: int | None = None  #: the partition's jobs together hold no more CPUs of a node
    spread: bool = False  #: on the emptiest nodes, whatever the cluster's placement
    user: int = -1  #: whose; -1 = no partition keeps nodes to one user
    only_user: bool = False  #: on nodes without other users' jobs
    licenses: tuple[tuple[str, int], ...] = ()  #: of the cluster's; none of them is counted 0
    reservation: str = ""  #: in which it runs

    @property
    def wants_gres(self) -> bool:
        return bool(self.gres_per_node or self.gres_per_task or self.gres_total)


def demand_of(spec: JobSpec, partition: str, memory_per_cpu_mb: int = 0, memory_per_node_mb: int = 0) -> Demand:
    """Resolve a spec. The two memory arguments are the partition's or cluster's defaults (0 = none).

    Rules as sbatch(1) has them: --ntasks-per-node without --ntasks multiplies with the nodes; a node list asks for at least its
    nodes; without any count it is one task on one node.
    """
    nodelist = tuple(hostlist.expand(spec.nodelist)) if spec.nodelist else ()
    exclude = tuple(sorted(hostlist.expand(spec.exclude))) if spec.exclude else ()
    nodes_min = max(spec.nodes_min or 1, len(nodelist))
    nodes_max = spec.nodes_max
    ntasks = spec.ntasks
    if spec.ntasks_per_node:
        if ntasks is None:
            ntasks = spec.ntasks_per_node * nodes_min
        elif spec.nodes_min is None:
            nodes_min = max(nodes_min, -(-ntasks // spec.ntasks_per_node))
            nodes_max = max(nodes_max or 0, nodes_min)
    if ntasks is None and nodes_max is None and not any(request.count for request in spec.gpus):
        nodes_max = nodes_min
    if ntasks is not None and nodes_max is not None and not spec.overcommit:
        nodes_max = max(nodes_min, min(nodes_max, ntasks))
    if spec.memory_per_node_mb is not None:
        per_node, per_cpu, per_gpu = spec.memory_per_node_mb or ALL_MEMORY, 0, 0
    elif spec.memory_per_cpu_mb is not None:
        per_node, per_cpu, per_gpu = 0, spec.memory_per_cpu_mb, 0
    elif spec.memory_per_gpu_mb is not None:
        per_node, per_cpu, per_gpu = 0, 0, spec.memory_per_gpu_mb
    else:
        per_node, per_cpu, per_gpu = memory_per_node_mb, memory_per_cpu_mb, 0
    return Demand(
        partition=partition,
        nodes_min=nodes_min,
        nodes_max=nodes_max,
        ntasks=ntasks,
        cpus_per_task=spec.cpus_per_task or 1,
        tasks_per_node=spec.ntasks_per_node,
        memory_per_node_mb=per_node,
        memory_per_cpu_mb=per_cpu,
        memory_per_gpu_mb=per_gpu,
        gres_per_node=_wanted(spec.gres + spec.gpus_per_node),
        gres_per_task=_wanted(spec.gpus_per_task),
        gres_total=_wanted(spec.gpus),
        cpus_per_gpu=spec.cpus_per_gpu or 0,
        exclusive=spec.exclusive,
        overcommit=spec.overcommit,
        nodelist=nodelist,
        exclude=exclude,
        constraint=spec.constraint,
        licenses=licences_of(spec),
    )


def licences_of(spec: JobSpec) -> licenses.Licenses:
    return tuple(entry for entry in licenses.parse(spec.licenses) if entry[1]) if spec.licenses else ()


def _wanted(requests: tuple[GresRequest, ...]) -> tuple[GresRequest, ...]:
    """`gpu:0` asks for nothing."""
    return tuple(request for request in requests if request.count) if requests else requests
