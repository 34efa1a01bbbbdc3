"""On which CPUs of its step does each task run (--cpu-bind), and what do the variables say of bindings?

CPUs are ids as the controller counts them (`cpus.py`); map_cpu and mask_cpu name them so too. A task that nothing binds may use all
of its step's.
"""

from typing import NamedTuple

from corral.model.gres import gpus_of
from corral.model.step import TaskPlace
from corral.protocol.orders import LaunchStep
from corral.syntax import cpubind, distribution
from corral.syntax.cpubind import CpuBinding


class BindingOutside(Exception):
    """The list names CPUs that the step has not; the text is for the user."""


class Bound(NamedTuple):
    kind: str  #: MASK, MAP, RANK, LDMASK, ...
    cpus: tuple[int, ...]  #: () = all of the step's


#: What --cpu-bind=verbose calls them.
_WORDS = {
    "map_cpu": "MAP ", "mask_cpu": "MASK", "rank": "RANK", "rank_ldom": "LDRANK", "map_ldom": "LDMAP ", "mask_ldom": "LDMASK",
    "none": "NONE",
}  # fmt: skip


def asked(order: LaunchStep) -> CpuBinding:
    """What was said; else what counting tasks by sockets, cores or threads means."""
    spec = order.spec
    said = cpubind.parse(spec.cpu_bind) if spec.cpu_bind else CpuBinding()
    if said.kind:
        return said
    if spec.ntasks_per_socket:
        return said._replace(kind="sockets")
    if spec.hint in ("compute_bound", "memory_bound") or (spec.ntasks_per_core and spec.hint != "multithread"):
        return said._replace(kind="cores")
    if spec.threads_per_core or spec.hint:
        return said._replace(kind="threads")
    return said


def bind(order: LaunchStep) -> list[Bound]:
    """For each task here, in the order of their local ids. BindingOutside when a list names what the step has not."""
    binding = asked(order)
    tasks, held = len(order.tasks), order.share.cpus
    if binding.kind in ("", "none"):
        return [Bound("NONE" if binding.kind == "none" else "MASK", ())] * tasks
    word = _WORDS.get(binding.kind, "MASK")
    match binding.kind:
        case "map_cpu" | "mask_cpu":
            wanted = [_chosen(binding, local) for local in range(tasks)]
            if not set().union(*wanted) <= set(held):
                mask = sum(1 << cpu for cpu in held)
                raise BindingOutside(f"CPU binding outside of job step allocation, allocated CPUs are: {mask:#x}.")
        case "rank":
            each = order.cpus_per_task
            wanted = [{held[(local * each + i) % len(held)] for i in range(each)} for local in range(tasks)]
        case "rank_ldom" | "map_ldom" | "mask_ldom":
            wanted = [_of_sockets(order, _ldoms(binding, order, local)) for local in range(tasks)]
        case kind:
            wanted = _laid_out(order, kind)
    return [Bound(word, tuple(sorted(cpus)) if cpus else ()) for cpus in wanted]


def _chosen(binding: CpuBinding, local: int) -> set[int]:
    number = binding.numbers[local % len(binding.numbers)]
    return _bits(number) if binding.kind.startswith("mask") else {number}


def _bits(mask: int) -> set[int]:
    return {bit for bit in range(mask.bit_length()) if mask >> bit & 1}


def _ldoms(binding: CpuBinding, order: LaunchStep, local: int) -> set[int]:
    """A socket is a locality domain."""
    if binding.kind == "rank_ldom":
        return {local % max(1, order.layout[0])}
    return _chosen(binding, local)


def _socket(order: LaunchStep, cpu: int) -> int:
    _, cores, threads = order.layout
    return cpu // (cores * threads) if cores else 0


def _of_sockets(order: LaunchStep, sockets: set[int]) -> set[int]:
    return {cpu for cpu in order.share.cpus if _socket(order, cpu) in sockets}


