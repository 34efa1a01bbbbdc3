"""Which jobs does the text of a crontab describe? Each line with a time and a command, by the #SCRON lines before it."""

from __future__ import annotations

import os

from corral.cli import directives, environment, jobspec
from corral.cli.given import Given
from corral.cli.run import Exit, Program
from corral.errors import InvalidCron
from corral.syntax import cron

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from typing import Any

MARK = "#SCRON"
_HEADER = "#!/bin/sh\n# This job was submitted through scrontab\n"


class BadLine(Exception):
    """A line that can't be read: its number, counted from 0, and what is wrong."""

    def __init__(self, number: int, lines: tuple[str, ...]) -> None:
        super().__init__(*lines)
        self.number = number
        self.lines = lines


def jobs_of(program: Program, text: str, home: str) -> list[dict[str, Any]]:
    """As the controller takes them."""
    found = []
    options: list[str] = []
    written: list[str] = []
    first = -1
    for number, line in enumerate(text.split("\n")):
        stripped = line.strip(" \t")
        try:
            if stripped.startswith(MARK):
                options += directives.words_in(stripped[len(MARK) :], number + 1)
                written.append(line)
                first = number if first < 0 else first
            elif stripped and not stripped.startswith("#"):
                spec, command = cron.split(stripped)
                lines = (first if first >= 0 else number, number)
                found.append(_job(program, options, written, spec, command, lines, home))
                options, written, first = [], [], -1
        except directives.BadDirective as error:
            raise BadLine(number, (f"{program.name}: error: {error}",)) from None
        except InvalidCron as error:
            raise BadLine(number, (f"{program.name}: error: {error}",)) from None
        except Exit as error:
            raise BadLine(number, error.lines) from None
    return found


def _job(
    program: Program, options: list[str], written: list[str], spec: str, command: str, lines: tuple[int, int], home: str
) -> dict[str, Any]:
    given = Given(program)
    directed, left = given.split(options)
    if left:
        raise Exit(1, f"{program.name}: error: Invalid directive found in crontab: {left[0]}")
    given.take(directed)
    given.settle()
    job = jobspec.job_spec(given, "batch")
    if "chdir" not in given:
        job["work_dir"] = home
    job |= {"cron": spec, "cron_lines": lines, "name": given.get("job-name") or os.path.basename(command.split()[0])}
    job |= {"export_mode": environment.mode("NONE"), "command": command}
    stdio = {
        "stdin": given.get("input", ""), "stdout": given.get("output", ""), "stderr": given.get("error", ""),
        "open_mode": given.get("open-mode", ""),
    }  # fmt: skip
    job["stdio"] = {stream: value for stream, value in stdio.items() if value}
    script = _HEADER + "".join(f"{line}\n" for line in written) + f"# crontab time request was: '{spec}'\n{command}\n"
    return {"spec": job, "script": script, "environment": {"SLURM_GET_USER_ENV": "1"}}


def with_comments(text: str, ranges: list[tuple[int, int]], mark: str) -> str:
    """The text with these lines made comments."""
    lines = text.split("\n")
    for first, last in ranges:
        for number in range(first, min(last + 1, len(lines))):
            lines[number] = mark + lines[number]
    return "\n".join(lines)
