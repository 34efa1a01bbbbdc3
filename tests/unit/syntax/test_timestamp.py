"""Times; the expected ones are what Slurm 22.05 makes of sbatch --begin at 2026-11-24T01:13:44."""

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corral.errors import InvalidTimestamp
from corral.syntax.timestamp import format_time, parse

NOW = datetime(2026, 11, 24, 1, 13, 44, tzinfo=UTC).timestamp()


def read(text: str, past: bool = False) -> str:
    return format_time(parse(text, NOW, past=past, zone=UTC), zone=UTC)


@pytest.mark.parametrize(
    ("text", "when"),
    [
        ("now", "2026-11-24T01:13:44"), ("now+1hour", "2026-11-24T02:13:44"), ("now+60", "2026-11-24T01:14:44"),
        ("now+5minutes", "2026-11-24T01:18:44"), ("now+2days", "2026-11-26T01:13:44"), ("now+1week", "2026-12-01T01:13:44"),
        ("now+90seconds", "2026-11-24T01:15:14"), ("now + 1 hour", "2026-11-24T02:13:44"), ("now-60", "2026-11-24T01:12:44"),
        ("midnight", "2026-11-25T00:00:00"), ("noon", "2026-11-24T12:00:00"), ("teatime", "2026-11-24T16:00:00"),
        ("fika", "2026-11-24T15:00:00"), ("elevenses", "2026-11-24T11:00:00"), ("tomorrow", "2026-11-25T00:00:00"),
        ("today", "2026-11-24T00:00:00"), ("16:00", "2026-11-24T16:00:00"), ("4:30pm", "2026-11-24T16:30:00"),
        ("4:30 PM", "2026-11-24T16:30:00"), ("12:30am", "2026-11-25T00:30:00"), ("00:10", "2026-11-25T00:10:00"),
        ("13:00:05", "2026-11-24T13:00:05"), ("112526", "2026-11-25T00:00:00"), ("1125", "2026-11-25T00:00:00"),
        ("11/25/26", "2026-11-25T00:00:00"), ("11/25", "2026-11-25T00:00:00"), ("11.25.26", "2026-11-25T00:00:00"),
        ("11/25-10:00", "2026-11-25T10:00:00"), ("11/25-10:00:30", "2026-11-25T10:00:30"), ("1/2", "2027-01-02T00:00:00"),
        ("01/02-3:04", "2027-01-02T03:04:00"), ("2026-12-01", "2026-12-01T00:00:00"), ("16:00 11/25", "2026-11-25T16:00:00"),
        ("2026-12-01T10:20", "2026-12-01T10:20:00"), ("2026-12-01T10:20:30", "2026-12-01T10:20:30"),
        ("2026-12-01-10:20", "2026-12-01T10:20:00"), ("2026-12-01 10:20", "2026-12-01T10:20:00"),
        ("tomorrow 16:00", "2026-11-25T16:00:00"), ("16:00 tomorrow", "2026-11-25T16:00:00"),
        ("tomorrowT10:00", "2026-11-25T10:00:00"), ("tomorrow noon", "2026-11-25T12:00:00"),
    ],
)  # fmt: skip
def test_a_time_to_come_is_read_as_by_slurm(text: str, when: str) -> None:
    assert read(text) == when


def test_in_the_past_a_clock_is_todays_and_a_day_this_years_or_the_last() -> None:
    assert read("00:10", past=True) == "2026-11-24T00:10:00"
    assert read("midnight", past=True) == "2026-11-24T00:00:00"
    assert read("01/02", past=True) == "2026-01-02T00:00:00"
    assert read("12/02", past=True) == "2025-12-02T00:00:00"


@pytest.mark.parametrize(
    "text",
    [
        "", "foo", "now+", "now+1min", "now+1h", "now+2month", "now*2", "25:00", "13pm", "2026-13-01", "2026-02-30", "4:5", "16",
        "2026-12-01T10", "noon+1", "today+1day", "2026-12-01T10:20Z", "2026-12-01T10:20:30.5", "1795000000", "t10:00",
        "16:00 17:00", "today tomorrow", "1/2/3", "nowhere", "1-2-3", "0000-01-01", "now+99999999999",
    ],
)  # fmt: skip
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(InvalidTimestamp):
        parse(text, NOW, zone=UTC)


@pytest.mark.parametrize(
    ("when", "shown"),
    [
        ("23:59", "23:59:00"), ("2026-11-23T05:06", "Ystday 05:06"), ("2026-11-25T05:06", "Tomorr 05:06"),
        ("2026-11-26T05:06", "Thu 05:06"), ("2026-11-30T05:06", "Mon 05:06"), ("2026-12-01T05:06", "1 Dec 05:06"),
        ("2027-01-05T05:06", "5 Jan 2027"), ("2029-12-03", "3 Dec 2029"),
    ],
)  # fmt: skip
def test_a_relative_time_is_short(when: str, shown: str) -> None:
    assert format_time(parse(when, NOW, zone=UTC), "relative", now=NOW, zone=UTC) == shown


def test_the_time_format_is_the_users_choice() -> None:
    assert format_time(NOW, "%d.%m. %H", zone=UTC) == "24.11. 01"
    assert format_time(NOW, "standard", zone=UTC) == "2026-11-24T01:13:44"
    assert format_time(NOW, "nonsense", zone=UTC) == "2026-11-24T01:13:44"
    assert format_time(0) == "Unknown"
    assert format_time(0, unknown="N/A") == "N/A"


@given(st.integers(1, 4 * 10**9))
@settings(max_examples=60)
def test_what_is_written_is_read_back(when: int) -> None:
    assert parse(format_time(when, zone=UTC), NOW, zone=UTC) == when
