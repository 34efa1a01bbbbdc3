"""scontrol show hostnames, hostlist and hostlistsorted: no cluster is asked, and next to nothing is loaded."""

from __future__ import annotations

import os
import sys

from corral.cli.run import Exit
from corral.errors import InvalidHostlist
from corral.syntax import hostlist

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from collections.abc import Callable


def names(text: str | None) -> int:
    """One a line; without a text, the nodes of the job this runs in."""
    if text is None:
        text = os.environ.get("SLURM_JOB_NODELIST") or os.environ.get("SLURM_NODELIST") or ""
        if not text:
            sys.stderr.write("scontrol: error: host list is empty\n")
            return 0
    found = _expanded(text)
    if found:
        sys.stdout.write("\n".join(found) + "\n")
    return 0


def folded(text: str | None, fold: Callable[[list[str]], str]) -> int:
    if not text:
        sys.stderr.write("scontrol: error: host list is empty\n")
        return 0
    if text.startswith("/"):
        try:
            with open(text) as file:
                text = file.read().replace("\n", ",")
        except OSError as error:
            raise Exit(1, f"scontrol: error: {text}: {error.strerror}") from None
    names = _expanded(text)
    sys.stdout.write((_folded_as_written(text) if fold is hostlist.fold and "[" in text else fold(names)) + "\n")
    return 0


def _folded_as_written(text: str) -> str:
    """A name with several brackets keeps its last one: n[1-2][3-4] is n1[3-4],n2[3-4]."""
    pieces: list[str] = []
    simple: list[str] = []
    for word in hostlist.words(text):
        if word.count("[") < 2 or not word.endswith("]"):
            simple += _expanded(word)
            continue
        if simple:
            pieces.append(hostlist.fold(simple))
            simple = []
        before, _, last = word.rpartition("[")
        pieces += [f"{name}[{last}" for name in _expanded(before)]
    return ",".join([*pieces, hostlist.fold(simple)] if simple else pieces)


def _expanded(text: str) -> list[str]:
    try:
        return hostlist.expand(text)
    except InvalidHostlist:
        raise Exit(1, f"Invalid hostlist: {text}") from None
