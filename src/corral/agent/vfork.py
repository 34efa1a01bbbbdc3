"""How do a step's tasks begin without a copy of their shepherd?

A fork costs what Python's pages cost: the tables that are copied, and then every page that either side writes. posix_spawn(3)
shares all memory with the child until its exec, but runs nothing of ours in it. So the shepherd itself becomes, for the blink of
an eye, what its tasks shall be: in their control group, with their limits, as their user, in their directory; what it then spawns
inherits all that, and the shepherd goes back. It can, since its saved user id stays its own; an exec forgets that one. Where a child
can be had that knows its process id (child.py), that takes posix_spawn's place.

What cannot be done so is forked (tasks.py): a task with a terminal, a task prolog, or words to say first (--cpu-bind=verbose);
limits that the shepherd itself could not stand; a control group with so little memory that the kernel, should it look for a victim
in just that moment, would find the shepherd the largest. Whatever goes wrong here is tried again there, where it can be said on the
task's standard error.
"""

import os
import resource
import select
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from corral.agent import cgroup, mounts, trampoline
from corral.agent import child as children
from corral.agent.control import ShepherdSettings
from corral.agent.identity import set_rlimits
from corral.agent.processes import has_capability, take_host_name
from corral.agent.tasks import TaskPlan, command_line, find_program
from corral.agent.viewing import View, view_of

#: Under these the shepherd would be ended, or could not go on.
_NOT_FOR_US = {
    resource.RLIMIT_AS, resource.RLIMIT_DATA, resource.RLIMIT_CPU, resource.RLIMIT_FSIZE, resource.RLIMIT_RTPRIO,
    getattr(resource, "RLIMIT_RTTIME", -1),
}  # fmt: skip
#: A program that lies on a file system that does not answer is not waited for any longer.
_EXEC_MILLISECONDS = 2000
_CAP_SYS_RESOURCE = 24
_NO_PROGRAM = "/nonexistent/program"


class Spawn:
    """Made once, in the spawner; for one shepherd at a time in each process."""

    def __init__(self, fd: int, home: dict[str, int], view: View, child: children.Child | None) -> None:
        self.child = child
        self._path = f"/proc/self/fd/{fd}"
        self._home = home  #: the way back from a control group: its hierarchy -> the file to write to, which stays open
        self.view = view
        self._host_name = ""
        self._may_raise = has_capability(_CAP_SYS_RESOURCE)

    def start(self, plans: Sequence[TaskPlan]) -> list[int | None]:
        """The process of each task; None where there is none, and a fork must be tried."""
        nothing: list[int | None] = [None] * len(plans)
        first = plans[0]
        if (
            first.is_terminal
            or first.before
            or first.note[0]
            or not all(self._can_have(*limit) for limit in first.rlimits)
        ):
            return nothing
        if any(plan.note[0] or bool(plan.cpus) != bool(first.cpus) for plan in plans):
            return nothing
        if self.child is not None:
            return self._all(plans, [], -1)
        through = [(entrance, self._home.get(hierarchy, -1)) for hierarchy, entrance in first.entrances]
        if any(home < 0 for _, home in through):
            return nothing
        read_end, write_end = os.pipe2(os.O_CLOEXEC)
        try:
            pids = self._all(plans, through, write_end)
        finally:
            os.close(write_end)
        failed = _failed(read_end)
        os.close(read_end)
        return [None if pid in failed else pid for pid in pids]

    def _all(self, plans: Sequence[TaskPlan], through: list[tuple[int, int]], report: int) -> list[int | None]:
        try:
            with self._as_a_task(plans[0], through):
                return [self._begin(plan, report) for plan in plans]
        except OSError:
            return [None] * len(plans)  # raised before the first of them

    def _begin(self, plan: TaskPlan, report: int) -> int | None:
        if plan.cpus:
            try:
                os.sched_setaffinity(0, plan.cpus)
            except OSError:
                pass  # those CPUs are not ours to use
        argv = command_line(plan)
        program = find_program(argv[0], plan.environment.get("PATH", os.defpath))
        inherited = [fd for fd in (plan.pmi_fd, plan.script if argv is not plan.argv else -1) if fd >= 0]
        try:
            for fd in inherited:
                os.set_inheritable(fd, True)
            if self.child is not None:
                return self.child.begin(
                    program, argv, plan.environment, plan.streams, [entrance for _, entrance in plan.entrances]
                )
            return self._spawn([program, *argv], plan, report)
        except (OSError, ValueError):
            return None
        finally:
            for fd in inherited:  # nothing that comes later has them
                os.set_inheritable(fd, False)

    def _spawn(self, words: list[str], plan: TaskPlan, report: int) -> int:
        actions = [(os.POSIX_SPAWN_DUP2, source, target) for target, source in enumerate(plan.streams)]
        actions.append((os.POSIX_SPAWN_DUP2, report, trampoline.REPORT_FD))
        environment = {trampoline.VARIABLE: trampoline.ZEROS} | plan.environment
        environment[trampoline.VARIABLE] = trampoline.ZEROS
        return os.posix_spawn(self._path, words, environment, file_actions=actions, setpgroup=0)

    def _can_have(self, number: int, values: tuple[int, int]) -> bool:
        """This limit, and its own again."""
        return number not in _NOT_FOR_US and (self._may_raise or values[1] == resource.getrlimit(number)[1])

    @contextmanager
    def _as_a_task(self, plan: TaskPlan, through: list[tuple[int, int]]) -> Iterator[None]:
        """What all tasks of a step share. Raises OSError, after going back, when that cannot be.

        through: into each control group, and the way back; where each task's process enters by itself there are none.
        """
        entered: list[int] = []
        old_cpus = os.sched_getaffinity(0) if plan.cpus else None
        old_limits = [(number, resource.getrlimit(number)) for number, _ in plan.rlimits]
        old_umask = os.umask(plan.umask)
        try:
            for entrance, home in through:
                entered.append(home)
                os.write(entrance, b"0")
            if plan.host_name:
                self._take_host_name(plan.host_name)
            set_rlimits(plan.rlimits)
            if plan.view >= 0:
                mounts.setns(plan.view, mounts.CLONE_NEWNS)
            with plan.identity.for_an_exec():
                os.chdir(plan.work_dir)
                yield
        finally:
            if plan.view >= 0:
                mounts.setns(self.view.home, mounts.CLONE_NEWNS)
            os.chdir("/")
            set_rlimits(old_limits)
            _go_home(entered)
            if old_cpus is not None:
                os.sched_setaffinity(0, old_cpus)
            os.umask(old_umask)

    def _take_host_name(self, name: str) -> None:
        take_host_name(name, is_new=not self._host_name)
        self._host_name = name


