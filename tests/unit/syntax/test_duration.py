"""Time limits; the expected values are what Slurm 22.05 makes of sbatch -t."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corral.errors import InvalidDuration
from corral.model.job import UNLIMITED as UNLIMITED_OF_JOBS
from corral.syntax.duration import UNLIMITED, format_minutes, format_padded, format_seconds, parse, parse_limit

SECONDS = st.integers(0, 10**8)


@pytest.mark.parametrize(
    ("text", "seconds", "shown"),
    [
        ("1", 60, "1:00"), ("90", 5400, "1:30:00"), ("90:30", 5430, "1:31:00"), ("1:2:3", 3723, "1:03:00"),
        ("2-4", 187200, "2-04:00:00"), ("2-4:5", 187500, "2-04:05:00"), ("2-4:5:6", 187506, "2-04:06:00"),
        ("1-12:00:00", 129600, "1-12:00:00"), ("1:60:61", 7261, "2:02:00"), ("1-30", 194400, "2-06:00:00"),
        ("1-24:60:60", 176460, "2-01:01:00"), ("00:10", 10, "1:00"), ("1-", 86400, "1-00:00:00"), ("0", 0, "UNLIMITED"),
        ("0:0", 0, "UNLIMITED"), ("UNLIMITED", UNLIMITED, "UNLIMITED"), ("infinite", UNLIMITED, "UNLIMITED"),
        ("-1", UNLIMITED, "UNLIMITED"), ("59", 3540, "59:00"), ("1440", 86400, "1-00:00:00"),
    ],
)  # fmt: skip
def test_a_duration_is_read_and_shown_as_by_slurm(text: str, seconds: int, shown: str) -> None:
    assert parse(text) == seconds
    assert format_seconds(parse_limit(text)) == shown


@pytest.mark.parametrize(
    "text", ["", "5s", "1:2:3:4", "1-2-3", ":", "1:", "x", "+5", "1.5", "1:-1", "Unlim", "-2", "NONE", "-", "١"]
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(InvalidDuration):
        parse(text)


def test_each_command_has_its_way_to_write_a_duration() -> None:
    assert [format_seconds(n) for n in (5, 14400, 129600)] == ["0:05", "4:00:00", "1-12:00:00"]
    assert [format_padded(n) for n in (5, 3600, 86400)] == ["00:00:05", "01:00:00", "1-00:00:00"]
    assert format_minutes(90) == "1:30:00"
    assert format_seconds(UNLIMITED, unlimited="infinite") == "infinite"
    assert format_padded(UNLIMITED) == "UNLIMITED"


def test_no_limit_is_the_same_number_everywhere() -> None:
    assert UNLIMITED == UNLIMITED_OF_JOBS


@given(SECONDS)
@settings(max_examples=60)
def test_what_is_written_is_read_back(seconds: int) -> None:
    assert parse(format_padded(seconds)) == seconds
    assert parse(format_seconds(seconds)) == seconds
