"""How much is there in each row, at every time?"""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from corral.scheduler.stretches import FOREVER, Stretches

START = st.tuples(st.integers(0, 3), st.integers(1, 5), st.one_of(st.integers(1, 30).map(float), st.just(FOREVER)))


def stretches() -> Stretches:
    amounts = np.full((1, 4), 100)
    return Stretches(0.0, amounts, np.array([0, 1, 1]), np.array([5.0, 5.0, 9.0]), np.array([[1], [2], [3]]))


@given(st.lists(START, max_size=40))
def test_what_is_entered_at_once_is_what_is_entered_one_by_one(starts: list[tuple[int, int, float]]) -> None:
    one_by_one, at_once = stretches(), stretches()
    for row, amount, end in starts:
        one_by_one.add(np.array([row]), np.array([[-amount]]), 0.0, end)
    rows, amounts, ends = (
        (np.array(column) for column in zip(*starts, strict=True)) if starts else (np.zeros(0, int),) * 3
    )
    at_once.add_each(rows, -amounts[None, :], ends.astype(float))
    everywhere = np.arange(4)
    for moment in range(32):
        found, expected = (one.least(everywhere, float(moment), moment + 0.5).tolist() for one in (at_once, one_by_one))
        assert found == expected
