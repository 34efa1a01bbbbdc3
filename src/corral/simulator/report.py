"""How are simulations told: side by side in a table, as JSON, as the times of every job in CSV?"""

import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from corral.simulator.metrics import BOUND, Metrics, bounded_slowdown, by_user
from corral.simulator.study import Result, Setting

#: Name and value, in the order in which they are printed.
ROWS: tuple[tuple[str, Callable[[Metrics], str]], ...] = (
    ("jobs run", lambda m: str(m.jobs)),
    ("not run", lambda m: str(m.not_run)),
    ("ended by their limit", lambda m: str(m.timeouts)),
    ("requeued", lambda m: str(m.requeues)),
    ("nodes broken", lambda m: str(m.breakdowns)),
    ("makespan, h", lambda m: f"{m.makespan / 3600:.1f}"),
    ("utilisation, %", lambda m: f"{m.utilisation * 100:.2f}"),
    ("GPU utilisation, %", lambda m: "-" if m.gpu_utilisation is None else f"{m.gpu_utilisation * 100:.2f}"),
    ("free while wanted, %", lambda m: f"{m.fragmentation * 100:.2f}"),
    ("mean wait, s", lambda m: f"{m.wait.mean:.1f}"),
    ("median wait, s", lambda m: f"{m.wait.median:.1f}"),
    ("95 % wait at most, s", lambda m: f"{m.wait.p95:.1f}"),
    ("longest wait, s", lambda m: f"{m.wait.max:.1f}"),
    ("mean bounded slowdown", lambda m: f"{m.slowdown.mean:.2f}"),
    ("95 % slowed at most", lambda m: f"{m.slowdown.p95:.2f}"),
    ("fairness by user", lambda m: f"{m.fairness:.4f}"),
    ("energy, kWh", lambda m: "-" if m.energy_kwh is None else f"{m.energy_kwh:.1f}"),
)


def labels(results: Sequence[Result]) -> list[str]:
    many = len({result.seed for result in results}) > 1
    return [f"{one.policy} #{one.seed}" if many else one.policy for one in results]


def cells(results: Sequence[Result]) -> list[list[str]]:
    """What is the same for all and says nothing is left out."""
    rows = [[name, *(value(one.metrics) for one in results)] for name, value in ROWS]
    return [row for row in rows if any(cell not in ("-", "0") for cell in row[1:]) or row[0] in ("jobs run", "not run")]


def table(setting: Setting, results: Sequence[Result]) -> str:
    lines = [["", *labels(results)], *cells(results)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    text = [
        "  ".join([line[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(line[1:], widths[1:], strict=True))]).rstrip()
        for line in lines
    ]
    return "\n".join([*text, *notes(setting, results)])


def notes(setting: Setting, results: Sequence[Result]) -> list[str]:
    """What is not in the figures, and why."""
    found = [f"left out: {count} with {why}" for why, count in sorted(setting.left_out.items())]
    for name, one in zip(labels(results), results, strict=True):
        found += [f"{name}: {count} refused: {why}" for why, count in sorted(one.outcome.refused.items())]
        if one.outcome.never:
            found.append(f"{name}: {len(one.outcome.never)} could not start and wait still")
    return found


def as_json(setting: Setting, results: Sequence[Result]) -> str:
    runs = [_as_json(one) for one in results]
    machine = {"nodes": len(setting.nodes), "cpus": sum(node.cpus for node in setting.nodes)}
    gpus = sum(device.count for node in setting.nodes for device in node.gres if device.name == "gpu")
    document = {
        "workload": setting.name, "machine": machine | {"gpus": gpus}, "left_out": dict(sorted(setting.left_out.items())),
        "bound": BOUND, "runs": runs,
    }  # fmt: skip
    return json.dumps(document, indent=2)


def _as_json(one: Result) -> dict[str, Any]:
    ran = [run for run in one.outcome.runs if run.start is not None]
    waits = by_user(ran, [run.wait for run in ran])
    slowdowns = by_user(ran, [bounded_slowdown(run) for run in ran])
    users = {user: {"mean_wait": waits[user], "mean_slowdown": slowdowns[user]} for user in waits}
    return {
        "policy": one.policy, "seed": one.seed, **msgspec.to_builtins(one.metrics),
        "refused": dict(sorted(one.outcome.refused.items())), "waiting": len(one.outcome.never), "users": users,
    }  # fmt: skip


COLUMNS = (
    "policy", "seed", "job", "user", "submit", "start", "end", "wait", "bounded_slowdown", "cpus", "gpus", "limit", "state",
)  # fmt: skip


def write_csv(path: Path, results: Sequence[Result]) -> None:
    """Every job of every simulation, in the order of their ends. Times are seconds."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for one in results:
            for run in one.outcome.runs:
                has_run = run.start is not None
                writer.writerow([
                    one.policy, one.seed, run.number, run.user, _number(run.submit), _number(run.start), _number(run.end),
                    _number(run.wait), f"{bounded_slowdown(run):.4f}" if has_run else "", run.cpus, run.gpus, run.limit,
                    run.state.value,
                ])  # fmt: skip


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}".rstrip("0").rstrip(".")
