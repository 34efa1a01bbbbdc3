"""How does a task begin in one exec, where machine and kernel allow it (x86-64, Linux 5.5)?

By a child of a few instructions, which is made here and called like a function. It shares all memory with the shepherd, which the
kernel lets wait until the child has become its program or is dead (CLONE_VFORK). In between it needs neither libc nor Python: it
enters its control groups and a process group of its own, writes its process id over the zeros of SLURM_TASK_PID, takes its three
streams, and executes the program. With posix_spawn(3) the shepherd itself must enter the groups, and go back; and the process id
takes a program in between (trampoline.py) and an exec more.

The function's argument is the address of 256 bytes, behind which the pointers lie, and behind these the words:

      0  program                             32  the three streams, 32 bits each
      8  words of the command, and how many  48  errno of an exec that failed
     24  how many there are of the           52  how many entrances, and each, 32 bits
         environment, behind the former     128  clone_args of clone3(2)

Signals wait meanwhile, so that none is handled in the child; and what the shepherd handles is the default's again there
(CLONE_CLEAR_SIGHAND), so that one that has waited ends the child as it would after the exec.
"""

import ctypes
import mmap
import os
import select
import signal
import struct
from collections.abc import Mapping, Sequence

from corral.agent.trampoline import VARIABLE, ZEROS

