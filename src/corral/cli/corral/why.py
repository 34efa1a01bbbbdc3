"""`corral why JOB`: all the reasons why a job waits, and what would let it start sooner; `corral why --node NAME`: why a node is idle."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from urllib.parse import urlencode

from corral.cli.corral.place import add_options, endpoint_of
from corral.cli.explained import of_job, of_node, of_queue
from corral.cli.run import Exit
from corral.client.connection import Connection
from corral.errors import Refused, Unreachable


def main(arguments: list[str]) -> int:
    parser = ArgumentParser(
        prog="corral why",
        description="Say why jobs wait: all reasons, who is ahead, the planned start, and which other requests would start sooner "
        "(each tried on the cluster as it is). Or why nodes are idle. Without either: why the queue does not move on.",
    )
    parser.add_argument(
        "jobs",
        nargs="*",
        metavar="JOB|POD|KIND/NAME",
        help="42, 42_7, 42+1, a Pod, or deployment/web for its Pods; several are fine",
    )
    parser.add_argument("--namespace", default="", metavar="NS", help="of Pods (default: CORRAL_NAMESPACE, or default)")
    parser.add_argument("--node", "-n", default="", metavar="LIST", help="these nodes")
    parser.add_argument("--json", action="store_true", help="all of it, for programs")
    add_options(parser)
    given = parser.parse_args(arguments)
    named = [word for word in given.jobs if not word[:1].isdigit()]
    jobs = [word for word in given.jobs if word[:1].isdigit()]
    if named:
        from corral.cli.corral.kube.waitingpods import jobs_of

        jobs += jobs_of(given, named)
        if not jobs:
            return 0
    asked = {"jobs": ",".join(jobs), "nodes": given.node}
    path = f"/v1/why?{urlencode({name: text for name, text in asked.items() if text})}".rstrip("?")
    try:
        with Connection(endpoint_of(given), timeout=60.0) as connection:
            answer = connection.request("GET", path)
    except (Refused, Unreachable) as error:
        detail = error.fields.get("detail") if isinstance(error, Refused) else ""
        raise Exit(
            1, f"corral: error: {error}" + (f" ({detail})" if detail and detail not in str(error) else "")
        ) from None
    if given.json:
        print(json.dumps(answer, indent=2))
        return 0
    texts = [*map(of_job, answer["jobs"]), *map(of_node, answer["nodes"])]
    if answer["queue"] is not None:
        texts.append(of_queue(answer["queue"]))
    print("\n\n".join("\n".join(lines) for lines in texts))
    return 0
