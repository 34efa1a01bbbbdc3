"""Which files are a step's standard streams?"""

import enum
import os
from collections.abc import Mapping

import msgspec

from corral.model.job import StdioSpec
from corral.model.step import BATCH, STEP_NAMES, TaskPlace
from corral.protocol.orders import LaunchStep
from corral.syntax import filename
from corral.syntax.rawbytes import restored

_OF_A_NODE = frozenset("nNt")


class Where(enum.Enum):
    """What a stream is joined to."""

    NOWHERE = "none"
    CLIENT = "client"
    FILE = "file"
    AS_STDOUT = "as stdout"


class Stream(msgspec.Struct, frozen=True):
    """One of a task's streams; `path` is given for a file."""

    where: Where
    path: str = ""


class CannotOpen(Exception):
    """The owner may not open a file."""

    def __init__(self, stream: str, path: str, number: int) -> None:
        self.stream, self.path, self.number = stream, path, number
        super().__init__(f"Could not open {stream} file {path}: {os.strerror(number)}")


def streams_of(order: LaunchStep, place: TaskPlace) -> tuple[Stream, Stream, Stream]:
    """Standard input, output and error of one task."""
    stdio = order.spec.stdio
    if order.key.step == BATCH:
        default = filename.BATCH_OUTPUT if order.job.array_task_id is None else filename.ARRAY_OUTPUT
        stdio = msgspec.structs.replace(stdio, stdin=stdio.stdin or "none", stdout=stdio.stdout or default)
    marks = marks_of(order, place)
    work_dir = order.spec.work_dir
    out = _stream(stdio.stdout, place.rank, marks, work_dir, order)
    error = _stream(stdio.stderr, place.rank, marks, work_dir, order) if stdio.stderr else Stream(Where.AS_STDOUT)
    if error.where is Where.AS_STDOUT and out.where is not Where.FILE:
        error = out  # two streams to the client, or two times nowhere
    if error == out and out.where is Where.FILE:
        error = Stream(Where.AS_STDOUT)
    return _stream(stdio.stdin, place.rank, marks, work_dir, order), out, error


def _stream(text: str, rank: int, marks: Mapping[str, str | int], work_dir: str, order: LaunchStep) -> Stream:
    client = Stream(Where.CLIENT) if order.io is not None else Stream(Where.NOWHERE)
    if text in ("", "all", "client"):
        return client
    if text == "none":
        return Stream(Where.NOWHERE)
    if text.isdigit() and order.key.step != BATCH:
        return client if int(text) == rank else Stream(Where.NOWHERE)
    return Stream(Where.FILE, restored(os.path.join(work_dir, filename.expand(text, marks))))


def marks_of(order: LaunchStep, place: TaskPlace) -> dict[str, str | int]:
    """What %j, %t and the others stand for."""
    job, step = order.job, STEP_NAMES.get(order.key.step, order.key.step)
    return {
        "A": job.array_job_id or job.job_id,
        "a": filename.NO_TASK if job.array_task_id is None else job.array_task_id,
        "J": f"{job.job_id}.{step}" if order.key.step != BATCH else job.job_id,
        "j": job.job_id,
        "N": order.node,
        "n": order.step_nodes.index(order.node) if order.node in order.step_nodes else 0,
        "s": step,
        "t": place.rank,
        "u": job.owner.user,
        "x": (order.spec.name if order.key.step != BATCH else "") or job.name,
    }


class OutputFiles:
    """Opens each path once: tasks with one file between them share its position."""

    def __init__(self, order: LaunchStep) -> None:
        stdio: StdioSpec = order.spec.stdio
        mode = stdio.open_mode or order.default_open_mode
        self._appends = mode.startswith("a")
        # On several nodes one file is emptied by the first of them only, and all write to its end.
        self._node_index = order.step_nodes.index(order.node) if order.node in order.step_nodes else 0
        self._is_shared = len(order.step_nodes) > 1
        self._patterns = {"stdout": stdio.stdout, "stderr": stdio.stderr}
        self._open: dict[str, int] = {}

    def for_writing(self, stream: str, path: str) -> int:
        if path not in self._open:
            shared = self._is_shared and not (filename.letters(self._patterns[stream]) & _OF_A_NODE)
            flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY
            if self._appends or shared:
                flags |= os.O_APPEND
            if not self._appends and not (shared and self._node_index):
                flags |= os.O_TRUNC
            try:
                self._open[path] = _created(path, flags)
            except OSError as error:
                raise CannotOpen(stream, path, error.errno or 0) from error
        return self._open[path]

    def close(self) -> None:
        for fd in self._open.values():
            os.close(fd)
        self._open.clear()


def _created(path: str, flags: int) -> int:
    """Opened; directories that are not there are made, as Slurm does from 24.11 on.

    Programs that submit make the directory of a job (logs/%j) when they know its id: a job may start before.
    """
    try:
        return os.open(path, flags, 0o666)
    except FileNotFoundError:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        return os.open(path, flags, 0o666)


def for_reading(path: str) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY)
    except OSError as error:
        raise CannotOpen("stdin", path, error.errno or 0) from error