_CODE = """
    53                         push   rbx
    41 54                      push   r12
    48 83 ec 18                sub    rsp, 0x18
    48 89 fb                   mov    rbx, rdi              # the record of the call
    48 8d 93 00 01 00 00       lea    rdx, [rbx+0x100]      # pointers: the words of the command
    48 8b 73 08                mov    rsi, [rbx+0x8]
    48 8b 4b 10                mov    rcx, [rbx+0x10]
    e8 66 00 00 00             call   4f
    49 89 d4                   mov    r12, rdx
    48 8b 4b 18                mov    rcx, [rbx+0x18]
    e8 5a 00 00 00             call   4f                    # and of the environment
    b8 0e 00 00 00             mov    eax, 0xe              # rt_sigprocmask
    bf 02 00 00 00             mov    edi, 0x2
    48 83 0c 24 ff             or     [rsp], -1              # all signals wait
    48 89 e6                   mov    rsi, rsp
    48 8d 54 24 08             lea    rdx, [rsp+0x8]
    41 ba 08 00 00 00          mov    r10d, 0x8
    0f 05                      syscall
    b8 b3 01 00 00             mov    eax, 0x1b3            # clone3
    48 8d bb 80 00 00 00       lea    rdi, [rbx+0x80]
    be 40 00 00 00             mov    esi, 0x40
    0f 05                      syscall
    48 85 c0                   test   rax, rax
    74 46                      je     7f                    # in the child
    50                         push   rax                   # the process: it has become its program, or is dead
    b8 0e 00 00 00             mov    eax, 0xe              # rt_sigprocmask
    bf 02 00 00 00             mov    edi, 0x2
    48 8d 74 24 10             lea    rsi, [rsp+0x10]
    31 d2                      xor    edx, edx
    41 ba 08 00 00 00          mov    r10d, 0x8
    0f 05                      syscall
    58                         pop    rax
    48 83 c4 18                add    rsp, 0x18
    41 5c                      pop    r12
    5b                         pop    rbx
    c3                         ret
    48 ff c9                4: dec    rcx                   # so many words ...
    78 12                      js     6f
    48 89 32                   mov    [rdx], rsi
    48 83 c2 08                add    rdx, 0x8
    48 ff c6                5: inc    rsi
    80 7e ff 00                cmp    byte [rsi-0x1], 0x0
    75 f7                      jne    5b
    eb e9                      jmp    4b
    48 c7 02 00 00 00 00    6: mov    [rdx], 0x0            # ... and a null
    48 83 c2 08                add    rdx, 0x8
    c3                         ret
    45 31 c0                7: xor    r8d, r8d
    4d 8b 0c 24                mov    r9, [r12]             # the first variable
    49 83 c1 0f                add    r9, 0xf               # behind "SLURM_TASK_PID="
    44 3b 43 34             9: cmp    r8d, [rbx+0x34]
    74 21                      je     0f
    b8 01 00 00 00             mov    eax, 0x1              # write: a "0" to each entrance
    42 8b 7c 83 38             mov    edi, [rbx+r8*4+0x38]
    4c 89 ce                   mov    rsi, r9
    ba 01 00 00 00             mov    edx, 0x1
    0f 05                      syscall
    85 c0                      test   eax, eax
    0f 88 83 00 00 00          js     8f
    41 ff c0                   inc    r8d
    eb d9                      jmp    9b
    b8 6d 00 00 00          0: mov    eax, 0x6d             # setpgid
    31 ff                      xor    edi, edi
    31 f6                      xor    esi, esi
    0f 05                      syscall
    b8 27 00 00 00             mov    eax, 0x27             # getpid
    0f 05                      syscall
    4c 89 cf                   mov    rdi, r9
    b9 0a 00 00 00             mov    ecx, 0xa
    45 31 c0                   xor    r8d, r8d
    31 d2                   1: xor    edx, edx
    f7 f1                      div    ecx
    52                         push   rdx                   # a digit, the last one first
    41 ff c0                   inc    r8d
    85 c0                      test   eax, eax
    75 f4                      jne    1b
    58                      2: pop    rax
    04 30                      add    al, 0x30
    aa                         stosb
    41 ff c8                   dec    r8d
    75 f7                      jne    2b
    c6 07 00                   mov    byte [rdi], 0x0
    b8 21 00 00 00          3: mov    eax, 0x21             # dup2: 0, 1, 2
    42 8b 7c 83 20             mov    edi, [rbx+r8*4+0x20]
    44 89 c6                   mov    esi, r8d
    0f 05                      syscall
    85 c0                      test   eax, eax
    78 36                      js     8f
    41 ff c0                   inc    r8d
    41 83 f8 03                cmp    r8d, 0x3
    75 e4                      jne    3b
    b8 0e 00 00 00             mov    eax, 0xe              # rt_sigprocmask: as it was
    bf 02 00 00 00             mov    edi, 0x2
    48 8d 74 24 08             lea    rsi, [rsp+0x8]
    31 d2                      xor    edx, edx
    41 ba 08 00 00 00          mov    r10d, 0x8
    0f 05                      syscall
    b8 3b 00 00 00             mov    eax, 0x3b             # execve
    48 8b 3b                   mov    rdi, [rbx]
    48 8d b3 00 01 00 00       lea    rsi, [rbx+0x100]
    4c 89 e2                   mov    rdx, r12
    0f 05                      syscall
    f7 d8                   8: neg    eax                   # errno
    89 43 30                   mov    [rbx+0x30], eax
    89 c7                      mov    edi, eax
    b8 3c 00 00 00             mov    eax, 0x3c             # exit
    0f 05                      syscall
"""
_BYTES = slice(4, 27)  #: of a line above: the rest is for people
_RECORD, _CLONE_ARGS, _ERRNO = struct.Struct("=4Q6i"), struct.Struct("=8Q"), struct.Struct("=i")
_ERRNO_AT, _ENTRANCES_AT, _CLONE_ARGS_AT, _POINTERS_AT = 48, 56, 128, 256
_CLONE_VM, _CLONE_VFORK, _CLONE_CLEAR_SIGHAND = 0x100, 0x4000, 0x1_0000_0000
#: Bytes for all of it: what is larger begins otherwise.
_SPACE = 1 << 18
_NO_PROGRAM = "/nonexistent/program"
_TRIAL_SECONDS = 5.0

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]


