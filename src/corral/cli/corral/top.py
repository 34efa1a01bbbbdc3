"""`corral top`: jobs, nodes and GPUs in a terminal, as they are now."""

from __future__ import annotations

import sys
from argparse import ArgumentParser

from corral.cli.corral.place import add_options, endpoint_of
from corral.cli.run import Exit
from corral.errors import Unreachable

_NEEDS = "corral: error: corral top needs textual: pip install 'corral[top]'"


def main(arguments: list[str]) -> int:
    parser = ArgumentParser(prog="corral top", description="Jobs, nodes and GPUs in a terminal, as they are now.")
    parser.add_argument(
        "--interval", "-d", type=float, default=2.0, metavar="SECONDS", help="between two looks (default 2)"
    )
    parser.add_argument("--user", "-u", default="", help="jobs of this user only, at first")
    add_options(parser)
    given = parser.parse_args(arguments)
    if not 0.2 <= given.interval <= 3600:
        parser.error("--interval: 0.2 to 3600 seconds")
    try:
        from corral.cli.top.app import Top
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith(("textual", "rich")):
            raise
        raise Exit(1, _NEEDS) from None
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise Exit(1, "corral: error: corral top is for a terminal; squeue and sinfo print")
    from corral.cli.top.source import Source

    source = Source(endpoint_of(given))
    try:
        source.look()  # what is wrong is said before the screen is taken
    except Unreachable as error:
        raise Exit(1, f"corral: error: {error}") from None
    Top(source, given.interval, given.user).run()
    return 0
