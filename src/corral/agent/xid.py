"""Which of the errors that NVIDIA's driver writes into the kernel log (Xids) say that a GPU is broken?

    NVRM: Xid (PCI:0000:65:00): 79, pid=1234, GPU has fallen off the bus.

After those in the table a GPU is of no use until it is reset, or for good, by NVIDIA's catalogue of Xids. All others (13, 31, 43, 45, 68,
94, 109 and more) are an application's fault, or have cost one application its work, or only tell something: the next job may have the GPU.
"""

import os
import re
from typing import NamedTuple

#: Number -> what has happened.
BROKEN = {
    46: "the GPU has stopped processing",
    48: "double bit ECC error",
    62: "the micro-controller has halted",
    64: "a row of memory could not be remapped",
    74: "NVLink error",
    79: "fallen off the bus",
    95: "uncontained memory error",
    110: "security fault",
    119: "the GPU's system processor does not answer",
    120: "the GPU's system processor has failed",
    136: "an NVLink could not be trained",
    140: "unrecovered ECC error",
    143: "the GPU could not be initialised",
}

_LINE = re.compile(r"NVRM: Xid \(PCI:([0-9A-Fa-f]+:[0-9A-Fa-f]+:[0-9A-Fa-f]+)(?:\.[0-9])?\): (\d+)")


class Xid(NamedTuple):
    bus: str  #: "0000:65:00": without the function
    number: int

    @property
    def is_fatal(self) -> bool:
        return self.number in BROKEN


def parse(line: str) -> Xid | None:
    """Of one line of the kernel log; None = it tells of none."""
    found = _LINE.search(line)
    return Xid(found[1].lower(), int(found[2])) if found else None


class KernelLog:
    """What is written into it from now on."""

    def __init__(self, path: str = "/dev/kmsg") -> None:
        try:
            self._fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            os.lseek(self._fd, 0, os.SEEK_END)
        except OSError:  # not for this user, or not in this container
            self._fd = -1

    @property
    def is_open(self) -> bool:
        return self._fd >= 0

    def news(self) -> list[Xid]:
        found: list[Xid] = []
        while self._fd >= 0:
            try:
                data = os.read(self._fd, 8192)
            except BlockingIOError:
                break
            except BrokenPipeError:  # lines were overwritten before they were read
                continue
            except OSError:
                self.close()
                break
            if not data:
                break
            found += [xid for line in data.decode(errors="replace").splitlines() if (xid := parse(line)) is not None]
        return found

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = -1
