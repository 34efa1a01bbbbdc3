"""Which work does the Lublin-Feitelson model make of a seed?

Uri Lublin and Dror Feitelson, "The workload on parallel supercomputers: modeling the characteristics of rigid jobs", Journal of Parallel
and Distributed Computing 63(11), 2003; the parameters are those of their program for jobs of one kind. Sizes are two-stage uniform in the
logarithm, most of them powers of two; run times are hyper-gamma in the logarithm, and the larger a job the longer; arrivals are gamma in
the logarithm, denser by day. What the model has not is ours: users (a few submit most), and limits longer than the run time, if so wished.
"""

import math
import random
from collections.abc import Collection, Iterator

from corral.model.job import JobSpec
from corral.model.node import NodeInventory
from corral.simulator.workloads.work import Work, Workload

SERIAL, POWER_OF_TWO = 0.244, 0.576
LOW, MIDDLE_BELOW_HIGH, FIRST_STAGE = 0.8, 2.5, 0.86
A1, B1, A2, B2 = 4.2, 0.94, 312.0, 0.03
PA, PB = -0.0054, 0.78
AARR, BARR, RUSH_TO_ALL = 10.2303, 0.4871, 1.0225
ANUM, BNUM = 8.1737, 3.9631
LONGEST_RUN, LONGEST_GAP = 12.0, 13.0  #: logarithms of seconds
BUCKETS, DAY_BEGINS = 48, 11  #: half hours; a day is counted from the one in which the least comes
BUCKET_SECONDS = 86400 / BUCKETS
USERS = 64
#: Limits above an hour are whole quarters of an hour, and those below whole minutes: so people write them.
COARSE, FINE = 900, 60


class Synthetic(Collection[Work]):
    """Jobs made as they are asked for: the same ones each time."""

    def __init__(self, count: int, processors: int, seed: int, overestimate: float = 1.0, tasks: int = 1) -> None:
        self.count, self.processors, self.seed = count, processors, seed
        self.overestimate = overestimate  #: limits are up to so many times as long as the run
        self.tasks = tasks  #: a processor of the model is so many CPUs
        self.specs: dict[tuple[int, int], JobSpec] = {}

    def __len__(self) -> int:
        return self.count

    def __contains__(self, job: object) -> bool:
        return any(job == one for one in self)

    def __iter__(self) -> Iterator[Work]:
        chance = random.Random(self.seed)
        arrivals = _arrivals(chance)
        sizes = _Sizes(self.processors)
        for number in range(1, self.count + 1):
            submit = next(arrivals)
            size = sizes.one(chance)
            seconds = _run_time(chance, size)
            user = f"user{min(USERS, int(chance.paretovariate(0.7)))}"
            yield Work(number=number, submit=submit, seconds=seconds, spec=self._spec(chance, size, seconds), user=user)

    def _spec(self, chance: random.Random, size: int, seconds: int) -> JobSpec:
        limit = seconds
        if self.overestimate > 1.0:
            limit = math.ceil(seconds * chance.uniform(1.0, self.overestimate))
            step = COARSE if limit > 3600 else FINE
            limit = -(-limit // step) * step
        spec = self.specs.get((size, limit))
        if spec is None:
            spec = JobSpec(ntasks=size * self.tasks, time_limit=limit)
            if len(self.specs) < 100_000:
                self.specs[size, limit] = spec
        return spec


def workload(
    count: int, nodes: tuple[NodeInventory, ...], seed: int, overestimate: float = 1.0, largest: int = 0
) -> Workload:
    """Jobs of up to all of these nodes' CPUs, or up to `largest`."""
    total = sum(node.cpus for node in nodes)
    jobs = Synthetic(count, min(largest or total, total), seed, overestimate)
    return Workload(name=f"lublin-{count}", jobs=jobs, nodes=nodes)


class _Sizes:
    """How many processors?"""

    def __init__(self, processors: int) -> None:
        self.most = processors
        self.high = math.log2(processors) if processors > 1 else 0.0
        self.low = min(LOW, self.high)
        self.middle = max(self.low, self.high - MIDDLE_BELOW_HIGH)

    def one(self, chance: random.Random) -> int:
        kind = chance.random()
        if kind <= SERIAL or self.most == 1:
            return 1
        if chance.random() <= FIRST_STAGE:
            power = chance.uniform(self.low, self.middle)
        else:
            power = chance.uniform(self.middle, self.high)
        if kind <= SERIAL + POWER_OF_TWO:
            power = math.floor(power + 0.5)
        return max(1, min(self.most, math.floor(2**power + 0.5)))


def _run_time(chance: random.Random, size: int) -> int:
    share = min(1.0, max(0.0, PA * size + PB))
    while True:
        power = chance.gammavariate(A1, B1) if chance.random() <= share else chance.gammavariate(A2, B2)
        if power <= LONGEST_RUN:
            return max(1, int(math.exp(power)))


def _arrivals(chance: random.Random) -> Iterator[int]:
    """Seconds since a midnight. A gap is drawn as if all hours were alike, and stretched or squeezed by those that it goes through."""
    weights = _weights()
    now = 0.0
    while True:
        gap = LONGEST_GAP + 1
        while gap > LONGEST_GAP:
            gap = chance.gammavariate(AARR * RUSH_TO_ALL, BARR)
        left = math.exp(gap)
        while True:
            bucket = int(now // BUCKET_SECONDS)
            weight = weights[bucket % BUCKETS]
            until = (bucket + 1) * BUCKET_SECONDS - now
            if left <= until * weight:
                now += left / weight
                break
            left -= until * weight
            now = (bucket + 1) * BUCKET_SECONDS
        yield int(now)


def _weights() -> list[float]:
    """How much more than in the mean comes in each half hour of the day."""
    weights = [0.0] * BUCKETS
    for bucket in range(DAY_BEGINS, DAY_BEGINS + BUCKETS):
        weights[bucket % BUCKETS] = _gamma_between(bucket - 0.5, bucket + 0.5)
    mean = sum(weights) / BUCKETS
    return [weight / mean for weight in weights]


def _gamma_between(low: float, high: float) -> float:
    """Of the gamma distribution of the day, by Simpson's rule."""

    def density(x: float) -> float:
        return math.exp((ANUM - 1) * math.log(x) - x / BNUM - math.lgamma(ANUM) - ANUM * math.log(BNUM))

    return (density(low) + 4 * density((low + high) / 2) + density(high)) * (high - low) / 6
