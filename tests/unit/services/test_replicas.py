"""The arithmetic of Kubernetes' autoscaler, on the examples of its documentation and its edge cases."""

import pytest
from tests.unit.services.hpa import pod

from corral.services import replicas
from corral.services.replicas import Measured, NoMetric, Wanted

NOW = 10_000.0


def by_cpu(used: dict[int, float], target: int, pods: int, current: int | None = None, **states: object) -> object:
    """`used`: CPUs of those that were measured; `states`: pending=(3,) or unready=(3,)."""
    pending, unready = states.get("pending", ()), states.get("unready", ())
    found = [
        pod(n, phase="Pending" if n in pending else "Running", ready=n not in unready, start=NOW - 60)  # type: ignore[operator]
        for n in range(pods)
    ]
    measured = {f"web-{n}": Measured(value, NOW) for n, value in used.items()}
    groups = replicas.groups(found, measured, NOW, by_cpu=True)
    requests = {one.metadata.name: 1.0 for one in found}
    result = replicas.by_utilization(pods if current is None else current, groups, measured, requests, target)
    return result.replicas if isinstance(result, Wanted) else result


@pytest.mark.parametrize(
    ("value", "target", "pods", "wanted"),
    [
        (2.0, 100, 1, 2),  # twice what is desired: twice as many
        (0.5, 100, 2, 1),  # half of it: half as many
        (3.05, 50, 1, 7),  # the walkthrough: 305 % of 50 %
        (0.55, 50, 4, 4),  # within 10 %
        (0.45, 50, 4, 4),
        (0.56, 50, 4, 5),
        (0.44, 50, 4, 4),  # 3.52, rounded up
        (0.0, 50, 4, 0),  # the minimum is another's business
    ],
)
def test_current_times_ratio_rounded_up(value: float, target: int, pods: int, wanted: int) -> None:
    assert by_cpu(dict.fromkeys(range(pods), value), target, pods) == wanted


def test_a_pod_without_a_measurement_counts_as_full_before_some_are_taken_away() -> None:
    assert by_cpu({0: 0.1, 1: 0.1, 2: 0.1}, 50, 4) == 3  # (0.3 + 1.0) / 4 = 32 %: 0.65 x 4
    assert by_cpu({0: 0.1, 1: 0.1}, 50, 4) == 4  # with two at 100 % it would turn round: nothing changes


def test_a_pod_without_a_measurement_counts_as_idle_before_some_are_added() -> None:
    assert by_cpu({0: 1.0, 1: 1.0, 2: 1.0}, 50, 4) == 6  # 3.0 / 4 = 75 %: 1.5 x 4


def test_pods_that_are_not_ready_hold_a_scale_up_back_and_do_not_count_otherwise() -> None:
    assert by_cpu({0: 1.0, 1: 1.0}, 50, 4, pending=(2, 3)) == 4  # 2.0 / 4 = 50 %
    assert by_cpu({0: 1.0, 1: 1.0, 2: 0.0}, 50, 3, unready=(2,)) == 4  # 66 %: 1.32 x 3
    assert by_cpu({0: 0.2, 1: 0.2, 2: 0.2}, 50, 3, pending=(2,)) == 1


def test_without_any_measurement_nothing_is_said() -> None:
    assert isinstance(by_cpu({}, 50, 3), NoMetric)


def test_one_number_for_all_is_shared_by_those_that_are_there() -> None:
    assert replicas.by_share(3, 3, 30.0, 10.0) == 3
    assert replicas.by_share(3, 3, 32.0, 10.0) == 3  # within 10 %
    assert replicas.by_share(3, 3, 34.0, 10.0) == 4
    assert replicas.by_share(0, 0, 1.0, 10.0) == 1
    assert replicas.by_value(0, 0, 30.0, 10.0) == 3
    assert replicas.by_value(4, 4, 20.0, 10.0) == 8
