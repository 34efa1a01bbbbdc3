import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corral.syntax.procmapping import process_mapping


@pytest.mark.parametrize(
    ("ranks", "text"),
    [
        ([[0, 1, 2, 3], [4, 5, 6, 7]], "(vector,(0,2,4))"),
        ([[0, 1, 2, 3, 4, 5, 6], [7]], "(vector,(0,1,7),(1,1,1))"),
        ([[0, 2], [1, 3]], "(vector,(0,2,1),(0,2,1))"),
        ([[0, 1, 4, 5], [2, 3, 6, 7]], "(vector,(0,2,2),(0,2,2))"),
        ([[0]], "(vector,(0,1,1))"),
    ],
)
def test_the_words_of_the_real_one(ranks: list[list[int]], text: str) -> None:
    assert process_mapping(ranks) == text


@settings(deadline=None)
@given(st.lists(st.integers(0, 5), min_size=1, max_size=60))
def test_dealing_ranks_as_it_says_gives_every_ranks_node_again(node_of: list[int]) -> None:
    text = process_mapping([[rank for rank, node in enumerate(node_of) if node == one] for one in range(6)])
    dealt = []
    for first, nodes, count in re.findall(r"\((\d+),(\d+),(\d+)\)", text):
        for node in range(int(first), int(first) + int(nodes)):
            dealt += [node] * int(count)
    assert dealt == node_of
