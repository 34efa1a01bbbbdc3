"""How does what somebody types at an sattach reach tasks whose input is another client's?

In pieces that a pipe takes whole or not at all, put between what the client itself sends. A piece that not every task could take is
not confirmed; when it is said again only the others get it.
"""

import os
from collections.abc import Callable, Sequence

from corral.protocol import streams as frames

#: So many who type at one step are remembered.
_MOST_WRITERS = 64


class _Writer:
    __slots__ = ("offset", "served")

    def __init__(self) -> None:
        self.offset = 0
        self.served: set[int] = set()  #: descriptors that have the piece which comes next


class TypedInput:
    """The tasks of one node. `inputs`: rank and descriptor; `is_open` says whether one is still there."""

    def __init__(self, inputs: Sequence[tuple[int, int]], is_open: Callable[[int], bool]) -> None:
        self._inputs, self._is_open = inputs, is_open
        self._writers: dict[int, _Writer] = {}

    def take(self, frame: frames.Frame) -> int:
        """What has been taken of this writer's input so far."""
        if frame.rank not in self._writers and len(self._writers) >= _MOST_WRITERS:
            del self._writers[next(iter(self._writers))]
        writer = self._writers.setdefault(frame.rank, _Writer())
        if frame.offset != writer.offset or len(frame.data) > frames.TYPED_MOST:
            return writer.offset
        for rank, fd in self._inputs:
            if self._is_open(fd) and fd not in writer.served and frame.node in (0, rank + 1):
                try:
                    os.write(fd, frame.data)
                except BlockingIOError:
                    continue
                except OSError:
                    pass  # the task does not want it
                writer.served.add(fd)
        if all(
            fd in writer.served or not self._is_open(fd) for rank, fd in self._inputs if frame.node in (0, rank + 1)
        ):
            writer.offset += len(frame.data)
            writer.served.clear()
        return writer.offset
