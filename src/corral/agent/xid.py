"""Which of the errors that NVIDIA's driver writes into the kernel log (Xids) say that a GPU is broken?

    NVRM: Xid (PCI:0000:65:00): 79, pid=1234, GPU has fallen off the bus.

By NVIDIA's catalogue (docs.nvidia.com/deploy/xid-errors/analyzing-xid-catalog.html): those whose immediate action is a reset of the GPU, a
restart of the machine or a look at its cables. Until then the GPU is of no use. Others are an application's fault (13, 31, 43, 45), have
cost one application its work (94), or only tell something (63, 92). Three are decided otherwise:

- 109 (a context switch took too long) has a reset for its action too, but a program can cause it; NVIDIA's device plugin for Kubernetes
  (NVIDIA/k8s-device-plugin, internal/rm/health.go) counts it, with 13, 31, 43, 45 and 68, as an application's. Where the GPU does need the
  reset, 154 follows.
- 144 to 150 (NVLink 5) say themselves whether they are fatal.
- 154 tells what the driver now wants done, after whatever error: "recovery action changed from 0x0 (None) to 0x2 (Node Reboot Required)".
"""

import os
import re
from typing import NamedTuple

#: Number -> what has happened.
BROKEN = {
    46: "the GPU has stopped processing",
    48: "double bit ECC error",
    54: "auxiliary power is not connected",
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
    151: "keys could not be changed",
    155: "NVLink error",
    156: "a broken part waits to be retired",
    158: "fatal timeout",
}
_NVLINK5 = range(144, 151)
_RECOVERY = 154

_LINE = re.compile(r"NVRM: Xid \(PCI:([0-9A-Fa-f]+:[0-9A-Fa-f]+:[0-9A-Fa-f]+)(?:\.[0-9])?\): (\d+)(?:, *(.*))?")
#: "... changed from 0x0 (None) to 0x1 (GPU Reset Required)"
_CHANGED = re.compile(r" to 0x([0-9A-Fa-f]+) *\(([^)]*)\)")


class Xid(NamedTuple):
    bus: str  #: "0000:65:00": without the function
    number: int
    said: str = ""  #: what follows on the line

    @property
    def problem(self) -> str:
        """Of the GPU, in words; "" = it is an application's, or nothing is broken."""
        if self.number == _RECOVERY:
            change = _CHANGED.search(self.said)
            return f"the driver asks for: {change[2]}" if change is not None and int(change[1], 16) else ""
        if self.number in _NVLINK5:
            return "fatal NVLink error" if " Fatal " in f" {self.said} " else ""
        return BROKEN.get(self.number, "")


class Rules(NamedTuple):
    """What the operator says otherwise."""

    drain: tuple[int, ...] = ()
    ignore: tuple[int, ...] = ()

    def problem_of(self, xid: Xid) -> str:
        if xid.number in self.ignore:
            return ""
        return xid.problem or ((xid.said or "an error that drains here") if xid.number in self.drain else "")


def parse(line: str) -> Xid | None:
    """Of one line of the kernel log; None = it tells of none."""
    found = _LINE.search(line)
    return Xid(found[1].lower(), int(found[2]), (found[3] or "").strip()) if found else None


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
