"""A command in a process of its own without the start of an interpreter: a fork of the test that runs its `main`."""

import importlib
import os
import resource  # noqa: F401 - commands load it later, when another user may not read this Python's files
import select
import signal
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

#: Installed commands find these; a test's own variables are none of theirs.
_KEPT = ("PATH", "LANG", "TZ")


class Outcome(NamedTuple):
    status: int
    stdout: str
    stderr: str


def run(
    argv: list[str],
    directory: Path,
    environment: Mapping[str, str],
    *,
    stdin: str = "",
    uid: int | None = None,
    seconds: float = 60.0,
) -> Outcome:
    """What `argv[0]` prints and ends with when it is started in `directory`."""
    module = importlib.import_module(f"corral.cli.commands.{argv[0]}")  # in the parent: once for all
    files = [directory.parent / f"{directory.name}.{name}" for name in ("stdin", "stdout", "stderr")]
    files[0].write_bytes(stdin.encode("utf-8", "surrogateescape"))
    child = os.fork()
    if child == 0:
        _become(module, argv, directory, environment, files, uid)
    handle = os.pidfd_open(child)
    if not select.select([handle], [], [], seconds)[0]:
        os.killpg(child, signal.SIGKILL)
    os.close(handle)
    _, status = os.waitpid(child, 0)
    stdout, stderr = (file.read_bytes().decode("utf-8", "surrogateescape") for file in files[1:])
    return Outcome(os.waitstatus_to_exitcode(status), stdout, stderr)


def _become(
    module: object, argv: list[str], directory: Path, environment: Mapping[str, str], files: list[Path], uid: int | None
) -> None:
    try:
        os.setsid()
        os.chdir(directory)
        for number, file in enumerate(files):
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC if number else os.O_RDONLY
            os.dup2(os.open(file, flags), number)
        if uid is not None:
            os.setgroups([])
            os.setgid(uid)
            os.setuid(uid)
        kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
        os.environ.clear()
        os.environ.update({**kept, "PWD": str(directory), **environment})
        sys.argv = list(argv)
        sys.stdin, sys.stdout, sys.stderr = (
            os.fdopen(number, mode, errors="surrogateescape") for number, mode in ((0, "r"), (1, "w"), (2, "w"))
        )
        module.main()  # type: ignore[attr-defined]
    except SystemExit as end:
        sys.stdout.flush()
        os._exit(end.code if isinstance(end.code, int) else 1)
    except BaseException:
        os.write(2, traceback.format_exc().encode())
        os._exit(99)
    os._exit(0)
