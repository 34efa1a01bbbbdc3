"""How does a program find its own process id in its environment (SLURM_TASK_PID) when no Python ran in its process before it?

By a program of a few instructions in between. It is made here, lies in memory only, and is executed as

    execve(<trampoline>, [PROGRAM, ARGV0, ARGV1, ...], [SLURM_TASK_PID=0000000000, ...])

with descriptor 3 open for writing. It writes its process id over the zeros, has descriptor 3 closed by the next exec, and becomes
PROGRAM. Where that fails it writes (process id, errno), two 32-bit numbers, to descriptor 3, and exits with errno.

For other machines than these two there is none, and tasks are forked as tasks.py does it.
"""

import os
import struct

#: The first variable of the environment it is started with.
VARIABLE, ZEROS = "SLURM_TASK_PID", "0" * 10
REPORT_FD = 3
_MFD_EXEC = 0x10
REPORT = struct.Struct("=ii")

_X86_64 = """
    48 8b 0c 24             mov    rcx, [rsp]               # argc
    48 8d 6c cc 10          lea    rbp, [rsp + rcx*8 + 16]  # the environment
    48 8b 7d 00             mov    rdi, [rbp]               # its first variable
    48 83 c7 0f             add    rdi, 15                  # behind "SLURM_TASK_PID="
    b8 27 00 00 00          mov    eax, 39                  # getpid
    0f 05                   syscall
    41 89 c4                mov    r12d, eax
    b9 0a 00 00 00          mov    ecx, 10
    45 31 c0                xor    r8d, r8d
    31 d2                1: xor    edx, edx
    f7 f1                   div    ecx
    52                      push   rdx                      # a digit, the last one first
    41 ff c0                inc    r8d
    85 c0                   test   eax, eax
    75 f4                   jne    1b
    58                   2: pop    rax
    04 30                   add    al, '0'
    aa                      stosb
    41 ff c8                dec    r8d
    75 f7                   jne    2b
    c6 07 00                mov    byte [rdi], 0
    bf 03 00 00 00          mov    edi, 3
    be 02 00 00 00          mov    esi, 2                   # F_SETFD
    ba 01 00 00 00          mov    edx, 1                   # FD_CLOEXEC
    b8 48 00 00 00          mov    eax, 72                  # fcntl
    0f 05                   syscall
    48 8b 7c 24 08          mov    rdi, [rsp + 8]           # PROGRAM
    48 8d 74 24 10          lea    rsi, [rsp + 16]          # ARGV0 ...
    48 89 ea                mov    rdx, rbp
    b8 3b 00 00 00          mov    eax, 59                  # execve
    0f 05                   syscall
    f7 d8                   neg    eax                      # errno
    89 c3                   mov    ebx, eax
    48 c1 e0 20             shl    rax, 32
    4c 09 e0                or     rax, r12
    50                      push   rax
    bf 03 00 00 00          mov    edi, 3
    48 89 e6                mov    rsi, rsp
    ba 08 00 00 00          mov    edx, 8
    b8 01 00 00 00          mov    eax, 1                   # write
    0f 05                   syscall
    89 df                   mov    edi, ebx
    b8 3c 00 00 00          mov    eax, 60                  # exit
    0f 05                   syscall
"""

_AARCH64 = """
    f3 03 40 f9             ldr    x19, [sp]                # argc
    f4 43 00 91             add    x20, sp, #16
    94 0e 13 8b             add    x20, x20, x19, lsl #3    # the environment
    88 15 80 d2             mov    x8, #172                 # getpid
    01 00 00 d4             svc    #0
    f5 03 00 2a             mov    w21, w0
    81 02 40 f9             ldr    x1, [x20]                # its first variable
    21 3c 00 91             add    x1, x1, #15              # behind "SLURM_TASK_PID="
    42 01 80 52             mov    w2, #10
    03 00 80 52             mov    w3, #0
    04 08 c2 1a          1: udiv   w4, w0, w2
    85 80 02 1b             msub   w5, w4, w2, w0
    a5 c0 00 11             add    w5, w5, #48
    e5 0f 1f f8             str    x5, [sp, #-16]!          # a digit, the last one first
    63 04 00 11             add    w3, w3, #1
    e0 03 04 2a             mov    w0, w4
    40 ff ff 35             cbnz   w0, 1b
    e5 07 41 f8          2: ldr    x5, [sp], #16
    25 14 00 38             strb   w5, [x1], #1
    63 04 00 71             subs   w3, w3, #1
    a1 ff ff 54             b.ne   2b
    3f 00 00 39             strb   wzr, [x1]
    60 00 80 d2             mov    x0, #3
    41 00 80 d2             mov    x1, #2                   # F_SETFD
    22 00 80 d2             mov    x2, #1                   # FD_CLOEXEC
    28 03 80 d2             mov    x8, #25                  # fcntl
    01 00 00 d4             svc    #0
    e0 07 40 f9             ldr    x0, [sp, #8]             # PROGRAM
    e1 43 00 91             add    x1, sp, #16              # ARGV0 ...
    e2 03 14 aa             mov    x2, x20
    a8 1b 80 d2             mov    x8, #221                 # execve
    01 00 00 d4             svc    #0
    f3 03 00 4b             neg    w19, w0                  # errno
    f5 4f be 29             stp    w21, w19, [sp, #-16]!
    60 00 80 d2             mov    x0, #3
    e1 03 00 91             mov    x1, sp
    02 01 80 d2             mov    x2, #8
    08 08 80 d2             mov    x8, #64                  # write
    01 00 00 d4             svc    #0
    e0 03 13 2a             mov    w0, w19
    a8 0b 80 d2             mov    x8, #93                  # exit
    01 00 00 d4             svc    #0
"""

#: Name of the machine -> its number in an ELF file, and the instructions.
_MACHINES = {"x86_64": (62, _X86_64), "aarch64": (183, _AARCH64)}
_BYTES = slice(4, 27)  #: of a line above: the rest is for people
_ADDRESS = 0x400000


def program(machine: str = "") -> bytes | None:
    """The whole ELF file; None: not for this machine."""
    found = _MACHINES.get(machine or os.uname().machine)
    if found is None:
        return None
    number, text = found
    code = b"".join(bytes.fromhex(line[_BYTES].partition(" " * 3)[0]) for line in text.splitlines() if line)
    start = 64 + 2 * 56
    head = struct.pack(
        "<16sHHIQQQIHHHHHH", b"\x7fELF\x02\x01\x01", 2, number, 1, _ADDRESS + start, 64, 0, 0, 64, 56, 2, 64, 0, 0
    )
    size = start + len(code)
    load = struct.pack("<IIQQQQQQ", 1, 5, 0, _ADDRESS, _ADDRESS, size, size, 0x10000)  # readable and executable
    stack = struct.pack("<IIQQQQQQ", 0x6474E551, 6, 0, 0, 0, 0, 0, 16)  # not executable
    return head + load + stack + code


def descriptor() -> int | None:
    """The program as a descriptor that can be executed as /proc/self/fd/N, by anybody. None: not on this machine."""
    code = program()
    if code is None:
        return None
    try:
        fd = os.memfd_create("corral-task", os.MFD_CLOEXEC | _MFD_EXEC)
    except OSError:
        try:
            fd = os.memfd_create("corral-task", os.MFD_CLOEXEC)  # a kernel before 6.3
        except OSError:
            return None
    os.write(fd, code)
    return fd
