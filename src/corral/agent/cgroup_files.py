"""What both versions of control groups share: limits as asked for, and small files."""

import errno
import os

import msgspec


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What a group may use; None (or empty) = no limit of its own."""

    cpus: tuple[int, ...] | None = None
    memory_mb: int | None = None
    denied_devices: tuple[str, ...] = ()  #: device files
    processes: int | None = None  #: and threads
    swap_percent: float = 0.0  #: of its memory
    soft_percent: float = 0.0  #: of its memory: above that the kernel takes pages back from it first; 0 = it does not
    cpu_millis: int | None = None  #: of the time of CPUs, in thousandths of one
    cpu_share: int | None = None  #: counts for so many CPUs where it shares them with others

    @property
    def soft_memory(self) -> int:
        """Bytes; 0 = no such limit."""
        return int(((self.memory_mb or 0) << 20) * self.soft_percent / 100)


def make_pair(base: str, job: str, step: str) -> bool:
    """Make base/job/step, also while another step's end removes the job's directory. True: the job's is new."""
    path, is_new = f"{base}/{job}/{step}", False
    for _ in range(100):
        try:  # the job's first: most steps are the first of theirs
            os.mkdir(f"{base}/{job}")
            is_new = True
        except FileExistsError:
            pass
        except FileNotFoundError:
            os.makedirs(base, exist_ok=True)
            continue
        try:
            os.mkdir(path)
            return is_new
        except FileExistsError:
            return is_new
        except FileNotFoundError:
            is_new = False
    raise OSError(errno.EBUSY, "cannot make the control group", path)


def make_one(base: str, name: str) -> None:
    for _ in range(100):
        try:
            os.mkdir(f"{base}/{name}")
            return
        except FileExistsError:
            return
        except FileNotFoundError:
            os.makedirs(base, exist_ok=True)
    raise OSError(errno.EBUSY, "cannot make the control group", f"{base}/{name}")


def remove_one(path: str) -> None:
    try:
        os.rmdir(path)
    except OSError:
        pass  # it is gone; or somebody is in it


def move_back(path: str, old: str) -> None:
    try:
        os.rename(path, old)
    except OSError:
        pass  # it is gone, or there is another by now


def remove_pair(base: str, job: str, step: str) -> None:
    """The step's directory, and the job's if that was its last."""
    for path in (f"{base}/{job}/{step}", f"{base}/{job}"):
        try:
            os.rmdir(path)
        except OSError:
            return


def read(path: str) -> str:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        return os.read(fd, 65536).decode()
    finally:
        os.close(fd)


def write(path: str, text: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


def pids_in(path: str) -> list[int]:
    """The group's processes; none where it is gone."""
    data = b""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return []
    try:
        while more := os.read(fd, 65536):
            data += more
    except OSError:
        return []
    finally:
        os.close(fd)
    return list(map(int, data.split()))


def value_of(key: str, text: str) -> int:
    """From lines `key number`."""
    _, found, rest = f"\n{text}".partition(f"\n{key} ")
    return int(rest.partition("\n")[0]) if found else 0


def folded_cpus(cpus: tuple[int, ...]) -> str:
    return ",".join(map(str, cpus))
