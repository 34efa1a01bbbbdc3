"""When did a container say what? Where in its log a time began, beside the log.

The log is what the program has written, byte for byte. The file LOG.times beside it has an entry, an offset and a time, for what was copied
into it, one for all of a twentieth of a second: so cheap that every log has it. A log that is cut short begins at 0 again, so entries
before the last one that goes back are of what is not there any more.
"""

import bisect
import os
import struct

_ENTRY = struct.Struct("<Qd")
#: Seconds that one entry is for.
STEP = 0.05


class Times:
    """Of one log that is being written."""

    def __init__(self, log: int, path: str) -> None:
        """`log`: its descriptor, which appends."""
        self._log = log
        self._file = os.open(f"{path}.times", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._last = 0.0

    def note(self, now: float) -> None:
        """What is written next was said now."""
        if 0.0 <= now - self._last < STEP:
            return
        self._last = now
        try:
            os.write(self._file, _ENTRY.pack(os.fstat(self._log).st_size, now))
        except OSError:
            pass  # the disk is full

    def close(self) -> None:
        os.close(self._file)


def read(path: str) -> list[tuple[int, float]] | None:
    """Offsets and times, both growing. None: nobody has noted them."""
    try:
        with open(f"{path}.times", "rb") as file:
            data = file.read()
    except FileNotFoundError:
        return None
    found = list(_ENTRY.iter_unpack(data[: len(data) - len(data) % _ENTRY.size]))
    first = next((at for at in range(len(found) - 1, 0, -1) if found[at][0] < found[at - 1][0]), 0)
    return found[first:]


def offset_since(times: list[tuple[int, float]], since: float, size: int) -> int:
    """Where that begins which was said then or later."""
    at = bisect.bisect_left([when for _, when in times], since)
    return times[at][0] if at < len(times) else size


def within(times: list[tuple[int, float]], start: int, end: int) -> tuple[tuple[int, float], ...]:
    """The entries that tell when each byte from `start` to before `end` was said."""
    offsets = [offset for offset, _ in times]
    return tuple(
        times[max(0, bisect.bisect_right(offsets, start) - 1) : bisect.bisect_left(offsets, max(end, start + 1))]
    )
