"""`corral get`: objects as kubectl shows them; `corral get JOB` shows a job of the queue."""

from __future__ import annotations

import os
from argparse import ArgumentParser

from corral.cli.corral.kube import files, printing
from corral.cli.corral.kube.printing import Output, Tables
from corral.cli.corral.kube.session import TABLE, Session, add_options, query, told
from corral.cli.corral.kube.targets import Target, named, of_files
from corral.cli.run import Exit, say
from corral.errors import Refused

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from argparse import Namespace
    from typing import Any

    Json = dict[str, Any]


def main(arguments: list[str]) -> int:
    given = _parser().parse_args(arguments)
    if given.what and not given.filename and all(word[:1].isdigit() and "/" not in word for word in given.what):
        from corral.cli.corral.into import beside

        squeue = beside("squeue")
        os.execvp(squeue, [squeue, "-t", "all", "-j", ",".join(given.what)])
    output = Output(given.output)
    session = Session(given)
    if given.filename:
        manifests = files.documents(given.filename, given.recursive)
        targets = [target for target, _ in of_files(session, manifests)]
    else:
        targets = named(session, given.what)
    if any(one.name for one in targets) and session.everywhere:
        raise Exit(1, "error: a resource cannot be retrieved by name across all namespaces")
    if any(one.name for one in targets) and (given.selector or given.field_selector):
        raise Exit(1, "error: selectors and the all flag cannot be used when passing resource/name arguments")
    if given.watch or given.watch_only:
        if len(targets) > 1:
            raise Exit(1, "error: you may only specify a single resource type")
        return _Watching(session, given, output, targets[0]).run()
    if output.is_table and not given.sort_by:
        return _tables(session, given, targets)
    return _objects(session, given, output, targets)


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        prog="corral get",
        description="Show objects: pods, deployments, services and all others (`corral api-resources` lists them). Numbers are jobs.",
    )
    parser.add_argument(
        "what", nargs="*", metavar="KIND[/NAME]", help="KIND[,KIND] [NAME ...], KIND/NAME ..., all, or a job's id"
    )
    files.add_options(parser)
    printing.add_options(parser)
    parser.add_argument("--watch", "-w", action="store_true", help="go on with what changes")
    parser.add_argument("--watch-only", action="store_true", help="only what changes from now on")
    parser.add_argument("--selector", "-l", default="", metavar="LABELS", help="app=web,tier!=db,env in (a,b)")
    parser.add_argument("--field-selector", default="", metavar="FIELDS", help="status.phase=Running")
    parser.add_argument("--sort-by", default="", metavar="PATH", help=".metadata.creationTimestamp")
    parser.add_argument("--show-labels", action="store_true", help="all labels in the last column")
    parser.add_argument(
        "--label-columns", "-L", action="append", default=[], metavar="LABEL", help="a column for each label"
    )
    parser.add_argument("--show-kind", action="store_true", help="the kind before each name")
    parser.add_argument("--no-headers", action="store_true", help="no line of headers")
    parser.add_argument("--ignore-not-found", action="store_true", help="what is not there is no error")
    add_options(parser, everywhere=True)
    return parser


def printer(session: Session, given: Namespace, *, kind: bool) -> Tables:
    return Tables(
        wide=given.output == "wide", headers=not given.no_headers, namespace=session.everywhere, kind=kind or given.show_kind,
        labels=[name for text in given.label_columns for name in text.split(",")], show_labels=given.show_labels,
    )  # fmt: skip


def address_of(target: Target, given: Namespace, **more: Any) -> str:
    if target.name:
        return target.path() + query(**more)
    return target.path() + query(labelSelector=given.selector, fieldSelector=given.field_selector, **more)


def _tables(session: Session, given: Namespace, targets: list[Target]) -> int:
    many = len({one.resource.qualified for one in targets}) > 1
    shown, status = 0, 0
    last: tuple[Target, Tables] | None = None
    for target in targets:
        try:
            table = session.ask("GET", address_of(target, given), accept=TABLE)
        except Refused as error:
            if error.fields["status"] == 404 and given.ignore_not_found:
                continue
            say(told(error) + "\n")
            status = 1
            continue
        if not table["rows"]:
            continue
        # Names of one kind that follow each other are one table.
        if last is None or last[0].resource is not target.resource:
            if shown:
                printing.out("\n")
            last = (target, printer(session, given, kind=many))
        printing.out(last[1].text(table, target.resource.title))
        shown += 1
    if not shown and not status and not given.ignore_not_found:
        say(_nothing(session, targets) + "\n")
    return status


def _nothing(session: Session, targets: list[Target]) -> str:
    if session.everywhere or not any(one.resource.namespaced for one in targets):
        return "No resources found"
    return f"No resources found in {session.namespace} namespace."


