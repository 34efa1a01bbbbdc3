"""What Pods have said is read in pieces, from an offset, a time or the last lines on."""

import os
from pathlib import Path
from typing import Any

import pytest

from corral.agent import logtimes, podlogs
from corral.protocol.orders import ReadLog


def read(path: Path, most: int = 1 << 20, **fields: Any) -> tuple[int, bytes, int, tuple[tuple[int, float], ...]]:
    order = ReadLog(term=1, node="n1", query=1, namespace="default", name="web", uid="1", container="main", **fields)
    return podlogs._read(str(path), order, most)


@pytest.mark.parametrize(
    ("text", "lines", "found"),
    [
        (b"a\nb\nc\n", 2, b"b\nc\n"),
        (b"a\nb\nc", 2, b"b\nc"),
        (b"a\nb\n", 5, b"a\nb\n"),
        (b"a\nb\n", 0, b""),
        (b"", 3, b""),
        (b"x" * 100_000 + b"\nlast\n", 1, b"last\n"),
    ],
)
def test_the_last_lines(tmp_path: Path, text: bytes, lines: int, found: bytes) -> None:
    path = tmp_path / "0.log"
    path.write_bytes(text)
    assert read(path, last_lines=lines)[1] == found


def test_from_an_offset_on_and_anew_where_the_file_was_cut(tmp_path: Path) -> None:
    path = tmp_path / "0.log"
    path.write_bytes(b"hello world")
    assert read(path, 3, offset=6)[:3] == (6, b"wor", 11)
    assert read(path, 100, offset=99)[:3] == (0, b"hello world", 11)


def said(path: Path, *parts: tuple[float, bytes]) -> None:
    """As a shepherd writes it."""
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    times = logtimes.Times(log, str(path))
    for when, text in parts:
        times.note(when)
        os.write(log, text)
    times.close()
    os.close(log)


LOG = ((10.0, b"one\n"), (20.0, b"two\nthr"), (20.01, b"ee\n"), (30.0, b"four\n"))


def test_when_it_was_said_is_told_of_what_is_read(tmp_path: Path) -> None:
    said(tmp_path / "0.log", *LOG)
    assert read(tmp_path / "0.log", with_times=True)[3] == ((0, 10.0), (4, 20.0), (14, 30.0))
    assert read(tmp_path / "0.log", with_times=True, last_lines=2)[3] == ((4, 20.0), (14, 30.0))
    assert read(tmp_path / "0.log", 3, with_times=True, offset=5)[3] == ((4, 20.0),)


def test_nothing_that_was_said_before_is_read_and_lines_are_whole(tmp_path: Path) -> None:
    said(tmp_path / "0.log", *LOG, (40.0, b"fi"), (50.0, b"ve\nsix\n"))
    assert read(tmp_path / "0.log", since=15.0)[1] == b"two\nthree\nfour\nfive\nsix\n"
    assert read(tmp_path / "0.log", since=45.0)[1] == b"six\n"
    assert read(tmp_path / "0.log", since=99.0)[1] == b""
    assert read(tmp_path / "0.log", since=15.0, last_lines=1)[1] == b"six\n"


def test_a_log_without_times_says_so(tmp_path: Path) -> None:
    (tmp_path / "0.log").write_bytes(b"old\n")
    with pytest.raises(podlogs.NoTimes):
        read(tmp_path / "0.log", since=1.0)


def test_a_log_that_is_too_long_goes_on_in_an_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "node/default_web_1/main/0.log"
    path.parent.mkdir(parents=True)
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    times = logtimes.Times(log, str(path))
    times.note(10.0)
    os.write(log, b"x" * 100)
    podlogs._shorten(str(tmp_path), 99)
    times.note(20.0)
    os.write(log, b"more")
    times.close()
    os.close(log)
    assert path.read_bytes() == b"more"
    assert (path.parent / "0.log.1").read_bytes() == b"x" * 100
    assert read(path, with_times=True)[3] == ((0, 20.0),)
