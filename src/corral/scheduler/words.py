"""How is what a job asks for said to people: 2 nodes, 4 CPUs per task, 16 GiB, 4 GPUs (v100)?"""

from corral.scheduler.demand import ALL_MEMORY, Demand, Geometry


def counted(number: int, noun: str, plural: str = "") -> str:
    """1 node, 2 nodes."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"


def between(low: int, high: int, unit: str) -> str:
    """none, 2, 0 to 2 are ..."""
    if unit == "MiB":
        return f"{mib(low)} is" if low == high else f"{mib(low)} to {mib(high)} are"
    if low == high:
        return "none is" if low == 0 else f"{low} is" if low == 1 else f"{low} are"
    return f"{low} to {high} are"


def mib(amount: int) -> str:
    for unit, size in (("TiB", 1 << 20), ("GiB", 1 << 10)):
        if amount >= size:
            return f"{amount / size:.1f}".removesuffix(".0") + f" {unit}"
    return f"{amount} MiB"


def unit_of(name: str, type: str) -> str:
    noun = "GPU" if name == "gpu" else name
    return f"{noun} ({type})" if type else noun


def units(name: str, type: str, count: int) -> str:
    """2 GPUs (v100), 3 shard."""
    noun = ("GPU" if count == 1 else "GPUs") if name == "gpu" else name
    return f"{count} {noun}" + (f" ({type})" if type else "")


def cpus(demand: Demand, tasks: int) -> str:
    """What one node must have at least."""
    least = max(demand.cpus_per_task * tasks, demand.cpus_per_node)
    if demand.overcommit:
        least = max(1, demand.cpus_per_node)
    return counted(least, "CPU")


def memory(demand: Demand) -> str:
    if demand.memory_per_node_mb == ALL_MEMORY:
        return "all of the memory"
    if demand.memory_per_node_mb:
        return f"{mib(demand.memory_per_node_mb)} of memory"
    if demand.memory_per_cpu_mb:
        return f"{mib(demand.memory_per_cpu_mb)} of memory per CPU"
    return f"{mib(demand.memory_per_gpu_mb)} of memory per GPU"


def geometry(asked: Geometry) -> str:
    parts = [
        counted(count, noun)
        for count, noun in (
            (asked.sockets, "socket"), (asked.cores, "core per socket"), (asked.threads, "thread per core"),
        )
        if count
    ]  # fmt: skip
    return ", ".join(
        part.replace("core per sockets", "cores per socket").replace("thread per cores", "threads per core")
        for part in parts
    )


def of_demand(demand: Demand) -> str:
    """All of it."""
    most = demand.nodes_max
    nodes = counted(demand.nodes_min, "node")
    if most is not None and most > demand.nodes_min:
        nodes = f"{demand.nodes_min} to {most} nodes"
    parts = [
        nodes if most is not None else f"at least {nodes}" if demand.nodes_min > 1 else "as many nodes as that takes"
    ]
    if demand.ntasks and demand.ntasks > 1:
        parts.append(f"{demand.ntasks} tasks" + (f", {demand.tasks_per_node} a node" if demand.tasks_per_node else ""))
    parts.append(
        f"{counted(demand.cpus_per_task, 'CPU')} per task"
        if (demand.ntasks or 1) > 1
        else counted(demand.cpus_per_task, "CPU")
    )
    if demand.cpus_per_node > 1:
        parts.append(f"at least {counted(demand.cpus_per_node, 'CPU')} a node")
    if demand.memory_per_node_mb or demand.memory_per_cpu_mb or demand.memory_per_gpu_mb:
        parts.append(memory(demand) + (" a node" if demand.memory_per_node_mb > 0 else ""))
    parts += [units(one.name, one.type, one.count) + " a node" for one in demand.gres_per_node]
    parts += [units(one.name, one.type, one.count) + " per task" for one in demand.gres_per_task]
    parts += [units(one.name, one.type, one.count) + " in all" for one in demand.gres_total]
    if demand.constraint:
        parts.append(f"features {demand.constraint}")
    if demand.exclusive:
        parts.append("alone on its nodes")
    if demand.contiguous:
        parts.append("on neighbouring nodes")
    if demand.switches:
        parts.append(f"on at most {counted(demand.switches, 'switch', 'switches')}")
    parts += [f"licence {name}:{count}" for name, count in demand.licenses]
    return ", ".join(parts)
