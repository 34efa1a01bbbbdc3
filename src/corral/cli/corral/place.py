"""Which cluster is meant: in which directory is its state, at which address does it answer?"""

from __future__ import annotations

import os
from argparse import ArgumentParser, Namespace
from pathlib import Path

from corral.client.connection import default_endpoint, state_dir
from corral.config import files
from corral.config.cluster import load
from corral.errors import ConfigError
from corral.model.cluster import ClusterConfig

SOCKET = "corral.sock"


class Place:
    """A cluster on this machine."""

    def __init__(self, directory: Path, config_path: Path | None, config: ClusterConfig) -> None:
        self.directory, self.config_path, self.config = directory, config_path, config

    @property
    def socket(self) -> Path:
        return Path(self.config.api.socket or self.directory / SOCKET)

    @property
    def endpoint(self) -> str:
        return f"unix://{self.socket}"

    @property
    def is_default(self) -> bool:
        return self.directory == Path(state_dir())


def add_options(parser: ArgumentParser) -> None:
    parser.add_argument("--dir", metavar="DIR", help=f"state directory (default: {state_dir()})".replace("%", "%%"))
    parser.add_argument("--config", metavar="FILE", help="corral.toml (default: the one in the state directory)")


def place_of(arguments: Namespace, *, is_lenient: bool = False) -> Place:
    """By --dir, the configuration's state_dir, the socket in CORRAL_ENDPOINT, or the user's own.

    Lenient: a cluster can be stopped also when its configuration has become wrong.
    """
    if arguments.dir is None and arguments.config is not None:
        config_path = Path(arguments.config).absolute()
        config = load(config_path)
        return Place(Path(config.state_dir).absolute() if config.state_dir else _usual(), config_path, config)
    directory = Path(arguments.dir).absolute() if arguments.dir else _usual()
    found = files.find(arguments.config, directory)
    try:
        config = load(found)
    except ConfigError:
        if not is_lenient:
            raise
        config = ClusterConfig()
    return Place(directory, found, config)


def endpoint_of(arguments: Namespace) -> str:
    """Where it answers: as --dir or --config say, else as the commands have it."""
    if arguments.dir is None and arguments.config is None:
        return default_endpoint()
    return place_of(arguments).endpoint


def _usual() -> Path:
    path = os.environ.get("CORRAL_ENDPOINT", "").removeprefix("unix://")
    if path.startswith("/") and os.path.basename(path) == SOCKET:
        return Path(os.path.dirname(path))
    return Path(state_dir())