def prepare(settings: ShepherdSettings) -> Spawn | None:
    """In the spawner. None: tasks must be forked here."""
    fd = trampoline.descriptor()
    if fd is None:
        return None
    view = view_of(settings)
    view.descriptor()
    home: dict[str, int] = {}
    try:
        for name, path in cgroup.own_files(settings).items():
            home[name] = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
            os.write(home[name], b"0")  # to where it is: that shows whether the way back is open
    except OSError:
        home.clear()
    if _works(fd):
        return Spawn(fd, home, view, children.prepare())
    os.close(fd)
    return None


def _works(fd: int) -> bool:
    """Does this system let such a program run? It must find that there is nothing to become."""
    read_end, write_end = os.pipe2(os.O_CLOEXEC)
    try:
        pid = os.posix_spawn(
            f"/proc/self/fd/{fd}", [_NO_PROGRAM, _NO_PROGRAM], {trampoline.VARIABLE: trampoline.ZEROS},
            file_actions=[(os.POSIX_SPAWN_DUP2, write_end, trampoline.REPORT_FD)],
        )  # fmt: skip
    except OSError:
        pid = 0
    os.close(write_end)
    found = bool(pid) and pid in _failed(read_end)
    os.close(read_end)
    return found


def _failed(read_end: int) -> set[int]:
    """Wait until all have become their programs, or could not: these are named here, and are no more."""
    poller = select.poll()
    poller.register(read_end, select.POLLIN)
    found: set[int] = set()
    while poller.poll(_EXEC_MILLISECONDS):
        data = os.read(read_end, trampoline.REPORT.size)
        if len(data) < trampoline.REPORT.size:
            break
        pid, _ = trampoline.REPORT.unpack(data)
        found.add(pid)
        try:
            os.waitpid(pid, 0)
        except ChildProcessError:
            pass  # the kernel has reaped it
    return found


def _go_home(files: list[int]) -> None:
    try:
        for fd in files:
            os.write(fd, b"0")
    except OSError as error:  # and nothing may be tried again
        raise RuntimeError(f"cannot leave the step's control group: {error}") from error
