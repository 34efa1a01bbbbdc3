"""How is there only one daemon of a kind in a directory? It holds a lock as long as it lives, on a file that says its process id."""

import fcntl
import os
from pathlib import Path


class Held(Exception):
    """Another has it: `pid`, as text."""

    def __init__(self, pid: str) -> None:
        super().__init__(pid)
        self.pid = pid


def hold(path: Path, mode: int = 0o644) -> int:
    """The lock's descriptor, to be kept open. Raises Held, OSError."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, mode)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        pid = os.read(fd, 20).decode().partition("\n")[0] or "unknown"
        os.close(fd)
        raise Held(pid) from None
    said = f"{os.getpid()}\n".encode()
    os.pwrite(fd, said, 0)  # over what is there: at no moment does it name nobody
    os.ftruncate(fd, len(said))
    return fd
