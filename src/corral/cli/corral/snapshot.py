"""`corral snapshot`: the cluster's state, as far as it decides about jobs, as one JSON document."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser

from corral.cli.corral.place import add_options, endpoint_of
from corral.cli.run import Exit
from corral.client.connection import Connection
from corral.errors import Refused, Unreachable


def main(arguments: list[str]) -> int:
    parser = ArgumentParser(
        prog="corral snapshot",
        description="Write what the scheduler knows: configuration, nodes, reservations, accounts, jobs that wait and run. "
        "Scripts, arguments, environments and keys are not in it. For operators.",
    )
    add_options(parser)
    parser.add_argument("-o", "--output", metavar="FILE", help="instead of the standard output")
    given = parser.parse_args(arguments)
    if given.output is None and sys.stdout.isatty():
        raise Exit(2, "corral: error: a snapshot is long: redirect it (corral snapshot > FILE), or name a file with -o")
    try:
        with Connection(endpoint_of(given), timeout=60.0) as connection:
            content = connection.call("GET", "/v1/snapshot")
    except (Refused, Unreachable) as error:
        raise Exit(1, f"corral: error: {error}") from None
    if given.output is None:
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
        return 0
    whole = f"{given.output}.{os.getpid()}"  # never half a file
    try:
        with open(whole, "wb") as file:
            file.write(content)
        os.replace(whole, given.output)
    except OSError as error:
        raise Exit(1, f"corral: error: {given.output}: {error.strerror}") from None
    return 0
