"""How does the first task of --pty get a terminal?"""

import fcntl
import os
import signal
import struct
import sys
import termios

_SIZE = struct.Struct("HHHH")
_TIOCGSID = 0x5429


class Terminal:
    """A pseudo-terminal: `fd` is the shepherd's end."""

    def __init__(self, window: tuple[int, int], owner: int) -> None:
        self.fd, self.task_end = os.openpty()
        os.set_blocking(self.fd, False)
        if window != (0, 0):
            self.resize(*window)
        if os.geteuid() == 0:
            os.fchown(self.task_end, owner, -1)
            os.fchmod(self.task_end, 0o620)

    def resize(self, rows: int, columns: int) -> None:
        """The kernel sends SIGWINCH to the foreground."""
        try:
            fcntl.ioctl(self.fd, termios.TIOCSWINSZ, _SIZE.pack(rows, columns, 0, 0))
        except (OSError, ValueError):
            pass  # it is closed

    def hang_up(self) -> None:
        """SIGHUP and SIGCONT to the session's leader and the foreground, as when a line is lost; the end stays readable."""
        try:
            groups = {self._ask(termios.TIOCGPGRP), self._ask(_TIOCGSID)}
        except (OSError, ValueError):
            return
        for group in groups - {0}:
            for number in (signal.SIGHUP, signal.SIGCONT):
                try:
                    os.killpg(group, number)
                except OSError:
                    pass

    def close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def _ask(self, what: int) -> int:
        return int.from_bytes(fcntl.ioctl(self.fd, what, bytes(4)), sys.byteorder)
