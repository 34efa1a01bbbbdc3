"""How does salloc run its command as a shell runs a job: in the foreground, in a process group of its own?"""

from __future__ import annotations

import os
import select

from corral.cli.follow import Follower

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    import signal
    from collections.abc import Callable
    from typing import Any
else:
    import _signal as signal  # `signal` itself loads enum: 3 ms

_IGNORED = (signal.SIGINT, signal.SIGQUIT, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU)
_ENDING = (signal.SIGTERM, signal.SIGHUP)
_PASSED_ON = (signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM, signal.SIGCONT)


class Foreground:
    """One command, from its start to its end or the end of the allocation."""

    def __init__(
        self, program: str, words: list[str], environment: dict[str, str], job_id: int, kill_signal: int | None
    ) -> None:
        self._program, self._words, self._environment = program, words, environment
        self._job_id = job_id
        self._has_terminal = _owns_terminal()
        self._kill_signal = kill_signal or (signal.SIGHUP if self._has_terminal else signal.SIGTERM)
        self._child = 0
        self.was_revoked = False
        self.hung_up = False
        self.was_terminated = False
        self._told = 0.0

    def run(self, on_revoked: Callable[[], None]) -> int:
        """Its wait(2) status."""
        wake_read, wake_write = os.pipe()
        os.set_blocking(wake_write, False)
        before: dict[int, Any] = {}
        for caught in (*_IGNORED, *_ENDING, *_PASSED_ON, signal.SIGCHLD):
            before[caught] = signal.signal(caught, signal.SIG_IGN if caught in _IGNORED else _noted)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        self._child = self._start(before)
        path = f"/v1/jobs/{self._job_id}/wait?until=completing&fields=state,idle_told,reason_text"
        follower = Follower(path, self._is_over, wake_write, more=lambda: f"&told={self._told}")
        try:
            while True:
                done, status = os.waitpid(self._child, os.WNOHANG | os.WUNTRACED)
                if done and not os.WIFSTOPPED(status):
                    return status
                if done:
                    self._stop_too()
                    continue
                select.select([wake_read], [], [])
                for number in os.read(wake_read, 256):
                    self._on_signal(number)
                if follower.has_answer and not self.was_revoked:
                    self.was_revoked = True
                    on_revoked()
                    self._kill(self._kill_signal)
        finally:
            self._take_terminal()
            signal.set_wakeup_fd(-1)
            for number, handler in before.items():
                signal.signal(number, handler)

    def _start(self, handlers: dict[int, Any]) -> int:
        child = os.fork()
        if child:
            self._own_group(child)
            return child
        try:
            self._own_group(0)
            for number in handlers:
                signal.signal(number, signal.SIG_DFL)
            signal.signal(signal.SIGPIPE, signal.SIG_DFL)
            os.execve(self._program, self._words, self._environment)
        except OSError as error:
            os.write(2, f"salloc: error: {self._words[0]}: {error.strerror}\n".encode())
        finally:
            os._exit(127)

    def _own_group(self, child: int) -> None:
        """Parent and child both do it, so that it is done whoever comes first."""
        try:
            os.setpgid(child, child)
        except OSError:
            pass
        if self._has_terminal:
            try:
                os.tcsetpgrp(0, child or os.getpid())
            except OSError:
                pass

    def _take_terminal(self) -> None:
        if self._has_terminal:
            try:
                os.tcsetpgrp(0, os.getpgrp())
            except OSError:
                pass

    def _stop_too(self) -> None:
        """The command was stopped (Ctrl-Z): the shell above gets its turn; afterwards the command goes on."""
        self._take_terminal()
        os.kill(os.getpid(), signal.SIGSTOP)
        if self._has_terminal:
            try:
                os.tcsetpgrp(0, self._child)
            except OSError:
                pass
        self._kill(signal.SIGCONT)

    def _is_over(self, row: dict[str, Any]) -> bool:
        """And say what is said to the user meanwhile: in an allocation nothing else may run that could."""
        is_over = row.get("state") not in ("PENDING", "CONFIGURING", "RUNNING", "SUSPENDED")
        if not is_over and row.get("idle_told", 0.0) > self._told:
            self._told = row["idle_told"]
            os.write(2, f"salloc: {row['reason_text']}\n".encode())
        return is_over

    def _on_signal(self, number: int) -> None:
        if number == signal.SIGHUP:
            self.hung_up = True
            self._kill(signal.SIGHUP)
        elif number == signal.SIGTERM or number in _PASSED_ON:
            self.was_terminated = self.was_terminated or number == signal.SIGTERM
            self._kill(number)

    def _kill(self, number: int) -> None:
        try:
            os.killpg(self._child, number)
        except OSError:
            pass
        if self._has_terminal and number == signal.SIGHUP:
            try:  # a shell has put what it runs into another group
                os.killpg(os.tcgetpgrp(0), signal.SIGHUP)
                os.killpg(self._child, signal.SIGCONT)
            except OSError:
                pass


def _owns_terminal() -> bool:
    """Is standard input our terminal, with us in its foreground?"""
    try:
        return os.isatty(0) and os.tcgetpgrp(0) == os.getpgrp()
    except OSError:
        return False


def _noted(number: int, frame: object) -> None:
    """The signal's number comes through the wake-up pipe."""
