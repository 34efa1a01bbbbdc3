from hypothesis import given
from hypothesis import strategies as st

from corral.model import ranges

indices = st.sets(st.integers(0, 200))


@given(indices)
def test_ranges_hold_what_was_put_in(found: set[int]) -> None:
    folded = ranges.ranges_of(sorted(found))
    assert list(ranges.members(folded)) == sorted(found)
    assert ranges.count(folded) == len(found)
    assert all(ranges.contains(folded, index) == (index in found) for index in range(201))


@given(indices, st.integers(0, 200))
def test_without_one(found: set[int], index: int) -> None:
    folded = ranges.without(ranges.ranges_of(sorted(found)), index)
    assert list(ranges.members(folded)) == sorted(found - {index})


@given(indices, st.integers(0, 250))
def test_the_first_few(found: set[int], most: int) -> None:
    assert list(ranges.first_members(ranges.ranges_of(sorted(found)), most)) == sorted(found)[:most]


def test_a_hundred_thousand_are_one_range() -> None:
    assert ranges.ranges_of(range(0, 100000, 4)) == ((0, 99996, 4),)
