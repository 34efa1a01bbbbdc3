"""What happens between the launch of a step and its end, as srun's user lives it?

One loop waits for four things: the attachment (what the tasks say), standard input, standard output that has become writable, and
a pipe through which signals and the controller's word that the step is over come in. The tasks themselves say how they ended; the
controller's word is needed only when a node has died and will say nothing more.
"""

from __future__ import annotations

import os
import select
import time

from corral.cli import exitcode
from corral.cli.follow import Follower
from corral.cli.launched import Step, Wishes, attach, kill_wait
from corral.cli.taskoutput import TaskOutput
from corral.cli.tasks import TaskTable
from corral.cli.terminal import window_of
from corral.client.attach import (
    CredentialsRefused,
    LaunchError,
    Message,
    NodeEnded,
    Notice,
    Output,
    Ready,
    Started,
    TaskEnded,
)
from corral.client.connection import Connection, new_key
from corral.errors import CorralError

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    import signal
    from typing import Any

    from corral.cli.run import Program
else:
    import _signal as signal  # `signal` itself loads enum: 3 ms

#: Ends of tasks that come so close together are told in one line, but none is kept back longer than the second.
GATHER_SECONDS, LONGEST_GATHER_SECONDS = 0.1, 0.5
#: A step that is over so soon is over before the controller is asked.
FOLLOW_AFTER_SECONDS = 0.3
#: Two Ctrl-C within so many seconds end the step.
TWICE_SECONDS = 1.0
#: When the controller says that the step is over, so long is waited for what its nodes still have to say.
LAST_WORDS_SECONDS = 2.0
_INPUT_CHUNK = 65536

#: Sent on to the tasks as they come.
FORWARDED = (signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM)
_CAUGHT = (
    signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP, signal.SIGCONT, signal.SIGWINCH, *FORWARDED,
)  # fmt: skip


