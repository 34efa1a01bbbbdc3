"""How does every command speak: its messages, its exit codes, --version, and what it says when no cluster answers?"""

from __future__ import annotations

import os
import sys

from corral.cli import modules

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

#: Programs ask for the version to know which options there are: this is the Slurm whose commands these are.
VERSION = "slurm 22.05.8"

#: Slurm's exit(-1): the options themselves are wrong.
BAD_OPTION = 255


class Exit(Exception):
    """The command ends here with this status; `lines` go to standard error as they are."""

    def __init__(self, status: int, *lines: str) -> None:
        super().__init__(*lines)
        self.status = status
        self.lines = lines


class Program:
    """One command while it runs: its name, and how much it says."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.verbosity = 0  #: -v adds one, -Q makes it negative
        self.line_end = "\n"  #: "\r\n" while the terminal is a task's

    def info(self, text: str) -> None:
        if self.verbosity >= 0:
            say(f"{self.name}: {text}{self.line_end}")

    def verbose(self, text: str) -> None:
        if self.verbosity > 0:
            say(f"{self.name}: {text}{self.line_end}")

    def error(self, text: str) -> None:
        say(f"{self.name}: error: {text}{self.line_end}")

    def warning(self, text: str) -> None:
        if self.verbosity >= 0:
            say(f"{self.name}: Warning: {text}{self.line_end}")

    def failed(self, text: str, status: int | None = None) -> Exit:
        """To be raised: one error line and the end."""
        return Exit(failure() if status is None else status, f"{self.name}: error: {text}")

    def fatal(self, text: str) -> Exit:
        return Exit(failure(), f"{self.name}: fatal: {text}")

    def bad_usage(self, text: str) -> Exit:
        """What getopt complains about."""
        return Exit(BAD_OPTION, f"{self.name}: {text}", f'Try "{self.name} --help" for more information')


def failure() -> int:
    """The exit status of an ordinary error: 1, or what SLURM_EXIT_ERROR says."""
    given = os.environ.get("SLURM_EXIT_ERROR", "")
    return int(given) & 0xFF if given.isascii() and given.isdigit() and int(given) else 1


def say(text: str) -> None:
    """To standard error, at once; a closed one is no reason to fail."""
    try:
        sys.stdout.flush()
        sys.stderr.write(text)
        sys.stderr.flush()
    except (OSError, ValueError):
        pass


def program_text(command: str, kind: str) -> str:
    """What --help or --usage prints."""
    path = os.path.join(os.path.dirname(__file__), "texts", f"{command}.{kind}.txt")
    with open(path, encoding="utf-8") as file:
        return file.read()


def main(program: Program, body: Callable[[list[str]], int]) -> NoReturn:
    """Run the command and end the process with its status."""
    status = 0
    modules.now()
    for stream in (sys.stdout, sys.stderr):
        if hasattr(
            stream, "reconfigure"
        ):  # whatever PYTHONIOENCODING and the locale say: names are shown byte for byte
            stream.reconfigure(encoding="utf-8", errors="surrogateescape")
    try:
        status = body(sys.argv[1:])
    except Exit as end:
        status = end.status
        for line in end.lines:
            say(line + "\n")
    except KeyboardInterrupt:
        status = 130
    except BrokenPipeError:
        status = 1
        _forget_output()
    except Exception as error:
        status = _explained(program, error)
    try:
        sys.stdout.flush()
    except OSError:
        status = status or 1
        _forget_output()
    if modules.is_stale or modules.wants_start:
        from corral.cli.bundle import write

        write(modules)
    # Nothing is left to be done: taking the interpreter down in order would cost milliseconds.
    os._exit(status)


def _explained(program: Program, error: Exception) -> int:
    from corral.errors import CorralError

    if isinstance(error, CorralError):
        program.error(str(error))
        return failure()
    if os.environ.get("CORRAL_DEBUG"):
        raise error
    import traceback

    program.error(f"unexpected: {type(error).__name__}: {error} (a fault of Corral's; CORRAL_DEBUG=1 shows more)")
    say("".join(traceback.format_tb(error.__traceback__)[-1:]))
    return failure()


def _forget_output() -> None:
    """Nobody reads: the interpreter shall not complain about it at its end."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    except OSError:
        pass
