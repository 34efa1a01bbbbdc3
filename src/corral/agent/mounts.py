"""How does a process change what it sees as its file system? The kernel's calls, for which Python 3.11 has no words.

All raise OSError. The new mount calls (open_tree and after) need Linux 5.2, mount_setattr 5.12; their numbers are the same on all machines.
"""

import ctypes
import os

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT, MS_BIND = 1, 2, 4, 8, 32, 4096
MS_REC, MS_PRIVATE, MS_SLAVE, MS_SHARED = 16384, 1 << 18, 1 << 19, 1 << 20
MNT_DETACH = 2
ATTR_RDONLY, ATTR_NOSUID, ATTR_NODEV, ATTR_NOEXEC, ATTR_IDMAP = 1, 2, 4, 8, 0x00100000

_OPEN_TREE, _MOVE_MOUNT, _MOUNT_SETATTR = 428, 429, 442
_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}.get(os.uname().machine, -1)
_AT_FDCWD, _AT_EMPTY_PATH, _AT_RECURSIVE = -100, 0x1000, 0x8000
_OPEN_TREE_CLONE, _OPEN_TREE_CLOEXEC = 1, os.O_CLOEXEC
_MOVE_MOUNT_F_EMPTY_PATH = 4

_libc = ctypes.CDLL(None, use_errno=True)


class _MountAttr(ctypes.Structure):
    _fields_ = (
        ("attr_set", ctypes.c_uint64), ("attr_clr", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64), ("userns_fd", ctypes.c_uint64),
    )  # fmt: skip


def _done(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)
    return result


def own_proc_files() -> None:
    """After a change of user: what is under /proc/self is this user's then (PR_SET_DUMPABLE)."""
    _libc.prctl(4, 1, 0, 0, 0)


def unshare(flags: int) -> None:
    _done(_libc.unshare(flags), "unshare")


def setns(fd: int, kind: int) -> None:
    _done(_libc.setns(fd, kind), "setns")


def mount(source: str, target: str, kind: str = "", flags: int = 0, data: str = "") -> None:
    words = [os.fsencode(word) if word else None for word in (source, target, kind)]
    _done(_libc.mount(*words, ctypes.c_ulong(flags), os.fsencode(data) if data else None), target)


def unmount(target: str, flags: int = MNT_DETACH) -> None:
    _done(_libc.umount2(os.fsencode(target), flags), target)


def pivot_root(new: str, old: str) -> None:
    _done(_libc.syscall(_PIVOT_ROOT, os.fsencode(new), os.fsencode(old)), new)


def tree_of(fd: int, *, recursive: bool = True) -> int:
    """A copy of the mounts at an open file or directory, as a descriptor: it belongs nowhere yet."""
    flags = _OPEN_TREE_CLONE | _OPEN_TREE_CLOEXEC | _AT_EMPTY_PATH | (_AT_RECURSIVE if recursive else 0)
    return _done(_libc.syscall(_OPEN_TREE, fd, b"", flags), "open_tree")


def put(tree: int, target: str) -> None:
    """Mount such a copy here."""
    found = _libc.syscall(_MOVE_MOUNT, tree, b"", _AT_FDCWD, os.fsencode(target), _MOVE_MOUNT_F_EMPTY_PATH)
    _done(found, target)


def set_attributes(
    tree: int, attributes: int, *, recursive: bool = False, propagation: int = 0, user_ns: int = 0
) -> None:
    wanted = _MountAttr(attributes, 0, propagation, user_ns)
    flags = _AT_EMPTY_PATH | (_AT_RECURSIVE if recursive else 0)
    size = ctypes.c_size_t(ctypes.sizeof(wanted))
    _done(_libc.syscall(_MOUNT_SETATTR, tree, b"", flags, ctypes.byref(wanted), size), "mount_setattr")


def escaped(path: str) -> str:
    """As a layer's path in the options of an overlay."""
    return path.replace("\\", "\\\\").replace(":", "\\:").replace(",", "\\,")
