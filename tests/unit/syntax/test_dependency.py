"""Dependencies; the expected conditions are what Slurm 22.05's squeue shows."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corral.errors import InvalidDependency
from corral.syntax.dependency import KINDS, Condition, Dependency, parse

CONDITIONS = st.just(Condition("singleton")) | st.builds(
    Condition, st.sampled_from(KINDS[:-1]), st.integers(1, 99), st.none() | st.integers(0, 9), st.just(0)
)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("afterok:96", "afterok:96"),
        ("after:96+10", "after:96+10"),
        ("afterany:96:95", "afterany:96,afterany:95"),
        ("afterany:95_1", "afterany:95_1"),
        ("afterok:96?afternotok:95", "afterok:96?afternotok:95"),
        ("singleton,afterok:96", "singleton,afterok:96"),
        ("afterok:96,singleton?after:95", "afterok:96?singleton?after:95"),
        ("96", "afterany:96"),
        ("AFTEROK:96", "afterok:96"),
        ("afterok: 96", "afterok:96"),
        ("after:96+5:95", "after:96+5,after:95+5"),
        ("after:96+5,96", "after:96+5,afterany:96"),
        ("afterok:96,afterok:96", "afterok:96"),
        ("afterok:95_[1-3]", "afterok:95_1,afterok:95_2,afterok:95_3"),
        ("afterok:95_[1,3],96", "afterok:95_1,afterok:95_3,afterany:96"),
        ("afterok:95_*", "afterok:95"),
        ("", ""),
    ],
)
def test_a_dependency_is_read_as_by_slurm(text: str, shown: str) -> None:
    assert str(parse(text)) == shown


@pytest.mark.parametrize(
    "text",
    [
        "afterok:", "afterok", "foo:1", "afterok:96:", "expand:96", "afterok:96+0", "afterok:0", "none", "afterok:96.0",
        "afterok:96,", "singleton:1", "after:96+x", "?", "afterok:1+2+3",
    ],
)  # fmt: skip
def test_what_is_no_dependency_is_refused(text: str) -> None:
    with pytest.raises(InvalidDependency):
        parse(text)


def test_a_question_mark_means_any_of_them() -> None:
    assert parse("afterok:1?singleton") == Dependency((Condition("afterok", 1), Condition("singleton")), any_of=True)
    assert not parse("afterok:1,singleton").any_of


@given(st.lists(CONDITIONS, unique=True, max_size=5), st.booleans())
@settings(max_examples=60)
def test_what_is_written_is_read_back(conditions: list[Condition], any_of: bool) -> None:
    dependency = Dependency(tuple(conditions), any_of and len(conditions) > 1)
    assert parse(str(dependency)) == dependency
