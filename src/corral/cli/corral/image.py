"""`corral image ls`, `pull`, `rm`: which images do the nodes have, and should they have?"""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from typing import Any
from urllib.parse import urlencode

from corral.cli.corral.place import add_options, endpoint_of
from corral.cli.run import Exit
from corral.client.connection import Connection
from corral.errors import Refused, Unreachable

#: Seconds that a fetch of a large image may take.
_LONG = 7200.0


def main(arguments: list[str]) -> int:
    parser = ArgumentParser(prog="corral image", description="Images of containers, as they lie on the nodes.")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="ls|pull|rm")
    for verb, words in (
        ("ls", "show the images and the nodes that have them"),
        ("pull", "have nodes fetch an image before a job needs it"),
        ("rm", "remove an image that no step uses (operators)"),
    ):
        one = verbs.add_parser(verb, help=words, description=words)
        if verb != "ls":
            one.add_argument("image", help="as for --container-image" + ("; or its digest" if verb == "rm" else ""))
        one.add_argument("--nodes", "-w", default="", metavar="LIST", help="these nodes (default: all that are up)")
        if verb == "ls":
            one.add_argument("--json", action="store_true", help="for programs")
        add_options(one)
    given = parser.parse_args(arguments)
    try:
        with Connection(endpoint_of(given), timeout=_LONG) as connection:
            return {"ls": _ls, "pull": _pull, "rm": _rm}[given.verb](connection, given)
    except (Refused, Unreachable) as error:
        raise Exit(1, f"corral: error: {error}") from None


def _ls(connection: Connection, given: Any) -> int:
    answer = connection.request("GET", f"/v1/images?{urlencode({'nodes': given.nodes})}")
    if given.json:
        import json

        print(json.dumps(answer, indent=2))
        return 0
    lines = [("IMAGE", "DIGEST", "SIZE", "NODES")]
    lines += [(row["image"], row["digest"][:12], _size(row["bytes"]), row["nodes"]) for row in answer["images"]]
    widths = [max(len(line[column]) for line in lines) for column in range(3)]
    for name, digest, size, nodes in lines:
        print(f"{name:<{widths[0]}}  {digest:<{widths[1]}}  {size:>{widths[2]}}  {nodes}")
    for node in answer["missing"]:
        print(f"corral: {node} does not answer", file=sys.stderr)
    return 0


def _size(count: int) -> str:
    size = float(count)
    for unit in ("B", "K", "M", "G"):
        if size < 1000:
            return f"{size:.0f}{unit}" if unit == "B" or size >= 10 else f"{size:.1f}{unit}"
        size /= 1024
    return f"{size:.1f}T"


def _pull(connection: Connection, given: Any) -> int:
    answer = connection.request("POST", "/v1/images", {"image": given.image, "nodes": given.nodes})
    for node, problem in answer["failed"].items():
        print(f"corral: error: {node}: {problem}", file=sys.stderr)
    if answer["fetched"]:
        from corral.syntax import hostlist

        print(f"{given.image} is on {hostlist.fold(answer['fetched'])}")
    return 1 if answer["failed"] else 0


def _rm(connection: Connection, given: Any) -> int:
    answer = connection.request("DELETE", f"/v1/images?{urlencode({'image': given.image, 'nodes': given.nodes})}")
    for node, problem in answer["failed"].items():
        print(f"corral: error: {node}: {problem}", file=sys.stderr)
    if not answer["removed"] and not answer["failed"]:
        print(f"corral: error: no node has {given.image}", file=sys.stderr)
        return 1
    print(f"removed from {answer['removed']} node{'s' if answer['removed'] != 1 else ''}")
    return 1 if answer["failed"] else 0
