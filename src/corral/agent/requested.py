"""Which variables are there only when a job asked for the thing: SLURM_NTASKS for -n, SLURM_MEM_PER_CPU for --mem-per-cpu?"""

from collections.abc import Collection

from corral.agent import binding
from corral.model.allocation import Allocation
from corral.model.gres import GresRequest
from corral.model.job import JobKind, JobSpec


def requested_variables(spec: JobSpec, allocation: Allocation) -> dict[str, str]:
    result = dict[str, str]()
    ntasks = spec.ntasks or (spec.ntasks_per_node or 0) * len(allocation.nodes)
    if spec.ntasks_per_gpu and not ntasks:
        ntasks = allocation.ntasks
    told = not spec.memory_by_default or spec.kind is JobKind.BATCH  # srun and salloc tell what they were given
    memory = spec.memory_per_node_mb if told else None
    if memory == 0:
        memory = allocation.nodes[0].memory_mb
    for name, value in {
        "SLURM_NTASKS": ntasks or None,
        "SLURM_NPROCS": ntasks or None,
        "SLURM_CPUS_PER_TASK": spec.cpus_per_task,
        "SLURM_NTASKS_PER_NODE": spec.ntasks_per_node,
        "SLURM_NTASKS_PER_SOCKET": spec.ntasks_per_socket,
        "SLURM_NTASKS_PER_CORE": spec.ntasks_per_core,
        "SLURM_NTASKS_PER_GPU": spec.ntasks_per_gpu,
        "SLURM_THREADS_PER_CORE": spec.threads_per_core,
        "SLURM_HINT": spec.hint or None,
        "SLURM_MEM_PER_NODE": memory,
        "SLURM_MEM_PER_CPU": spec.memory_per_cpu_mb if told else None,
        "SLURM_MEM_PER_GPU": spec.memory_per_gpu_mb,
        "SLURM_CPUS_PER_GPU": spec.cpus_per_gpu,
        "SLURM_GPUS": _gpu_text(spec.gpus),
        "SLURM_GPUS_PER_NODE": _gpu_text(spec.gpus_per_node),
        "SLURM_GPUS_PER_TASK": _gpu_text(spec.gpus_per_task),
        "SLURM_GPUS_PER_SOCKET": _gpu_text(spec.gpus_per_socket),
        "SLURM_GPU_BIND": spec.gpu_bind or None,
        "SLURM_OVERCOMMIT": 1 if spec.overcommit else None,
        "SLURM_JOB_DEPENDENCY": spec.dependency or None,
    }.items():
        if value is not None:
            result[name] = str(value)
    if spec.mem_bind:
        result |= binding.memory_variables(spec.mem_bind, of_step=False)
    return result | distribution_variables(spec.distribution)


def distribution_variables(text: str) -> dict[str, str]:
    word, _, size = text.partition("=")
    result = {"SLURM_DISTRIBUTION": word} if word else {}
    return result | ({"SLURM_DIST_PLANESIZE": size} if size else {})


def _gpu_text(requests: Collection[GresRequest]) -> str | None:
    if not requests:
        return None
    return (
        ",".join(f"{request.type}:{request.count}" if request.type else str(request.count) for request in requests)
        or None
    )
