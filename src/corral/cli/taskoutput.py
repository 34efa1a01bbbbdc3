"""How do the bytes of many tasks become srun's standard output and error? Whole lines, labelled if asked for, never waiting.

A stream is written only as far as its reader takes it; what is written is acknowledged to the task (`consumed`), so that a slow
reader slows the task and nothing is kept without bound.
"""

from __future__ import annotations

import os
import select
import stat

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

#: A pipe that is ready takes so much without blocking.
PIECE = 4096
#: A line longer than this is passed on in parts.
LONGEST_LINE = 16384


class TaskOutput:
    """Where the tasks' output goes."""

    def __init__(
        self,
        consumed: Callable[[Any], None],
        on_closed: Callable[[], None],
        ntasks: int,
        label: bool,
        whole_lines: bool,
    ) -> None:
        self._consumed = consumed
        self._on_closed = on_closed
        self._width = len(str(max(0, ntasks - 1)))
        self._label = label
        self._whole_lines = label or whole_lines
        self._partial: dict[tuple[int, int], bytes] = {}
        self._queues: dict[int, list[tuple[memoryview, Any]]] = {1: [], 2: []}
        self._closed: set[int] = set()
        self._is_file = {fd: _is_file(fd) for fd in (1, 2)}

    def take(self, output: Any) -> None:
        """An Output event."""
        data = output.data
        if self._whole_lines:
            data = self._lines(output.rank, output.stream, data, output.is_last)
        self._queues[output.stream].append((memoryview(data), output))

    def _lines(self, rank: int, stream: int, data: bytes, is_last: bool) -> bytes:
        data = self._partial.pop((rank, stream), b"") + data
        whole, newline, rest = data.rpartition(b"\n")
        if rest and (is_last or len(rest) > LONGEST_LINE):
            whole, newline, rest = data, b"\n" if self._label else b"", b""
        if rest:
            self._partial[rank, stream] = rest
        if not whole and not newline:
            return b""
        if not self._label:
            return whole + newline
        label = f"{rank:>{self._width}}: ".encode()
        return b"".join(label + line + b"\n" for line in whole.split(b"\n"))

    @property
    def waits_for(self) -> list[int]:
        """Descriptors that have something to be written to them."""
        return [fd for fd, queue in self._queues.items() if queue]

    def write(self) -> None:
        """As much as can be written now."""
        for fd, queue in self._queues.items():
            while queue and self._write_one(fd, queue):
                pass

    def _write_one(self, fd: int, queue: list[tuple[memoryview, Any]]) -> bool:
        """One piece; False when the reader is busy."""
        data, output = queue[0]
        if fd not in self._closed and data:
            if not self._is_file[fd] and not select.select([], [fd], [], 0)[1]:
                return False
            piece = data if self._is_file[fd] else data[:PIECE]
            try:
                written = os.write(fd, piece)
            except BlockingIOError:
                return False
            except OSError:
                self._closed.add(fd)
                self._on_closed()
            else:
                data = data[written:]
                if data:
                    queue[0] = (data, output)
                    return True
        queue.pop(0)
        self._consumed(output)
        return True


def _is_file(fd: int) -> bool:
    try:
        return stat.S_ISREG(os.fstat(fd).st_mode)
    except OSError:
        return False
