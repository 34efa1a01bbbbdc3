"""How does a file that sbcast sends become one on this node? In a task's process, as its user; the exit status says why it could not.

It is written beside its place and put there when it is whole. Several nodes may have one file system: a file that is just as the
one sent, and younger than the sending, has been put there by another node of the same transfer.
"""

import errno
import os
import signal
from typing import NoReturn

from corral.model.job import FileTransfer

_CHUNK = 1 << 20
#: The clock of a file system may be a little behind.
_TOLERANCE = 0.1


def receive(transfer: FileTransfer, environment: dict[str, str]) -> NoReturn:
    """Does not come back: 0, or the error's number."""
    import zlib

    signal.signal(signal.SIGTERM, _on_terminated)
    # There is no exec to close what is the shepherd's: with the other end of its own input open, that would never end.
    os.closerange(3, 1 << 20)
    try:
        if transfer.is_directory:
            _make_directory(transfer)
        else:
            _receive_file(transfer)
    except OSError as error:
        os._exit((error.errno or 1) & 0xFF or 1)
    except zlib.error:
        os._exit(errno.EBADMSG)
    os._exit(0)


def _on_terminated(number: int, frame: object) -> None:
    raise InterruptedError(errno.EINTR, os.strerror(errno.EINTR))


def _make_directory(transfer: FileTransfer) -> None:
    try:
        os.mkdir(transfer.dest, 0o755)
    except FileExistsError:
        if not os.path.isdir(transfer.dest):
            raise


def _receive_file(transfer: FileTransfer) -> None:
    dest = transfer.dest
    if not transfer.force and os.path.lexists(dest) and not _is_younger(dest, transfer):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), dest)
    directory, _, name = dest.rpartition("/")
    part = f"{directory}/.{name[:100]}.{os.urandom(6).hex()}"
    fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with open(fd, "wb", buffering=0) as file:
            _copy_input(transfer, fd)
            os.fchmod(fd, transfer.mode & 0o777)
            if transfer.owner is not None and os.geteuid() == 0:
                os.fchown(fd, *transfer.owner)
            if transfer.times is not None:
                os.utime(fd, transfer.times)
            file.flush()
        if transfer.force:
            os.rename(part, dest)
            return
        try:
            os.link(part, dest)
        except FileExistsError:
            if not (_is_younger(dest, transfer) and _are_equal(part, dest)):
                raise
        os.unlink(part)
    except BaseException:
        os.unlink(part)
        raise


def _copy_input(transfer: FileTransfer, fd: int) -> None:
    import zlib  # the shepherds, which have this module, do not need it

    unpack = zlib.decompressobj() if transfer.compressed else None
    while data := os.read(0, _CHUNK):
        rest: bytes | memoryview = memoryview(unpack.decompress(data) if unpack is not None else data)
        while rest:
            rest = rest[os.write(fd, rest) :]
    if unpack is not None and not unpack.eof:
        raise OSError(errno.EPIPE, "the sender has gone")


def _is_younger(path: str, transfer: FileTransfer) -> bool:
    return os.path.isfile(path) and os.stat(path).st_ctime >= transfer.begun - _TOLERANCE


def _are_equal(first: str, second: str) -> bool:
    with open(first, "rb") as one, open(second, "rb") as other:
        while True:
            data = one.read(_CHUNK)
            if data != other.read(_CHUNK):
                return False
            if not data:
                return True
