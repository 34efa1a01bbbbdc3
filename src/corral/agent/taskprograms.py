"""How are task prolog and task epilog run: as the user, before and after each task, the cluster's and the one that srun was given?

A prolog runs in the task's own process before the program takes its place. Lines of its standard output act on the task: "export
NAME=value" and "unset NAME" on its environment, "print text" on its standard output. An epilog is a process of its own, which the
task's end waits for; what it writes to its standard error the step's user sees. The words are slurmstepd's.
"""

import os
from collections.abc import Callable, Sequence
from functools import partial

from corral.agent import messages
from corral.agent.reactor import Reactor, Timer
from corral.agent.tasks import ProgramFailed, TaskPlan, start
from corral.model.step import TaskPlace
from corral.protocol.orders import LaunchStep

#: Seconds that the user's own epilog may take.
_USERS_EPILOG_SECONDS = 5.0
#: What only the task itself is told.
_OF_THE_TASK = (
    "PMI_FD", "PMI_JOBID", "PMI_RANK", "PMI_SIZE", "SLURM_TASK_PID", "SLURM_GTIDS", "SLURM_CPUS_ON_NODE", "SLURM_JOB_GID",
)  # fmt: skip
CONTEXT = "SLURM_SCRIPT_CONTEXT"


class Program:
    """One of them, and how slurmstepd calls it."""

    __slots__ = ("failed", "name", "path", "seconds")

    def __init__(self, name: str, failed: str, path: str, seconds: float = 0.0) -> None:
        self.name, self.failed, self.path, self.seconds = name, failed, path, seconds


def prologs_of(order: LaunchStep) -> list[Program]:
    found = [
        Program("slurm task_prolog", "TaskProlog", order.task_prolog),
        Program("user task_prolog", "--task-prolog", order.spec.task_prolog),
    ]
    return [program for program in found if program.path]


def epilogs_of(order: LaunchStep) -> list[Program]:
    """slurmstepd has the two names of failure the wrong way round, and scripts may look for them."""
    found = [
        Program("user task_epilog", "TaskEpilog", order.spec.task_epilog, _USERS_EPILOG_SECONDS),
        Program("slurm task_epilog", "--task-epilog", order.task_epilog),
    ]
    return [program for program in found if program.path]


# ---------------------------------------------------------------------- before


def run_prolog(program: Program, environment: dict[str, str]) -> None:
    """In the task's process, as its user, in its directory. Changes the environment; raises ProgramFailed."""
    environment[CONTEXT] = "prolog_task"
    if not os.access(program.path, os.R_OK | os.X_OK):
        number = 2 if not os.path.exists(program.path) else 13
        raise ProgramFailed(
            1,
            messages.error(f"run_command: {program.name} can not be executed ({program.path}) {os.strerror(number)}")
            + messages.error(f"{program.name} did not exit normally. reason: Run command failed - configuration error")
            + messages.error(f"{program.failed} failed status=1"),
        )
    status, said = _output_of(program.path, environment)
    for line in said.split("\n"):
        _obey(line, environment)
    if status:
        code = os.waitstatus_to_exitcode(status)
        code = code if code > 0 else 1
        raise ProgramFailed(code, messages.error(f"{program.failed} failed status={code}"))


def _output_of(path: str, environment: dict[str, str]) -> tuple[int, str]:
    read_end, write_end = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            null = os.open("/dev/null", os.O_RDWR)
            os.dup2(null, 0)
            os.dup2(write_end, 1)
            os.dup2(null, 2)
            os.execve(path, [path], environment)
        finally:
            os._exit(127)
    os.close(write_end)
    with open(read_end, "rb") as file:
        said = file.read().decode("utf-8", "surrogateescape")
    return os.waitpid(pid, 0)[1], said


def _obey(line: str, environment: dict[str, str]) -> None:
    word, _, rest = line.partition(" ")
    rest = rest.lstrip(" ")
    if word == "print":
        os.write(1, f"{rest}\n".encode("utf-8", "surrogateescape"))
    elif word == "unset":
        environment.pop(rest.strip(), None)
    elif word == "export":
        name, equals, value = rest.partition("=")
        if equals and name:
            environment[name] = value


# ---------------------------------------------------------------------- after


class _Running:
    __slots__ = ("left", "place", "plan", "program", "status", "timer")

    def __init__(self, place: TaskPlace, status: int, plan: TaskPlan, left: list[Program]) -> None:
        self.place, self.status, self.plan, self.left = place, status, plan, left
        self.program: Program = left[0]
        self.timer: Timer | None = None


class Epilogs:
    """Those of one step on one node."""

    def __init__(self, order: LaunchStep, reactor: Reactor, complain: Callable[[str], None]) -> None:
        self._programs = epilogs_of(order)
        self._reactor, self._complain = reactor, complain
        self._plans: dict[int, TaskPlan] = {}  #: by rank
        self._running: dict[int, _Running] = {}
        self._null = -1

    @property
    def are_running(self) -> bool:
        return bool(self._running)

    def prepare(self, plans: Sequence[TaskPlan], places: Sequence[TaskPlace]) -> None:
        """Before the shepherd closes its copies of what the tasks write to."""
        if not self._programs:
            return
        self._null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        for plan, place in zip(plans, places, strict=True):
            environment = {name: value for name, value in plan.environment.items() if name not in _OF_THE_TASK}
            environment[CONTEXT] = "epilog_task"
            error = os.dup(plan.streams[2])
            self._plans[place.rank] = TaskPlan(
                identity=plan.identity,
                work_dir=plan.work_dir,
                umask=plan.umask,
                rlimits=plan.rlimits,
                entrances=plan.entrances,
                argv=(),
                environment=environment,
                streams=(self._null, self._null, error),
                host_name=plan.host_name,
            )

    def begin(self, place: TaskPlace, status: int) -> bool:
        """A task has ended. False: there is nothing to be waited for."""
        plan = self._plans.pop(place.rank, None)
        return plan is not None and self._start(_Running(place, status, plan, list(self._programs)))

    def _start(self, one: _Running) -> bool:
        while one.left:
            one.program = one.left.pop(0)
            if not os.access(one.program.path, os.R_OK | os.X_OK):
                self._complain(messages.error(f"Could not run {one.program.name} [{one.program.path}]: access denied"))
                self._complain(messages.error(f"{one.program.failed} failed status=-1"))
                continue
            one.plan.argv = (one.program.path,)
            pid = start(one.plan)
            if one.program.seconds:
                one.timer = self._reactor.call_later(one.program.seconds, partial(_kill, pid))
            self._running[pid] = one
            return True
        os.close(one.plan.streams[2])
        return False

    def ended(self, pid: int, status: int) -> tuple[TaskPlace, int] | None:
        """A process has ended. The task whose last epilog it was, and how that task had ended."""
        one = self._running.pop(pid, None)
        if one is None:
            return None
        self._reactor.cancel(one.timer)
        if status:
            self._complain(messages.error(f"{one.program.failed} failed status={status}"))
        return None if self._start(one) else (one.place, one.status)

    def close(self) -> None:
        for plan in self._plans.values():
            os.close(plan.streams[2])
        if self._null >= 0:
            os.close(self._null)


def _kill(pid: int) -> None:
    try:
        os.killpg(pid, 9)
    except OSError:
        pass
