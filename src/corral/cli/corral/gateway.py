"""`corral gateway`: a gateway in the foreground."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser

from corral.cli.corral.place import add_options, place_of


def main(arguments: list[str]) -> int:
    parser = ArgumentParser(
        prog="corral gateway",
        description="Run a gateway to services in the foreground. SIGTERM ends it; Caddy goes on.",
    )
    add_options(parser)
    given = parser.parse_args(arguments)
    place = place_of(given)
    command = [sys.executable, "-m", "corral.gateway", "--dir", str(place.directory)]
    if place.socket.exists():
        command += ["--endpoint", place.endpoint]
    command += ["--config", str(place.config_path)] if place.config_path else []
    sys.stdout.flush()
    os.execv(command[0], command)
