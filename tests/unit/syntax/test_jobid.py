"""Job ids as users write them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corral.errors import InvalidJobId
from corral.syntax.jobid import JobRef, format_ref, parse, parse_list

STEPS = st.sampled_from(["", "0", "17", "batch", "extern", "interactive"])
REFS = st.builds(
    JobRef, st.integers(0, 2**32 - 1), st.sets(st.integers(0, 50)).map(lambda s: tuple(sorted(s))), st.none(), STEPS
) | st.builds(JobRef, st.integers(1, 99), st.just(()), st.integers(0, 9), STEPS)


@pytest.mark.parametrize(
    ("text", "ref"),
    [
        ("42", JobRef(42)),
        ("42_7", JobRef(42, (7,))),
        ("42_[1-3,7]", JobRef(42, (1, 2, 3, 7))),
        ("42_*", JobRef(42)),
        ("42+1", JobRef(42, het=1)),
        ("42.0", JobRef(42, step="0")),
        ("42.batch", JobRef(42, step="batch")),
        ("42.extern", JobRef(42, step="extern")),
        ("42.interactive", JobRef(42, step="interactive")),
        ("42_7.0", JobRef(42, (7,), step="0")),
        ("42+1.batch", JobRef(42, het=1, step="batch")),
    ],
)
def test_an_id_names_a_job_its_element_or_a_step(text: str, ref: JobRef) -> None:
    assert parse(text) == ref


def test_one_element_has_a_number_and_several_have_none() -> None:
    assert parse("42_7").task == 7
    assert parse("42_[1-2]").task is None
    assert parse("42").task is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "42_",
        "42_x",
        "42.",
        "42.x",
        "42_[",
        "42_[]",
        "42_[3-1]",
        "42_1+1",
        "-1",
        "42+",
        "4294967296",
        "42_[1%2]",
    ],
)
def test_what_is_no_id_is_refused(text: str) -> None:
    with pytest.raises(InvalidJobId):
        parse(text)


def test_commas_separate_ids_but_not_within_brackets() -> None:
    assert parse_list("1, 2_[3,4],5.0") == [JobRef(1), JobRef(2, (3, 4)), JobRef(5, step="0")]
    assert parse_list("") == []
    with pytest.raises(InvalidJobId):
        parse_list("1,2_[3")


@given(REFS)
@settings(max_examples=60)
def test_what_is_written_is_read_back(ref: JobRef) -> None:
    assert parse(format_ref(ref)) == ref
