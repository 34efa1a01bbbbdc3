"""How are the figures of simulations printed: side by side, as JSON?"""

import json
from collections.abc import Callable, Sequence

import msgspec

from corral.simulator.metrics import Metrics, as_json


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """One simulation: a policy, a seed, and what came out."""

    policy: str
    seed: int
    metrics: Metrics


#: Name and value, in the order in which they are printed.
ROWS: tuple[tuple[str, Callable[[Metrics], str]], ...] = (
    ("jobs run", lambda m: str(m.jobs)),
    ("not run", lambda m: str(m.not_run)),
    ("ended by their limit", lambda m: str(m.timeouts)),
    ("makespan, h", lambda m: f"{m.makespan / 3600:.1f}"),
    ("utilisation, %", lambda m: f"{m.utilisation * 100:.2f}"),
    ("GPU utilisation, %", lambda m: "-" if m.gpu_utilisation is None else f"{m.gpu_utilisation * 100:.2f}"),
    ("free while waited for, %", lambda m: f"{m.fragmentation * 100:.2f}"),
    ("mean wait, s", lambda m: f"{m.wait.mean:.1f}"),
    ("median wait, s", lambda m: f"{m.wait.median:.1f}"),
    ("95 % wait at most, s", lambda m: f"{m.wait.p95:.1f}"),
    ("longest wait, s", lambda m: f"{m.wait.max:.1f}"),
    ("mean bounded slowdown", lambda m: f"{m.slowdown.mean:.2f}"),
    ("fairness by user", lambda m: f"{m.fairness:.4f}"),
)


def table(results: Sequence[Result]) -> str:
    many = len({result.seed for result in results}) > 1
    heads = [f"{one.policy} #{one.seed}" if many else one.policy for one in results]
    lines = [["", *heads], *([name, *(value(one.metrics) for one in results)] for name, value in ROWS)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(heads) + 1)]
    return "\n".join(
        "  ".join(
            [line[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True))]
        ).rstrip()
        for line in lines
    )


def as_text(workload: str, results: Sequence[Result]) -> str:
    """JSON for programs."""
    runs = [{"policy": one.policy, "seed": one.seed, **as_json(one.metrics)} for one in results]
    return json.dumps({"workload": workload, "runs": runs}, indent=2)
