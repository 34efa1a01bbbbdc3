"""How does a control group of version 2 keep its processes from devices? By a small BPF program that the kernel asks at every open.

Version 2 has no files for it. The program is a list of comparisons: one of these devices is asked for -> no; else yes. Several programs of
nested groups must all say yes. It goes with its group.
"""

import ctypes
import functools
import os
import struct
from collections.abc import Sequence

_SYSCALL = {"x86_64": 321, "aarch64": 280}.get(os.uname().machine, -1)
_LOAD, _ATTACH = 5, 8
_CGROUP_DEVICE_PROGRAM, _CGROUP_DEVICE = 15, 6
_ALLOW_MULTI = 2
_ATTRIBUTES = 128  #: bytes; what a kernel does not know must be 0

# Instructions: code, destination register, source register, jump, number.
_LOAD_WORD, _AND, _JUMP_IF_NOT, _SET, _EXIT = 0x61, 0x54, 0x55, 0xB7, 0x95
_CONTEXT, _KIND, _MAJOR, _MINOR = 1, 2, 4, 5
_CHARACTER_DEVICE = 2

_libc = ctypes.CDLL(None, use_errno=True)


def deny(directory: str, files: Sequence[str]) -> None:
    """Processes in this group cannot open these (character) device files, whatever their names. Raises OSError."""
    numbers = []
    for file in files:
        try:
            number = os.stat(file).st_rdev
        except OSError:
            continue
        numbers.append((os.major(number), os.minor(number)))
    if not numbers:
        return
    program = _loaded(program_against(numbers))
    try:
        group = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            _bpf(_ATTACH, struct.pack("<IIIII", group, program, _CGROUP_DEVICE, _ALLOW_MULTI, 0))
        finally:
            os.close(group)
    finally:
        os.close(program)


@functools.cache
def is_usable() -> bool:
    """Does this kernel take such programs from us?"""
    try:
        os.close(_loaded(program_against([])))
    except OSError:
        return False
    return True


def program_against(numbers: Sequence[tuple[int, int]]) -> bytes:
    """Major and minor numbers of character devices."""
    lines = [_line(_LOAD_WORD, _KIND, _CONTEXT), _line(_AND, _KIND, number=0xFFFF)]
    lines += [_line(_LOAD_WORD, _MAJOR, _CONTEXT, 4), _line(_LOAD_WORD, _MINOR, _CONTEXT, 8)]
    for major, minor in numbers:
        lines += [
            _line(_JUMP_IF_NOT, _KIND, jump=4, number=_CHARACTER_DEVICE),
            _line(_JUMP_IF_NOT, _MAJOR, jump=3, number=major),
            _line(_JUMP_IF_NOT, _MINOR, jump=2, number=minor),
            *_answer(0),
        ]
    return b"".join((*lines, *_answer(1)))


def _answer(number: int) -> tuple[bytes, bytes]:
    return _line(_SET, number=number), _line(_EXIT)


def _line(code: int, to: int = 0, source: int = 0, jump: int = 0, number: int = 0) -> bytes:
    return struct.pack("<BBhi", code, source << 4 | to, jump, number)


def _loaded(program: bytes) -> int:
    code = ctypes.create_string_buffer(program, len(program))
    license = ctypes.create_string_buffer(b"GPL")
    where, licensed = ctypes.addressof(code), ctypes.addressof(license)
    return _bpf(_LOAD, struct.pack("<IIQQ", _CGROUP_DEVICE_PROGRAM, len(program) // 8, where, licensed))


def _bpf(command: int, attributes: bytes) -> int:
    buffer = ctypes.create_string_buffer(attributes.ljust(_ATTRIBUTES, b"\0"), _ATTRIBUTES)
    found: int = _libc.syscall(_SYSCALL, command, buffer, _ATTRIBUTES)
    if found < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), "bpf")
    return found
