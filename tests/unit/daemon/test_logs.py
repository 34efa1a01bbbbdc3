"""Is each line of a log one JSON object, whatever is logged?"""

import json

from corral.daemon import logs
from corral.daemon.logs import Log


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_line_says_when_how_grave_and_what(tmp_path):
    Log(tmp_path / "log", pid=7).warning("nats lost", url="nats://x")
    [line] = lines(tmp_path / "log")
    assert line.pop("time").endswith("Z")
    assert line == {"level": "warning", "event": "nats lost", "pid": 7, "url": "nats://x"}


def test_what_is_below_the_level_is_not_written(tmp_path):
    log = Log(tmp_path / "log", "warning")
    log.debug("a")
    log.info("b")
    log.error("c")
    assert [line["event"] for line in lines(tmp_path / "log")] == ["c"]


def test_an_error_has_its_traceback(tmp_path):
    try:
        raise ValueError("wrong")
    except ValueError as error:
        Log(tmp_path / "log").error("failed", error)
    [line] = lines(tmp_path / "log")
    assert line["error"] == "ValueError: wrong"
    assert "test_logs.py" in line["traceback"]


def test_any_value_can_be_logged(tmp_path):
    Log(tmp_path / "log").info("odd", path=tmp_path, text="a\nb", surrogate="\udc80")
    assert len(lines(tmp_path / "log")) == 1


def test_a_large_file_is_put_aside(tmp_path, monkeypatch):
    monkeypatch.setattr(logs, "MAX_BYTES", 200)
    log = Log(tmp_path / "log")
    for i in range(5):
        log.info("x" * 100, i=i)
    assert (tmp_path / "log.1").exists()
    assert (tmp_path / "log").stat().st_size <= 200


def test_a_level_set_later_counts_for_all_that_share_the_log(tmp_path):
    log = Log(tmp_path / "log", "info")
    other = log.with_fields(of="b")
    log.level = "debug"
    other.debug("a")
    other.level = "error"
    log.info("b")
    assert [line["event"] for line in lines(tmp_path / "log")] == ["a"]
    assert (log.level, other.level) == ("error", "error")
