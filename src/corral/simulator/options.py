"""What may be said to `corral simulate`?"""

import argparse
from pathlib import Path

from corral.simulator import policies

EPILOG = """\
The work comes from one of --swf, --sacct, --synthetic, --snapshot and --alibaba-pods. The machine is the one that the trace or the
snapshot is of, or that --config or --nodes say. Each policy is simulated with each seed; the same options give the same bytes.
"""


def parser() -> argparse.ArgumentParser:
    found = argparse.ArgumentParser(
        prog="corral simulate",
        description="Run a workload through the real engine and scheduler under a virtual clock, and say how it went.",
        epilog=EPILOG,
    )
    work = found.add_argument_group("the work")
    source = work.add_mutually_exclusive_group(required=True)
    source.add_argument("--swf", metavar="FILE", type=Path, help="a trace in the Standard Workload Format, gzip too")
    source.add_argument("--sacct", metavar="FILE", type=Path, help="the output of `sacct -a -P -o ALL`, gzip too")
    source.add_argument(
        "--synthetic", metavar="JOBS", type=_count, help="so many jobs of the Lublin-Feitelson model, from the seed"
    )
    source.add_argument("--snapshot", metavar="FILE", type=Path, help="the jobs and nodes of a `corral snapshot`")
    source.add_argument(
        "--alibaba-pods", metavar="FILE", type=Path,
        help="pods of a CSV list arrive one by one and none leaves: how much of the GPUs of --alibaba-nodes can be given out?",
    )  # fmt: skip
    work.add_argument(
        "--demand", metavar="F", type=_factor,
        help="with --alibaba-pods: until they have asked for F times the GPUs that there are (default: 1.3)",
    )  # fmt: skip
    work.add_argument("--jobs", metavar="N", type=_count, help="only the first N of them")
    work.add_argument(
        "--overestimate", metavar="F", type=_factor, default=1.0,
        help="with --synthetic: time limits are up to F times as long as the run (default: just as long)",
    )  # fmt: skip
    work.add_argument("--largest", metavar="CPUS", type=_count, help="with --synthetic: no job is larger")
    work.add_argument(
        "--run-share", metavar="F", type=_factor, default=1.0,
        help="with --snapshot: jobs run for this share of their time limit (default: all of it)",
    )  # fmt: skip
    machine = found.add_argument_group("the machine")
    machine.add_argument(
        "--config", metavar="FILE", type=Path, help="a corral.toml with [[node]] tables, and partitions"
    )
    machine.add_argument(
        "--alibaba-nodes", metavar="FILE", type=Path, help="with --alibaba-pods: the nodes of a CSV list"
    )
    machine.add_argument("--nodes", metavar="N", type=_count, help="N nodes of one kind")
    machine.add_argument("--cpus", metavar="N", type=_count, default=1, help="CPUs of each (default: 1)")
    machine.add_argument("--gpus", metavar="N", type=_count, default=0, help="GPUs of each (default: none)")
    machine.add_argument(
        "--memory", metavar="SIZE", default="", help="memory of each, as in 512G (default: not counted)"
    )
    what_if = found.add_argument_group("what if")
    what_if.add_argument(
        "--policy", metavar="NAME|FILE", action="append", default=[],
        help=f"{', '.join(policies.BUILT_IN)}, or a corral.toml, of which [scheduling] and [priority] count; again for one more",
    )  # fmt: skip
    what_if.add_argument(
        "--add", metavar="NAME:N", action="append", default=[], help="N more nodes like those of this name"
    )
    what_if.add_argument(
        "--without-partition", metavar="NAME", action="append", default=[],
        help="it is gone, with the nodes that no other has; its jobs go to the others that they name, or to the default one",
    )  # fmt: skip
    what_if.add_argument("--load", metavar="F", type=_factor, default=1.0, help="jobs come F times as fast")
    what_if.add_argument(
        "--faults", metavar="HOURS", type=_factor, nargs="?", const=1000.0,
        help="each node breaks down every so many hours in the mean (1000), and is repaired within an hour in the mean",
    )  # fmt: skip
    what_if.add_argument(
        "--seed", dest="seeds", metavar="N", type=seeds_of, default=(0,), help="of all chance (default: 0)"
    )
    what_if.add_argument("--seeds", metavar="LIST", type=seeds_of, help="several, one after another: 42-51, or 1,2,5")
    output = found.add_argument_group("what is said")
    output.add_argument("--json", action="store_true", help="JSON instead of a table")
    output.add_argument("--csv", metavar="FILE", type=Path, help="write every job's times there")
    output.add_argument("--html", metavar="FILE", type=Path, help="write a page with plots there")
    output.add_argument("--quiet", action="store_true", help="no progress bar on a terminal")
    return found


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) <= 10**8):
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 to 100,000,000")
    return int(text)


def _factor(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 1e-6 <= value <= 1e9:
        raise argparse.ArgumentTypeError(f"{text!r} is no number greater than 0")
    return value


def seeds_of(text: str) -> tuple[int, ...]:
    """42-51, or 1,2,5."""
    found: list[int] = []
    for part in text.split(","):
        low, dash, high = part.strip().partition("-")
        if (
            not (low.isascii() and low.isdigit() and (not dash or (high.isascii() and high.isdigit())))
            or len(part) > 20
        ):
            raise argparse.ArgumentTypeError(f"{text!r} is no list of seeds: 42-51, or 1,2,5")
        last = int(high) if dash else int(low)
        if not 0 <= last - int(low) < 10_000:
            raise argparse.ArgumentTypeError(f"{part!r}: from the lower to the higher, and at most 10,000")
        found += range(int(low), last + 1)
    return tuple(dict.fromkeys(found))
