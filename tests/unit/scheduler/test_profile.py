"""How many units are free at which time?"""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from corral.scheduler.profile import FOREVER, Profile


def profile(now: float, free: int, *changes: tuple[float, int]) -> Profile:
    times = np.array([time for time, _ in changes], np.float64)
    return Profile.of(now, free, [(times, np.array([count for _, count in changes], np.int64))])


def steps(found: Profile) -> list[tuple[float, int]]:
    return list(zip(found.times[: found.size].tolist(), found.free[: found.size].tolist(), strict=True))


def test_changes_of_one_moment_are_one_step() -> None:
    assert steps(profile(0, 2, (10, 1), (5, 3), (10, 1), (20, 0))) == [(0, 2), (5, 5), (10, 7)]


def test_what_is_past_counts_from_now_on_and_what_never_comes_does_not() -> None:
    assert steps(profile(10, 2, (5, 1), (FOREVER, 9))) == [(10, 3)]


def test_the_earliest_start_is_in_the_first_gap_that_is_long_enough() -> None:
    found = profile(0, 4, (5, -3), (10, 2), (12, -2), (20, 3))
    assert found.earliest(4, 5) == 0
    assert found.earliest(4, 6) == 20
    assert found.earliest(3, 2) == 0
    assert found.earliest(3, 6) == 20
    assert found.earliest(1, FOREVER) == 0
    assert found.earliest(5, 1) == FOREVER


def test_there_may_never_be_enough() -> None:
    assert profile(0, 4, (5, -3)).earliest(2, 6) == FOREVER
    assert profile(0, 4, (5, -3)).earliest(2, 5) == 0


def test_what_is_taken_and_given_back_leaves_no_trace() -> None:
    found = profile(0, 4, (5, 3), (10, 1))
    before = steps(found)
    found.take(2, 6, 2)
    assert steps(found) == [(0, 4), (2, 2), (5, 5), (8, 7), (10, 8)]
    found.take(2, 6, -2)
    assert steps(found) == before


def test_a_later_view_is_the_same_from_then_on() -> None:
    assert steps(profile(0, 4, (5, 3), (10, 1)).since(5)) == [(5, 7), (10, 8)]
    assert steps(profile(0, 4, (5, 3), (10, 1)).since(7)) == [(7, 7), (10, 8)]


@given(
    takes=st.lists(st.tuples(st.integers(0, 30), st.integers(1, 10), st.integers(1, 4)), max_size=80),
    wanted=st.tuples(st.integers(1, 9), st.integers(1, 20)),
)
def test_it_is_as_if_every_second_were_counted(takes: list[tuple[int, int, int]], wanted: tuple[int, int]) -> None:
    found, seconds = profile(0, 8), [8] * 100
    for start, span, count in takes:
        found.take(start, span, count)
        for second in range(start, start + span):
            seconds[second] -= count
    counted = [found.free[: found.size][found.times[: found.size] <= second][-1] for second in range(100)]
    assert counted == seconds
    count, span = wanted
    starts = [at for at in range(60) if min(seconds[at : at + span]) >= count]
    assert found.earliest(count, span) == (starts[0] if starts else FOREVER)
    assert found.fits(3, count, span) == (min(seconds[3 : 3 + span]) >= count)
