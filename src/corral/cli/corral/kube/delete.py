"""`corral delete`: objects go, with what they own; Pods end with their grace."""

from __future__ import annotations

import time
from argparse import ArgumentParser

from corral.cli.corral.kube import files, printing
from corral.cli.corral.kube.apply import SUFFIX, add_dry_run, dry_of
from corral.cli.corral.kube.session import Session, add_options, query, told
from corral.cli.corral.kube.targets import Target, named, objects, of_files
from corral.cli.run import Exit, say
from corral.errors import Refused

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from argparse import Namespace
    from typing import Any

    Json = dict[str, Any]


def main(arguments: list[str]) -> int:
    given = _parser().parse_args(arguments)
    session = Session(given)
    dry = dry_of(given.dry_run)
    targets = _targets(session, given)
    options = _options(given)
    status = 0
    gone: list[tuple[Target, str]] = []
    for target in targets:
        try:
            if dry == "client":
                answer = session.ask("GET", target.path())
            else:
                body = {**options, **({"dryRun": ["All"]} if dry else {})}
                answer = session.ask("DELETE", target.path(), body)
        except Refused as error:
            if error.fields["status"] == 404 and given.ignore_not_found:
                continue
            say(told(error) + "\n")
            status = 1
            continue
        word = "force deleted" if given.force else "deleted"
        if given.output == "name":
            printing.out(f"{target.title}\n")
        else:
            printing.out(f'{target.resource.title} "{target.name}" {word}{SUFFIX[dry]}\n')
        meta = answer.get("details") if answer.get("kind") == "Status" else answer["metadata"]
        gone.append((target, meta.get("uid", "")))
    if given.wait and not dry:
        ends = time.monotonic() + _seconds(given.timeout)
        for target, uid in gone:
            until_gone(session, target, uid, ends)
    return status


def _parser() -> ArgumentParser:
    parser = ArgumentParser(prog="corral delete", description="Delete objects, and what they own.")
    parser.add_argument(
        "what", nargs="*", metavar="KIND[/NAME]", help="KIND NAME ..., KIND/NAME ..., or KIND with -l or --all"
    )
    files.add_options(parser)
    parser.add_argument("--selector", "-l", default="", metavar="LABELS", help="those with these labels")
    parser.add_argument("--field-selector", default="", metavar="FIELDS", help="status.phase=Failed")
    parser.add_argument("--all", action="store_true", help="all of the kind in the namespace")
    parser.add_argument(
        "--cascade", default="background", nargs="?", const="background", choices=("background", "foreground", "orphan"),
        help="what it owns goes after it, before it, or stays",
    )  # fmt: skip
    parser.add_argument(
        "--grace-period", type=int, default=-1, metavar="SECONDS", help="for Pods to end (default: as each says)"
    )
    parser.add_argument("--now", action="store_true", help="a grace of one second")
    parser.add_argument("--force", action="store_true", help="with --grace-period=0: at once")
    parser.add_argument(
        "--wait",
        default="true",
        nargs="?",
        const="true",
        choices=("true", "false"),
        help="until they are gone (default)",
    )
    parser.add_argument("--timeout", default="0s", metavar="TIME", help="wait at most so long")
    parser.add_argument("--ignore-not-found", action="store_true", help="what is not there is no error")
    parser.add_argument("--output", "-o", default="", choices=("", "name"), help="only names")
    add_dry_run(parser)
    add_options(parser, everywhere=True)
    return parser


def _targets(session: Session, given: Namespace) -> list[Target]:
    given.wait = given.wait == "true"
    if given.filename:
        if given.what:
            raise Exit(
                1,
                "error: when paths, URLs, or stdin is provided as input, you may not specify resource arguments as well",
            )
        return [target for target, _ in reversed(of_files(session, files.documents(given.filename, given.recursive)))][
            ::-1
        ]
    found = named(session, given.what)
    chosen = given.selector or given.field_selector or given.all
    if any(not one.name for one in found):
        if not chosen:
            raise Exit(1, "error: resource(s) were provided, but no name was specified")
        chosen_ones = [one for one, _ in objects(session, found, given.selector, given.field_selector)]
        if not chosen_ones:
            say("No resources found\n")
        given.ignore_not_found = True  # what goes with its owner may be gone already
        return chosen_ones
    if chosen:
        raise Exit(1, "error: name cannot be provided when a selector is specified")
    return found


def _options(given: Namespace) -> Json:
    body: Json = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": given.cascade.capitalize()}
    if given.now:
        if given.grace_period != -1:
            raise Exit(1, "error: --now and --grace-period cannot be specified together")
        given.grace_period = 1
    if given.force:
        if given.grace_period > 0:
            raise Exit(1, "error: --force and --grace-period greater than 0 cannot be specified together")
        given.grace_period = 0
        given.wait = False
        say("Warning: Immediate deletion does not wait for confirmation that the running resource has been terminated. "
            "The resource may continue to run on the cluster indefinitely.\n")  # fmt: skip
    elif given.grace_period == 0:
        given.grace_period = 1  # as kubectl: at once only with --force
    if given.grace_period >= 0:
        body["gracePeriodSeconds"] = given.grace_period
    return body


def _seconds(text: str) -> float:
    found = duration(text)
    return found if found > 0 else 7 * 86400.0


def duration(text: str) -> float:
    """90s, 5m, 1h30m, as Go has it; a plain number is seconds."""
    import re

    if text.isascii() and text.isdigit():
        return float(text)
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|s|m|h)", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise Exit(1, f'error: invalid duration "{text}": write 90s, 5m or 1h30m')
    units = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
    return sum(float(number) * units[unit] for number, unit in parts)


def until_gone(session: Session, target: Target, uid: str, ends: float) -> None:
    while True:
        one = session.get(target.path())
        if one is None or (uid and one["metadata"]["uid"] != uid):
            return
        left = ends - time.monotonic()
        if left <= 0:
            raise Exit(1, f"error: timed out waiting for the condition on {target.resource.qualified}/{target.name}")
        collection = Target(target.resource, "", target.namespace)
        address = collection.path() + query(
            watch="1", fieldSelector=f"metadata.name={target.name}", resourceVersion=one["metadata"]["resourceVersion"],
            timeoutSeconds=max(1, int(min(left, 600))),
        )  # fmt: skip
        for event in session.watch(address):
            if event["type"] in ("DELETED", "ERROR"):
                break
