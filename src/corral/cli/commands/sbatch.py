"""sbatch: submit a script that runs later."""

from __future__ import annotations

import os
import sys

from corral.cli import clusters, components, directives, environment, jobspec, script
from corral.cli.given import REFUSED_AS, Given
from corral.cli.run import BAD_OPTION, Exit, Program
from corral.cli.run import main as run
from corral.cli.submission import refusal, submit
from corral.client.connection import Connection

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from typing import Any, NoReturn

PROGRAM = Program("sbatch")


def main() -> NoReturn:
    run(PROGRAM, sbatch)


def sbatch(argv: list[str]) -> int:
    """From the command line to the exit status."""
    parts = components.split(Given(PROGRAM), argv, anywhere=False)
    rest = parts[-1][1]
    options = [option for found, _ in parts for option in found]
    Given(PROGRAM).answer(options)
    directory = jobspec.current_directory()
    text, path = _script(options, rest, directory)
    all_given = _take_all([found for found, _ in parts], text, rest[0] if rest else "-")
    if any(name == "wrap" for name, _ in options):  # it is the script of all, whichever it stands by
        for one in all_given:
            one.values.setdefault("wrap", "")
    jobs = [new_job(one, text, path, rest[1:], directory, argv) for one in all_given]
    given = all_given[0]
    cluster = clusters.named("sbatch", given.get("clusters")) if "clusters" in given else ""
    if "test-only" in given:
        from corral.cli.submission import say_when

        return say_when(PROGRAM, jobs[0], given.get("uid", ""), given.get("gid", ""), jobs[1:])
    connection = Connection()
    job_id = submit(PROGRAM, connection, jobs[0], given.get("uid", ""), given.get("gid", ""), jobs[1:])
    if "parsable" in given:
        sys.stdout.write(f"{job_id};{cluster}\n" if cluster else f"{job_id}\n")
    elif PROGRAM.verbosity >= 0:
        sys.stdout.write(f"Submitted batch job {job_id}{f' on cluster {cluster}' if cluster else ''}\n")
    sys.stdout.flush()
    if "wait" in given:
        from corral.cli.submission import exit_status_when_ended

        return exit_status_when_ended(connection, job_id)
    return 0


def _script(found: list[tuple[str, str | None]], rest: list[str], directory: str) -> tuple[str, str]:
    """The script's text, and its path ("" = it has none)."""
    command = next((value for name, value in reversed(found) if name == "wrap"), None)
    if command is not None:
        if rest:
            raise PROGRAM.failed("Script arguments not permitted with --wrap option")
        return script.wrapped(command), ""
    if not rest:
        return script.read(PROGRAM, ""), ""
    path = script.find(rest[0], directory)
    return script.read(PROGRAM, path if path.startswith("/") else rest[0]), path


def _take_all(parts: list[list[tuple[str, str | None]]], text: str, name: str) -> list[Given]:
    """For each component: the script's own options first, then the variables, then the command line; what is read later wins."""
    try:
        sections = components.sections(directives.words_of(text))
    except directives.BadDirective as error:
        raise PROGRAM.fatal(f"{name}: {error}") from None
    found: list[Given] = []
    for number in range(max(len(parts), len(sections))):
        given = components.following(found[-1]) if found else Given(PROGRAM)
        directed, left = given.split(sections[number]) if number < len(sections) else ([], [])
        if left:
            raise Exit(BAD_OPTION, f"sbatch: error: Invalid directive found in batch script: {left[0]}")
        given.take([(option, value) for option, value in directed if option != "wrap"])
        if not found:
            given.take_environment(os.environ)
        given.take(parts[number] if number < len(parts) else [])
        given.settle()
        found.append(given)
    return found


def new_job(
    given: Given, text: str, path: str, arguments: list[str], directory: str, argv: list[str]
) -> dict[str, Any]:
    """The job as the controller wants it."""
    if given.get("uid") and os.geteuid() != 0:
        raise Exit(BAD_OPTION, "sbatch: error: --uid only permitted by root user")
    if given.get("gid") and os.geteuid() != 0:
        raise Exit(BAD_OPTION, "sbatch: error: --gid only permitted by root user")
    spec = jobspec.job_spec(given, "batch")
    default_name = os.path.basename(path) if path else "wrap" if "wrap" in given else "sbatch"
    spec["name"] = given.get("job-name") or default_name
    spec["command"] = path
    spec["argv"] = arguments
    spec["export_mode"] = environment.mode(given.get("export"))
    spec["submit_line"] = " ".join(["sbatch", *argv])
    stdio = {
        "stdin": given.get("input", ""),
        "stdout": given.get("output", ""),
        "stderr": given.get("error", ""),
        "open_mode": given.get("open-mode", ""),
    }
    spec["stdio"] = {stream: value for stream, value in stdio.items() if value}
    return {"spec": spec, "script": text, "environment": environment.of_batch_job(given, directory)}


__all__ = ["REFUSED_AS", "main", "new_job", "refusal", "sbatch"]
