"""Which manifests stand in -f FILE, DIRECTORY, URL or standard input?"""

from __future__ import annotations

import os
import sys

from corral.cli.run import Exit

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from argparse import ArgumentParser
    from typing import Any

    Json = dict[str, Any]

_ENDINGS = (".yaml", ".yml", ".json")


def add_options(parser: ArgumentParser, *, required: bool = False) -> None:
    parser.add_argument(
        "--filename", "-f", action="append", default=[], required=required, metavar="FILE",
        help="a manifest (YAML or JSON), a directory of them, a URL, or - for standard input; more than once",
    )  # fmt: skip
    parser.add_argument("--recursive", "-R", action="store_true", help="also what is in directories below")


def documents(names: list[str], recursive: bool) -> list[tuple[str, Json]]:
    """In order, each with the place it is from; lists are taken apart."""
    found: list[tuple[str, Json]] = []
    for place, text in texts(names, recursive):
        for one in parsed(place, text):
            found += _apart(place, one)
    if not found:
        raise Exit(1, "error: no objects passed to apply")
    return found


def _apart(place: str, one: Any) -> list[tuple[str, Json]]:
    if not isinstance(one, dict):
        raise Exit(1, f'error: unable to decode "{place}": a manifest is an object with apiVersion, kind and metadata')
    kind = one.get("kind")
    if isinstance(kind, str) and kind.endswith("List") and isinstance(one.get("items"), list):
        return [part for item in one["items"] for part in _apart(place, item)]
    if kind == "Pipeline":
        from corral.cli.corral.kube.batchsteps import with_jobs

        one = with_jobs(place, one)
    return [(place, one)]


def parsed(place: str, text: bytes) -> list[Any]:
    if text.lstrip()[:1] == b"{":
        import json

        try:
            return [json.loads(text)]
        except (ValueError, RecursionError):
            pass  # several documents, or YAML in its flow style
    from corral.syntax import yamltext

    try:
        return yamltext.documents(text)
    except yamltext.NotYaml as error:
        raise Exit(1, f"error: error parsing {place}: {error}") from None


def texts(names: list[str], recursive: bool) -> list[tuple[str, bytes]]:
    found = []
    for name in names:
        if name == "-":
            found.append(("STDIN", sys.stdin.buffer.read()))
        elif name.startswith(("http://", "https://")):
            found.append((name, _fetched(name)))
        elif os.path.isdir(name):
            paths = sorted(_below(name, recursive))
            if not paths:
                raise Exit(1, f"error: error reading [{name}]: recognized file extensions are [.json .yaml .yml]")
            found += [(path, _content(path)) for path in paths]
        else:
            found.append((name, _content(name)))
    return found


def _below(directory: str, recursive: bool) -> list[str]:
    found = []
    for folder, below, names in os.walk(directory):
        found += [os.path.join(folder, name) for name in names if name.endswith(_ENDINGS)]
        if not recursive:
            below.clear()
    return found


def _content(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        raise Exit(1, f'error: the path "{path}" does not exist') from None
    except OSError as error:
        raise Exit(1, f"error: {path}: {error.strerror}") from None


def _fetched(url: str) -> bytes:
    from urllib.error import URLError
    from urllib.request import urlopen

    try:
        with urlopen(url, timeout=30) as answer:
            data: bytes = answer.read(32 << 20)
            return data
    except (URLError, OSError, ValueError) as error:
        raise Exit(1, f'error: unable to read URL "{url}": {error}') from None
