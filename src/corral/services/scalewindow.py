"""How fast may the number of replicas change: windows in which it must stay wanted, and so many in so much time?

HorizontalPodAutoscaler's `behavior`, as Kubernetes reads it. First the window: up goes only what was wanted all through the window of
scale-up, down only what was too much all through that of scale-down (300 s unless told otherwise). Then the policies: how many may come
or go counted from how many there were when their period began, the most or the fewest that one of them lets.
"""

import math

import msgspec

from corral.model.kube.scaling import HPABehavior, HPAScalingPolicy, HPAScalingRules

DOWN_WINDOW = 300
UP = HPAScalingRules(
    stabilization_window_seconds=0,
    policies=(
        HPAScalingPolicy(type="Pods", value=4, period_seconds=15),
        HPAScalingPolicy(type="Percent", value=100, period_seconds=15),
    ),
)
DOWN = HPAScalingRules(
    stabilization_window_seconds=DOWN_WINDOW,
    policies=(HPAScalingPolicy(type="Percent", value=100, period_seconds=15),),
)
#: Nothing older says anything: a window or a period is at most so long.
LONGEST = 3600.0


class Memory(msgspec.Struct):
    """What one autoscaler has found and done lately. Not recorded: it begins anew with the controller."""

    since: float  #: it remembers nothing from before
    wanted: list[tuple[float, int]] = []  #: when, how many
    ups: list[tuple[float, int]] = []  #: when, how many more
    downs: list[tuple[float, int]] = []


class Bounded(msgspec.Struct, frozen=True):
    """How many there are to be, and what held it back."""

    replicas: int
    stabilized: tuple[str, str]  #: reason and message of AbleToScale
    limited: tuple[str, str] | None  #: of ScalingLimited, where it is true


READY = ("ReadyForNewScale", "recommended size matches current size")
DOWN_STABILIZED = (
    "ScaleDownStabilized",
    "recent recommendations were higher than current one, applying the highest recent recommendation",
)
UP_STABILIZED = (
    "ScaleUpStabilized", "recent recommendations were lower than current one, applying the lowest recent recommendation",
)  # fmt: skip
TOO_FEW = ("TooFewReplicas", "the desired replica count is less than the minimum replica count")
TOO_MANY = ("TooManyReplicas", "the desired replica count is more than the maximum replica count")
UP_LIMIT = ("ScaleUpLimit", "the desired replica count is increasing faster than the maximum scale rate")
DOWN_LIMIT = ("ScaleDownLimit", "the desired replica count is decreasing faster than the maximum scale rate")


def rules_of(behavior: HPABehavior | None) -> tuple[HPAScalingRules, HPAScalingRules]:
    """Up and down, what is left open filled in as Kubernetes does."""
    up = behavior.scale_up if behavior is not None else None
    down = behavior.scale_down if behavior is not None else None
    return _filled(up, UP), _filled(down, DOWN)


def _filled(given: HPAScalingRules | None, default: HPAScalingRules) -> HPAScalingRules:
    if given is None:
        return default
    window = given.stabilization_window_seconds
    return msgspec.structs.replace(
        given,
        policies=given.policies or default.policies,
        stabilization_window_seconds=default.stabilization_window_seconds if window is None else window,
    )


def bounded(
    memory: Memory, behavior: HPABehavior | None, current: int, wanted: int, low: int, high: int, now: float,
    *, at_once: bool = False,
) -> Bounded:  # fmt: skip
    """What becomes of what the metrics want; it is remembered. `at_once`: the window of scale-up does not hold (panic)."""
    up, down = rules_of(behavior)
    stable = _stabilized(memory, up, down, current, wanted, now, at_once=at_once)
    why = READY
    if stable > wanted:
        why = DOWN_STABILIZED
    elif stable < wanted:
        why = UP_STABILIZED
    replicas, limited = _limited(memory, behavior is None, up, down, current, stable, low, high, now)
    return Bounded(replicas, why, limited)


def _stabilized(
    memory: Memory, up: HPAScalingRules, down: HPAScalingRules, current: int, wanted: int, now: float, *, at_once: bool
) -> int:
    up_since = now - (0 if at_once else (up.stabilization_window_seconds or 0))
    down_since = now - (down.stabilization_window_seconds or 0)
    highest = lowest = wanted
    for when, replicas in memory.wanted:
        if when > up_since:
            lowest = min(lowest, replicas)
        if when > down_since:
            highest = max(highest, replicas)
    memory.wanted = [entry for entry in memory.wanted if entry[0] > min(up_since, down_since)]
    # Of what is wanted again and again only the last is kept: the time at which it ceases to count.
    if memory.wanted and memory.wanted[-1][1] == wanted:
        memory.wanted[-1] = (now, wanted)
    else:
        memory.wanted.append((now, wanted))
    return min(max(current, lowest), highest)


def _limited(
    memory: Memory, is_plain: bool, up: HPAScalingRules, down: HPAScalingRules, current: int, wanted: int, low: int,
    high: int, now: float,
) -> tuple[int, tuple[str, str] | None]:  # fmt: skip
    if wanted > current or (is_plain and wanted > high):
        most = max(2 * current, 4) if is_plain else max(current, _most(memory, up, current, now))
        if wanted > min(high, most):
            return (most, UP_LIMIT) if high > most else (high, TOO_MANY)
    elif wanted < current or (is_plain and wanted < low):
        least = 0 if is_plain else min(current, _least(memory, down, current, now))
        if wanted < max(low, least):
            return (least, DOWN_LIMIT) if low < least else (low, TOO_FEW)
    return wanted, None


def _most(memory: Memory, rules: HPAScalingRules, current: int, now: float) -> int:
    """By the policies of scale-up."""
    if rules.select_policy == "Disabled":
        return current
    found = []
    for policy in rules.policies:
        began = _began(memory, policy, current, now)
        more = policy.value if policy.type == "Pods" else began * policy.value / 100
        found.append(began + math.ceil(more - 1e-9))
    return min(found) if rules.select_policy == "Min" else max(found)


def _least(memory: Memory, rules: HPAScalingRules, current: int, now: float) -> int:
    if rules.select_policy == "Disabled":
        return current
    found = []
    for policy in rules.policies:
        began = _began(memory, policy, current, now)
        fewer = policy.value if policy.type == "Pods" else began * policy.value / 100
        found.append(began - math.ceil(fewer - 1e-9))
    return max(found) if rules.select_policy == "Min" else min(found)


def _began(memory: Memory, policy: HPAScalingPolicy, current: int, now: float) -> int:
    """How many there were when its period began."""
    since = now - policy.period_seconds
    came = sum(count for when, count in memory.ups if when > since)
    went = sum(count for when, count in memory.downs if when > since)
    return current - came + went


def unknown(memory: Memory, current: int, now: float) -> None:
    """Nobody knows how many there should be: those that are there stay before a whole window has been seen."""
    memory.wanted = [entry for entry in memory.wanted if entry[0] > now - LONGEST]
    memory.wanted.append((now, current))


def note(memory: Memory, old: int, new: int, now: float) -> None:
    """So many there are to be from now on."""
    if new > old:
        memory.ups.append((now, new - old))
    elif new < old:
        memory.downs.append((now, old - new))
    memory.ups = [entry for entry in memory.ups if entry[0] > now - LONGEST]
    memory.downs = [entry for entry in memory.downs if entry[0] > now - LONGEST]
