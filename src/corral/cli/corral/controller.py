"""`corral controller`: a controller in the foreground."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser

from corral.cli.corral.place import add_options, place_of


def main(arguments: list[str]) -> int:
    parser = ArgumentParser(
        prog="corral controller", description="Run a controller in the foreground. SIGTERM ends it."
    )
    add_options(parser)
    place = place_of(parser.parse_args(arguments))
    command = [sys.executable, "-m", "corral.controller", "--dir", str(place.directory)]
    command += ["--config", str(place.config_path)] if place.config_path else []
    sys.stdout.flush()
    os.execv(command[0], command)
