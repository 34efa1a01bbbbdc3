"""How far in front does a waiting job stand? Slurm's multifactor sum, as far as its factors are here.

Each factor is a share from 0 to 1, times its weight: how long it has been eligible, how much of the cluster it asks for, its
partition's factor beside the largest, and what it asks for of each resource. Nice is taken off. Without any weight all jobs have
one priority, lowered by nice.
"""

import msgspec

from corral.model.cluster import PriorityWeights
from corral.scheduler.demand import ALL_MEMORY, Demand

#: slurm.conf(5): without weights every job has the same priority, lowered by nice.
BASE_PRIORITY = 4_294_901_000
_MOST = (1 << 32) - 2


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """What shares are shares of."""

    nodes: int
    cpus: int
    tres: dict[str, int]  #: "cpu", "mem", "node", "gres/gpu"; only when they weigh something
    factors: dict[str, int]  #: partition -> its factor


def weighs(weights: PriorityWeights) -> bool:
    return bool(
        weights.fair_share
        or weights.qos
        or weights.age
        or weights.job_size
        or weights.partition
        or any(weights.tres.values())
    )


class Factors(msgspec.Struct, frozen=True, kw_only=True):
    """Of one job in one partition: shares from 0 to 1, before their weights."""

    age: float = 0.0
    fair_share: float = 0.0
    job_size: float = 0.0
    partition: float = 0.0
    qos: float = 0.0
    tres: dict[str, float] = {}


def factors(weights: PriorityWeights, demand: Demand, totals: Totals) -> Factors:
    """What does not change while it waits."""
    size = partition = 0.0
    tres: dict[str, float] = {}
    if weights.job_size:
        nodes = demand.nodes_min / max(1, totals.nodes)
        size = min(1.0, (nodes + _cpus(demand) / max(1, totals.cpus)) / 2)
    if weights.partition:
        largest = max(totals.factors.values(), default=0)
        partition = totals.factors.get(demand.partition, 0) / largest if largest else 0.0
    if weights.tres:
        wanted = requested(demand)
        tres = {name: min(1.0, wanted.get(name, 0) / max(1, totals.tres.get(name, 0))) for name in weights.tres}
    return Factors(job_size=size, partition=partition, tres=tres)


def fixed_part(weights: PriorityWeights, demands: tuple[Demand, ...], totals: Totals) -> float:
    """What does not change while it waits; of its partitions the best counts."""
    if not demands:
        return 0.0
    first = factors(weights, demands[0], totals)
    partition = max((factors(weights, one, totals).partition for one in demands[1:]), default=0.0)
    points = weights.job_size * first.job_size + weights.partition * max(first.partition, partition)
    return points + sum(weight * first.tres[name] for name, weight in weights.tres.items())


def standing_part(weights: PriorityWeights, fair_share: float, qos: float) -> float:
    """Both factors from 0 to 1."""
    return weights.fair_share * fair_share + weights.qos * qos


def age_factor(weights: PriorityWeights, eligible: float, now: float) -> float:
    """`eligible` = since when it could have started; 0 = it can't yet."""
    if not weights.age or not eligible or now <= eligible:
        return 0.0
    return min(1.0, (now - eligible) / weights.max_age if weights.max_age else 1.0)


def age_part(weights: PriorityWeights, eligible: float, now: float) -> float:
    return weights.age * age_factor(weights, eligible, now)


def total(points: float, nice: int) -> int:
    """Never 0: that would be a held job."""
    return max(1, min(_MOST, int(points) - nice))


def requested(demand: Demand) -> dict[str, int]:
    """By the names that slurm.conf uses, in lower case."""
    cpus = _cpus(demand)
    per_node = 0 if demand.memory_per_node_mb == ALL_MEMORY else demand.memory_per_node_mb
    found = {
        "cpu": cpus,
        "node": demand.nodes_min,
        "mem": per_node * demand.nodes_min or demand.memory_per_cpu_mb * cpus,
    }
    tasks = demand.ntasks or demand.nodes_min
    for requests, times in (
        (demand.gres_per_node, demand.nodes_min),
        (demand.gres_per_task, tasks),
        (demand.gres_total, 1),
    ):
        for request in requests:
            name = f"gres/{request.name}"
            found[name] = found.get(name, 0) + request.count * times
    return found


def _cpus(demand: Demand) -> int:
    return (demand.ntasks or demand.nodes_min) * demand.cpus_per_task
