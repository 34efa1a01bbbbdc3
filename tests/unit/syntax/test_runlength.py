"""A number per node, written short."""

import pytest

from corral.syntax.runlength import counts


@pytest.mark.parametrize(
    ("numbers", "text"),
    [([], ""), ([3], "3"), ([3, 1, 1], "3,1(x2)"), ([2, 2, 1, 2], "2(x2),1,2"), ((16,) * 1000, "16(x1000)")],
)
def test_equal_neighbours_are_counted(numbers: list[int], text: str) -> None:
    assert counts(numbers) == text
