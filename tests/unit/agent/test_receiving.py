"""The task of a file transfer: what comes on its standard input becomes a file."""

import errno
import os
import zlib
from pathlib import Path

import pytest

from corral.agent.receiving import receive
from corral.model.job import FileTransfer


def received(transfer: FileTransfer, data: bytes) -> int:
    """The status of a process that receives this."""
    read_end, write_end = os.pipe()
    pid = os.fork()
    if not pid:
        os.dup2(read_end, 0)
        try:
            receive(transfer, {})
        finally:
            os._exit(99)
    os.write(write_end, data)
    os.close(read_end)
    os.close(write_end)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_a_file_gets_its_data_mode_and_times(tmp_path: Path) -> None:
    path = tmp_path / "file"
    assert received(FileTransfer(dest=str(path), mode=0o6751, times=(1e9, 1.1e9)), b"data") == 0
    assert path.read_bytes() == b"data"
    assert path.stat().st_mode & 0o7777 == 0o751
    assert path.stat().st_mtime == 1.1e9


def test_packed_data_is_unpacked_and_a_broken_stream_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "file"
    transfer = FileTransfer(dest=str(path), compressed=True)
    packed = zlib.compress(b"data" * 1000)
    assert received(transfer, packed[:-5]) == errno.EPIPE
    assert received(transfer, b"nonsense") == errno.EBADMSG
    assert os.listdir(tmp_path) == []
    assert received(transfer, packed) == 0
    assert path.read_bytes() == b"data" * 1000


def test_what_is_there_stays_unless_forced(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    begun = path.stat().st_ctime + 10
    assert received(FileTransfer(dest=str(path), begun=begun), b"new") == errno.EEXIST
    assert path.read_text() == "old"
    assert received(FileTransfer(dest=str(path), begun=begun, force=True), b"new") == 0
    assert path.read_text() == "new"
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize(("content", "status"), [(b"same", 0), (b"other", errno.EEXIST)])
def test_what_another_node_has_put_there_meanwhile_will_do(tmp_path: Path, content: bytes, status: int) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    begun = path.stat().st_ctime - 1
    assert received(FileTransfer(dest=str(path), begun=begun), b"same") == status


def test_a_directory_is_made_once(tmp_path: Path) -> None:
    transfer = FileTransfer(dest=str(tmp_path / "d"), is_directory=True)
    assert [received(transfer, b""), received(transfer, b"")] == [0, 0]
    (tmp_path / "f").write_text("")
    assert received(FileTransfer(dest=str(tmp_path / "f"), is_directory=True), b"") == errno.EEXIST
    assert received(FileTransfer(dest=str(tmp_path / "none" / "f")), b"") == errno.ENOENT
