"""A display of a node that leads elsewhere."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from corral.agent.xdisplay import X_PORT, Display, authority

NUMBER = 21_000  #: beyond those that srun asks for


@pytest.fixture
def displays() -> Iterator[list[Display]]:
    made: list[Display] = []
    yield made
    for display in made:
        display.close()


def asked(path: Path, number: int = NUMBER) -> bytes:
    return f"x11 {number} {path} 00ff".encode()


def test_the_file_is_as_xau_reads_it() -> None:
    assert authority(7, b"\x00\xff") == b"\xff\xff\x00\x00\x00\x017\x00\x12MIT-MAGIC-COOKIE-1\x00\x02\x00\xff"


def test_what_connects_there_is_handed_on_and_its_file_goes_with_it(tmp_path: Path, displays: list[Display]) -> None:
    taken: list[socket.socket] = []
    display = Display(asked(tmp_path / "a"), lambda sock, word: taken.append(sock))
    displays.append(display)
    assert display.said == b"ok\n"
    assert (os.stat(tmp_path / "a").st_mode & 0o777, (tmp_path / "a").read_bytes()) == (
        0o600, authority(NUMBER, b"\x00\xff"),
    )  # fmt: skip
    with socket.create_connection(("127.0.0.1", X_PORT + NUMBER)) as client:
        assert display.listening is not None
        display.listening.setblocking(True)
        display.accept()
        client.sendall(b"hello")
        assert taken[0].recv(5) == b"hello"
        taken[0].close()
    display.close()
    assert list(tmp_path.iterdir()) == []


def test_one_display_for_all_nodes_of_a_machine(tmp_path: Path, displays: list[Display]) -> None:
    displays.append(Display(asked(tmp_path / "a"), lambda sock, word: None))
    second = Display(asked(tmp_path / "a"), lambda sock, word: None)
    displays.append(second)
    assert (second.listening, second.said) == (None, b"shared\n")
    second.close()
    assert (tmp_path / "a").exists()


def test_a_display_that_is_somebody_elses_leaves_no_file(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", X_PORT + NUMBER + 1)), pytest.raises(OSError, match="in use"):
        Display(asked(tmp_path / "a", NUMBER + 1), lambda sock, word: None)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ValueError, match="hex"):
        Display(f"x11 {NUMBER} {tmp_path}/a zz".encode(), lambda sock, word: None)
    with pytest.raises(FileNotFoundError):
        Display(asked(tmp_path / "none" / "a"), lambda sock, word: None)
