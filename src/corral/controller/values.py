"""What do a job's requirements and its allocation come to, as numbers and in Slurm's texts?"""

from collections import OrderedDict

import msgspec

from corral.model.allocation import Allocation, NodeShare, default_charge
from corral.model.gres import GresRequest
from corral.model.job import Job, JobSpec
from corral.model.reason import Reason
from corral.scheduler.demand import demand_of
from corral.syntax import hostlist
from corral.syntax.licenses import Licenses
from corral.syntax.tres import format_tres


class Asked(msgspec.Struct, frozen=True, gc=False):
    """What a spec asks for in all, as far as that is known before it starts."""

    nodes: int
    nodes_max: int
    cpus: int
    ntasks: int
    memory_mb: int
    gpus: int
    tres: str
    memory_text: str


def count_gpus(requests: tuple[GresRequest, ...]) -> int:
    return sum(request.count for request in requests if request.name == "gpu" and not request.milli)


_ASKED: dict[tuple[object, ...], Asked] = {}


def asked(spec: JobSpec) -> Asked:
    """Worked out once for all specs that ask for the same."""
    key = (
        spec.nodes_min, spec.nodes_max, spec.ntasks, spec.cpus_per_task, spec.ntasks_per_node, spec.memory_per_node_mb,
        spec.memory_per_cpu_mb, spec.memory_per_gpu_mb, spec.gres, spec.gpus, spec.gpus_per_node, spec.gpus_per_task,
        spec.cpus_per_gpu, spec.overcommit, spec.nodelist, spec.licenses,
    )  # fmt: skip
    found = _ASKED.get(key)
    if found is None:
        if len(_ASKED) >= 4096:
            _ASKED.clear()
        found = _ASKED[key] = _asked(spec)
    return found


def _asked(spec: JobSpec) -> Asked:
    demand = demand_of(spec, "")
    nodes = demand.nodes_min
    ntasks = demand.ntasks if demand.ntasks is not None else nodes
    cpus = max(nodes, ntasks if demand.overcommit else ntasks * demand.cpus_per_task)
    gpus = count_gpus(spec.gpus) or count_gpus(spec.gpus_per_task) * ntasks
    gpus = gpus or count_gpus(spec.gres + spec.gpus_per_node) * nodes
    if spec.cpus_per_gpu:
        cpus = max(cpus, gpus * spec.cpus_per_gpu)
    memory = (
        max(demand.memory_per_node_mb, 0) * nodes or demand.memory_per_cpu_mb * cpus or demand.memory_per_gpu_mb * gpus
    )
    gres = {"gpu": gpus} if gpus else {}
    if demand.share is not None and not demand.share.milli:  # as how many shards a fraction counts, its node says
        gres["shard"] = demand.share.count * nodes
    tres = tres_text(cpus, memory, nodes, gres, licenses=demand.licenses)
    return Asked(nodes, max(demand.nodes_max or nodes, nodes), cpus, ntasks, memory, gpus, tres, _memory_text(memory))


def nodes_wanted(asked: Asked, spec: JobSpec, cpus: int, gpus: int) -> int:
    """How many nodes with so many CPUs and GPUs it takes; of --nodes=2-4 as many as there are tasks for."""
    nodes = asked.nodes
    if cpus and not spec.overcommit:
        nodes = max(nodes, -(-asked.ntasks // max(1, cpus // (spec.cpus_per_task or 1))))
    if gpus and spec.gpus:
        nodes = max(nodes, -(-asked.gpus // gpus))
    if spec.nodes_max:
        nodes = min(spec.nodes_max, max(nodes, spec.ntasks or spec.nodes_max))
    return nodes


def _memory_text(megabytes: int) -> str:
    return format_tres({"mem": megabytes})[4:] if megabytes else "0"


def tres_text(
    cpus: int,
    memory_mb: int,
    nodes: int,
    gres: dict[str, int],
    billing: bool = True,
    licenses: Licenses = (),
    charged: int = -1,
) -> str:
    """cpu=2,mem=100M,node=1,billing=2,gres/gpu=1"""
    amounts = {"cpu": cpus}
    if memory_mb:
        amounts["mem"] = memory_mb
    amounts["node"] = nodes
    if billing:
        amounts["billing"] = default_charge(cpus, gres.get("gpu", 0)) if charged < 0 else charged
    for name, count in gres.items():
        amounts[f"gres/{name}"] = count
    for name, count in licenses:
        amounts[f"license/{name}"] = count
    return format_tres(amounts)


def gres_totals(allocation: Allocation) -> dict[str, int]:
    totals: dict[str, int] = {}
    for share in allocation.nodes:
        for gres in share.gres:
            totals[gres.name] = totals.get(gres.name, 0) + gres.count
    return totals


def allocated_tres(allocation: Allocation, billing: bool = True) -> str:
    return tres_text(
        allocation.cpu_count, allocation.memory_mb, len(allocation.nodes), gres_totals(allocation), billing,
        allocation.licenses, allocation.billed,
    )  # fmt: skip


def eligible_time(job: Job) -> float:
    """Elements that the array's throttle holds back are not eligible."""
    return 0.0 if job.is_pending and job.reason is Reason.ARRAY_TASK_LIMIT else job.eligible_time


def tasks_of(job: Job, spec: JobSpec) -> int:
    """How many tasks the job counts: said, or what the allocation has."""
    if job.allocation is not None:
        return job.allocation.ntasks
    return asked(spec).ntasks


def gres_in_use(share: NodeShare) -> str:
    """gpu:v100:2(IDX:0-1)"""
    return ",".join(
        f"{gres.name}:{gres.type + ':' if gres.type and not gres.milli else ''}{gres.count}(IDX:{id_ranges(gres.indices)})"
        for gres in share.gres
    )


def id_ranges(ids: tuple[int, ...]) -> str:
    """0-3,7"""
    runs: list[list[int]] = []
    for number in sorted(ids):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)


_FOLDED: OrderedDict[tuple[str, ...], str] = OrderedDict()


def fold(names: tuple[str, ...]) -> str:
    """The hostlist of these nodes; many jobs hold the same ones."""
    if len(names) == 1:
        return names[0]
    text = _FOLDED.get(names)
    if text is None:
        text = _FOLDED[names] = hostlist.fold(names)
        if len(_FOLDED) > 4096:
            _FOLDED.popitem(last=False)
    return text
