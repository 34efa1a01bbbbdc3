"""What does a process give up before its program begins: capabilities, new rights by what it executes, calls of the kernel?

Done by the process itself, as its user, last of all; none of it can be taken back. The calls that are denied are those that administer
a machine (mounts, modules, clocks, namespaces, other users' keys): about what container engines deny by default.
"""

import ctypes
import errno
import os
import struct

import msgspec

from corral.model.capabilities import CAPABILITIES, numbers_of

_PR_CAPBSET_DROP, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT = 24, 22, 38, 47
_AMBIENT_CLEAR_ALL = 4
_MODE_FILTER = 2
_CAPABILITY_VERSION = 0x20080522
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_X32 = 0x40000000
_NEW_NAMESPACES = 0x7E020000  # of clone's flags
#: AUDIT_ARCH, and the numbers of clone and clone3.
_ARCHS = {"x86_64": (0xC000003E, 56, 435), "aarch64": (0xC00000B7, 220, 435)}
#: acct, add_key, bpf, clock_adjtime, clock_settime, delete_module, finit_module, init_module, kcmp, kexec_file_load, kexec_load, keyctl,
#: lookup_dcookie, mount, open_by_handle_at, perf_event_open, pivot_root, quotactl, reboot, request_key, setdomainname, sethostname, setns,
#: settimeofday, swapoff, swapon, syslog, umount2, unshare, userfaultfd, vhangup; of x86_64 also create_module, ioperm, iopl, nfsservctl,
#: query_module, _sysctl, uselib, ustat.
_DENIED = {
    "x86_64": (
        163, 248, 321, 305, 227, 176, 313, 175, 312, 320, 246, 250, 212, 165, 304, 298, 155, 179, 169, 249, 171, 170, 308, 164,
        168, 167, 103, 166, 272, 323, 153, 174, 173, 172, 180, 178, 156, 134, 136,
    ),
    "aarch64": (
        89, 217, 280, 266, 112, 106, 273, 105, 272, 294, 104, 219, 18, 40, 265, 241, 41, 60, 142, 218, 162, 161, 268, 170,
        225, 224, 116, 39, 97, 282, 58,
    ),
}  # fmt: skip
#: Of all machines: io_uring_*, open_tree, move_mount, fsopen, fsconfig, fsmount, fspick, mount_setattr.
_DENIED_EVERYWHERE = (425, 426, 427, 428, 429, 430, 431, 432, 433, 442)

_libc = ctypes.CDLL(None, use_errno=True)


class Confinement(msgspec.Struct, frozen=True):
    no_new_privileges: bool = False
    drop: tuple[str, ...] = ()  #: names of capabilities; ALL = all of them
    keep: tuple[str, ...] = ()  #: of these
    filter_calls: bool = False

    def __bool__(self) -> bool:
        return self.no_new_privileges or bool(self.drop) or self.filter_calls

    def __call__(self, environment: dict[str, str]) -> None:
        """In the process that is to be confined (TaskPlan.before). Raises OSError."""
        if self.drop:
            _drop(numbers_of(self.drop) - numbers_of(self.keep))
        # A filter needs it; and what has dropped capabilities does not get them back by what it executes.
        _prctl(_PR_SET_NO_NEW_PRIVS, 1)
        if self.filter_calls:
            _filter()


def _prctl(what: int, value: int, more: object = 0) -> None:
    if _libc.prctl(what, ctypes.c_ulong(value), more, 0, 0) < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), "prctl")


def _drop(numbers: set[int]) -> None:
    _libc.prctl(_PR_CAP_AMBIENT, _AMBIENT_CLEAR_ALL, 0, 0, 0)
    for number in sorted(numbers):
        # Who has no right to that has no capabilities either, and gets none by what it executes.
        _libc.prctl(_PR_CAPBSET_DROP, number, 0, 0, 0)
    header = struct.pack("<Ii", _CAPABILITY_VERSION, 0)
    data = ctypes.create_string_buffer(24)
    if _libc.capget(header, data) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), "capget")
    mask = sum(1 << number for number in numbers)
    low, high = ~mask & 0xFFFFFFFF, ~(mask >> 32) & 0xFFFFFFFF
    parts = struct.unpack("<6I", data.raw)
    left = [part & (low if at < 3 else high) for at, part in enumerate(parts)]
    if _libc.capset(header, struct.pack("<6I", *left)) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), "capset")


def program(machine: str) -> bytes:
    """The filter, as struct sock_filter's; b"" = there is none for this machine."""
    if machine not in _ARCHS:
        return b""
    arch, clone, clone3 = _ARCHS[machine]
    denied = (*_DENIED[machine], *_DENIED_EVERYWHERE)
    load, equal, at_least, has_bits, give = 0x20, 0x15, 0x35, 0x45, 0x06
    # The three ends, counted from the last instruction: allow, deny, no such call.
    body: list[tuple[int, int, str, str]] = [(load, 4, "", ""), (equal, arch, "", "deny"), (load, 0, "", "")]
    if machine == "x86_64":
        body.append((at_least, _X32, "deny", ""))
    body.append((equal, clone3, "absent", ""))
    body += [(equal, number, "deny", "") for number in denied]
    body += [(equal, clone, "", "allow"), (load, 16, "", ""), (has_bits, _NEW_NAMESPACES, "deny", "allow")]
    ends = {"allow": _ALLOW, "deny": _ERRNO | errno.EPERM, "absent": _ERRNO | errno.ENOSYS}
    places = {name: len(body) + at for at, name in enumerate(ends)}

    def jump(at: int, name: str) -> int:
        return places[name] - at - 1 if name else 0

    found = [
        struct.pack("<HBBI", code, jump(at, yes), jump(at, no), value) for at, (code, value, yes, no) in enumerate(body)
    ]
    return b"".join(found + [struct.pack("<HBBI", give, 0, 0, value) for value in ends.values()])


def _filter() -> None:
    code = program(os.uname().machine)
    if not code:
        raise OSError(errno.ENOSYS, f"there is no seccomp filter for {os.uname().machine}", "seccomp")
    buffer = ctypes.create_string_buffer(code, len(code))
    header = struct.pack("<HxxxxxxQ", len(code) // 8, ctypes.addressof(buffer))
    _prctl(_PR_SET_SECCOMP, _MODE_FILTER, ctypes.c_char_p(header))


assert len(CAPABILITIES) == 41
