"""Which cluster does -M mean, where there is this one alone?"""

from __future__ import annotations

import os
import sys

from corral.cli.run import Exit

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from collections.abc import Mapping

    from corral.client.connection import Connection

#: Every command's -M is also given by this variable.
VARIABLE = "SLURM_CLUSTERS"


def asked(given: Mapping[str, str | None]) -> tuple[str, str]:
    """What -M says, and where it was said; ("", "") = nowhere, so this cluster is meant."""
    if given.get("clusters"):
        return given["clusters"] or "", "--cluster"
    return os.environ.get(VARIABLE, ""), VARIABLE


def named(program: str, text: str | None) -> str:
    """Of a command that hands in work: the cluster that -M names, or "" when it names none."""
    if text is None:
        return ""
    from corral.client.connection import Connection

    with Connection() as connection:
        return own(program, connection, text)


def own(program: str, connection: Connection, text: str, source: str = "--cluster") -> str:
    """The name of this cluster, when it is among those that -M names (or all are)."""
    name: str = connection.request("GET", "/v1/ping")["cluster"]
    words = [word.strip() for word in text.split(",") if word.strip()]
    lines = [f"{program}: error: No cluster '{word}' known by database." for word in words if word not in (name, "all")]
    if len(lines) == len(words):
        lines = lines or [f"{program}: error: No cluster '' known by database."]
        raise Exit(
            1, *lines,
            f"{program}: error: '{text}' can't be reached now, or it is an invalid entry for {source}.  "
            "Use 'sacctmgr list clusters' to see available clusters.",
        )  # fmt: skip
    if lines:
        sys.stderr.write("\n".join(lines) + "\n")
    return name
