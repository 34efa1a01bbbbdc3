"""With which variables did a process begin?"""

import time

_PF_KTHREAD = 0x00200000
_ENV = slice(47, 49)  # env_start and env_end in /proc/PID/stat, after the name


def first_environment(pid: int | str) -> bytes:
    """As /proc has it: NAME=VALUE, each with a NUL after it. OSError: it is gone, or somebody else's.

    For the moment in which a process becomes another program it shows none: whoever took that for an answer would let it live.
    """
    for _ in range(1000):
        with open(f"/proc/{pid}/environ", "rb") as file:
            data = file.read()
        if data or _has_none(pid):
            break
        time.sleep(0.001)
    return data


def _has_none(pid: int | str) -> bool:
    """It is over, it is the kernel's, or its environment is empty."""
    with open(f"/proc/{pid}/stat", "rb") as file:
        fields = file.read().rpartition(b")")[2].split()
    begin, end = fields[_ENV]
    return fields[0] in (b"Z", b"X") or bool(int(fields[6]) & _PF_KTHREAD) or begin == end != b"0"
