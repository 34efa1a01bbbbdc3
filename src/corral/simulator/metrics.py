"""How good was it? Utilisation, waits, bounded slowdown, fairness: figures of one outcome."""

from collections.abc import Sequence
from typing import Any

import msgspec

from corral.model.job import JobState
from corral.simulator.outcome import Outcome, Run

#: Bounded slowdown counts a job as if it had run for so many seconds at least (Feitelson).
BOUND = 10.0


class Spread(msgspec.Struct, frozen=True):
    """Of one figure over all jobs."""

    mean: float
    median: float
    p95: float
    max: float


class Metrics(msgspec.Struct, frozen=True, kw_only=True):
    jobs: int  #: have run
    not_run: int  #: refused, cancelled while they waited, or waiting still
    timeouts: int
    requeues: int
    breakdowns: int
    makespan: float  #: from the first submission to the last end, seconds
    utilisation: float  #: of the CPUs, from 0 to 1
    gpu_utilisation: float | None  #: None = there are none
    wait: Spread  #: seconds
    slowdown: Spread  #: bounded
    fairness: float  #: Jain's index over users of their mean bounded slowdown: 1 = all alike
    energy_kwh: float | None  #: None = no node says its watts
    fragmentation: (
        float  #: the share of the cluster (GPUs, where there are some) that was free while as much was waited for
    )


def bounded_slowdown(run: Run) -> float:
    return max(1.0, (run.wait + run.seconds) / max(BOUND, run.seconds))


def measure(outcome: Outcome) -> Metrics:
    ran = [run for run in outcome.runs if run.start is not None]
    slowdowns = [bounded_slowdown(run) for run in ran]
    span = max(0.0, outcome.finished - outcome.began) or 1.0
    lost, there = (outcome.lost_gpu_seconds, outcome.gpus) if outcome.gpus else (outcome.lost_cpu_seconds, outcome.cpus)
    return Metrics(
        jobs=len(ran),
        not_run=len(outcome.runs) - len(ran) + outcome.refused.total() + len(outcome.never),
        timeouts=sum(run.state is JobState.TIMEOUT for run in ran),
        requeues=outcome.requeues,
        breakdowns=outcome.breakdowns,
        makespan=outcome.finished - outcome.began,
        utilisation=outcome.cpu_seconds / (span * max(1, outcome.cpus)),
        gpu_utilisation=outcome.gpu_seconds / (span * outcome.gpus) if outcome.gpus else None,
        wait=spread([run.wait for run in ran]),
        slowdown=spread(slowdowns),
        energy_kwh=outcome.energy.joules / 3.6e6 if outcome.energy is not None else None,
        fairness=jain(list(by_user(ran, slowdowns).values())),
        fragmentation=lost / (span * max(1, there)),
    )


def spread(values: Sequence[float]) -> Spread:
    if not values:
        return Spread(0.0, 0.0, 0.0, 0.0)
    ordered = sorted(values)
    last = len(ordered) - 1
    return Spread(sum(ordered) / len(ordered), ordered[last // 2], ordered[round(last * 0.95)], ordered[last])


def by_user(runs: Sequence[Run], values: Sequence[float]) -> dict[str, float]:
    """The mean of each user's."""
    sums: dict[str, tuple[float, int]] = {}
    for run, value in zip(runs, values, strict=True):
        total, count = sums.get(run.user, (0.0, 0))
        sums[run.user] = (total + value, count + 1)
    return {user: total / count for user, (total, count) in sorted(sums.items())}


def jain(values: Sequence[float]) -> float:
    """(sum x)^2 / (n sum x^2): 1 when all are equal, 1/n when one has all."""
    squares = sum(value * value for value in values)
    return sum(values) ** 2 / (len(values) * squares) if squares else 1.0


def as_json(metrics: Metrics) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.to_builtins(metrics)
    return found
