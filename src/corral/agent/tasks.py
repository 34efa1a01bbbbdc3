"""How does one task begin by a fork of its shepherd, where vfork.py does not do?"""

import errno
import os
import signal
from collections.abc import Callable, Sequence
from typing import NoReturn

import msgspec

from corral.agent import messages, mounts
from corral.agent.container import Box
from corral.agent.identity import Identity, set_rlimits
from corral.agent.processes import take_host_name

#: Python ignores these, and a program would inherit that. Caught ones become the default again by its exec.
_IGNORED = (signal.SIGPIPE, signal.SIGXFSZ)
_CAUGHT = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


def catch_signals() -> None:
    """In the spawner: stray signals end no shepherd, and no task need undo anything."""
    for number in (*_IGNORED, *_CAUGHT):
        signal.signal(number, _nothing)


def _nothing(number: int, frame: object) -> None:
    pass


class ProgramFailed(Exception):
    """What must be done before the task could not be: the task ends with this status, and these words."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status, self.words = status, words


class TaskPlan(msgspec.Struct, kw_only=True):
    """All that a task needs; the same for all tasks of a step but for what comes after `entrances`."""

    identity: Identity
    work_dir: str
    umask: int
    rlimits: list[tuple[int, tuple[int, int]]]  #: those that are not the shepherd's own
    entrances: Sequence[tuple[str, int]]  #: of its control groups: hierarchy, and a descriptor to write 0 to
    argv: Sequence[str]
    environment: dict[str, str]
    streams: tuple[int, int, int]  #: descriptors for 0, 1, 2
    cpus: tuple[int, ...] = ()  #: to be bound to; () = not bound
    note: tuple[str, str] = ("", "")  #: said on its standard error, before and after its process id
    script: int = -1  #: a descriptor of the batch script, argv[0]
    before: Sequence[Callable[[dict[str, str]], None]] = ()  #: done in the task's process at last, with its environment
    pmi_fd: int = -1  #: to be inherited: the way to the step's PMI server
    host_name: str = ""  #: of a virtual node
    entrypoint: Sequence[str] = ()  #: of the container's image, before a script
    box: Box | None = None  #: the container that it runs in
    network: tuple[int, int] = (-1, -1)  #: descriptors of its Pod's network and that one's user namespace; -1 = none
    view: int = -1  #: descriptor of the mount namespace that it begins in; -1 = its shepherd's
    is_terminal: bool = False  #: descriptor 0 is a terminal that is to control the task's session


def start(plan: TaskPlan) -> int:
    """Fork, and return the process. What goes wrong after that is said on the task's standard error, by its exit code too."""
    # A signal that comes before the exec must end the task, as one that comes after it would.
    signal.pthread_sigmask(signal.SIG_BLOCK, _CAUGHT)
    pid = os.fork()
    if pid:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _CAUGHT)
        return pid
    try:
        for number in _CAUGHT:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _CAUGHT)
        _become(plan)
    except ProgramFailed as failure:
        _complain(failure.words)
        os._exit(failure.status)
    except OSError as error:
        _complain(messages.error(f"{error.filename or 'task launch'}: {error.strerror}"))
        os._exit(error.errno or 1)
    finally:
        os._exit(1)


def _become(plan: TaskPlan) -> NoReturn:
    if plan.is_terminal:
        _take_terminal(plan.streams[0])
    else:
        os.setpgid(0, 0)
    for _, entrance in plan.entrances:
        os.write(entrance, b"0")
    if plan.cpus:
        try:
            os.sched_setaffinity(0, plan.cpus)
        except OSError:
            pass  # those CPUs are not ours to use
    set_rlimits(plan.rlimits)
    if plan.host_name:
        take_host_name(plan.host_name)
    _place_streams(plan.streams)
    network, users = plan.network
    if users >= 0:
        mounts.setns(users, mounts.CLONE_NEWUSER)
    if network >= 0:
        mounts.setns(network, mounts.CLONE_NEWNET)
    if plan.box is not None:
        plan.box.enter()
    elif plan.view >= 0:
        mounts.setns(plan.view, mounts.CLONE_NEWNS)
    plan.identity.assume()
    if plan.box is not None:
        plan.box.settle()
    if plan.pmi_fd >= 0:
        os.set_inheritable(plan.pmi_fd, True)
    if plan.note[0]:
        _complain(f"{plan.note[0]}{os.getpid()}{plan.note[1]}")
    _enter_directory(plan.work_dir)
    os.umask(plan.umask)
    plan.environment["SLURM_TASK_PID"] = str(os.getpid())
    for step in plan.before:
        step(plan.environment)
    argv = command_line(plan)
    if argv is not plan.argv:
        os.set_inheritable(plan.script, True)
    _execute(argv, plan.environment)


