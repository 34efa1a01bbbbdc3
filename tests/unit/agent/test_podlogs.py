"""What Pods have said is read in pieces, from an offset or from the last lines on."""

from pathlib import Path

import pytest

from corral.agent import podlogs


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
    assert podlogs._read(str(path), 0, lines, 1 << 20)[1] == found


def test_from_an_offset_on_and_anew_where_the_file_was_cut(tmp_path: Path) -> None:
    path = tmp_path / "0.log"
    path.write_bytes(b"hello world")
    assert podlogs._read(str(path), 6, None, 3) == (6, b"wor", 11)
    assert podlogs._read(str(path), 99, None, 100) == (0, b"hello world", 11)


def test_a_log_that_is_too_long_goes_on_in_an_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "node/default_web_1/main/0.log"
    path.parent.mkdir(parents=True)
    with open(path, "ab") as file:
        file.write(b"x" * 100)
        file.flush()
        podlogs._shorten(str(tmp_path), 99)
        file.write(b"more")
    assert path.read_bytes() == b"more"
    assert (path.parent / "0.log.1").read_bytes() == b"x" * 100
