"""`corral simulate`: what would become of this work on that cluster, under these policies?"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from corral.errors import CorralError
from corral.simulator import metrics, policies, report
from corral.simulator.replay import Replay
from corral.simulator.workloads import swf
from corral.simulator.workloads.work import Workload


def parser() -> argparse.ArgumentParser:
    found = argparse.ArgumentParser(
        prog="corral simulate",
        description="Run a workload through the real engine and scheduler under a virtual clock, and print how it went.",
    )
    work = found.add_argument_group("the work")
    work.add_argument("--swf", metavar="FILE", type=Path, help="a trace in the Standard Workload Format, gzip too")
    what_if = found.add_argument_group("what if")
    what_if.add_argument(
        "--policy", metavar="NAME|FILE", action="append", default=[],
        help=f"{', '.join(policies.BUILT_IN)}, or a corral.toml, of which [scheduling] and [priority] count; again for more beside it",
    )  # fmt: skip
    output = found.add_argument_group("what is printed")
    output.add_argument("--json", action="store_true", help="JSON instead of a table")
    return found


def workload_of(given: argparse.Namespace) -> Workload:
    if given.swf is None:
        raise SystemExit("corral simulate: error: which work? Give --swf FILE.")
    return swf.read(given.swf)


def simulate(given: argparse.Namespace) -> int:
    workload = workload_of(given)
    results = []
    for name in given.policy or ["default"]:
        policy = policies.policy_of(name)
        outcome = Replay(policy.config, workload.nodes, workload.jobs).run()
        results.append(report.Result(policy=policy.name, seed=0, metrics=metrics.measure(outcome)))
    print(report.as_text(workload.name, results) if given.json else report.table(results))
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    given = parser().parse_args(arguments)
    try:
        return simulate(given)
    except CorralError as error:
        print(f"corral simulate: error: {error}", file=sys.stderr)
        return 1
