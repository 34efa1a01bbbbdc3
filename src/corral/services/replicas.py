"""How many replicas does one metric ask for?

Kubernetes' own arithmetic: current x ratio, rounded up, and within the tolerance nothing changes. What is not known is taken so that it
moves nothing: a Pod without a measurement uses what it is to use when there are too many, and nothing when there are too few; a Pod that
is not ready yet uses nothing when there are too few, and does not count otherwise. Should that turn the direction round, nothing changes.
"""

import math
from collections.abc import Callable, Iterable

import msgspec

from corral.model.kube.pod import Pod

TOLERANCE = 0.1
#: So long after its start what a Pod uses of its CPU counts only when it is ready, and was measured since.
CPU_INITIALIZATION = 300.0
#: A Pod that has never been ready this long after its start is not ready; later one that is not has been, and has ceased to be.
INITIAL_READINESS = 30.0


class Measured(msgspec.Struct, frozen=True):
    """What one Pod uses, and when that was seen."""

    value: float
    at: float


class Groups(msgspec.Struct):
    ready: list[str]
    unready: list[str]
    missing: list[str]


class Wanted(msgspec.Struct, frozen=True):
    """What a metric asks for. `current` is shown in the status, in the unit of the target."""

    replicas: int
    current: float
    measured: int = 0  #: so many Pods


class NoMetric(msgspec.Struct, frozen=True):
    """It says nothing now, and why."""

    problem: str


def within(ratio: float) -> bool:
    return 1.0 - TOLERANCE <= ratio <= 1.0 + TOLERANCE


def groups(pods: Iterable[Pod], measured: dict[str, Measured], now: float, *, by_cpu: bool) -> Groups:
    """Pods that end, and those that have failed, are in none."""
    found = Groups([], [], [])
    for pod in pods:
        name = pod.metadata.name
        if pod.metadata.deletion_timestamp or pod.status.phase == "Failed":
            continue
        if pod.status.phase == "Pending":
            found.unready.append(name)
        elif name not in measured:
            found.missing.append(name)
        elif by_cpu and _is_starting(pod, measured[name], now):
            found.unready.append(name)
        else:
            found.ready.append(name)
    return found


def _is_starting(pod: Pod, seen: Measured, now: float) -> bool:
    status = pod.status
    if not status.start_time:
        return True
    if status.start_time + CPU_INITIALIZATION > now:
        return not pod.is_ready or seen.at < status.ready_since
    ceased = next((one.last_transition_time for one in status.conditions if one.type == "Ready"), 0.0)
    return not pod.is_ready and ceased < status.start_time + INITIAL_READINESS


def by_utilization(
    current: int, found: Groups, measured: dict[str, Measured], requests: dict[str, float], target: int
) -> Wanted | NoMetric:
    """`target`: percent of what the Pods have asked for."""
    used = {name: measured[name].value for name in found.ready}
    known = _percent(used, requests)
    if known is None:
        return NoMetric("did not receive metrics for targeted pods (pods might be unready)")
    ratio = known / target
    absent = {name: requests[name] * max(100, target) / 100 for name in found.missing}

    def again(values: dict[str, float]) -> float:
        return (_percent(values, requests) or 0) / target

    return Wanted(_counted(current, found, ratio, used, absent, again), float(known), len(used))


def _percent(used: dict[str, float], requests: dict[str, float]) -> int | None:
    asked = sum(requests[name] for name in used)
    return int(sum(used.values()) * 100 / asked + 1e-9) if asked > 0 else None


def by_average(current: int, found: Groups, measured: dict[str, Measured], target: float) -> Wanted | NoMetric:
    """`target`: what each is to have."""
    used = {name: measured[name].value for name in found.ready}
    if not used:
        return NoMetric("did not receive metrics for targeted pods (pods might be unready)")
    average = sum(used.values()) / len(used)

    def again(values: dict[str, float]) -> float:
        return sum(values.values()) / len(values) / target

    absent = dict.fromkeys(found.missing, target)
    return Wanted(_counted(current, found, average / target, used, absent, again), average, len(used))


def _counted(
    current: int,
    found: Groups,
    ratio: float,
    used: dict[str, float],
    absent: dict[str, float],
    again: Callable[[dict[str, float]], float],
) -> int:
    up_beside_unready = bool(found.unready) and ratio > 1.0
    if not up_beside_unready and not found.missing:
        return current if within(ratio) else _up(ratio * len(found.ready))
    values = dict(used)
    if ratio < 1.0:
        values.update(absent)
    elif ratio > 1.0:
        values.update(dict.fromkeys(found.missing, 0.0))
    if up_beside_unready:
        values.update(dict.fromkeys(found.unready, 0.0))
    new = again(values)
    if within(new) or (ratio < 1.0 < new) or (new < 1.0 < ratio):
        return current
    replicas = _up(new * len(values))
    if (new < 1.0 and replicas > current) or (new > 1.0 and replicas < current):
        return current
    return replicas


def by_value(current: int, found_ready: int, value: float, target: float) -> int:
    """One number for all of them, that is to be `target`."""
    ratio = value / target
    if not current:
        return _up(ratio)
    return current if within(ratio) else _up(ratio * found_ready)


def by_share(current: int, there: int, value: float, target: float) -> int:
    """One number, of which each is to have `target`. `there`: how many share it now."""
    if there and within(value / (target * there)):
        return current
    return _up(value / target)


def _up(replicas: float) -> int:
    """Rounded up; what is a hair above a whole number has come from the arithmetic."""
    return math.ceil(replicas - 1e-9)
