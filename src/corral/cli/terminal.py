"""How is the user's terminal lent to a task on a node (srun --pty), and given back whatever happens?"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any


def window_of(fd: int) -> tuple[int, int]:
    """Rows and columns; OSError when it is no terminal."""
    columns, rows = os.get_terminal_size(fd)
    return rows, columns


class RawTerminal:
    """While entered, every key goes to the task as it is typed."""

    def __init__(self, fd: int = 0) -> None:
        self._fd = fd
        self._before: list[Any] = []

    def __enter__(self) -> RawTerminal:
        import termios

        self._before = termios.tcgetattr(self._fd)
        # tty.setraw, without its import: no echo, no lines, no signals, no translation.
        raw = termios.tcgetattr(self._fd)
        raw[0] &= ~(
            termios.BRKINT | termios.ICRNL | termios.INPCK | termios.ISTRIP | termios.IXON | termios.INLCR | termios.IGNCR
            | termios.PARMRK | termios.IGNBRK
        )  # fmt: skip
        raw[1] &= ~termios.OPOST
        raw[2] = (raw[2] & ~(termios.CSIZE | termios.PARENB)) | termios.CS8
        raw[3] &= ~(termios.ECHO | termios.ECHONL | termios.ICANON | termios.IEXTEN | termios.ISIG)
        raw[6][termios.VMIN], raw[6][termios.VTIME] = 1, 0
        termios.tcsetattr(self._fd, termios.TCSADRAIN, raw)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        import termios

        try:
            termios.tcsetattr(self._fd, termios.TCSADRAIN, self._before)
        except (termios.error, OSError):
            pass  # the terminal has gone away


def is_terminal(fd: int) -> bool:
    return os.isatty(fd)


def write_all(fd: int, data: bytes) -> None:
    """All of it, or OSError."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def flush_python() -> None:
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        pass
