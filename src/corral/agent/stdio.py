"""Where do the tasks' streams go: into files, into the client's hands, or nowhere?

A stream that goes to a file is the file: the shepherd never sees its bytes (unless lines are to be labelled). What goes to the
client is a pipe, or for --pty the first task's terminal, read only as long as the client's window has room.
"""

import os
from collections.abc import Callable, Sequence

from corral.agent import attaching, messages
from corral.agent.identity import Identity
from corral.agent.logtimes import Times
from corral.agent.outputs import OutputFiles, Stream, Where, for_reading, streams_of
from corral.agent.peers import Peers
from corral.agent.pty import Terminal
from corral.agent.reactor import Reactor
from corral.agent.uplink import Uplink
from corral.daemon import attachwords, clock
from corral.model.step import BATCH, EndCause, TaskExit, TaskPlace
from corral.protocol import streams as frames
from corral.protocol.orders import LaunchStep
from corral.protocol.pods import PodRun

_PIPE_READ = 65536
#: Seconds between SIGHUP and the closing of the terminal, in which a shell says goodbye.
_LINE_LOSS = 0.25


class StepStreams:
    """All streams of one step on one node."""

    def __init__(
        self,
        order: LaunchStep,
        reactor: Reactor,
        on_signal: Callable[[int], None],
        bus_ca: str = "",
        peers: Peers | None = None,
        log: str = "",
    ) -> None:
        """log: the file of all that a Pod's container says."""
        self._log = log
        self._order, self._reactor = order, reactor
        self._task_ends: list[int] = []  #: the shepherd's copies of what the tasks hold
        self._of_task: dict[int, tuple[int, int, int]] = {}
        self._terminal: Terminal | None = None
        self._files = OutputFiles(order)
        self._labelled: list[_LabelledFile] = []
        self._copied: _CopiedFile | None = None
        self._attaching: attaching.Attaching | None = None
        self._complaints = -1
        self._stdin_pipes: list[tuple[int, int]] = []  #: rank and descriptor
        self._uplink = (
            Uplink(order, reactor, on_signal, self._on_window, bus_ca, peers)
            if order.io is not None and order.io.url
            else None
        )

    # ------------------------------------------------------------------ before the tasks

    def open(self, identity: Identity) -> None:
        """Open all files as the job's owner, and make the pipes. Raises CannotOpen."""
        if self._log:
            self._open_log(identity)
            return
        old_umask = os.umask(self._order.spec.umask)
        try:
            with identity.for_a_while():
                for place in self._order.tasks:
                    self._open_task(place)
        finally:
            os.umask(old_umask)
        if self._uplink is not None:
            self._uplink.begin(self._stdin_pipes, self._terminal)

    def _open_log(self, identity: Identity) -> None:
        """Through a pipe: a program that opens /dev/stdout anew must not empty the file."""
        os.makedirs(os.path.dirname(self._log), mode=0o700, exist_ok=True)
        file = os.open(self._log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._complaints = os.dup(file)
        run = self._order.pod
        assert run is not None
        if run.tty:
            self._terminal = Terminal((24, 80), identity.uid)
            read_end, write_end = os.dup(self._terminal.fd), self._terminal.task_end
        else:
            read_end, write_end = os.pipe2(os.O_CLOEXEC)
            if identity.changes:
                os.fchown(write_end, identity.uid, identity.gid)
        out = self._keep(write_end)
        stdin, into = self._input_of(run, out)
        if run.tty or run.stdin:
            name, owner = attachwords.name_of(run.uid, run.container), self._order.job.owner.uid
            self._attaching = attaching.Attaching(self._reactor, name, owner, into, self._terminal, once=run.stdin_once)
        heard = self._attaching.said if self._attaching is not None else None
        self._copied = _CopiedFile(self._reactor, read_end, file, Times(file, self._log), heard)
        for place in self._order.tasks:
            self._of_task[place.rank] = stdin, out, out

    def _input_of(self, run: PodRun, out: int) -> tuple[int, int]:
        """What a container reads from, and where what is typed for it goes (-1 = nowhere)."""
        if run.tty and self._terminal is not None:
            return out, self._terminal.fd if run.stdin else -1
        if not run.stdin:
            return self._keep(os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)), -1
        read_end, write_end = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(write_end, False)
        return self._keep(read_end), write_end

    def _open_task(self, place: TaskPlace) -> None:
        if self._order.spec.pty:
            self._of_task[place.rank] = self._terminal_of(place)
            return
        stdin, out, error = streams_of(self._order, place)
        stdout = self._sink("stdout", out, place)
        stderr = stdout if error.where is Where.AS_STDOUT else self._sink("stderr", error, place)
        self._of_task[place.rank] = self._source(stdin, place), stdout, stderr
        complaints = out if error.where is Where.AS_STDOUT else error
        if self._complaints < 0 and complaints.where is Where.FILE:
            # The file itself, also where lines are labelled: a copy of the pipe would keep it from ending.
            self._complaints = os.dup(self._files.for_writing("stderr", complaints.path))

    def _terminal_of(self, place: TaskPlace) -> tuple[int, int, int]:
        if place.rank != 0 or self._uplink is None:
            null = self._keep(os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC))
            return null, null, null
        self._terminal = Terminal(self._order.spec.window, self._order.job.owner.uid)
        end = self._keep(self._terminal.task_end)
        self._uplink.add_output(0, frames.STDOUT_STREAM, self._terminal.fd)
        return end, end, end

    def _source(self, stream: Stream, place: TaskPlace) -> int:
        if stream.where is Where.FILE:
            return self._keep(for_reading(stream.path))
        if stream.where is Where.NOWHERE or self._uplink is None:
            return self._keep(os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC))
        read_end, write_end = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(write_end, False)
        self._stdin_pipes.append((place.rank, write_end))
        return self._keep(read_end)

    def _sink(self, name: str, stream: Stream, place: TaskPlace) -> int:
        if stream.where is Where.FILE:
            fd = self._files.for_writing(name, stream.path)  # kept open for what other tasks write there
            if self._order.spec.stdio.label and self._order.key.step != BATCH:
                read_end, write_end = os.pipe2(os.O_CLOEXEC)
                width = len(str(self._order.ntasks - 1))
                self._labelled.append(_LabelledFile(self._reactor, read_end, fd, f"{place.rank:>{width}}: ".encode()))
                return self._keep(write_end)
            return fd
        if stream.where is Where.NOWHERE or self._uplink is None:
            return self._keep(os.open("/dev/null", os.O_WRONLY | os.O_CLOEXEC))
        read_end, write_end = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(read_end, False)
        number = frames.STDOUT_STREAM if name == "stdout" else frames.STDERR_STREAM
        self._uplink.add_output(place.rank, number, read_end)
        return self._keep(write_end)

    def _keep(self, fd: int) -> int:
        if fd not in self._task_ends:
            self._task_ends.append(fd)
        return fd

    def of_task(self, place: TaskPlace) -> tuple[int, int, int]:
        return self._of_task[place.rank]

    def has_terminal(self, place: TaskPlace) -> bool:
        return self._terminal is not None and place.rank == 0

    def close_task_ends(self) -> None:
        """When the tasks have their copies: a pipe's end is seen when the last of them is closed."""
        for fd in self._task_ends:
            os.close(fd)
        self._task_ends.clear()

    def connect(self) -> None:
        """Reach for the client. The tasks run already: a bus that is away delays nothing."""
        if self._uplink is not None:
            self._uplink.connect()

    # ------------------------------------------------------------------ while they run

    def tell_started(self, pids: Sequence[int]) -> None:
        if self._uplink is not None:
            self._uplink.tell(frames.STARTED, data=b"".join(frames.NUMBER.pack(pid) for pid in pids))

    def tell_ended(self, place: TaskPlace, status: int) -> None:
        if self._uplink is not None:
            self._uplink.tell(frames.TASK_ENDED, rank=place.rank, data=frames.NUMBER.pack(status))

    def complain(self, text: str, *, of_signal: bool = False) -> None:
        """Into the step's standard error: a file, or the client's."""
        if self._complaints >= 0:
            try:
                os.write(self._complaints, text.encode())
            except OSError:
                pass
        elif self._uplink is not None:
            self._uplink.tell(frames.MESSAGE, rank=int(of_signal), data=text.encode())

    def notify(self, text: str) -> None:
        """An operator's words (scontrol notify): the client says them as its own."""
        if self._uplink is not None:
            self._uplink.tell(frames.MESSAGE, rank=frames.FOR_USER, data=text.encode(errors="replace"))
        else:
            self.complain(messages.error(text))

    def hang_up(self) -> None:
        """The terminal's end: signals as from a lost line, and soon the loss itself for what sits in a read and missed them."""
        if self._terminal is not None:
            self._terminal.hang_up()
            self._reactor.call_later(_LINE_LOSS, self._lose_line)

    def _lose_line(self) -> None:
        if self._terminal is not None and self._uplink is not None:
            self._uplink.end_terminal()
            self._terminal.close()

    def _on_window(self, rows: int, columns: int) -> None:
        if self._terminal is not None:
            self._terminal.resize(rows, columns)

    # ------------------------------------------------------------------ after them

    def finish(self, ended: Sequence[TaskExit], cause: EndCause, message: str) -> None:
        """All tasks are dead: what is still in the pipes is the last."""
        for labelled in self._labelled:
            labelled.finish()
        if self._copied is not None:
            self._copied.finish()
        if self._attaching is not None:
            self._attaching.finish()
        if self._uplink is not None:
            if cause is EndCause.LAUNCH_FAILED:
                self._uplink.tell(frames.LAUNCH_ERROR, data=message.encode())
            self._uplink.finish(cause)

    def give_up(self) -> None:
        if self._uplink is not None:
            self._uplink.give_up()

    def close(self) -> None:
        """Everything that is still open."""
        self._files.close()
        if self._complaints >= 0:
            os.close(self._complaints)
        if self._terminal is not None:
            self._terminal.close()
        if self._uplink is not None:
            self._uplink.close()

    @property
    def is_drained(self) -> bool:
        return self._uplink is None or self._uplink.is_drained


