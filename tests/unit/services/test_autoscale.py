"""What a HorizontalPodAutoscaler decides: by its metrics, in its bounds, to zero and back."""

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.services.hpa import Service, cpu, hpa, in_flight, query

from corral.model.kube.scaling import HorizontalPodAutoscaler
from corral.protocol.requests import ServiceLoad
from corral.services.autoscale import IDLE
from corral.services.load import Loads


def traffic(service: Service, total: float, seconds: int, held: int = 0) -> list[int]:
    """So many requests in flight for so long, reported each second; decided every other."""
    found = []
    for _ in range(seconds):
        service.now += 1.0
        load = ServiceLoad(namespace="default", service="web", in_flight=total, held=held, requests=int(total))
        service.loads.reported((load,) if total or held else (), "gateway", service.now)
        if int(service.now) % 2 == 0:
            service.decide()
            found.append(service.replicas)
    return found


def test_the_most_that_a_metric_asks_for() -> None:
    service = Service(hpa(cpu(50), in_flight(10)), replicas=4)
    for number in range(4):
        service.loads.pod_uses("default", f"web-{number}", {"cpu": 0.75}, service.now)
    service.loads.reported((), "gateway", service.now)
    assert service.decide().replicas == 6
    assert service.condition("ScalingActive") == ("True", "ValidMetricFound")
    assert service.condition("AbleToScale") == ("True", "SucceededRescale")


def test_nothing_is_taken_away_while_one_metric_says_nothing() -> None:
    service = Service(hpa(cpu(50), query("queue_length", 10)), replicas=4)
    service.loads.answered("sum(queue_length)", 10.0, "", service.now)
    verdict = service.decide()
    assert (verdict.replicas, verdict.problem and verdict.problem[0]) == (4, "FailedComputeMetricsReplicas")
    assert service.condition("ScalingActive") == ("False", "FailedGetResourceMetric")
    service.loads.answered("sum(queue_length)", 70.0, "", service.now)
    assert service.decide().replicas == 7


def test_bounds_come_before_metrics_and_a_service_at_zero_is_left_alone() -> None:
    service = Service(hpa(cpu(50), low=2, high=5), replicas=9)
    assert service.decide().replicas == 5
    service.replicas = 1
    assert service.decide().replicas == 2
    service.replicas = 0
    assert service.decide().replicas == 0
    assert service.condition("ScalingActive") == ("False", "ScalingDisabled")


def test_a_rush_counts_at_once_and_holds_its_replicas_for_a_minute() -> None:
    service = Service(hpa(in_flight(10), high=50), replicas=2)
    traffic(service, 20.0, 120)
    assert service.replicas == 2
    found = traffic(service, 100.0, 12)
    assert found[-1] == 10
    assert max(traffic(service, 20.0, 50)) == min(traffic(service, 20.0, 2)) == 10


def test_without_requests_for_the_idle_time_none_is_left_and_the_first_that_waits_brings_one_back() -> None:
    service = Service(hpa(in_flight(10), low=0, annotations={IDLE: "90"}), replicas=3)
    traffic(service, 5.0, 10)
    assert traffic(service, 0.0, 88)[-1] >= 1
    assert traffic(service, 0.0, 6)[-1] == 0
    assert traffic(service, 0.0, 60)[-1] == 0
    assert traffic(service, 1.0, 2, held=1)[-1] == 1


def test_a_silent_gateway_takes_nothing_away() -> None:
    service = Service(hpa(in_flight(10), low=0, annotations={IDLE: "30"}), replicas=3)
    traffic(service, 30.0, 10)
    for _ in range(300):
        service.now += 2.0
        service.decide()
    assert service.replicas == 3
    assert service.condition("ScalingActive") == ("False", "FailedGetPodsMetric")


def test_after_a_restart_nothing_is_taken_away_before_a_whole_window_is_seen() -> None:
    service = Service(hpa(in_flight(10)), replicas=8)
    found = traffic(service, 10.0, 310)
    assert (set(found[:149]), found[-1]) == ({8}, 1)


