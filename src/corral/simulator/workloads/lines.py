"""The lines of a trace, also of a compressed one; and how a wrong one is refused."""

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path

from corral.errors import BadWorkload

GZIP = b"\x1f\x8b"


def lines_of(path: Path) -> Iterator[tuple[int, str]]:
    """Each with its number, from 1."""
    number = 0
    try:
        with path.open("rb") as raw:
            is_gzip = raw.read(2) == GZIP
        with gzip.open(path, "rb") if is_gzip else path.open("rb") as file:
            for line in file:
                number += 1
                yield number, line.decode("utf-8").rstrip("\r\n")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise BadWorkload(file=path, line=number + 1, column=1, problem=f"the file cannot be read: {reason}") from None
