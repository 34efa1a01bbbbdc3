"""Where do the short-lived files of launches lie? In memory, where the machine lets them.

A launch makes and removes half a dozen small files. On ext4 that is the largest part of what a short job costs: inodes that were
freed in the last seconds are passed over one by one. So `steps` is a link into /dev/shm when that is a place in memory with room,
whose programs may be run (the batch script lies there), and a plain directory otherwise. It must survive processes, not the
machine: after a boot nothing of the steps runs any more, and the controller sees by the node's boot id that they are lost.
"""

import hashlib
import os
import stat
from glob import glob
from pathlib import Path

PLACES = ("/dev/shm",)  #: tried in this order
LEAST_FREE = 256 << 20  #: bytes
_TMPFS = "tmpfs"
#: In the directory: a link to the link that leads to it.
_SIGN = ".of"


def make(link: Path, places: tuple[str, ...] = PLACES) -> None:
    """Let `link` lead to a directory that is ours alone; what is there already stays."""
    _sweep(places)
    if link.is_symlink():
        if _is_ours(os.readlink(link)) or _made(os.readlink(link)):
            _sign(os.readlink(link), link)
            return
        link.unlink()  # somebody else has taken the name since the last boot
    if link.is_dir() and not _emptied(link):
        return
    name = f"corral-{os.geteuid()}-{hashlib.sha256(os.fsencode(link.absolute())).hexdigest()[:16]}"
    for place in places:
        target = os.path.join(place, name)
        if _is_fit(place) and (_is_ours(target) or _made(target)):
            link.symlink_to(target)
            _sign(target, link)
            return
    link.mkdir(parents=True, exist_ok=True)


def remove(link: Path) -> None:
    """At an orderly end with nothing left in it: leave nothing in memory."""
    if not link.is_symlink():
        return
    target = os.readlink(link)
    try:
        _remove_empty(target)
        link.unlink()
    except OSError:
        pass  # a step still lies there


def _remove_empty(target: str) -> None:
    """OSError when a step lies there."""
    for name in os.listdir(target):
        if name != _SIGN:
            os.rmdir(os.path.join(target, name))
    try:
        os.unlink(os.path.join(target, _SIGN))
    except FileNotFoundError:
        pass
    os.rmdir(target)


def _sign(target: str, link: Path) -> None:
    """Say in the directory whose it is. After the link: who finds the one looks for the other."""
    try:
        os.symlink(link.absolute(), os.path.join(target, _SIGN))
    except OSError:
        pass  # it is there already, or there is no room: then it will not be swept


def _sweep(places: tuple[str, ...]) -> None:
    """What agents that were killed have left, when their state is gone, and with it everybody who could go on with it."""
    for place in places:
        for target in glob(f"{place}/corral-{os.geteuid()}-*"):
            try:
                owner = os.readlink(os.path.join(target, _SIGN))
                if not os.path.lexists(owner) and _is_ours(target):
                    _remove_empty(target)
            except OSError:
                continue  # nobody's yet, or a step still lies there


def _emptied(directory: Path) -> bool:
    """Remove a directory that holds at most empty ones."""
    try:
        for name in os.listdir(directory):
            os.rmdir(directory / name)
        os.rmdir(directory)
    except OSError:
        return False
    return True


def _is_fit(place: str) -> bool:
    try:
        found = os.statvfs(place)
    except OSError:
        return False
    is_in_memory = any(fields[1] == place and fields[2] == _TMPFS for fields in _mounts())
    can_execute = not found.f_flag & os.ST_NOEXEC
    return is_in_memory and can_execute and found.f_bavail * found.f_frsize >= LEAST_FREE and os.access(place, os.W_OK)


def _mounts() -> list[list[str]]:
    try:
        with open("/proc/self/mounts") as file:
            return [line.split() for line in file]
    except OSError:
        return []


def _made(path: str) -> bool:
    try:
        os.mkdir(path, 0o755)
    except OSError:
        return False
    return True


def _is_ours(path: str) -> bool:
    """Anyone may make names in /dev/shm: a link or another's directory is not trusted."""
    try:
        found = os.lstat(path)
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o022
