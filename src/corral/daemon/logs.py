"""How does a daemon keep its log? One JSON object a line, in one file of its own.

    {"time":"2026-01-31T12:00:00.123Z","level":"warning","event":"nats lost","url":"nats://127.0.0.1:4222"}

The line is written at once with one write(2), so that two processes may share a file and a crash loses nothing.
"""

import os
import sys
import traceback
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from corral.daemon import clock

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}

#: A file larger than this becomes NAME.1 (replacing the one before).
MAX_BYTES = 64 << 20

_encode = msgspec.json.Encoder(enc_hook=str).encode


class Log:
    """A daemon's log; `with_fields` gives one that says the same fields in each line."""

    def __init__(self, path: str | Path | None = None, level: str = "info", **fields: Any) -> None:
        self._sink = _Sink(path, level)
        self._fields = fields

    def with_fields(self, **fields: Any) -> "Log":
        other = Log.__new__(Log)
        other._sink, other._fields = self._sink, {**self._fields, **fields}
        return other

    @property
    def level(self) -> str:
        """The least that is kept. To set it counts for all that keep this log."""
        return self._sink.level

    @level.setter
    def level(self, level: str) -> None:
        self._sink.least, self._sink.level = LEVELS[level], level

    def debug(self, event: str, **fields: Any) -> None:
        if self._sink.least <= 10:
            self._write("debug", event, fields)

    def info(self, event: str, **fields: Any) -> None:
        if self._sink.least <= 20:
            self._write("info", event, fields)

    def warning(self, event: str, **fields: Any) -> None:
        self._write("warning", event, fields)

    def error(self, event: str, error: BaseException | None = None, **fields: Any) -> None:
        if error is not None:
            fields["error"] = f"{type(error).__name__}: {error}"
            fields["traceback"] = "".join(traceback.format_exception(error))
        self._write("error", event, fields)

    def close(self) -> None:
        self._sink.close()

    def _write(self, level: str, event: str, fields: dict[str, Any]) -> None:
        time = datetime.fromtimestamp(clock.now(), UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
        line = {"time": time, "level": level, "event": event, **self._fields, **fields}
        try:
            data = _encode(line)
        except (TypeError, ValueError, msgspec.MsgspecError):
            data = _encode({key: repr(value) for key, value in line.items()})
        self._sink.write(data + b"\n")


class _Sink:
    """The file behind a log; standard error where there is none. A full disk loses lines, never the daemon."""

    def __init__(self, path: str | Path | None, level: str) -> None:
        self.level, self.least = level, LEVELS[level]
        self._path = Path(path) if path else None
        self._fd = self._open() if self._path else sys.stderr.fileno()
        self._size = os.fstat(self._fd).st_size if self._path else 0

    def _open(self) -> int:
        assert self._path is not None
        return os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)

    def write(self, data: bytes) -> None:
        try:
            self._size += os.write(self._fd, data)
            if self._path and self._size > MAX_BYTES:
                os.replace(self._path, self._path.with_name(self._path.name + ".1"))
                os.close(self._fd)
                self._fd, self._size = self._open(), 0
        except OSError:
            pass

    def close(self) -> None:
        if self._path:
            os.close(self._fd)
            self._path, self._fd = None, sys.stderr.fileno()