class Session:
    """One step, from attaching to its end."""

    def __init__(self, program: Program, step: Step, wishes: Wishes) -> None:
        self._program = program
        self._step = step
        self._wishes = wishes
        self._tasks = TaskTable(step.ntasks, step.first_rank)
        self._names = list(step.nodes)
        self._left = set(range(len(step.nodes)))  #: nodes whose part is not over
        self._attachment = attach(step, window_of(0) if wishes.pty else (0, 0))
        whole_lines = step.total > 1 and not wishes.unbuffered and not wishes.pty
        self._output = TaskOutput(
            self._attachment.consumed, self._on_closed_output, step.total, wishes.label, whole_lines
        )
        self._stdin_open = wishes.reads_stdin
        self._pending_input = b""
        self._gather_until = 0.0  #: when the ends of tasks are told; 0.0 = nothing to tell
        self._gather_since = 0.0
        self._first_exit = 0.0  #: when the first task ended
        self._last_interrupt = 0.0
        self._aborted = False  #: "Waiting up to" has been said
        self._killing = False
        self._silent = False  #: the user has ended it with Ctrl-C, and knows
        self._failed = 0  #: exit status for what is no task's
        self._timed_out = False  #: the tasks say themselves how they ended
        self._ends_at = 0.0  #: the controller has said that it is over: not to be waited for longer
        self._wake_read, self._wake_write = os.pipe()
        self._follower: Follower | None = None
        self._follow_at = time.monotonic() + FOLLOW_AFTER_SECONDS

    def run(self) -> int:
        """Until the end; the exit status."""
        before = self._catch_signals()
        try:
            self._loop()
            self._say_ends()
            return self._finish()
        finally:
            signal.set_wakeup_fd(-1)
            for number, handler in before.items():
                signal.signal(number, handler)

    # ------------------------------------------------------------------ the loop

    def _loop(self) -> None:
        while not self._is_done():
            readable = [self._attachment.fileno(), self._wake_read]
            if self._stdin_open and not self._pending_input:
                readable.append(0)
            ready, _, _ = select.select(readable, self._output.waits_for, [], self._timeout())
            if self._wake_read in ready:
                self._on_wake()
            self._on_attachment()
            self._output.write()
            if 0 in ready or self._pending_input:
                self._on_stdin(0 in ready)
            self._on_time()

    def _on_attachment(self) -> None:
        try:
            events = self._attachment.on_readable()
        except CredentialsRefused:  # the step is over and forgotten
            self._ends_at = self._ends_at or time.monotonic()
            return
        for event in events:
            self._on_event(event)

    def _is_done(self) -> bool:
        if self._output.waits_for:
            return False
        return self._attachment.has_ended or (self._ends_at != 0.0 and time.monotonic() >= self._ends_at)

    def _timeout(self) -> float | None:
        now = time.monotonic()
        times = [self._gather_until, self._ends_at, self._follow_at]
        if self._wishes.wait_seconds and self._first_exit and not self._killing:
            times.append(self._first_exit + self._wishes.wait_seconds)
        waits = [max(0.0, at - now) for at in times if at]
        own = self._attachment.timeout()
        if own is not None:
            waits.append(own)
        return min(waits, default=None)

    def _on_time(self) -> None:
        now = time.monotonic()
        if self._follow_at and now >= self._follow_at:
            self._follow_at = 0.0
            path = f"/v1/steps/{self._step.job_id}/{self._step.step_id}/wait"
            self._follower = Follower(path, _is_over, self._wake_write)
        if self._gather_until and now >= self._gather_until:
            self._say_ends()
        wait = self._wishes.wait_seconds
        if wait and self._first_exit and not self._killing and now >= self._first_exit + wait:
            self._say_ends()
            self._program.info(f"First task exited {wait}s ago")
            self._say_states()
            self._terminate(signal.SIGKILL)
            self._say_aborted()

    # ------------------------------------------------------------------ what comes

    def _on_event(self, event: Any) -> None:
        match event:
            case Output():
                self._output.take(event)
            case TaskEnded(node, rank, status):
                self._on_task_ended(rank, status, self._names[node])
            case Message(node, text, of_signal):
                self._on_message(text, self._names[node], of_signal)
            case Notice(text):
                self._program.info(text)
            case LaunchError(_, text):
                self._failed = 1
                self._complain(f"{self._program.name}: error: {text}")
            case NodeEnded(node, _):
                self._left.discard(node)
                self._say_ends(self._names[node])
            case Ready(node, name, _):
                self._names[node] = name
            case Started():
                pass

    def _on_task_ended(self, rank: int, status: int, node: str) -> None:
        now = time.monotonic()
        self._tasks.ended(rank, status, node)
        self._first_exit = self._first_exit or now
        if not self._gather_until:
            self._gather_since = now
        self._gather_until = min(now + GATHER_SECONDS, self._gather_since + LONGEST_GATHER_SECONDS)
        if status and self._wishes.kill_on_bad_exit and not self._killing and not self._aborted:
            self._say_ends()
            self._terminate()

    def _on_message(self, text: str, node: str, of_signal: bool) -> None:
        is_cancelled = "*** STEP" in text and " CANCELLED AT " in text and not of_signal
        if self._wishes.has_limit and "DUE TO TIME LIMIT" in text:
            is_cancelled = False
        if is_cancelled and not self._killing:
            if "DUE TO TIME LIMIT" in text:
                self._timed_out = True
            elif "DUE TO NODE FAILURE" in text:
                self._complain(f"{self._program.name}: error: Node failure on {node}")
            self._say_aborted()
        self._complain(text.rstrip("\n"))

    def _on_wake(self) -> None:
        for number in os.read(self._wake_read, 256):
            if number:
                self._on_signal(number)
        if self._follower is not None and self._follower.row is not None and not self._ends_at:
            self._ends_at = time.monotonic() + LAST_WORDS_SECONDS

    def _on_stdin(self, is_ready: bool) -> None:
        if not self._pending_input and is_ready:
            try:
                self._pending_input = os.read(0, _INPUT_CHUNK)
            except BlockingIOError:
                return
            except OSError:
                self._pending_input = b""
            if not self._pending_input:
                self._stdin_open = False
                self._attachment.send_stdin_eof()
                return
        taken = self._attachment.send_stdin(self._pending_input)
        self._pending_input = self._pending_input[taken:]

    def _on_closed_output(self) -> None:
        """Nobody reads what the tasks write: they learn it as a program in a pipe does."""
        self._attachment.send_signal(signal.SIGPIPE)

    # ------------------------------------------------------------------ signals

    def _catch_signals(self) -> dict[int, Any]:
        os.set_blocking(self._wake_write, False)
        before: dict[int, Any] = {number: signal.signal(number, _noted) for number in _CAUGHT}
        before[signal.SIGPIPE] = signal.getsignal(signal.SIGPIPE)
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        return before

    def _on_signal(self, number: int) -> None:
        if number == signal.SIGINT:
            self._on_interrupt()
        elif number == signal.SIGWINCH:
            if self._wishes.pty:
                try:
                    self._attachment.send_window(*window_of(0))
                except OSError:
                    pass
        elif number == signal.SIGCONT:
            self._program.info("got SIGCONT")
        elif number in FORWARDED:
            self._attachment.send_signal(number)
        else:
            if number == signal.SIGQUIT:
                self._program.info("Quit")
            self._force_end()

    def _on_interrupt(self) -> None:
        now = time.monotonic()
        is_second = now - self._last_interrupt <= TWICE_SECONDS
        if self._wishes.quit_on_interrupt or (is_second and not self._wishes.disable_status):
            self._program.info(f"sending Ctrl-C to {self._step.text}")
            self._attachment.send_signal(signal.SIGINT)
            self._silent = True
            self._force_end()
        elif self._wishes.disable_status:
            self._program.info(f"sending Ctrl-C to {self._step.text}")
            self._attachment.send_signal(signal.SIGINT)
            if is_second:
                self._force_end()
        else:
            self._program.info("interrupt (one more within 1 sec to abort)")
            self._say_states()
        self._last_interrupt = now

    def _say_states(self) -> None:
        for line in self._tasks.states():
            self._program.info(f"{self._step.text} {line}")

    def _force_end(self) -> None:
        """By the user's will: no waiting for SIGTERM to be heard."""
        self._program.info("forcing job termination")
        self._say_aborted()
        self._kill(signal.SIGKILL)

    def _terminate(self, number: int = signal.SIGTERM) -> None:
        self._program.info(f"launch/slurm: _step_signal: Terminating {self._step.text}")
        if self._tasks.all_ended:
            self._killing = True  # there is nothing left, and the real one says it all the same
        else:
            self._kill(number)

    def _kill(self, number: int) -> None:
        """Through the controller; when it is not there, by the tasks' own channel."""
        self._killing = True
        job_id, step_id = self._step.job_id, self._step.step_id
        request = {"type": "SignalStep", "job": job_id, "step": step_id, "signal": number, "kill": True}
        try:
            with Connection(timeout=2.0) as connection:
                connection.request("POST", "/v1/requests", request, key=new_key(), retry_seconds=0.2)
        except CorralError:
            self._attachment.send_signal(number)

    def _say_aborted(self) -> None:
        if not self._aborted:
            self._aborted = True
            seconds = kill_wait() + 2
            self._program.info(f"Job step aborted: Waiting up to {seconds} seconds for job step to finish.")

    # ------------------------------------------------------------------ what is said

    def _say_ends(self, node: str | None = None) -> None:
        if node is None:
            self._gather_until = 0.0
        self._output.write()
        for is_error, line in self._tasks.take_unsaid(node):
            if not is_error:
                self._program.verbose(line)
            elif not self._silent:
                self._complain(f"{self._program.name}: error: {line}")

    def _complain(self, line: str) -> None:
        from corral.cli.run import say

        say(line + self._program.line_end)

    def _finish(self) -> int:
        row = self._follower.row if self._follower is not None else None
        if not self._attachment.has_ended:
            self._say_lost(row or {})
        elif self._timed_out:
            pass
        elif self._tasks.was_killed() and not self._aborted and not self._silent:
            self._program.info(f"Force Terminated {self._step.text}")
        self._attachment.close()
        return max(self._failed, self._tasks.exit_status())

    def _say_lost(self, row: dict[str, Any]) -> None:
        """The controller says that the step is over, and some of its nodes have said nothing of it."""
        state, cause = row.get("state", ""), row.get("cause", "")
        self._failed = self._failed or 1
        if state == "NODE_FAIL" or cause == "lost":
            for node in sorted(self._left):
                self._complain(f"{self._program.name}: error: Node failure on {self._names[node]}")
            self._say_aborted()
        elif row.get("gone"):
            self._complain(f"{self._program.name}: error: {self._step.text} is not known any more")
        elif self._left:
            code, number = row.get("exit_code") or (0, 0)
            if state == "COMPLETED":
                self._failed = 0
            elif code or number:
                self._failed = exitcode.of_pair(code, number)
            if state != "COMPLETED":
                self._program.info(f"Force Terminated {self._step.text}")


def _noted(number: int, frame: object) -> None:
    """The signal's number comes through the wake-up pipe."""


def _is_over(row: dict[str, Any]) -> bool:
    return row.get("state") not in ("RUNNING", "PENDING", "CONFIGURING", "SUSPENDED", "COMPLETING")