class _CopiedFile:
    """A pipe whose bytes go into a file as they are; beside it when."""

    def __init__(
        self, reactor: Reactor, fd: int, file: int, times: Times, heard: Callable[[bytes], None] | None = None
    ) -> None:
        self._reactor, self._fd, self._file, self._times, self._heard = reactor, fd, file, times, heard
        os.set_blocking(fd, False)
        reactor.add_reader(fd, self._on_readable)

    def _on_readable(self) -> None:
        if self._copy() == 0:
            self._reactor.remove_reader(self._fd)

    def _copy(self) -> int:
        """How much there was; -1 = nothing yet."""
        try:
            data = os.read(self._fd, _PIPE_READ)
        except BlockingIOError:
            return -1
        except OSError:  # a terminal that nobody has open any more
            return 0
        left = memoryview(data)
        if data:
            self._times.note(clock.now())
            if self._heard is not None:
                self._heard(data)
        try:
            while left:
                left = left[os.write(self._file, left) :]
        except OSError:
            pass  # the disk is full: as a task's own write would fail
        return len(data)

    def finish(self) -> None:
        """All who write are dead."""
        while self._copy() > 0:
            pass
        self._reactor.forget(self._fd)
        os.close(self._fd)
        os.close(self._file)
        self._times.close()


class _LabelledFile:
    """A pipe whose lines go into a file, each with the task's rank before it."""

    def __init__(self, reactor: Reactor, fd: int, file: int, label: bytes) -> None:
        self.fd, self.file, self._label = fd, file, label
        self._reactor = reactor
        self._part = b""
        self._is_open = True
        reactor.add_reader(fd, self._on_readable)

    def _on_readable(self) -> None:
        data = os.read(self.fd, _PIPE_READ)
        if not data:
            self._end()
            return
        *lines, self._part = (self._part + data).split(b"\n")
        self._write(lines)

    def _write(self, lines: list[bytes]) -> None:
        data = b"".join(self._label + line + b"\n" for line in lines)
        try:
            while data:
                data = data[os.write(self.file, data) :]
        except OSError:
            pass  # the disk is full: as a task's own write would fail

    def finish(self) -> None:
        while self._is_open:
            self._on_readable()

    def _end(self) -> None:
        self._is_open = False
        if self._part:
            self._write([self._part])
        self._reactor.forget(self.fd)
        os.close(self.fd)