def command_line(plan: TaskPlan) -> Sequence[str]:
    """As its user."""
    if plan.script < 0:
        return plan.argv
    if plan.box is None and os.access(plan.argv[0], os.R_OK | os.X_OK):
        return plan.argv
    # The spool lies where this user may not look: the script alone is the user's.
    return [*plan.entrypoint, f"/proc/self/fd/{plan.script}", *plan.argv[1:]]


def _take_terminal(fd: int) -> None:
    import fcntl
    import termios

    os.setsid()
    fcntl.ioctl(fd, termios.TIOCSCTTY, 0)


def _place_streams(streams: tuple[int, int, int]) -> None:
    # The sources are above 2 always: the shepherd's own 0, 1 and 2 are taken.
    for target, source in enumerate(streams):
        os.dup2(source, target, inheritable=True)


def _enter_directory(path: str) -> None:
    try:
        os.chdir(path)
    except OSError as error:
        _complain(messages.no_such_directory(path, error.errno or 0) * 2)
        os.chdir("/tmp")


def _execute(argv: Sequence[str], environment: dict[str, str]) -> NoReturn:
    program = argv[0]
    try:
        os.execve(find_program(program, environment.get("PATH", os.defpath)), list(argv), environment)
    except OSError as error:
        number = error.errno or 1
        interpreter = _interpreter(program) if number == errno.ENOENT else ""
        if "/" in program:
            program = os.path.join(os.getcwd(), program)
        _complain(
            messages.bad_interpreter(interpreter, number) if interpreter else messages.cannot_execute(program, number)
        )
        os._exit(number)


def find_program(program: str, path: str) -> str:
    """As execvp looks for it; a name that is nowhere stays itself, and will not be found."""
    if "/" in program:
        return program
    refused = ""
    for directory in path.split(os.pathsep):
        candidate = os.path.join(directory or ".", program)
        if os.access(candidate, os.X_OK) and not os.path.isdir(candidate):
            return candidate
        if not refused and os.path.isfile(candidate):
            refused = candidate
    return refused or f"/nonexistent/{program}"


def _interpreter(program: str) -> str:
    try:
        with open(program, "rb") as file:
            first = file.readline(256)
    except OSError:
        return ""
    return first[2:].split()[0].decode(errors="replace") if first.startswith(b"#!") and first[2:].split() else ""


def _complain(text: str) -> None:
    try:
        os.write(2, text.encode())
    except OSError:
        pass


def program_of(rank: int, lines: Sequence[tuple[str, tuple[str, ...]]]) -> tuple[str, ...]:
    """--multi-prog: the first line whose ranks contain this one, with %t (the rank) and %o (the place within the line's ranks)."""
    for ranks, argv in lines:
        offset = _offset(rank, ranks)
        if offset is not None:
            return tuple(_filled(word, rank, offset) for word in argv)
    return ()


def _filled(word: str, rank: int, offset: int) -> str:
    """Between two %% there is no mark."""
    parts = word.split("%%")
    place = "%o" if offset < 0 else str(offset)
    return "%".join(part.replace("%t", str(rank)).replace("%o", place) for part in parts)


def _offset(rank: int, ranks: str) -> int | None:
    if ranks == "*":
        return rank
    before = 0
    for part in ranks.split(","):
        first, _, last = part.partition("-")
        low, high = int(first), int(last or first)
        if low <= rank <= high:
            return before + rank - low
        before += high - low + 1
    return None
