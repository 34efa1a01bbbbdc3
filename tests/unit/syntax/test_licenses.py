"""--licenses."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corral.errors import InvalidLicenses
from corral.syntax import licenses


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("matlab", {"matlab": 1}), ("matlab:2,ansys", {"matlab": 2, "ansys": 1}), ("matlab:2;ansys:1", {"matlab": 2, "ansys": 1}),
        ("matlab:2,matlab:3", {"matlab": 5}), ("foo@bar:1", {"foo@bar": 1}), ("matlab:", {"matlab": 0}), (",", {}), ("", {}),
        ("matlab:2,", {"matlab": 2}), ("matlab:0", {"matlab": 0}),
    ],
)  # fmt: skip
def test_they_are_read_as_slurm_reads_them(text: str, found: dict[str, int]) -> None:
    assert dict(licenses.parse(text)) == found


@pytest.mark.parametrize(
    "text", ["matlab:x", "matlab:-1", "matlab: 1", "a b", ":3", "matlab:99999999999", "matlab:1:2"]
)
def test_others_are_refused(text: str) -> None:
    with pytest.raises(InvalidLicenses):
        licenses.parse(text)


@given(st.dictionaries(st.from_regex(r"[a-z@]{1,8}", fullmatch=True), st.integers(0, 1000)))
def test_what_is_written_is_read_again(wanted: dict[str, int]) -> None:
    assert dict(licenses.parse(licenses.write(wanted.items()))) == wanted
