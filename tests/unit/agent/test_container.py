"""What of a container can be said without making one."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from corral.agent.container import environment, id_map
from corral.model.container import Container, ImageConfig


def test_the_images_variables_count_but_for_those_that_are_named() -> None:
    config = ImageConfig(environment=("A=image", "B=image", "C=image=x"))
    outside = {"A": "user", "B": "user", "HOME": "/home/u"}
    got = environment(outside, Container(environment=("B", "C")), config)
    assert got == {"A": "image", "B": "user", "C": "image=x", "HOME": "/home/u"}
    assert environment(outside, Container(remap_root=True), config)["HOME"] == "/root"


@given(st.integers(1, (1 << 32) - 2))
def test_an_id_map_gives_roots_files_to_the_user_and_maps_nothing_twice(number: int) -> None:
    lines = [tuple(map(int, line.split())) for line in id_map(number).splitlines()]
    assert lines[0] == (0, number, 1)
    for side in (0, 1):
        spans = sorted((line[side], line[side] + line[2]) for line in lines)
        assert all(first[1] <= second[0] for first, second in pairwise(spans))
    assert all(line[2] > 0 and max(line[:2]) + line[2] <= (1 << 32) - 1 for line in lines)
