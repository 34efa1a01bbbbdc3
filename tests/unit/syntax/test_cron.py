from datetime import datetime

import pytest

from corral.errors import InvalidCron
from corral.syntax import cron


def at(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


@pytest.mark.parametrize(
    ("spec", "now", "then"),
    [
        ("* * * * *", "2026-03-01T10:00:30", "2026-03-01T10:01:00"),
        ("* * * * *", "2026-03-01T10:00:00", "2026-03-01T10:01:00"),  # never twice in one minute
        ("*/15 * * * *", "2026-03-01T10:46:00", "2026-03-01T11:00:00"),
        ("0 5 * * mon-fri", "2026-03-06T05:00:00", "2026-03-09T05:00:00"),
        ("0 0 1 jan,jul *", "2026-03-01T00:00:00", "2026-07-01T00:00:00"),
        ("0 0 13 * 5", "2026-03-01T00:00:00", "2026-03-06T00:00:00"),  # a day of the month or of the week
        ("0 0 29 2 *", "2026-03-01T00:00:00", "2028-02-29T00:00:00"),
        ("0 12 * * 7", "2026-03-02T00:00:00", "2026-03-08T12:00:00"),
    ],
)
def test_the_next_time(spec: str, now: str, then: str) -> None:
    assert cron.next_after(spec, at(now)) == at(then)


@pytest.mark.parametrize(
    "spec",
    [
        "",
        "* * * *",
        "60 * * * *",
        "* 24 * * *",
        "0 0 31 2 *",
        "* * * * * *",
        "L * * * *",
        "* * L * *",
        "x * * * *",
        "*/0 * * * *",
    ],
)
def test_what_no_time_is(spec: str) -> None:
    with pytest.raises(InvalidCron):
        cron.next_after(spec, 0.0)


def test_a_line() -> None:
    assert cron.split("  */5 4\t1 jan-mar mon   echo 'a b'  ") == ("*/5 4 1 jan-mar mon", "echo 'a b'")
    assert cron.split("@daily run me") == ("0 0 * * *", "run me")
    for line in ("@reboot x", "@daily", "* * * * *", "1 2 3 x"):
        with pytest.raises(InvalidCron):
            cron.split(line)
