"""Which components does a command line with `:` describe, or a script with `#SBATCH hetjob`?

Each begins where the one before ended: what was said of the job as a whole holds on (its name, account, limits, streams), what was said
of its place does not (nodes, tasks, CPUs, GPUs, features, partition).
"""

from __future__ import annotations

import os

from corral.cli.given import Given
from corral.cli.run import Exit, Program, failure

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from collections.abc import Sequence

    Found = list[tuple[str, str | None]]

SEPARATOR = ":"
#: Said of one component only.
ITS_OWN = frozenset(
    {
        "batch", "constraint", "contiguous", "core-spec", "cores-per-socket", "cpus-per-gpu", "cpus-per-task", "distribution",
        "exclude", "exclusive", "extra-node-info", "gpu-bind", "gpus", "gpus-per-node", "gpus-per-socket", "gpus-per-task", "gres",
        "gres-flags", "het-group", "hint", "licenses", "mail-type", "mail-user", "mincpus", "multi-prog", "nodelist", "nodes",
        "ntasks", "ntasks-per-core", "ntasks-per-gpu", "ntasks-per-node", "ntasks-per-socket", "overcommit", "oversubscribe",
        "partition", "prefer", "relative", "sockets-per-node", "spread-job", "switches", "thread-spec", "threads-per-core", "tmp",
        "use-min-nodes",
    }
)  # fmt: skip
#: What a step takes from its component, when the command line says nothing.
FROM_JOB = ("ntasks", "nodes", "ntasks-per-node", "cpus-per-task")


def split(given: Given, argv: list[str], anywhere: bool) -> list[tuple[Found, list[str]]]:
    """Options and words of each component. `anywhere`: also a command may stand before a `:` (srun)."""
    found = []
    while True:
        options, words = given.split(argv)
        at = words.index(SEPARATOR) if SEPARATOR in words and (anywhere or words[0] == SEPARATOR) else -1
        if at < 0:
            found.append((options, words))
            return found
        found.append((options, words[:at]))
        argv = words[at + 1 :]


def following(given: Given) -> Given:
    """The next component, before its own options have been read."""
    other = Given(given.program)
    other.values = {name: value for name, value in given.values.items() if name not in ITS_OWN}
    other.from_environment = given.from_environment - ITS_OWN
    return other


def read_all(program: Program, argv: list[str], anywhere: bool) -> list[tuple[Given, list[str]]]:
    """The command line of srun and salloc, component by component: variables, then options, and what follows them."""
    parts = split(Given(program), argv, anywhere)
    for chosen, _ in parts:
        Given(program).answer(chosen)
    found: list[tuple[Given, list[str]]] = []
    for chosen, words in parts:
        given = following(found[-1][0]) if found else Given(program)
        if not found:
            given.take_environment(os.environ)
        given.take(chosen)
        given.settle()
        found.append((given, words))
    return found


def of_component(given: Given) -> None:
    """How many tasks the whole job has is not said of one of its components."""
    for name in FROM_JOB:
        if name in given.from_environment:
            given.drop(name)


def sections(words: Sequence[str]) -> list[list[str]]:
    """The words of #SBATCH lines, cut at `hetjob`."""
    found: list[list[str]] = [[]]
    for word in words:
        if word in ("hetjob", "packjob"):
            found.append([])
        else:
            found[-1].append(word)
    return found


def groups(program: Program, text: str) -> list[int]:
    """--het-group=0,2-3"""
    found: list[int] = []
    for part in text.split(","):
        low, dash, high = part.partition("-")
        if not (low.isdigit() and (high.isdigit() if dash else True) and len(part) < 20):
            raise Exit(
                failure(),
                f"{program.name}: error: _parse_single_range: Invalid range: `{part}'",
                f"{program.name}: error: Invalid --het-group value: {text}",
            )
        last = int(high) if dash else int(low)
        if last > 1023:
            raise program.failed(f"Invalid --het-group value: {text}")
        found += range(int(low), last + 1)
    return sorted(set(found))
