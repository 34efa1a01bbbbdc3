"""Which of the user's variables go with a job: --export, --export-file and SLURM_EXPORT_ENV."""

from __future__ import annotations

import os

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from collections.abc import Mapping

    from corral.cli.given import Given

#: What sbatch and srun set or read themselves and what would mislead the job.
_NEVER = ("SLURM_CONF_SERVER", "CORRAL_TOKEN", "SLURM_JWT")


def exported(text: str | None, environment: Mapping[str, str]) -> dict[str, str]:
    """ALL (or nothing said): everything. NONE, NIL: only SLURM_* and SPANK_*. Else these, with or without a value;
    with ALL among them, everything besides."""
    words = _words(text) if text is not None else ["ALL"]
    upper = [word.upper() for word in words]
    if "ALL" in upper:
        kept = {name: value for name, value in environment.items() if name not in _NEVER}
    else:
        kept = {name: value for name, value in environment.items() if name.startswith(("SLURM_", "SPANK_"))}
    if "NONE" in upper or "NIL" in upper:
        return kept
    for word in words:
        name, equals, value = word.partition("=")
        if equals:
            kept[name] = value
        elif word.upper() != "ALL" and name in environment:
            kept[name] = environment[name]
    return kept


def mode(text: str | None) -> str:
    """The first word: ALL, NONE or NIL; a list of names exports only these, on top of what the user gets at login."""
    upper = [word.upper() for word in _words(text)] if text is not None else ["ALL"]
    return "ALL" if "ALL" in upper else "NIL" if "NIL" in upper else "NONE"


def of_batch_job(given: Given, directory: str) -> dict[str, str]:
    """For sbatch, from `directory`. The agent takes out what belongs to a job around the submitter."""
    text = given.get("export")
    kept = exported(text, os.environ)
    if "export-file" in given:
        kept.update(_from_file(given))
    kept["SLURM_SUBMIT_DIR"] = directory
    kept["SLURM_SUBMIT_HOST"] = os.uname().nodename
    kept["SLURM_PRIO_PROCESS"] = str(os.getpriority(os.PRIO_PROCESS, 0))
    if "get-user-env" in given:
        kept["SLURM_GET_USER_ENV"] = "1"
    if text is not None:
        kept["SLURM_EXPORT_ENV"] = text
        if mode(text) != "NIL":
            kept["SLURM_GET_USER_ENV"] = "1"
    return kept


def of_step(given: Given) -> dict[str, str]:
    """For srun: SLURM_* variables of the job around it go along, the agent sets anew what is the step's."""
    text = given.get("export")
    kept = exported(text, os.environ)
    if text is not None and "export" not in given.from_environment:
        kept["SLURM_EXPORT_ENV"] = text
    if "job-name" in given and "job-name" not in given.from_environment:
        kept["SLURM_JOB_NAME"] = given.get("job-name")
    if "SLURM_JOB_ID" not in os.environ:
        kept["SLURM_SUBMIT_DIR"] = os.getcwd()
        kept["SLURM_SUBMIT_HOST"] = os.uname().nodename
        kept["SLURM_PRIO_PROCESS"] = str(os.getpriority(os.PRIO_PROCESS, 0))
    return kept


def _words(text: str) -> list[str]:
    """Split at commas, but not within quotes: A="x,y",B."""
    words: list[str] = []
    word, quote = "", ""
    for letter in text:
        if quote:
            if letter == quote:
                quote = ""
            else:
                word += letter
        elif letter in "\"'":
            quote = letter
        elif letter == ",":
            words.append(word)
            word = ""
        else:
            word += letter
    return [part for part in [*words, word] if part]


def _from_file(given: Given) -> dict[str, str]:
    """NAME=value, each ended by a zero byte; a number names an open file."""
    name = given.get("export-file")
    try:
        with open(int(name) if name.isdigit() else name, "rb", closefd=not name.isdigit()) as file:
            content = file.read()
    except OSError as error:
        raise given.program.failed(f"Could not open user environment file {name}: {error.strerror}") from None
    found: dict[str, str] = {}
    for entry in content.split(b"\0"):
        key, equals, value = os.fsdecode(entry).partition("=")
        if equals and key:
            found[key] = value
    return found
