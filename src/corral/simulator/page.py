"""How do simulations look on one page: the figures, and plots of how full the cluster was, who waited, and for how long?"""

from collections.abc import Sequence
from html import escape

from corral.simulator import plots, report
from corral.simulator.metrics import bounded_slowdown, by_user
from corral.simulator.outcome import Outcome
from corral.simulator.study import Result, Setting

#: Points of one line.
POINTS = 400
HOUR = 3600.0
#: So many users are drawn.
USERS = 12
#: More simulations than this are not drawn: nobody could tell the lines apart.
MOST_DRAWN = len(plots.COLOURS)

STYLE = """
:root { color-scheme: light dark; --ink: #1d2430; --soft: #667085; --line: #d8dde6; --back: #ffffff; --card: #f7f8fa; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ef; --soft: #9aa3b2; --line: #353c48; --back: #14171c; --card: #1b1f26; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2rem 1.25rem 4rem; max-width: 62rem; background: var(--back); color: var(--ink);
  font: 15px/1.5 system-ui, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; }
h1 { font-size: 1.5rem; margin: 0 0 .2rem; } h2 { font-size: 1.05rem; margin: 2.2rem 0 .4rem; }
p { margin: .3rem 0; } p.under { color: var(--soft); }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; margin-top: 1rem; }
th, td { padding: .32rem .6rem; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
th:first-child, td:first-child { text-align: left; font-weight: 400; color: var(--soft); }
.wide { overflow-x: auto; }
figure { margin: 0; padding: .8rem; background: var(--card); border: 1px solid var(--line); border-radius: 10px; }
svg { width: 100%; height: auto; display: block; } svg text { fill: var(--soft); font-size: 11.5px; }
svg text.value { font-size: 10px; } svg .grid { stroke: var(--line); stroke-width: 1; } svg .axis { stroke: var(--soft); stroke-width: 1; }
.legend { display: flex; flex-wrap: wrap; gap: .2rem 1.1rem; color: var(--soft); font-size: 13px; margin: .2rem 0 .6rem; }
.legend i { display: inline-block; width: .8em; height: .8em; border-radius: 3px; margin-right: .4em; vertical-align: -1px; }
ul { color: var(--soft); padding-left: 1.2rem; }
"""


def html(setting: Setting, results: Sequence[Result]) -> str:
    """One file, with all that it needs."""
    drawn = list(results[:MOST_DRAWN])
    names = report.labels(results)
    shown = names[: len(drawn)]
    cpus, gpus = sum(node.cpus for node in setting.nodes), results[0].outcome.gpus if results else 0
    machine = f"{len(setting.nodes):,} nodes, {cpus:,} CPUs" + (f", {gpus:,} GPUs" if gpus else "")
    what = "GPUs" if gpus else "CPUs"
    notes = "".join(f"<li>{escape(note)}</li>" for note in report.notes(setting, results))
    sections = [
        (f"{what} in use", "Share of the cluster over time.", plots.lines(
            [(n, over_time(one.outcome, one.outcome.used, 100, 120)) for n, one in zip(shown, drawn, strict=True)],
            "hours", "% in use", stepped=True, top=100)),
        ("Jobs that wait", "How many, over time.", plots.lines(
            [(n, over_time(one.outcome, one.outcome.queued, 1)) for n, one in zip(shown, drawn, strict=True)],
            "hours", "jobs", stepped=True)),
        ("How long jobs waited", "Share of the jobs that waited at most so long.", plots.lines(
            [(n, shares([r.wait for r in one.outcome.runs if r.start is not None])) for n, one in zip(shown, drawn, strict=True)],
            "seconds", "% of jobs", log=True, top=100)),
        ("How much jobs were slowed down", "Share of the jobs of which the bounded slowdown is at most so much.", plots.lines(
            [(n, shares([bounded_slowdown(r) for r in one.outcome.runs if r.start is not None]))
             for n, one in zip(shown, drawn, strict=True)],
            "bounded slowdown", "% of jobs", log=True, top=100)),
        ("By user", f"Mean bounded slowdown of the {USERS} who submitted most.", plots.bars(
            users(drawn), shown, "mean bounded slowdown")),
    ]  # fmt: skip
    legend = plots.legend(shown)
    figures = "".join(
        f'<h2>{escape(title)}</h2><p class="under">{escape(text)}</p><figure>{legend}{figure}</figure>'
        for title, text, figure in sections
    )
    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    rows = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in report.cells(results))
    return (
        '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n<meta name="viewport" content="width=device-width">\n'
        f"<title>{escape(setting.name)}: corral simulate</title>\n<style>{STYLE}</style>\n"
        f'<h1>{escape(setting.name)}</h1>\n<p class="under">{escape(machine)}</p>\n'
        f'<div class="wide"><table><tr><th></th>{head}</tr>{rows}</table></div>\n'
        f"{f'<ul>{notes}</ul>' if notes else ''}\n{figures}\n</html>\n"
    )


def over_time(
    outcome: Outcome, values: Sequence[float], factor: float, points: int = POINTS
) -> list[tuple[float, float]]:
    """Means over equal times, so that a long run has no more points than a short one."""
    if not outcome.times:
        return []
    begin, end = outcome.times[0], outcome.now
    step = (end - begin) / points or 1.0
    sums, at = [0.0] * points, 0
    for index, start in enumerate(outcome.times):
        until = outcome.times[index + 1] if index + 1 < len(outcome.times) else end
        at = min(points - 1, int((start - begin) / step))
        while True:
            edge = until if at == points - 1 else min(until, begin + (at + 1) * step)
            sums[at] += max(0.0, edge - start) * values[index]
            if edge >= until:
                break
            start, at = edge, at + 1
    return [((begin + n * step) / HOUR, total / step * factor) for n, total in enumerate(sums)]


def shares(values: Sequence[float]) -> list[tuple[float, float]]:
    """Which share of them, in percent, is at most so much."""
    ordered = sorted(values)
    if not ordered:
        return []
    last = len(ordered) - 1
    picks = sorted({round(last * n / POINTS) for n in range(POINTS + 1)})
    return [(ordered[n], (n + 1) / (last + 1) * 100) for n in picks]


def users(results: Sequence[Result]) -> list[tuple[str, list[float]]]:
    counts: dict[str, int] = {}
    means = []
    for one in results:
        ran = [run for run in one.outcome.runs if run.start is not None]
        means.append(by_user(ran, [bounded_slowdown(run) for run in ran]))
        for run in ran:
            counts[run.user] = counts.get(run.user, 0) + 1
    most = sorted(counts, key=lambda user: (-counts[user], user))[:USERS]
    return [(user, [mean.get(user, 0.0) for mean in means]) for user in most]
