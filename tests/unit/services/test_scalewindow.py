"""How fast replicas come and go: windows and policies as the documentation of autoscaling/v2 tells them."""

import pytest

from corral.model.kube.scaling import HPABehavior, HPAScalingPolicy, HPAScalingRules
from corral.services.scalewindow import Memory, bounded, note


def policy(kind: str, value: int, period: int) -> HPAScalingPolicy:
    return HPAScalingPolicy(type=kind, value=value, period_seconds=period)  # type: ignore[arg-type]


def down(*policies: HPAScalingPolicy, select: str = "Max", window: int = 0) -> HPABehavior:
    rules = HPAScalingRules(stabilization_window_seconds=window, policies=policies, select_policy=select)  # type: ignore[arg-type]
    return HPABehavior(scale_down=rules)


def up(*policies: HPAScalingPolicy, select: str = "Max", window: int = 0) -> HPABehavior:
    rules = HPAScalingRules(stabilization_window_seconds=window, policies=policies, select_policy=select)  # type: ignore[arg-type]
    return HPABehavior(scale_up=rules)


def run(
    behavior: HPABehavior | None, start: int, wanted: int, steps: int, every: float = 15.0, high: int = 1000
) -> list[int]:
    memory, current, found = Memory(0.0), start, []
    for step in range(steps):
        now = 1000.0 + step * every
        replicas = bounded(memory, behavior, current, wanted, 1, high, now).replicas
        note(memory, current, replicas, now)
        current = replicas
        found.append(current)
    return found


def test_ten_percent_or_four_pods_a_minute_whichever_is_more() -> None:
    # The documentation's example: 80 -> 72 -> 64 (7.2 is rounded up) ...; under 40 four at a time.
    rules = down(policy("Pods", 4, 60), policy("Percent", 10, 60))
    assert run(rules, 80, 10, 5, every=61) == [72, 64, 57, 51, 45]
    assert run(rules, 39, 10, 3, every=61) == [35, 31, 27]


def test_within_a_period_no_more_go_however_often_it_is_looked() -> None:
    assert run(down(policy("Percent", 10, 60)), 80, 10, 5) == [72, 72, 72, 72, 64]


def test_the_fewest_of_the_policies_and_none_at_all() -> None:
    rules = down(policy("Pods", 4, 60), policy("Percent", 10, 60), select="Min")
    assert run(rules, 80, 10, 2, every=61) == [76, 72]
    assert run(down(policy("Pods", 4, 60), select="Disabled"), 80, 10, 3) == [80, 80, 80]
    assert run(up(policy("Pods", 4, 60), select="Disabled"), 3, 10, 3) == [3, 3, 3]


def test_up_goes_by_default_four_or_twice_as_many_each_fifteen_seconds() -> None:
    assert run(up(), 1, 100, 5) == [5, 10, 20, 40, 80]
    assert run(None, 1, 100, 5) == [4, 8, 16, 32, 64]


def test_down_waits_five_minutes_unless_told_otherwise() -> None:
    memory = Memory(0.0)
    bounded(memory, None, 10, 10, 1, 20, 0.0)
    for now in range(15, 300, 15):
        result = bounded(memory, None, 10, 2, 1, 20, float(now))
        assert (result.replicas, result.stabilized[0]) == (10, "ScaleDownStabilized")
    assert bounded(memory, None, 10, 2, 1, 20, 301.0).replicas == 2


def test_up_waits_for_its_window_too() -> None:
    memory, rules = Memory(0.0), up(window=60)
    bounded(memory, rules, 2, 2, 1, 20, 0.0)
    early = bounded(memory, rules, 2, 5, 1, 20, 30.0)
    assert (early.replicas, early.stabilized[0]) == (2, "ScaleUpStabilized")
    assert bounded(memory, rules, 2, 5, 1, 20, 61.0).replicas == 5
    assert bounded(Memory(0.0), rules, 2, 5, 1, 20, 0.0, at_once=True).replicas == 5


@pytest.mark.parametrize(
    ("current", "wanted", "replicas", "reason"),
    [
        (5, 50, 10, "ScaleUpLimit"), (8, 50, 16, "ScaleUpLimit"), (15, 50, 20, "TooManyReplicas"), (5, 0, 2, "TooFewReplicas"),
        (5, 6, 6, None),
    ],
)  # fmt: skip
def test_what_holds_it_back_is_said(current: int, wanted: int, replicas: int, reason: str | None) -> None:
    result = bounded(Memory(0.0), None, current, wanted, 2, 20, 0.0)
    assert result.replicas == replicas
    assert (result.limited[0] if result.limited else None) == reason
