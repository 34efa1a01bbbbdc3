"""Autoscaling, beside another reading of what Kubernetes documents; and whatever comes, it comes to rest."""

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.services.hpa import Service, hpa, in_flight

from corral.model.kube.scaling import HPABehavior, HPAScalingPolicy, HPAScalingRules
from corral.protocol.requests import ServiceLoad
from corral.services.scalewindow import Memory, bounded, note

_POLICIES = st.builds(
    HPAScalingPolicy,
    type=st.sampled_from(("Pods", "Percent")),
    value=st.integers(1, 120),
    period_seconds=st.sampled_from((15, 60, 120)),
)
_RULES = st.builds(
    HPAScalingRules,
    stabilization_window_seconds=st.sampled_from((0, 30, 300)),
    select_policy=st.sampled_from(("Max", "Min", "Disabled")),
    policies=st.lists(_POLICIES, min_size=1, max_size=2).map(tuple),
)
_STEPS = st.lists(st.tuples(st.sampled_from((1, 15, 31, 90)), st.integers(0, 60)), min_size=1, max_size=25)


class Reference:
    """As the API's reference tells it: all that has been recommended and done is kept, and looked through each time."""

    def __init__(self, up: HPAScalingRules, down: HPAScalingRules, low: int, high: int) -> None:
        self.up, self.down, self.low, self.high = up, down, low, high
        self.recommended: list[tuple[float, int]] = []
        self.changes: list[tuple[float, int]] = []

    def next(self, current: int, wanted: int, now: float) -> int:
        def lately(rules: HPAScalingRules) -> list[int]:
            since = now - (rules.stabilization_window_seconds or 0)
            return [wanted, *(count for when, count in self.recommended if when > since)]

        stable = current
        stable = max(stable, min(lately(self.up)))
        stable = min(stable, max(lately(self.down)))
        self.recommended.append((now, wanted))
        if stable > current:
            return min(stable, self.high, max(current, self.limit(self.up, 1, current, now)))
        if stable < current:
            return max(stable, self.low, min(current, self.limit(self.down, -1, current, now)))
        return stable

    def limit(self, rules: HPAScalingRules, sign: int, current: int, now: float) -> int:
        if rules.select_policy == "Disabled":
            return current
        steps = []
        for policy in rules.policies:
            start = current - sum(change for when, change in self.changes if when > now - policy.period_seconds)
            # In whole numbers: Kubernetes reckons with 1 + percent / 100, and rounds what is not exact.
            step = policy.value if policy.type == "Pods" else -(-start * policy.value // 100)
            steps.append(start + sign * step)
        most = rules.select_policy == "Max"
        return max(steps) if most == (sign > 0) else min(steps)

    def done(self, old: int, new: int, now: float) -> None:
        self.changes.append((now, new - old))


@given(_RULES, _RULES, st.integers(1, 30), st.integers(1, 5), st.integers(5, 50), _STEPS)
def test_windows_and_policies_are_those_of_the_reference(
    up: HPAScalingRules, down: HPAScalingRules, start: int, low: int, high: int, steps: list[tuple[int, int]]
) -> None:
    behavior = HPABehavior(scale_up=up, scale_down=down)
    memory, reference = Memory(0.0), Reference(up, down, low, high)
    current, now = min(max(start, low), high), 10_000.0
    for seconds, wanted in steps:
        now += seconds
        expected = reference.next(current, wanted, now)
        found = bounded(memory, behavior, current, wanted, low, high, now).replicas
        assert found == expected
        note(memory, current, found, now)
        reference.done(current, found, now)
        current = found


def live(service: Service, total: float, noise: float, seconds: int, chance: random.Random) -> list[int]:
    """The numbers of replicas, one after the other, while a load of that many requests in flight comes and goes a little."""
    found = [service.replicas]
    for second in range(seconds):
        service.now += 1.0
        load = total * chance.uniform(1 - noise, 1 + noise)
        reported = ServiceLoad(namespace="default", service="web", in_flight=load, requests=int(load))
        service.loads.reported((reported,), "gateway", service.now)
        if second % 2 == 0:
            service.decide()
            if service.replicas != found[-1]:
                found.append(service.replicas)
    return found


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.floats(1.0, 400.0), st.integers(1, 60), st.floats(0.0, 0.3), st.integers(0, 1000))
def test_under_a_constant_load_with_noise_it_comes_to_rest_where_it_is_enough(
    total: float, start: int, noise: float, seed: int
) -> None:
    service = Service(hpa(in_flight(10), high=100), replicas=start)
    chance = random.Random(seed)
    live(service, total, noise, 700, chance)
    settled = service.replicas
    # The mean of a minute moves by less than a tenth; and 300 s must pass before one is taken away.
    assert math.ceil(total / 10 / 1.2) <= settled <= max(1, math.ceil(total / 10 * 1.2))
    after = live(service, total, noise, 700, chance)
    assert len(after) <= 2, f"from {settled}: {after}"


