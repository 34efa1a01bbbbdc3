"""`corral import-slurm`: a slurm.conf as a corral.toml."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from pathlib import Path

from corral.cli.run import Exit
from corral.config import cluster, slurm
from corral.errors import ConfigError


def main(arguments: list[str]) -> int:
    parser = ArgumentParser(
        prog="corral import-slurm",
        description="Print the corral.toml that a slurm.conf (with the gres.conf, topology.conf,"
        " cgroup.conf and job_container.conf beside it) comes to. Lines that cannot be"
        " carried over are listed on standard error and, as comments, at the end.",
    )
    parser.add_argument("file", metavar="slurm.conf", type=Path)
    given = parser.parse_args(arguments)
    try:
        found = slurm.read(given.file)
        text = found.toml()
        cluster.parse(text, "the result")
    except ConfigError as error:
        raise Exit(1, f"corral: error: {error}") from None
    left = [f"{line.file}:{line.number}: {line.text}\n    {why}" for line, why in found.left]
    print(f"# From {given.file}\n\n{text}", end="")
    if left:
        print("\n# Not carried over:")
        print("\n".join(f"# {line}" for entry in left for line in entry.split("\n")))
        sys.stdout.flush()
        count = "1 line was" if len(left) == 1 else f"{len(left)} lines were"
        print(f"corral: {count} not carried over:", *left, sep="\n", file=sys.stderr)
    return 0
