"""A program in a pseudo-terminal, as if a person sat there."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]|\x1b\][^\x07]*\x07")


class Terminal:
    """Starts the program; leaving the `with` block ends it."""

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], directory: Path, *, rows: int, columns: int
    ) -> None:
        self._unread = ""
        self._status: int | None = None
        self._pid, self._fd = pty.fork()
        if self._pid == 0:
            try:
                os.chdir(directory)
                _resize(0, rows, columns)
                os.execvpe(command[0], list(command), dict(environment))
            finally:
                os._exit(127)
        _resize(self._fd, rows, columns)

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(self, *_: object) -> None:
        if self._status is None:
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
        os.close(self._fd)

    def write(self, text: str) -> None:
        os.write(self._fd, text.encode())

    def resize(self, rows: int, columns: int) -> None:
        _resize(self._fd, rows, columns)

    def read_until(self, pattern: str, what: str, seconds: float = 10.0) -> "re.Match[str]":
        """Until what has been printed since matches; that is then read."""
        deadline = time.monotonic() + seconds
        while not (found := re.search(pattern, self._unread)):
            if time.monotonic() > deadline or not self._read(deadline - time.monotonic()):
                raise TimeoutError(f"expected {what} in the terminal within {seconds:g} s; there was {self._unread!r}")
        self._unread = self._unread[found.end() :]
        return found

    def command(self, text: str, prompt: str) -> str:
        """Type a line into a shell; what is printed until its next prompt, without the echo."""
        self.write(text + "\r")
        self.read_until(re.escape(text) + r"\r*\n", f"the echo of {text!r}")
        return self.read_until(rf"(?s)(.*?)(?:^|(?<=\n))(?:{prompt})", "the prompt")[1].replace("\r", "").strip()

    def wait(self, seconds: float) -> int:
        """The exit status of the program, which must end within so long."""
        deadline = time.monotonic() + seconds
        while self._status is None:
            self._read(0.02)
            pid, status = os.waitpid(self._pid, os.WNOHANG)
            if pid:
                self._status = os.waitstatus_to_exitcode(status)
            elif time.monotonic() > deadline:
                raise TimeoutError(f"the program in the terminal did not end within {seconds:g} s")
        while self._read(0.0):
            pass
        return self._status

    def rest(self) -> str:
        """What has been printed and not read."""
        text, self._unread = self._unread, ""
        return text.replace("\r", "").strip("\n")

    def _read(self, seconds: float) -> bool:
        """False when nothing came, or nothing will come any more."""
        if not select.select([self._fd], [], [], max(0.0, seconds))[0]:
            return False
        try:
            data = os.read(self._fd, 65536)
        except OSError:
            return False
        self._unread += _ESCAPES.sub("", data.decode(errors="replace"))
        return bool(data)


def _resize(fd: int, rows: int, columns: int) -> None:
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
