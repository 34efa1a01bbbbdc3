"""Array specifications; the expected texts are what Slurm 22.05's squeue shows."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corral.errors import InvalidArraySpec
from corral.syntax.arrayspec import SHOWN, ArraySpec, fold, parse

ODD = "1,3,5,7,9,11,13,15,17,19,21,23,25,27,30,35,41,47,53,61,77,90,101,120,1000"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("0-31:4%8", "0-28:4%8"), ("1,3,5-7", "1,3,5-7"), ("0-3", "0-3"), ("0-6:2", "0,2,4,6"), ("0-6:2%2", "0,2,4,6%2"),
        ("3,1,2", "1-3"), ("1,1", "1"), ("1-5%0", "1-5"), ("0-1000:7", "0-994:7"), ("0-9:3,20", "0,3,6,9,20"), ("7", "7"),
        ("01-03", "1-3"), ("[1-3]", "1-3"), ("1-3,2-5", "1-5"), ("0-6:2,1,3,5", "0-6"), ("1,2,4,6", "1-2,4,6"),
        ("0-11:2", "0,2,4,6,8,10"), ("0-12:2", "0-12:2"), ("0-16:4", "0,4,8,12,16"), ("1-5%200", "1-5%200"),
    ],
)  # fmt: skip
def test_an_array_is_shown_as_by_squeue(text: str, shown: str) -> None:
    assert str(parse(text)) == shown


@pytest.mark.parametrize(
    "text", ["5-3", "1-5:0", "a", "-3", "", "%", "1,", "1:2", "1-3%4%5", "1--3", "1-2-3", "1001", "[1-3", "1 2"]
)
def test_what_is_no_array_is_refused(text: str) -> None:
    with pytest.raises(InvalidArraySpec):
        parse(text)


def test_the_highest_index_is_below_the_largest_size() -> None:
    assert parse("100000", max_size=100001).indices == (100000,)
    with pytest.raises(InvalidArraySpec, match="the highest index here is 100000"):
        parse("0-100001", max_size=100001)


def test_a_long_list_is_cut_and_keeps_its_throttle() -> None:
    spec = parse(f"{ODD}%3")
    assert fold(spec.indices, 3, limit=SHOWN) == "1,3,5,7,9,11,13,15,17,19,21,23,25,27,30,35,41,47,53,61,77,90...%3"
    assert fold(spec.indices, 3, limit=20) == "1,3,5,7,9,11,13,...%3"
    assert fold(spec.indices, 3) == f"{ODD}%3"


@given(st.sets(st.integers(0, 200), min_size=1), st.integers(0, 9))
@settings(max_examples=60)
def test_what_is_written_is_read_back(indices: set[int], throttle: int) -> None:
    spec = ArraySpec(tuple(sorted(indices)), throttle)
    assert parse(str(spec)) == spec
