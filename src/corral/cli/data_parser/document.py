"""In which form are --json and --yaml wanted, and what stands round the records?"""

from __future__ import annotations

import os
import sys

from corral.cli.data_parser.values import moment
from corral.cli.run import VERSION, Exit, Program

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from corral.client.connection import Connection

    Row = dict[str, Any]

#: v0.0.38 is that of Slurm 22.05, for programs written against it; `--json` alone is the one that is current.
CURRENT, OLD = "v0.0.40", "v0.0.38"
VERSIONS = (CURRENT, OLD)


class Form:
    """One of --json and --yaml, and the version of the data_parser."""

    __slots__ = ("is_old", "style")

    def __init__(self, style: str, version: str) -> None:
        self.style = style
        self.is_old = version == OLD

    def write(self, document: Row) -> None:
        import json

        is_json = self.style == "json"
        text = json.dumps(document, indent=2 if is_json else None, ensure_ascii=False)
        valid = text.encode("utf-8", "replace").decode()  # a name's bytes that are no UTF-8 would be no JSON either
        if is_json:
            sys.stdout.write(valid + "\n")
            return
        if valid != text:
            document = json.loads(valid)
        import yaml

        class Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]
            def ignore_aliases(self, data: Any) -> bool:
                return True

        yaml.dump(
            document, sys.stdout, Dumper, sort_keys=False, explicit_start=True, explicit_end=True, allow_unicode=True
        )


def form_of(program: Program, given: Mapping[str, str | None]) -> Form | None:
    """None: for people. `=list` prints which versions there are, and ends the command."""
    style = "json" if "json" in given else "yaml" if "yaml" in given else ""
    if not style:
        return None
    version = (given[style] or CURRENT).removeprefix("data_parser/")
    if version == "list":
        names = "".join(f"data_parser/{name}\n" for name in VERSIONS)
        sys.stdout.write(f"Possible data_parser plugins:\n{names}")
        raise Exit(0)
    if version not in VERSIONS:
        raise program.fatal(f"--{style}={version}: there is no such data_parser; --{style}=list names those there are")
    return Form(style, version)


def write(form: Form, body: Row, cluster: str, command: list[str] | None = None) -> None:
    """`body`: the name of the records and the records, and what stands beside them."""
    form.write(body | {"meta": _meta(cluster, command or sys.argv), "errors": [], "warnings": []})


def written_at(now: float) -> Row:
    return moment(now)


def cluster_of(connection: Connection) -> str:
    name: str = connection.request("GET", "/v1/ping")["cluster"]
    return name


def _meta(cluster: str, command: list[str]) -> Row:
    release = VERSION.removeprefix("slurm ")
    major, minor, micro = release.split(".")
    return {
        "plugin": {
            "type": "",
            "name": "",
            "data_parser": f"data_parser/{CURRENT}",
            "accounting_storage": "accounting_storage/slurmdbd",
        },
        "client": {"source": _terminal(), "user": _user(), "group": _group()},
        "command": [os.path.basename(command[0]), *command[1:]],
        "slurm": {
            "version": {"major": major, "micro": micro, "minor": minor},
            "release": release,
            "cluster": cluster,
        },
    }


def _terminal() -> str:
    try:
        return os.ttyname(0)
    except OSError:
        return ""


def _user() -> str:
    from corral.cli.command import own_name

    return own_name()


def _group() -> str:
    import grp

    try:
        return grp.getgrgid(os.getegid()).gr_name
    except KeyError:
        return str(os.getegid())