def _laid_out(order: LaunchStep, kind: str) -> list[set[int]]:
    """Each task its own cores (or threads), going round the sockets as the distribution says; more tasks than cores share them."""
    threads = max(1, order.layout[2])
    limit = order.spec.threads_per_core or (
        1 if order.spec.hint in ("nomultithread", "compute_bound", "memory_bound") else threads
    )
    by_socket: dict[int, list[list[int]]] = {}
    for core in sorted({cpu // threads for cpu in order.share.cpus}):
        mine = [cpu for cpu in order.share.cpus if cpu // threads == core][:limit]
        units = [[cpu] for cpu in mine] if kind == "threads" else [mine]
        by_socket.setdefault(_socket(order, mine[0]), []).extend(units)
    size = 1 if kind == "threads" else min(limit, threads)
    need = -(-order.cpus_per_task // size)
    said = distribution.parse(order.spec.distribution) if order.spec.distribution else distribution.Distribution()
    tasks = len(order.tasks)
    found = _deal(list(by_socket.values()), tasks, need, said.sockets or ("block" if said.plane else "cyclic"))
    if kind in ("sockets", "ldoms"):
        return [_of_sockets(order, {_socket(order, cpu) for cpu in cpus}) for cpus in found]
    return found


def _deal(sockets: list[list[list[int]]], tasks: int, need: int, how: str) -> list[set[int]]:
    left = [list(units) for units in sockets]
    found: list[set[int]] = []
    at = 0
    for _ in range(tasks):
        mine: set[int] = set()
        for _ in range(min(need, sum(map(len, sockets)))):
            if not any(left):
                left = [list(units) for units in sockets]
            while not left[at % len(left)]:
                at += 1
            mine.update(left[at % len(left)].pop(0))
            at += how == "fcyclic"
        at += how == "cyclic"
        if how == "block":
            at = 0
        found.append(mine)
    return found


# -- what the variables say


def cpu_variables(order: LaunchStep) -> dict[str, str]:
    """SLURM_CPU_BIND and its parts; none when nothing binds."""
    binding = asked(order)
    if not binding.kind and not binding.verbose:
        return {}
    how = "verbose" if binding.verbose else "quiet"
    if binding.kind in ("none", "rank", "rank_ldom"):
        kind, numbers = binding.kind, ""
    elif binding.numbers:
        is_mask = binding.kind.startswith("mask")
        kind, numbers = f"{binding.kind}:", ",".join(f"{n:x}" if is_mask else str(n) for n in binding.numbers)
    else:
        try:
            masks = [bound.cpus or order.share.cpus for bound in bind(order)]
        except BindingOutside:
            masks = []
        kind, numbers = "mask_cpu:", ",".join(f"{sum(1 << cpu for cpu in cpus):#x}" for cpus in masks)
    return {
        "SLURM_CPU_BIND": f"{how},{kind}{numbers}",
        "SLURM_CPU_BIND_LIST": numbers,
        "SLURM_CPU_BIND_TYPE": kind,
        "SLURM_CPU_BIND_VERBOSE": how,
    }


def memory_variables(text: str, of_step: bool) -> dict[str, str]:
    """SLURM_MEM_BIND and its parts: of a step all of them, of a batch script two."""
    words = [word for word in text.split(",") if word]
    kinds = [word for word in words if word not in ("q", "quiet", "v", "verbose")]
    if not kinds:
        return {}
    how = "verbose" if len(kinds) < len(words) and words[0].startswith("v") else "quiet"
    if not of_step:
        return {"SLURM_MEM_BIND": kinds[0], "SLURM_MEM_BIND_VERBOSE": how}
    return {
        "SLURM_MEM_BIND": f"{how},{kinds[0]}",
        "SLURM_MEM_BIND_LIST": "",
        "SLURM_MEM_BIND_TYPE": kinds[0],
        "SLURM_MEM_BIND_VERBOSE": how,
    }


def gpu_binding(order: LaunchStep) -> str:
    """As SLURMD_TRES_BIND has it, after `gpu:`; "" = all tasks see all of the step's."""
    spec, job = order.spec, order.job.spec
    if said := spec.gpu_bind or job.gpu_bind:
        return said.removeprefix("gpu:")
    each = spec.ntasks_per_gpu or job.ntasks_per_gpu
    if each:
        return f"single:{each}"
    per_task = spec.gpus_per_task if spec.gpus_per_task is not None else job.gpus_per_task
    if per_task and order.ntasks > 1:
        return f"per_task:{sum(request.count for request in per_task)}"
    return ""


def closest_gpus(order: LaunchStep, bound: Bound) -> tuple[int, ...]:
    """For --gpu-bind=closest: the GPUs near the CPUs that a task may use; () = all of the step's: none is near, or nothing is known."""
    threads = max(1, order.layout[2])
    cores = {cpu // threads for cpu in bound.cpus or order.share.cpus}
    held = gpus_of(order.share.gres)
    return tuple(gpu for gpu, near in zip(held, order.gpu_cores, strict=False) if cores.intersection(near))


def verbose_line(order: LaunchStep, place: TaskPlace, bound: Bound) -> tuple[str, str]:
    """What --cpu-bind=verbose says on a task's standard error: before and after its process id."""
    if not asked(order).verbose:
        return "", ""
    mask = sum(1 << cpu for cpu in bound.cpus or order.share.cpus)
    return (
        f"cpu-bind={bound.kind} - {order.node}, task {place.rank:2} {place.local_id:2} [",
        f"]: mask {mask:#x} set\n",
    )