def test_a_metric_that_nobody_measures_says_so() -> None:
    service = Service(hpa(in_flight(10, name="tokens_per_second")), replicas=3)
    verdict = service.decide()
    assert verdict.problem is not None
    assert "requests_in_flight and requests_per_second" in verdict.problem[1]
    assert service.replicas == 3


def test_a_target_of_zero_is_a_problem_of_its_metric() -> None:
    service = Service(hpa(in_flight(0)), replicas=3)
    service.loads.reported((), "gateway", service.now)
    assert service.decide().replicas == 3


def test_requests_per_second_are_counted_over_gaps_between_reports() -> None:
    loads = Loads()
    for step in range(20):
        now = 1000.0 + 3 * step
        loads.reported((ServiceLoad(namespace="a", service="b", requests=60),), "gateway", now)
    assert abs((loads.per_second(("a", "b"), 60, now) or 0) - 20) < 2


# -- what always holds


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 8), st.integers(0, 40), st.integers(1, 30),
    st.lists(st.tuples(st.floats(0, 300), st.integers(1, 40), st.booleans()), min_size=1, max_size=8),
)  # fmt: skip
def test_never_outside_its_bounds_whatever_the_load(
    low: int, more: int, start: int, phases: list[tuple[float, int, bool]]
) -> None:
    service = Service(hpa(in_flight(7), low=low, high=low + more), replicas=start)
    service.decide()
    for total, seconds, is_silent in phases:
        if is_silent:
            service.now += seconds
            service.decide()
        else:
            traffic(service, total, seconds)
        assert low <= service.replicas <= low + more


@settings(max_examples=40, deadline=None)
@given(st.floats(0, 200), st.integers(1, 25), st.floats(1, 20))
def test_constant_load_settles_and_stays(total: float, start: int, each: float) -> None:
    service = Service(hpa(in_flight(each), high=100), replicas=start)
    traffic(service, total, 800)
    settled = service.replicas
    assert set(traffic(service, total, 400)) == {settled}
    assert settled >= min(100, int(total / each / 1.1))


@settings(max_examples=40, deadline=None)
@given(st.floats(0, 100), st.floats(0, 100), st.integers(1, 12))
def test_more_load_never_means_fewer_replicas(one: float, other: float, start: int) -> None:
    found = []
    for total in sorted((one, other)):
        service = Service(hpa(in_flight(5), high=100), replicas=start)
        found.append(traffic(service, total, 200))
    assert all(fewer <= more for fewer, more in zip(*found, strict=True))


def with_gaps(one: HorizontalPodAutoscaler, total: float, gaps: set[int]) -> int:
    service = Service(one, replicas=3)
    for second in range(600):
        if second in gaps:
            service.now += 1.0
        else:
            traffic(service, total, 1)
    return service.replicas


@settings(max_examples=20, deadline=None)
@given(st.sampled_from([12.0, 33.0, 48.0]), st.sets(st.integers(0, 560), max_size=60))
def test_reports_that_do_not_come_change_nothing(total: float, gaps: set[int]) -> None:
    one = hpa(in_flight(5), high=100)
    assert with_gaps(one, total, gaps) == with_gaps(one, total, set())


def test_after_a_time_in_which_nobody_knew_nothing_is_taken_away_before_a_window_has_been_seen() -> None:
    service = Service(hpa(in_flight(10), high=100, low=0), replicas=1)

    def hear(load: float) -> None:
        told = ServiceLoad(namespace="default", service="web", in_flight=load, requests=int(load))
        service.loads.reported((told,), "gateway", service.now)
        service.decide()

    for _ in range(60):
        service.now += 2.0
        hear(80.0)
    assert service.replicas == 8
    for _ in range(100):  # the gateway is away for 1,000 s
        service.now += 10.0
        service.decide()
    for _ in range(140):  # 280 s
        hear(0.0)
        assert service.replicas == 8
        service.now += 2.0
    for _ in range(60):
        hear(0.0)
        service.now += 2.0
    assert service.replicas == 0
