"""scrontab: jobs that run again and again, at the times that a crontab says."""

from __future__ import annotations

import os
import sys

from corral.cli import command, crontab, getopt
from corral.cli.getopt import NO, REQUIRED
from corral.cli.run import Exit, Program, failure, program_text, say
from corral.cli.run import main as run
from corral.client.connection import Connection, new_key
from corral.errors import Refused, Unreachable

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from typing import Any, NoReturn

OPTIONS = (("edit", "e", NO), ("list", "l", NO), ("remove", "r", NO), ("user", "u", REQUIRED), ("verbose", "v", NO))

_EMPTY = """\
# Edit this file to introduce tasks to be run by the cluster.
#
# A line says when (minute, hour, day of month, month, day of week), and what to run:
#
#   0 5 * * 1 /path/to/program argument
#
# Options of sbatch for the next such line stand behind #SCRON:
#
#SCRON --time=1:00:00
"""


def main() -> NoReturn:
    program = Program("scrontab")
    run(program, lambda argv: Scrontab(program, argv).main())


class Scrontab:
    """One call of the command."""

    def __init__(self, program: Program, argv: list[str]) -> None:
        self.program = program
        try:
            found, words = getopt.parse(argv, OPTIONS)
        except getopt.GetoptError:
            raise Exit(1, program_text("scrontab", "usage").rstrip("\n")) from None
        self.given = dict(found)
        self.file = words[0] if words else ""
        self.user = self.given.get("user") or ""
        if self.user:
            known, unknown = command.user_ids([self.user])
            if unknown:
                raise program.fatal(f"Could not find user {self.user}")
            self.user = known[0]

    def main(self) -> int:
        try:
            with Connection() as connection:
                if "remove" in self.given:
                    self._replace(connection, "", [])
                    return 0
                if "list" in self.given:
                    return self._list(connection)
                if self.file or ("edit" not in self.given and not sys.stdin.isatty()):
                    return self._install(connection)
                return self._edit(connection)
        except Unreachable as error:
            raise command.unreachable("scrontab: error", error) from None
        except Refused as error:
            raise self.program.fatal(str(error)) from None

    # -- what there is

    def _current(self, connection: Connection) -> str | None:
        query = f"?user={self.user}" if self.user else ""
        try:
            found = connection.request("GET", f"/v1/crontab{query}")
        except Refused as error:
            if error.fields.get("code") == "not_found":
                return None
            raise
        text: str = found["text"]
        return text

    def _list(self, connection: Connection) -> int:
        text = self._current(connection)
        if text is None:
            sys.stdout.write(f"no crontab for {self.user or command.own_name()}\n")
            return 1
        sys.stdout.write(text)
        return 0

    # -- a new one

    def _replace(self, connection: Connection, text: str, jobs: list[dict[str, Any]]) -> None:
        request: dict[str, Any] = {"type": "SubmitJobs", "jobs": jobs, "crontab": text}
        if self.user and self.user != command.own_name():
            request["user"] = self.user
        connection.request("POST", "/v1/requests", request, key=new_key())

    def _put(self, connection: Connection, text: str) -> list[tuple[int, int]]:
        """The lines that are wrong, told of; none = it is the crontab now."""
        try:
            jobs = crontab.jobs_of(self.program, text, self._home())
        except crontab.BadLine as bad:
            for line in bad.lines:
                say(f"{line}\n")
            return [(bad.number, bad.number)]
        try:
            self._replace(connection, text, jobs)
        except Refused as error:
            number = int(error.fields.get("index", 0))
            if number >= len(jobs) or error.fields.get("code") == "denied":
                raise
            first, last = jobs[number]["spec"]["cron_lines"]
            lines = f"{first + 1}-{last + 1}" if first < last else str(first + 1)
            detail = error.fields.get("detail") or str(error)
            say(
                f"There was an issue with the job submission on lines {lines}\nThe error code return was: {error}\n"
                f"The error message was: {detail}\n"
            )
            return [(first, last)]
        return []

    def _home(self) -> str:
        import pwd

        if self.user:
            return pwd.getpwnam(self.user).pw_dir
        return os.environ.get("HOME") or "/"

    def _install(self, connection: Connection) -> int:
        """From a file, or from standard input (`-`, or nothing at all)."""
        try:
            if self.file in ("", "-"):
                text = sys.stdin.read()
            else:
                with open(self.file, encoding="utf-8", errors="surrogateescape") as file:
                    text = file.read()
        except OSError as error:
            raise self.program.fatal(f"could not open {self.file}: {error.strerror}") from None
        bad = self._put(connection, text)
        if bad:
            say(f"There are errors in your crontab, on line {bad[0][1] + 1}. It is left as it was.\n")
        return failure() if bad else 0

    def _edit(self, connection: Connection) -> int:
        text = self._current(connection) or _EMPTY
        while True:
            text = self._edited(text)
            bad = self._put(connection, text)
            if not bad:
                return 0
            sys.stdout.write("There are errors in your crontab.\nThe failed line(s) is commented out with #BAD:\n")
            if not self._again():
                return 0
            text = crontab.with_comments(text, bad, "#BAD: ")

    def _again(self) -> bool:
        while True:
            sys.stdout.write("Do you want to retry the edit? (y/n) ")
            sys.stdout.flush()
            answer = sys.stdin.readline()
            if not answer or answer[:1].lower() == "n":
                return False
            if answer[:1].lower() == "y":
                return True

    def _edited(self, text: str) -> str:
        """What the user's editor makes of it."""
        import subprocess
        import tempfile

        editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
        with tempfile.NamedTemporaryFile("w+", prefix="scrontab-", encoding="utf-8", errors="surrogateescape") as file:
            file.write(text)
            file.flush()
            try:
                done = subprocess.run(["/bin/sh", "-c", f'{editor} "$1"', "sh", file.name], check=False)
            except OSError as error:
                raise self.program.fatal(f"cannot start {editor}: {error.strerror}") from None
            if done.returncode:
                raise self.program.fatal("editor returned non-zero exit code")
            with open(
                file.name, encoding="utf-8", errors="surrogateescape"
            ) as again:  # the editor may have made it anew
                return again.read()
