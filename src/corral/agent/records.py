"""How is a step taken by one shepherd only, and how is its end written down?"""

import errno
import fcntl
import os
import select

_LOCK_TRIES = 500


def take(directory: str) -> int | None:
    """The step's lock, or None when a shepherd is at it, or ever was: no step is run twice."""
    fd = os.open(f"{directory}/pid", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    for _ in range(_LOCK_TRIES):
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            if os.fstat(fd).st_size:
                break  # another shepherd has it
            select.poll().poll(2)  # the agent asks whether anybody has it
    if os.fstat(fd).st_size or os.path.exists(f"{directory}/exit"):
        os.close(fd)
        return None
    os.write(fd, str(os.getpid()).encode())
    return fd


def read(path: str) -> bytes:
    """The whole file."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        size = os.fstat(fd).st_size
        data = os.read(fd, size)
        while len(data) < size and (more := os.read(fd, size)):
            data += more
        return data
    finally:
        os.close(fd)


def write_record(directory: str, record: bytes) -> bool:
    """The exit record, whole or not at all. False: the disk is full.

    There it may still take the place of the order, which has been carried out: that one's blocks are ours already.
    """
    for path, flags in ((f"{directory}/exit.tmp", os.O_CREAT | os.O_TRUNC), (f"{directory}/launch", 0)):
        try:
            fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC | flags, 0o600)
            try:
                written = 0
                while written < len(record):
                    written += os.write(fd, record[written:])
                if not flags:
                    os.ftruncate(fd, written)
            finally:
                os.close(fd)
            os.rename(path, f"{directory}/exit")
            return True
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
    return False
