"""`corral scale`: how many replicas."""

from __future__ import annotations

from argparse import ArgumentParser

from corral.cli.corral.kube import files, printing
from corral.cli.corral.kube.apply import SUFFIX, add_dry_run, dry_of
from corral.cli.corral.kube.session import Session, add_options, query
from corral.cli.corral.kube.targets import named, objects, of_files
from corral.cli.run import Exit


def main(arguments: list[str]) -> int:
    parser = ArgumentParser(
        prog="corral scale", description="Set the number of replicas of a Deployment, ReplicaSet or StatefulSet."
    )
    parser.add_argument("what", nargs="*", metavar="KIND[/NAME]")
    parser.add_argument("--replicas", type=int, required=True, metavar="N")
    parser.add_argument(
        "--current-replicas", type=int, default=-1, metavar="N", help="only where there are so many now"
    )
    parser.add_argument("--selector", "-l", default="", metavar="LABELS")
    parser.add_argument("--all", action="store_true", help="all of the kind")
    files.add_options(parser)
    add_dry_run(parser)
    add_options(parser)
    given = parser.parse_args(arguments)
    if given.replicas < 0:
        raise Exit(1, "error: The --replicas=COUNT flag is required, and COUNT must be greater than or equal to 0")
    session = Session(given)
    dry = dry_of(given.dry_run)
    if given.filename:
        targets = [target for target, _ in of_files(session, files.documents(given.filename, given.recursive))]
    else:
        targets = named(session, given.what)
    if any(not one.name for one in targets):
        if not (given.selector or given.all):
            raise Exit(1, "error: resource(s) were provided, but no name was specified")
        targets = [one for one, _ in objects(session, targets, given.selector)]
    if not targets:
        raise Exit(1, "error: no objects passed to scale")
    for target in targets:
        if "scale" not in target.resource.subresources:
            raise Exit(
                1,
                f"error: cannot scale a {target.resource.kind}: a Deployment, ReplicaSet or StatefulSet can be scaled",
            )
        scale = session.request("GET", target.path("scale"))
        if given.current_replicas not in (-1, now := scale["spec"].get("replicas", 0)):
            raise Exit(1, f"error: Expected replicas to be {given.current_replicas}, was {now}")
        if dry != "client":
            session.request(
                "PATCH", target.path("scale") + query(dryRun="All" if dry else ""), {"spec": {"replicas": given.replicas}},
                content_type="application/merge-patch+json",
            )  # fmt: skip
        printing.out(f"{target.title} scaled{SUFFIX[dry]}\n")
    return 0
