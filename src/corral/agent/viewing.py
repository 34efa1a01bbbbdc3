"""In which mount namespace do tasks begin that have none of their own: the machine's, but for /etc/resolv.conf?

It is made once and entered by every task (names.py says what for): a job costs no mount more. What is mounted on the machine later appears
in it too, where the machine's mounts are shared, as systemd has them. Where they are not, it is made anew when they have changed.
"""

import os
import select

from corral.agent import mounts
from corral.agent.container import CannotContain, namespace_of
from corral.agent.control import ShepherdSettings

_RESOLVER = "/etc/resolv.conf"


def file_of(directory: str) -> str:
    """What jobs see as that file. `directory`: "" = the machine's own."""
    return f"{directory}/resolv.conf" if directory else ""


class View:
    """One, in the spawner and in every shepherd."""

    def __init__(self, file: str, boxes: str) -> None:
        """`file`: lies over the machine's; "" = the machine's own is seen."""
        self._file, self._boxes = file, boxes
        self._fd = -1
        self._made_of: object = None
        self._is_shared = False
        self._poll = select.poll()
        self._process, self._mounts = 0, -1
        self.home = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC) if file else -1

    def descriptor(self) -> int:
        """-1 = there is none: tasks see what the machine has."""
        if not self._file:
            return -1
        found = _identity()
        if found != self._made_of or self._has_changed():
            self._make(found)
        return self._fd

    def _make(self, found: object) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        self._made_of = found
        self._is_shared = _is_shared()
        self._has_changed()
        try:
            self._fd = namespace_of(self._lay) if found is not None else -1
        except (OSError, CannotContain):
            pass  # as the agent has found out, and said

    def _lay(self) -> None:
        for path in _mounts_below(self._boxes):  # of other jobs: they would be kept
            mounts.unmount(path)
        lay(self._file)

    def _has_changed(self) -> bool:
        """The machine's mounts, since this was asked last; where they do not appear by themselves."""
        if self._is_shared:
            return False
        if self._process != os.getpid():  # what the kernel has told is told once
            self._process = os.getpid()
            if self._mounts >= 0:
                self._poll.unregister(self._mounts)
                os.close(self._mounts)
            self._mounts = os.open("/proc/self/mountinfo", os.O_RDONLY | os.O_CLOEXEC)
            self._poll.register(self._mounts, select.POLLPRI)
            self._poll.poll(0)
            return False
        return any(events & select.POLLPRI for _, events in self._poll.poll(0))


def view_of(settings: ShepherdSettings) -> View:
    return View(file_of(settings.names), settings.boxes)


def lay(file: str) -> None:
    """In a mount namespace of this process's own. "" = nothing."""
    if file:
        try:
            mounts.mount(file, _RESOLVER, flags=mounts.MS_BIND)
        except OSError:
            pass


def _identity() -> object:
    try:
        found = os.stat(_RESOLVER)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _lines() -> list[list[str]]:
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        return [line.split() for line in file]


def _is_shared() -> bool:
    return any(words[4] == "/" and any(one.startswith("shared:") for one in words[6:]) for words in _lines())


def _mounts_below(directory: str) -> list[str]:
    """The inner ones first."""
    found = [words[4].encode().decode("unicode_escape") for words in _lines() if words[4].startswith(f"{directory}/")]
    return sorted(found, key=len, reverse=True)