def _objects(session: Session, given: Namespace, output: Output, targets: list[Target]) -> int:
    found: list[tuple[Target, Json]] = []
    status = 0
    for target in targets:
        try:
            answer = session.ask("GET", address_of(target, given))
        except Refused as error:
            if error.fields["status"] == 404 and given.ignore_not_found:
                continue
            say(told(error) + "\n")
            status = 1
            continue
        if target.name:
            found.append((target, answer))
        else:
            found += [
                (Target(target.resource, one["metadata"]["name"], one["metadata"].get("namespace", "")), one)
                for one in answer["items"]
            ]
    if given.sort_by:
        found = _sorted(found, given.sort_by)
    if output.is_table:
        return _sorted_table(session, given, found) or status
    names = [one.title for one, _ in found]
    if len(targets) == 1 and targets[0].name:
        if found:
            output.show(found[0][1], headers=not given.no_headers, names=names)
        return status
    items = [one for _, one in found]
    value = {"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": ""}, "items": items}
    output.show(value, headers=not given.no_headers, names=names)
    return status


def _sorted(found: list[tuple[Target, Json]], path: str) -> list[tuple[Target, Json]]:
    from corral.syntax import jsonpath

    path = path.strip().removeprefix("{").removesuffix("}")
    try:
        keys = [(values[0] if (values := jsonpath.values(path, one)) else None) for _, one in found]
    except jsonpath.BadPath as error:
        raise Exit(1, f"error: {path}: {error}") from None
    if found and all(key is None for key in keys):
        raise Exit(1, f"error: couldn't find any field with path {path!r} in the list of objects")

    def rank(at: int) -> tuple[int, float, str]:
        key = keys[at]
        if isinstance(key, (int, float)):
            return 1, key, ""
        return (0, 0.0, "") if key is None else (2, 0.0, jsonpath.text_of(key))

    return [found[at] for at in sorted(range(len(found)), key=rank)]


def _sorted_table(session: Session, given: Namespace, found: list[tuple[Target, Json]]) -> int:
    """The server's rows, in our order."""
    rows: dict[tuple[str, str, str], Json] = {}
    columns: dict[str, Json] = {}
    for resource in {id(one.resource): one.resource for one, _ in found}.values():
        spaces = {one.namespace for one, _ in found if one.resource is resource}
        for space in spaces:
            table = session.request("GET", resource.path(space), accept=TABLE)
            columns[resource.qualified] = table["columnDefinitions"]
            for row in table["rows"]:
                meta = row["object"]["metadata"]
                rows[resource.qualified, meta.get("namespace", ""), meta["name"]] = row
    if not found:
        say(_nothing(session, []) if session.everywhere else f"No resources found in {session.namespace} namespace.\n")
        return 0
    many = len(columns) > 1
    at = 0
    while at < len(found):
        resource = found[at][0].resource
        group = []
        while at < len(found) and found[at][0].resource is resource:
            one = found[at][0]
            if (row := rows.get((resource.qualified, one.namespace, one.name))) is not None:
                group.append(row)
            at += 1
        table = {"columnDefinitions": columns[resource.qualified], "rows": group}
        printing.out(printer(session, given, kind=many).text(table, resource.title))
    return 0


class _Watching:
    """What there is, and then each change."""

    def __init__(self, session: Session, given: Namespace, output: Output, target: Target) -> None:
        self.session, self.given, self.output, self.target = session, given, output, target
        self.accept = TABLE if output.is_table else "application/json"
        self.printer = printer(session, given, kind=False)

    def show(self, body: Json) -> None:
        if self.output.is_table:
            printing.out(self.printer.text(body, self.target.resource.title))
        else:
            meta = body["metadata"]
            one = Target(self.target.resource, meta["name"], meta.get("namespace", ""))
            self.output.show(body, headers=not self.given.no_headers, names=[one.title])

    def run(self) -> int:
        """Goes on after a restart of the controller."""
        is_first = True
        try:
            while True:
                version = self._listed(is_first)
                is_first = False
                while version:
                    version = self._changes(version)
        except KeyboardInterrupt:
            return 130

    def _listed(self, is_first: bool) -> str:
        """Shows what there is; from which version on it changes."""
        target = self.target
        answer = self.session.request("GET", address_of(target, self.given), accept=self.accept)
        version = answer["metadata"].get("resourceVersion", "")
        if not version and answer.get("rows"):
            version = answer["rows"][0]["object"]["metadata"]["resourceVersion"]
        if not (self.given.watch_only and is_first):
            for one in [answer] if self.output.is_table or target.name else answer["items"]:
                self.show(one)
        elif self.output.is_table:
            self.printer.text({**answer, "rows": []}, "")
        return str(version)

    def _changes(self, version: str) -> str:
        """Shows them; the last version seen. "": the list is to be read anew."""
        session, target = self.session, self.target
        fields = f"metadata.name={target.name}" if target.name else self.given.field_selector
        collection = Target(target.resource, "", target.namespace)
        address = collection.path() + query(
            labelSelector="" if target.name else self.given.selector,
            fieldSelector=fields,
            watch="1",
            resourceVersion=version,
        )
        session.request("GET", "/v1/kinds")  # waits until there is a controller
        try:
            for event in session.watch(address, self.accept):
                if event["type"] == "ERROR":
                    return ""
                if event["type"] != "BOOKMARK":
                    self.show(event["object"])
                    version = self._version_of(event["object"]) or version
        except Exit as end:
            if "Expired" in "".join(end.lines):
                return ""
            raise
        return version

    def _version_of(self, body: Json) -> str:
        rows = body.get("rows") if self.output.is_table else None
        meta = rows[0]["object"]["metadata"] if rows else body.get("metadata") or {}
        return str(meta.get("resourceVersion", ""))
