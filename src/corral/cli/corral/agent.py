"""`corral agent`: a node's agent in the foreground."""

from __future__ import annotations

import os
import socket
import sys
from argparse import ArgumentParser

from corral.cli.corral import virtual
from corral.cli.corral.place import add_options, place_of


def main(arguments: list[str]) -> int:
    parser = ArgumentParser(
        prog="corral agent", description="Run a node's agent in the foreground. SIGTERM ends it; its jobs run on."
    )
    add_options(parser)
    parser.add_argument(
        "--name", default=socket.gethostname().partition(".")[0], help="the node's name (default: %(default)s)"
    )
    virtual.add_options(parser)
    given = parser.parse_args(arguments)
    place = place_of(given)
    command = [sys.executable, "-m", "corral.agent", "--dir", str(place.directory), "--name", given.name]
    command += ["--config", str(place.config_path)] if place.config_path else []
    command += virtual.flags(given)
    sys.stdout.flush()
    os.execv(command[0], command)
