"""Which nodes does a job rather have?"""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from corral.scheduler import preference

ROW = st.tuples(st.integers(0, 2), st.sampled_from([-1.0, 0.0, 0.25, float("inf")]), st.integers(-3, 3))


@given(st.lists(ROW, min_size=1, max_size=30), st.integers(1, 30))
def test_the_foremost_are_the_first_of_the_whole_order(rows: list[tuple[int, float, int]], count: int) -> None:
    candidates = np.arange(len(rows)) * 3
    keys: list[preference.Key] = [
        np.array([row[0] for row in rows]),
        np.array([row[1] for row in rows]),
        np.array([row[2] for row in rows]),
    ]
    count = min(count, len(rows))
    order = preference.in_order(candidates, keys)
    assert order.tolist() == [3 * at for at in sorted(range(len(rows)), key=lambda at: (*rows[at], at))]
    assert preference.foremost(candidates, keys, count).tolist() == sorted(order[:count].tolist())
