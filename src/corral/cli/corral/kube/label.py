"""`corral label` and `corral annotate`: names and values that are put on objects, changed, or taken off (KEY-)."""

from __future__ import annotations

from argparse import ArgumentParser

from corral.cli.corral.kube import files, printing
from corral.cli.corral.kube.apply import SUFFIX, add_dry_run, dry_of
from corral.cli.corral.kube.session import Session, add_options, query
from corral.cli.corral.kube.targets import named, objects, of_files
from corral.cli.run import Exit

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from typing import Any


def label(arguments: list[str]) -> int:
    return _run("label", "labels", "labeled", arguments)


def annotate(arguments: list[str]) -> int:
    return _run("annotate", "annotations", "annotated", arguments)


def _run(verb: str, field: str, done: str, arguments: list[str]) -> int:
    parser = ArgumentParser(prog=f"corral {verb}", description=f"Set {field}: KEY=VALUE; KEY- takes one off.")
    parser.add_argument("what", nargs="+", metavar="KIND[/NAME] ... KEY=VALUE ... KEY-")
    files.add_options(parser)
    parser.add_argument("--overwrite", action="store_true", help="change what is set already")
    parser.add_argument("--list", action="store_true", help="show them")
    parser.add_argument("--selector", "-l", default="", metavar="LABELS")
    parser.add_argument("--all", action="store_true", help="all of the kind")
    add_dry_run(parser)
    add_options(parser, everywhere=True)
    given = parser.parse_args(arguments)
    session = Session(given)
    dry = dry_of(given.dry_run)
    changes: dict[str, str | None] = {}
    words: list[str] = []
    for word in given.what:
        key, equal, value = word.partition("=")
        if equal and key:
            changes[key] = value
        elif word.endswith("-") and len(word) > 1 and (words or given.filename):
            changes[word[:-1]] = None
        else:
            words.append(word)
    if not changes and not given.list:
        raise Exit(1, f"error: at least one {field[:-1]} update is required")
    if given.filename:
        targets = [target for target, _ in of_files(session, files.documents(given.filename, given.recursive))]
    else:
        targets = named(session, words)
        if any(not one.name for one in targets) and not (given.selector or given.all or session.everywhere):
            raise Exit(1, "error: one or more resources must be specified as <resource> <name> or <resource>/<name>")
    for target, one in objects(session, targets, given.selector):
        now: dict[str, Any] = one["metadata"].get(field) or {}
        if given.list:
            printing.out("".join(f"{name}={value}\n" for name, value in sorted(now.items())))
            continue
        if not given.overwrite:
            taken = [f"'{name}' already has a value ({now[name]}), and --overwrite is false"
                     for name, value in changes.items() if value is not None and now.get(name, value) != value]  # fmt: skip
            if taken:
                raise Exit(1, f"error: {'; '.join(taken)}")
        missing = [name for name, value in changes.items() if value is None and name not in now]
        for name in missing:
            printing.out(f'{field[:-1]} "{name}" not found.\n')
        is_same = all(now.get(name) == value for name, value in changes.items())
        if not is_same and dry != "client":
            session.request(
                "PATCH", target.path() + query(dryRun="All" if dry else ""), {"metadata": {field: changes}},
                content_type="application/merge-patch+json",
            )  # fmt: skip
        only_off = all(value is None for value in changes.values())
        word = f"not {done}" if is_same else f"un{done}" if only_off and verb == "label" else done
        printing.out(f"{target.title} {word}{SUFFIX[dry]}\n")
    return 0
