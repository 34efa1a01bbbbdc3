"""`corral describe`: all that there is to say of an object, and what has happened to it."""

from __future__ import annotations

from argparse import ArgumentParser

from corral.cli.corral.kube import files, printing
from corral.cli.corral.kube.described import lines_of
from corral.cli.corral.kube.session import Session, add_options, query
from corral.cli.corral.kube.targets import Target, named, objects, of_files

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from typing import Any

    Json = dict[str, Any]


def main(arguments: list[str]) -> int:
    parser = ArgumentParser(prog="corral describe", description="Say all about objects, and what has happened to them.")
    parser.add_argument("what", nargs="*", metavar="KIND[/NAME]")
    files.add_options(parser)
    parser.add_argument("--selector", "-l", default="", metavar="LABELS")
    parser.add_argument("--show-events", default="true", choices=("true", "false"))
    add_options(parser, everywhere=True)
    given = parser.parse_args(arguments)
    session = Session(given)
    if given.filename:
        targets = [target for target, _ in of_files(session, files.documents(given.filename, given.recursive))]
    else:
        targets = named(session, given.what)
    texts = []
    for target, one in objects(session, targets, given.selector):
        lines = lines_of(session, target, one)
        if given.show_events == "true" and target.resource.kind not in ("ConfigMap", "Secret", "PriorityClass"):
            lines += events(session, target, one)
        texts.append("\n".join(lines) + "\n")
    if not texts:
        from corral.cli.run import say

        say(f"No resources found in {session.namespace} namespace.\n")
    printing.out("\n\n".join(texts))
    return 0


def events(session: Session, target: Target, one: Json) -> list[str]:
    """What the cluster has noted about it lately."""
    from corral.cli.corral.kube.described import ago

    known = next((kind for kind in session.kinds if kind.kind == "Event"), None)
    if known is None:
        return []
    fields = f"involvedObject.uid={one['metadata']['uid']}"
    found = session.request("GET", known.path(target.namespace) + query(fieldSelector=fields))["items"]
    if not found:
        return ["Events:  <none>"]
    rows = [["  Type", "Reason", "Age", "From", "Message"], ["  ----", "------", "----", "----", "-------"]]
    for event in found:
        age = ago(event.get("lastTimestamp"))
        if event.get("count", 1) > 1:
            age += f" (x{event['count']} over {ago(event.get('firstTimestamp'))})"
        source = (event.get("source") or {}).get("component", "")
        rows.append([f"  {event['type']}", event["reason"], age, source, event["message"]])
    return ["Events:", *printing.aligned(rows).rstrip("\n").split("\n")]
