"""What is the batch script, and does it look like one?"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from corral.cli.run import Program

_NO_INTERPRETER = (
    "This does not look like a batch script.  The first",
    "line must start with #! followed by the path to an interpreter.",
    "For instance: #!/bin/sh",
)
_DOS_LINES = ("Batch script contains DOS line breaks (\\r\\n)", "instead of expected UNIX line breaks (\\n).")
_ZERO_BYTES = ("The Slurm controller does not allow scripts that", "contain a NULL character '\\0'.")


def wrapped(command: str) -> str:
    """The script of --wrap."""
    return f"#!/bin/sh\n# This script was created by sbatch --wrap.\n\n{command}\n"


def read(program: Program, path: str) -> str:
    """The script in this file, or on standard input ("")."""
    content = b""
    try:
        if path:
            with open(path, "rb") as file:
                content = file.read()
        elif not sys.stdin.closed:
            content = sys.stdin.buffer.read()
    except IsADirectoryError:
        pass
    except OSError:
        raise program.failed(f"Unable to open file {path}") from None
    _check(program, content)
    return os.fsdecode(content)


def find(path: str, directory: str) -> str:
    """Where the named script is: here, or else on PATH, as the real one looks for it."""
    if "/" in path:
        return path if path.startswith("/") else f"{directory}/{path}"
    if os.path.exists(path):
        return f"{directory}/{path}"
    for place in os.environ.get("PATH", "").split(":"):
        candidate = f"{place or '.'}/{path}"
        if os.access(candidate, os.R_OK) and os.path.isfile(candidate):
            return candidate
    return path


def _check(program: Program, content: bytes) -> None:
    if not content:
        raise program.failed("Batch script is empty!")
    if not content.strip():
        raise program.failed("Batch script contains only whitespace!")
    if not content.startswith(b"#!"):
        _refuse(program, _NO_INTERPRETER)
    if b"\0" in content:
        _refuse(program, _ZERO_BYTES)
    if b"\r\n" in content:
        _refuse(program, _DOS_LINES)


def _refuse(program: Program, lines: tuple[str, ...]) -> None:
    for line in lines[:-1]:
        program.error(line)
    raise program.failed(lines[-1])
