"""sbcast: copy a file to all nodes of a job."""

from __future__ import annotations

import os
import time

from corral.cli import broadcast, command
from corral.cli.getopt import NO, OPTIONAL, REQUIRED
from corral.cli.options import values
from corral.cli.run import Exit, Program, say
from corral.cli.run import main as run
from corral.errors import Refused

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from typing import Any, NoReturn

OPTIONS = (
    ("compress", "C", OPTIONAL), ("exclude", "", REQUIRED), ("fanout", "F", REQUIRED), ("force", "f", NO), ("help", "", NO),
    ("jobid", "j", REQUIRED), ("preserve", "p", NO), ("send-libs", "", OPTIONAL), ("size", "s", REQUIRED),
    ("timeout", "t", REQUIRED), ("usage", "", NO), ("verbose", "v", NO), ("version", "V", NO),
)  # fmt: skip
VARIABLES = {
    "SBCAST_COMPRESS": "compress", "SBCAST_EXCLUDE": "exclude", "SBCAST_FANOUT": "fanout", "SBCAST_FORCE": "force",
    "SBCAST_PRESERVE": "preserve", "SBCAST_SEND_LIBS": "send-libs", "SBCAST_SIZE": "size", "SBCAST_TIMEOUT": "timeout",
    "SLURM_JOB_ID": "jobid",
}  # fmt: skip
PROGRAM = Program("sbcast")


def main() -> NoReturn:
    run(PROGRAM, sbcast)


def sbcast(argv: list[str]) -> int:
    found, words = command.options(PROGRAM, argv, OPTIONS)
    given: dict[str, str] = {name: os.environ[key] for key, name in VARIABLES.items() if key in os.environ}
    for name, value in found:
        if name == "verbose":
            PROGRAM.verbosity += 1
        else:
            given[name] = value or ""
    if len(words) != 2:
        raise Exit(1, f"Need two file names, have {len(words)} names", 'Try "sbcast --help" for more information')
    source, dest = words
    job = given.get("jobid", "").partition("+")[0].partition(".")[0]
    if not job:
        raise PROGRAM.failed(
            "Need a job id to run this command.  Run from within a Slurm job or use the --jobid option.", 1
        )
    if dest.endswith("/"):
        raise PROGRAM.failed("Target filename cannot be a directory.", 1)
    wishes = _wishes(given)
    _say_wishes(wishes, source, dest, given)
    _check(source)
    dest = os.path.join(os.getcwd(), dest)
    job = job if job.replace("_", "").isdigit() else "0"
    try:
        return broadcast.Sender(PROGRAM, job, wishes).send(source, dest)
    except Refused as error:
        raise broadcast.refusal(PROGRAM, error, job) from None
    except TimeoutError:
        raise PROGRAM.failed("Connection timed out", 110) from None


def _wishes(given: dict[str, str]) -> broadcast.Wishes:
    block = broadcast.BLOCK
    if "size" in given:
        size = _size(given["size"])
        if size:
            block = size
        else:
            say("size specification is invalid, ignored\n")
    seconds = given.get("timeout", "")
    return broadcast.Wishes(
        force="force" in given,
        preserve="preserve" in given,
        compress="compress" in given and broadcast.wants_compression(PROGRAM, given["compress"]),
        send_libs="send-libs" in given and given["send-libs"].lower() not in ("no", "false", "0"),
        exclude=given.get("exclude", broadcast.EXCLUDED),
        block=block,
        timeout=float(seconds) if seconds.isdigit() else 0.0,
    )


def _size(text: str) -> int:
    """100, 64k, 8m; 0 = no size."""
    unit = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30}.get(text[-1:].lower(), 0)
    digits = text[:-1] if unit else text
    try:
        number = values.positive(digits, "size")
    except values.BadValue:
        return 0
    return min(number * (unit or 1), 1 << 30)


def _check(source: str) -> None:
    try:
        with open(source, "rb") as file:
            is_empty = not os.fstat(file.fileno()).st_size
    except IsADirectoryError:
        raise PROGRAM.failed(f"Can't mmap file `{source}`, No such device.", 255) from None
    except OSError as error:
        raise PROGRAM.failed(f"Can't open `{source}`: {error.strerror}", 255) from None
    if is_empty:
        PROGRAM.error(f"Warning: file `{source}` is empty.")


def _say_wishes(wishes: broadcast.Wishes, source: str, dest: str, given: dict[str, Any]) -> None:
    if PROGRAM.verbosity < 1:
        return
    rule = "-" * 29
    for line in (
        rule,
        f"block_size = {wishes.block}",
        f"compress   = {int(wishes.compress)}",
        f"exclude    = {wishes.exclude}",
        f"force      = {_word(wishes.force)}",
        f"fanout     = {given.get('fanout') or 0}",
        f"preserve   = {_word(wishes.preserve)}",
        f"send_libs  = {_word(wishes.send_libs)}",
        f"timeout    = {int(wishes.timeout)}",
        f"verbose    = {PROGRAM.verbosity}",
        f"source     = {source}",
        f"dest       = {dest}",
        rule,
    ):
        PROGRAM.verbose(line)
    try:
        stat = os.stat(source)
    except OSError:
        return
    PROGRAM.verbose(f"modes    = {stat.st_mode:o}")
    PROGRAM.verbose(f"uid      = {stat.st_uid}")
    PROGRAM.verbose(f"gid      = {stat.st_gid}")
    for name, moment in (("atime", stat.st_atime), ("mtime", stat.st_mtime), ("ctime", stat.st_ctime)):
        PROGRAM.verbose(f"{name}    = {time.ctime(moment)}")
    PROGRAM.verbose(f"size     = {stat.st_size}")
    PROGRAM.verbose(f"jobid      = {given.get('jobid')}")


def _word(value: bool) -> str:
    return "true" if value else "false"


__all__ = ["main", "sbcast"]
