"""Requests that come to a service by a curve, and how long they take there."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corral.simulator.demand import Noise, Station, curve_of

TEXT = "# a comment\n0,0.5\n10,1.0\n20,0.0\n"


def test_the_curve_goes_from_point_to_point_and_round() -> None:
    curve = curve_of(TEXT, peak=100.0)
    assert [curve.at(60.0 * minute) for minute in (0, 5, 10, 15, 25, 30, 40)] == [
        50.0,
        75.0,
        100.0,
        50.0,
        25.0,
        50.0,
        100.0,
    ]


def test_a_station_with_room_answers_in_the_service_time_and_one_without_lets_wait() -> None:
    station = Station(service_seconds=2.0, concurrency=8, target_seconds=4.0)
    for second in range(600):
        station.step(10, 4, float(second))
    assert station.in_flight == pytest.approx(20.0, abs=1.0)  # Little's law: 10 a second, 2 seconds each
    assert (station.good_share, station.queued) == (1.0, 0)
    for second in range(600, 1200):
        station.step(20, 4, float(second))  # 16 a second is all it can do
    assert station.queued > 2000
    assert station.good_share < 0.6


def test_the_same_seed_brings_the_same_requests_and_about_as_many_as_the_curve_says() -> None:
    one, two = ([noise.arrivals(5.0, float(second)) for second in range(5000)] for noise in (Noise(3), Noise(3)))
    assert one == two
    assert sum(one) == pytest.approx(25_000, rel=0.05)


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 6)), max_size=80))
def test_no_request_is_lost(steps: list[tuple[int, int]]) -> None:
    station = Station(2.0, 4, 4.0)
    for second, (came, replicas) in enumerate(steps):
        station.step(came, replicas, float(second))
    assert station.good + station.late + station.queued == station.came
