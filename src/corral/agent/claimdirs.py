"""Where on this node is what a Pod claims: a directory that is made for its claim, or a share that is mounted already; how does it go?

A claim's directory is made in one that must be there: where that is a file system that is not mounted, nothing is made in its place. What
is there under its name and is not the owner's is not used.
"""

import os
import stat
import subprocess

from corral.agent.container import CannotContain
from corral.agent.identity import Identity
from corral.protocol.pods import PodVolume

_DIRECTORY = os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def opened(volume: PodVolume, identity: Identity, groups: tuple[int, ...]) -> int:
    """Its descriptor; the first that mounts it makes it. Raises CannotContain."""
    base, name = os.path.split(volume.path)
    try:
        parent = os.open(base, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        words = f"{base}, where volume {volume.name} is to be, is not there: {error.strerror}"
        raise CannotContain(words) from None
    try:
        return _opened(parent, name, volume, identity, groups)
    except OSError as error:
        raise CannotContain(f"{volume.path} of volume {volume.name}: {error.strerror}") from None
    finally:
        os.close(parent)


def _opened(parent: int, name: str, volume: PodVolume, identity: Identity, groups: tuple[int, ...]) -> int:
    uid, gid = volume.owner
    if _made(parent, name, identity, uid):
        fd = os.open(name, _DIRECTORY, dir_fd=parent)
        if os.geteuid() == 0 and os.fstat(fd).st_uid != uid:
            os.fchown(fd, uid, groups[0] if groups else gid)
        os.fchmod(fd, 0o2770 if groups else 0o700)
        os.close(fd)
    fd = os.open(name, _DIRECTORY | os.O_PATH, dir_fd=parent)
    found = os.fstat(fd)
    if found.st_uid != (uid if os.geteuid() == 0 else os.geteuid()):
        os.close(fd)
        raise CannotContain(f"{volume.path} of volume {volume.name} belongs to user {found.st_uid}, not to {uid}")
    return fd


def _made(parent: int, name: str, identity: Identity, uid: int) -> bool:
    """Now. On a file system where root may not, the owner does it."""
    try:
        os.mkdir(name, 0o700, dir_fd=parent)
    except FileExistsError:
        return False
    except PermissionError:
        if identity.uid != uid:
            raise
        with identity.for_a_while():
            os.mkdir(name, 0o700, dir_fd=parent)
    return True


def mounted_share(volume: PodVolume) -> str:
    """Where this node has server:/path. Raises CannotContain."""
    server, _, path = volume.path.partition(":")
    path = os.path.normpath(path)
    best, where = "", ""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            head, _, tail = line.partition(" - ")
            kind, source, options = (*tail.split(), "", "", "")[:3]
            host, colon, export = source.partition(":/")
            export = f"/{export}".rstrip("/") or "/"
            if not kind.startswith("nfs") or not colon:
                continue
            if host != server and f"addr={server}" not in options.split(","):
                continue
            if (path == export or path.startswith(f"{export.rstrip('/')}/")) and len(export) > len(best):
                best, where = export, _plain(head.split()[4])
    if not where:
        raise CannotContain(
            f"volume {volume.name}: {volume.path} is not mounted on this node; its administrator mounts it, wherever it may be"
        )
    return os.path.normpath(f"{where}/{path[len(best) :]}")


def _plain(text: str) -> str:
    for code, letter in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, letter)
    return text


def removed(path: str, uid: int, gid: int) -> str:
    """What is in it goes by the rights of its owner: only the empty directory is this program's to remove. What went wrong, or ""."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return "" if os.path.isdir(os.path.dirname(path)) else f"{os.path.dirname(path)} is not there"
    except OSError as error:
        return f"{path}: {error.strerror}"
    if not stat.S_ISDIR(found.st_mode):
        return f"{path} is not a directory"
    try:
        command = ["find", path, "-xdev", "-mindepth", "1", "-delete"]
        if os.geteuid() == 0:
            done = subprocess.run(command, capture_output=True, check=False, user=uid, group=gid, extra_groups=[])
        else:
            done = subprocess.run(command, capture_output=True, check=False)
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip()
            return said.splitlines()[0][:500] if said else "find failed"
        os.rmdir(path)
    except FileNotFoundError as error:
        return "" if error.filename == path else str(error)
    except OSError as error:
        return f"{path}: {error.strerror}"
    return ""
