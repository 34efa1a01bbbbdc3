"""What do the commands that show and change things have in common: options, --help, and no controller there."""

from __future__ import annotations

import os
import sys
import time

from corral.cli import getopt
from corral.cli.run import VERSION, Exit, Program, program_text, say
from corral.client.connection import Connection

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from corral.errors import Unreachable


def options(
    program: Program,
    argv: list[str],
    known: Iterable[tuple[str, str, int]],
    refused: Mapping[str, str] = {},
    try_line: bool = True,
) -> tuple[list[tuple[str, str | None]], list[str]]:
    """Read the command line; --help, --usage and --version end the command here."""
    try:
        found, left = getopt.parse(argv, known, permute="POSIXLY_CORRECT" not in os.environ)
    except getopt.GetoptError as error:
        lines = [f"{program.name}: {error}"]
        raise Exit(1, *lines, *([f'Try "{program.name} --help" for more information'] if try_line else [])) from None
    for name, _ in found:
        if name in ("help", "usage"):
            sys.stdout.write(program_text(program.name, name))
            raise Exit(0)
        if name == "version":
            sys.stdout.write(VERSION + "\n")
            raise Exit(0)
        if name in refused:
            raise Exit(1, f"{program.name}: error: --{name} is not supported: {refused[name]}.")
    return found, left


def reaching(what: str, body: Callable[[], int]) -> int:
    """Run the body; when no controller answers, say so as Slurm does, and what would help."""
    try:
        return body()
    except Exception as error:
        from corral.errors import Unreachable

        if not isinstance(error, Unreachable):
            raise
        raise unreachable(what, error) from None


def unreachable(what: str, error: Unreachable) -> Exit:
    return Exit(1, f"{what}: Unable to contact slurm controller (connect failure)", str(error))


def user_ids(words: Iterable[str]) -> tuple[list[str], list[str]]:
    """Names and numbers as user names, and those that there are not."""
    import pwd

    known, unknown = [], []
    for word in words:
        try:
            known.append((pwd.getpwuid(int(word)) if word.isdigit() else pwd.getpwnam(word)).pw_name)
        except (KeyError, OverflowError):
            unknown.append(word)
    return known, unknown


def own_name() -> str:
    import pwd

    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def words(text: str | None) -> list[str]:
    """a,b,c without empty ones."""
    return [word for word in (text or "").split(",") if word]


def apart(text: str) -> list[str]:
    """a,b_[1,2],c by the commas that stand in no brackets."""
    found, depth, start = [], 0, 0
    for at, letter in enumerate(text + ","):
        depth += (letter == "[") - (letter == "]")
        if letter == "," and depth <= 0:
            found.append(text[start:at].strip())
            start = at + 1
    return [word for word in (*found, text[start:].strip(", ")) if word]


def show_every(seconds: int, show: Callable[[Connection], None], asker: str) -> int:
    """-i: again and again with a blank line between, whatever goes wrong; once when `seconds` is 0.

    `asker` stands before what goes wrong.
    """
    while True:
        try:
            with Connection() as connection:
                while True:
                    show(connection)
                    if not seconds:
                        return 0
                    _pause(seconds)
        except Exception as error:
            from corral.errors import Refused, Unreachable

            if isinstance(error, Unreachable):
                end = unreachable(asker, error)
            elif isinstance(error, Refused):
                end = Exit(1, f"{asker}: {error}")
            else:
                raise
        if not seconds:
            raise end
        for line in end.lines:
            say(line + "\n")
        _pause(seconds)


def _pause(seconds: int) -> None:
    sys.stdout.write("\n")
    sys.stdout.flush()
    time.sleep(seconds)