class Child:
    """One at a time; a fork of this process has its own."""

    def __init__(self) -> None:
        """Raises OSError where no code may be made."""
        self._space = mmap.mmap(-1, _SPACE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self._address = ctypes.addressof(ctypes.c_char.from_buffer(self._space))
        self._function = ctypes.PYFUNCTYPE(ctypes.c_long, ctypes.c_void_p)(_in_memory(code()))
        flags = _CLONE_VM | _CLONE_VFORK | _CLONE_CLEAR_SIGHAND
        _CLONE_ARGS.pack_into(self._space, _CLONE_ARGS_AT, flags, 0, 0, 0, signal.SIGCHLD, 0, 0, 0)

    def begin(
        self,
        program: str,
        argv: Sequence[str],
        environment: Mapping[str, str],
        streams: tuple[int, int, int],
        entrances: Sequence[int] = (),
    ) -> int:
        """The process, when it has become `program`. Raises OSError, after it is gone, or ValueError: it must begin otherwise.

        environment: SLURM_TASK_PID is put before it. entrances: descriptors of its control groups, to which it writes a 0.
        """
        others = [f"{name}={value}" for name, value in environment.items() if name != VARIABLE]
        words = os.fsencode("\0".join([program, *argv, f"{VARIABLE}={ZEROS}", *others, ""]))
        count = 2 + len(argv) + len(others)
        begin = _POINTERS_AT + 8 * (count + 1)
        if words.count(b"\0") != count or begin + len(words) > _SPACE or not argv:
            raise ValueError("a null in a word, or too many of them")
        self._space[begin : begin + len(words)] = words
        first = self._address + begin
        to_argv = first + len(os.fsencode(program)) + 1
        _RECORD.pack_into(self._space, 0, first, to_argv, len(argv), 1 + len(others), *streams, 0, 0, len(entrances))
        struct.pack_into(f"={len(entrances)}i", self._space, _ENTRANCES_AT, *entrances)
        pid: int = self._function(self._address)
        if pid < 0:
            raise OSError(-pid, os.strerror(-pid))
        (number,) = _ERRNO.unpack_from(self._space, _ERRNO_AT)
        if number:
            try:
                os.waitpid(pid, 0)
            except ChildProcessError:
                pass  # the kernel has reaped it
            raise OSError(number, os.strerror(number), program)
        return pid


def code() -> bytes:
    return b"".join(bytes.fromhex(line[_BYTES].partition(" " * 3)[0]) for line in _CODE.splitlines() if line)


def _in_memory(code: bytes) -> int:
    """Its address: to be read and executed, and never to be written."""
    fd = os.memfd_create("corral-child", os.MFD_CLOEXEC)
    try:
        os.write(fd, code)
        address: int = _libc.mmap(None, len(code), mmap.PROT_READ | mmap.PROT_EXEC, mmap.MAP_PRIVATE, fd, 0)
    finally:
        os.close(fd)
    if address == ctypes.c_void_p(-1).value:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return address


def prepare() -> Child | None:
    """In the spawner. None: not here. Whether it works is tried in a process of its own, which may die of it."""
    if os.uname().machine != "x86_64":
        return None
    pid = os.fork()
    if not pid:
        try:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os._exit(0 if _finds_no_program(Child()) else 1)
        finally:
            os._exit(1)
    _limit(pid)
    return Child() if os.waitpid(pid, 0)[1] == 0 else None


def _limit(pid: int) -> None:
    """It ends in time, or is killed: the spawner may not wait for ever."""
    try:
        end = os.pidfd_open(pid)
    except OSError:  # before Linux 5.3, where the trial fails at once
        return
    try:
        if not select.select((end,), (), (), _TRIAL_SECONDS)[0]:
            os.kill(pid, signal.SIGKILL)
    finally:
        os.close(end)


def _finds_no_program(child: Child) -> bool:
    try:
        child.begin(_NO_PROGRAM, [_NO_PROGRAM], {}, (0, 1, 2))
    except FileNotFoundError:
        return True
    return False
