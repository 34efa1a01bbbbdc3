"""How far in front does a waiting job stand? Slurm's multifactor sum.

Each factor is a share from 0 to 1, times its weight: how long it has been eligible, its association's priority, how little the
association has used beside its share, how much of the cluster the job asks for, its partition's factor, its QOS' priority, and what it
asks for of each resource in its partition. A site's own number is added, nice is taken off. Without any weight all jobs have one
priority, so changed; with the type "basic" each is one less than that of the job before.
"""

import msgspec

from corral.model.cluster import PriorityWeights
from corral.model.job import UNLIMITED
from corral.scheduler.demand import ALL_MEMORY, Demand

#: slurm.conf(5): without weights every job has the same priority, lowered by nice.
BASE_PRIORITY = 4_294_901_000
#: Of priority/basic: the first job has one less.
TOP_PRIORITY = 0xFFFF0000
_MOST = (1 << 32) - 2


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """What shares are shares of."""

    nodes: int
    cpus: int
    tres: dict[str, dict[str, int]]  #: partition -> cpu, mem, node, gres/gpu, billing; only when they weigh something
    factors: dict[str, int]  #: partition -> its factor


def weighs(weights: PriorityWeights) -> bool:
    return bool(
        weights.fair_share
        or weights.qos
        or weights.age
        or weights.assoc
        or weights.job_size
        or weights.partition
        or any(weights.tres.values())
    )


class Factors(msgspec.Struct, frozen=True, kw_only=True):
    """Of one job in one partition: shares from 0 to 1 (unless a NO_NORMAL flag says otherwise), before their weights."""

    age: float = 0.0
    assoc: float = 0.0
    fair_share: float = 0.0
    job_size: float = 0.0
    partition: float = 0.0
    qos: float = 0.0
    tres: dict[str, float] = {}


def factors(
    weights: PriorityWeights, demand: Demand, totals: Totals, time_limit: int = UNLIMITED, billed: int = 0
) -> Factors:
    """What does not change while it waits. `billed` = what a second of it is charged with."""
    size = partition = 0.0
    tres: dict[str, float] = {}
    if weights.job_size:
        size = _size(weights, demand, totals, time_limit)
    if weights.partition:
        own, largest = totals.factors.get(demand.partition, 0), max(totals.factors.values(), default=0)
        partition = own if weights.has("NO_NORMAL_PART") else own / largest if largest else 0.0
    if weights.tres:
        wanted = requested(demand)
        wanted["billing"] = billed
        whole = totals.tres.get(demand.partition, {})
        plain = weights.has("NO_NORMAL_TRES")
        tres = {
            name: wanted.get(name, 0) if plain else min(1.0, wanted.get(name, 0) / max(1, whole.get(name, 0)))
            for name in weights.tres
        }
    return Factors(job_size=size, partition=partition, tres=tres)


def _size(weights: PriorityWeights, demand: Demand, totals: Totals, time_limit: int) -> float:
    nodes, cpus = max(1, totals.nodes), max(1, totals.cpus)
    if weights.has("SMALL_RELATIVE_TO_TIME"):
        wide = max(demand.nodes_min * cpus / nodes, _cpus(demand))
        share = wide / max(1, -(-min(time_limit, UNLIMITED) // 60)) / cpus
        return min(1.0, max(0.0, 1.0 - share if weights.favor_small else share))
    share = (demand.nodes_min / nodes + _cpus(demand) / cpus) / 2
    return min(1.0, max(0.0, 1.0 - share if weights.favor_small else share))


def points_of(weights: PriorityWeights, found: Factors) -> float:
    """The weighted sum."""
    return (
        weights.age * found.age
        + weights.assoc * found.assoc
        + weights.fair_share * found.fair_share
        + weights.job_size * found.job_size
        + weights.partition * found.partition
        + weights.qos * found.qos
        + sum(weight * found.tres.get(name, 0.0) for name, weight in weights.tres.items())
    )


def fixed_part(
    weights: PriorityWeights,
    demands: tuple[Demand, ...],
    totals: Totals,
    time_limit: int = UNLIMITED,
    billed: tuple[int, ...] = (),
) -> float:
    """What does not change while it waits; of its partitions the one that is best for it counts."""
    charges = billed or (0,) * len(demands)
    return max(
        (
            points_of(weights, factors(weights, one, totals, time_limit, charge))
            for one, charge in zip(demands, charges, strict=True)
        ),
        default=0.0,
    )


def standing_part(weights: PriorityWeights, fair_share: float, qos: float, assoc: float = 0.0) -> float:
    """Factors from 0 to 1."""
    return weights.fair_share * fair_share + weights.qos * qos + weights.assoc * assoc


def age_factor(weights: PriorityWeights, eligible: float, now: float) -> float:
    """`eligible` = since when it could have started; 0 = it can't yet."""
    if not weights.age or not eligible or now <= eligible:
        return 0.0
    return min(1.0, (now - eligible) / weights.max_age if weights.max_age else 1.0)


def age_part(weights: PriorityWeights, eligible: float, now: float) -> float:
    return weights.age * age_factor(weights, eligible, now)


def total(points: float, nice: int, site: int = 0) -> int:
    """Never 0: that would be a held job."""
    return max(1, min(_MOST, int(points + site - nice)))


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
    if demand.share is not None:  # of thousandths it is not known as how many shards of a node they count
        found["gres/shard"] = demand.share.count * demand.nodes_min
    return found


def _cpus(demand: Demand) -> int:
    return (demand.ntasks or demand.nodes_min) * demand.cpus_per_task
