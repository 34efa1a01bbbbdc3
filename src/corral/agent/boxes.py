"""Where does a container keep what its tasks write, and how do steps of a job meet in one by its name?

An unnamed one lies in its step's directory and goes with it. A named one is the job's: it lies in BOXES/NODE/JOB.RESTART/NAME on each
node, and goes with the job; or, where the operator wants it so, it is its user's, in BOXES/NODE/user.UID/NAME, and stays. While it
runs, whoever keeps it open is noted in the file `open`, so that later steps find its namespace.
"""

import fcntl
import os
import shutil
from pathlib import Path

from corral.model.container import Container
from corral.protocol.orders import LaunchStep


class Place:
    """The directories of one container on one node."""

    def __init__(self, directory: str, *, upper_is_new: bool) -> None:
        self.directory, self.upper_is_new = directory, upper_is_new
        self.upper, self.work = f"{directory}/upper", f"{directory}/work"  #: of the overlay
        self.root = f"{directory}/root"  #: where all comes together
        self.image = f"{directory}/image"  #: with other owners


def of_job(boxes: str, node: str, job: int, restart: int) -> str:
    return f"{boxes}/{node}/{job}.{restart}"


def directory_of(boxes: str, order: LaunchStep, container: Container, step_directory: str, scope: str = "job") -> str:
    if not container.name:
        return f"{step_directory}/box"
    if scope == "global":
        return f"{boxes}/{order.node}/user.{order.job.owner.uid}/{container.name}"
    return f"{of_job(boxes, order.node, order.key.job, order.key.restart)}/{container.name}"


def place_at(directory: str) -> Place:
    new = not os.path.isdir(f"{directory}/upper")
    os.makedirs(directory, mode=0o700, exist_ok=True)
    return Place(directory, upper_is_new=new)


class UsedByOther(Exception):
    """A job has it open; whose devices and directories are in it are that job's."""


class Door:
    """The lock of a named container, and who has it open. A line for each: process, when it began, its descriptors of the namespaces,
    and of which job it is."""

    def __init__(self, directory: str, job: int) -> None:
        self._job = str(job)
        while True:
            os.makedirs(directory, mode=0o700, exist_ok=True)
            self._fd = os.open(f"{directory}/open", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._fd, fcntl.LOCK_EX)
            if _is_at(self._fd, f"{directory}/open"):
                return
            os.close(self._fd)  # it was removed while this waited

    def open_elsewhere(self) -> tuple[int, int] | None:
        """Descriptors of the namespaces (-1 = no user namespace) of a shepherd of this job that has it open; None = nobody has.

        UsedByOther(job) when a shepherd of another job has.
        """
        for pid, _, namespace, users, *job in self._living():
            found = _opened(pid, namespace)
            if found < 0:
                continue
            if job and job[0] != self._job:
                os.close(found)
                raise UsedByOther(job[0])
            return found, _opened(pid, users)
        return None

    def note(self, namespace: int, users: int) -> None:
        """This process has it open now."""
        pid = str(os.getpid())
        self._write([*self._living(), [pid, _beginning(pid), str(namespace), str(users), self._job]])

    def leave(self) -> None:
        """This process has it open no longer; it may live on, and use the numbers of its descriptors for something else."""
        self._write([line for line in self._living() if line[0] != str(os.getpid())])

    def _write(self, lines: list[list[str]]) -> None:
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, "".join(" ".join(line) + "\n" for line in lines).encode(), 0)

    def close(self) -> None:
        os.close(self._fd)

    def _living(self) -> list[list[str]]:
        lines = [line.split() for line in os.pread(self._fd, 65536, 0).decode().splitlines()]
        return [line for line in lines if len(line) in (4, 5) and _beginning(line[0]) == line[1]]


def _is_at(fd: int, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), os.stat(path))
    except FileNotFoundError:
        return False


def _beginning(pid: str) -> str:
    """When the process began, in the kernel's ticks; "" = there is none: a number is used again, but not at the same time."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(") ")[2].split()[19]
    except (OSError, IndexError):
        return ""


def _opened(pid: str, number: str) -> int:
    try:
        return os.open(f"/proc/{pid}/fd/{number}", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return -1


def remove(directory: str | Path) -> None:
    """With all that was written. The kernel keeps a directory there that nobody may look into."""
    for parent, names, _ in os.walk(directory):
        for name in names:
            path = os.path.join(parent, name)
            if not os.path.islink(path):
                try:
                    os.chmod(path, 0o700)
                except OSError:
                    pass
    shutil.rmtree(directory, ignore_errors=True)
