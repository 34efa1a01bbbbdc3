"""`corral edit`: change an object in an editor."""

from __future__ import annotations

import os
import shlex
import subprocess
from argparse import ArgumentParser

from corral.cli.corral.kube import printing
from corral.cli.corral.kube.batchsteps import with_jobs
from corral.cli.corral.kube.files import parsed
from corral.cli.corral.kube.session import Session, add_options, told
from corral.cli.corral.kube.targets import named
from corral.cli.run import Exit
from corral.errors import Refused

_HEAD = """# Please edit the object below. Lines beginning with a '#' will be ignored,
# and an empty file will abort the edit. If an error occurs while saving this file will be
# reopened with the relevant failures.
#
"""


def main(arguments: list[str]) -> int:
    parser = ArgumentParser(prog="corral edit", description="Change an object in $KUBE_EDITOR, $EDITOR or vi.")
    parser.add_argument("what", nargs="+", metavar="KIND[/NAME]")
    add_options(parser)
    given = parser.parse_args(arguments)
    import tempfile

    from corral.syntax import yamltext

    session = Session(given)
    editor = shlex.split(os.environ.get("KUBE_EDITOR") or os.environ.get("EDITOR") or "vi")
    for target in named(session, given.what):
        if not target.name:
            raise Exit(1, "error: the name of an object is needed: KIND/NAME")
        one = session.request("GET", target.path())
        one.pop("status", None)
        one["metadata"].pop("managedFields", None)
        before = yamltext.dumped(one)
        text, trouble = before, ""
        with tempfile.NamedTemporaryFile("w+", suffix=".yaml", prefix="corral-edit-", delete=False) as file:
            path = file.name
        try:
            while True:
                with open(path, "w") as file:
                    file.write(_HEAD + trouble + text)
                try:
                    done = subprocess.run([*editor, path], check=False)
                except OSError as error:
                    raise Exit(1, f"error: {editor[0]}: {error.strerror}") from None
                if done.returncode:
                    raise Exit(1, f"error: there was a problem with the editor {shlex.join(editor)!r}")
                with open(path) as file:
                    edited = "".join(line for line in file if not line.startswith("#"))
                if not edited.strip() or edited == before:
                    printing.out("Edit cancelled, no changes made.\n")
                    break
                if trouble and edited == text:
                    raise Exit(1, *trouble.splitlines(), "error: Edit cancelled, no valid changes were saved.")
                text = edited
                try:
                    new = parsed(path, edited.encode())
                    session.ask("PUT", target.path(), with_jobs(path, new[0]) if new else {})
                    printing.out(f"{target.title} edited\n")
                    break
                except Refused as error:
                    trouble = f"# {told(error)}\n#\n"
                except Exit as end:
                    trouble = "".join(f"# {line}\n" for line in end.lines) + "#\n"
        finally:
            os.unlink(path)
    return 0