@pytest.mark.parametrize("share", [0.91, 0.99, 1.01, 1.09])
def test_within_a_tenth_of_the_goal_nothing_changes(share: float) -> None:
    service = Service(hpa(in_flight(10), high=100), replicas=20)
    assert live(service, 200 * share, 0.0, 700, random.Random(1)) == [20]


def report(service: Service, load: float, held: int = 0, requests: int | None = None) -> None:
    count = int(load) if requests is None else requests
    told = ServiceLoad(namespace="default", service="web", in_flight=load, requests=count, held=held)
    service.loads.reported((told,), "gateway", service.now)


@settings(max_examples=8, deadline=None, derandomize=True)
@given(st.floats(0.0, 100.0), st.integers(1, 15), st.integers(20, 400), st.sampled_from([0, 1]))
def test_while_no_gateway_is_heard_nothing_is_taken_away(total: float, start: int, silence: int, low: int) -> None:
    service = Service(hpa(in_flight(10), high=100, low=low), replicas=start)
    live(service, total, 0.1, 120, random.Random(start))
    service.now += 15.0  # from now on nobody knows
    known = service.replicas
    for _ in range(0, silence, 5):
        service.now += 5.0
        service.decide()
        assert service.replicas >= known
    # The first words after it are no reason either, as long as they say the same.
    report(service, total)
    service.decide()
    assert service.replicas >= known


@settings(max_examples=10, deadline=None, derandomize=True)
@given(st.floats(5.0, 100.0), st.floats(3.0, 20.0), st.integers(0, 1000))
def test_a_rush_is_followed_within_seconds_and_nothing_is_taken_away_while_it_lasts(
    total: float, times: float, seed: int
) -> None:
    service = Service(hpa(in_flight(10), high=1000), replicas=1)
    chance = random.Random(seed)
    live(service, total, 0.05, 400, chance)
    calm = service.replicas
    # Twice as many as are ready must be asked for, with room for what is between two replicas.
    rush = max(total * times, 20.0 * calm * 1.2)
    found = live(service, rush, 0.05, 10, chance)
    assert found[-1] >= rush / 10 * 0.8, f"{found} for {rush}"
    after = live(service, rush, 0.05, 50, chance)
    assert after == sorted(after)


@settings(max_examples=10, deadline=None, derandomize=True)
@given(
    st.floats(0.0, 100.0), st.integers(1, 30), st.lists(st.tuples(st.integers(1, 300), st.integers(1, 60)), max_size=4)
)
def test_to_zero_and_back_as_often_as_nobody_comes_and_somebody_does(
    total: float, start: int, visits: list[tuple[int, int]]
) -> None:
    service = Service(hpa(in_flight(10), high=100, low=0), replicas=start)
    live(service, total, 0.0, 100, random.Random(1))
    for quiet, busy in visits:
        for _ in range(0, quiet, 2):
            service.now += 2.0
            report(service, 0.0)
            service.decide()
        if not service.replicas:
            report(service, 0.0, held=1)
            service.decide()
            assert service.replicas >= 1  # at once: somebody waits
        for _ in range(0, busy, 2):
            service.now += 2.0
            report(service, 3.0)
            service.decide()
            assert service.replicas >= 1
    for _ in range(250):
        service.now += 2.0
        report(service, 0.0)
        service.decide()
    assert service.replicas == 0
    assert [service.decide().replicas for _ in range(5)] == [0] * 5
