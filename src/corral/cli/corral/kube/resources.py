"""`corral api-resources`: which kinds there are."""

from __future__ import annotations

from argparse import ArgumentParser

from corral.cli.corral.kube import printing
from corral.cli.corral.kube.session import Session, add_options


def main(arguments: list[str]) -> int:
    parser = ArgumentParser(prog="corral api-resources", description="The kinds of objects, with their short names.")
    parser.add_argument("--no-headers", action="store_true")
    parser.add_argument("--refused", action="store_true", help="Kubernetes' kinds that are not here, and why")
    add_options(parser)
    given = parser.parse_args(arguments)
    session = Session(given)
    kinds = session.kinds
    if given.refused:
        rows = [["KIND", "WHY NOT"], *([kind, why] for kind, why in sorted(session.refused.items()))]
    else:
        rows = [["NAME", "SHORTNAMES", "APIVERSION", "NAMESPACED", "KIND"]]
        rows += [
            [one.plural, ",".join(one.short), one.api_version, str(one.namespaced).lower(), one.kind] for one in kinds
        ]
    printing.out(printing.aligned(rows[1:] if given.no_headers else rows))
    return 0
