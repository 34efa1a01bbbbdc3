"""How is it said to people why a job waits, or why a node is idle?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from corral.cli.times import moment

Answer = dict[str, Any]

#: Longer lists of nodes are cut: how many there are stands beside them.
_LONGEST_LIST = 32
_YEAR = 365 * 86400


def of_job(why: Answer) -> list[str]:
    """One job, or array element."""
    name = f" ({why['name']})" if why["name"] else ""
    head = f"Job {why['job']}{name} of {why['user']} in {why['partition']}"
    if why["state"] != "PENDING":
        return [f"{head}: {why['state']}", *_settled(why)]
    lines = [f"{head} waits: {why['reason']}", ""]
    causes = why["causes"]
    if len(causes) < 2:
        lines.append(_cause(causes[0], why) if causes else why["summary"])
    else:
        lines += [f"{number}. {_cause(one, why)}" for number, one in enumerate(causes, 1)]
    for place in why["places"]:
        lines += ["", *_place(place, why)]
    if why["ahead"] and why["ahead"]["count"]:
        lines += ["", *_ahead(why["ahead"])]
    if why["planned"]:
        lines += ["", *_planned(why["planned"], why["time"])]
    if why["suggestions"]:
        lines += ["", "It would start sooner"]
        lines += [f"  {one['text']}: {_when(one, why['time'])}, on {short(one['nodes'])}" for one in why["suggestions"]]
    elif why["tried"]:
        lines += ["", f"No smaller request was found with which it would start sooner ({why['tried']} tried)."]
    return lines


def _settled(why: Answer) -> Iterator[str]:
    yield why["summary"]
    if why["start"]:
        yield (
            f"Since {moment(why['start'])}, on {short(why['nodes'])}."
            if why["nodes"]
            else f"Since {moment(why['start'])}."
        )
    if why["end"]:
        ended = why["state"] not in ("RUNNING", "SUSPENDED", "CONFIGURING", "COMPLETING")
        yield f"Ended {moment(why['end'])}." if ended else f"Its time limit ends it {moment(why['end'])}."


def _cause(cause: Answer, why: Answer) -> str:
    text: str = cause["text"]
    times = []
    if cause.get("since") and cause["since"] > why["time"]:
        times.append(f"from {moment(cause['since'])} on")
    elif cause.get("since"):
        times.append(f"since {moment(cause['since'])}")
    if cause.get("until"):
        times.append(f"until {moment(cause['until'])} ({distance(cause['until'] - why['time'])})")
    return f"{text} {', '.join(times)[:1].upper()}{', '.join(times)[1:]}." if times else text


def _place(place: Answer, why: Answer) -> Iterator[str]:
    where = f"partition {place['partition']}" + (
        f", reservation {place['reservation']}" if place["reservation"] else ""
    )
    yield f"It asks for {place['asks']}."
    had = f"{place['fit']} can be had now" + (
        f" (it needs {place['needed']})" if place["fit"] < place["needed"] else ""
    )
    yield f"Of the {_count(place['total'], 'node')} of {where} {had}:"
    lists = [short(lack["nodes"]) for lack in place["lacks"]]
    width = max(map(len, lists), default=0)
    for lack, nodes in zip(place["lacks"], lists, strict=True):
        kept = f", from {moment(lack['start'])} on" if lack["start"] else ""
        yield f"  {lack['count']:4}  {nodes:{width}}  {lack['text']}{kept}"
    each = [f"{one['text']} on {one['free']} (empty: {one['ever']})" for one in place["each"]]
    yield f"  each by itself, whatever the node's state: {'; '.join(each)}"


def _ahead(ahead: Answer) -> Iterator[str]:
    hidden = f", {ahead['hidden']} of them not yours to see" if ahead["hidden"] else ""
    yield f"Before it: {_count(ahead['count'], 'job')}{hidden}."
    rows = [*ahead["first"], ahead["own"]]
    if len(rows) < 2:
        return
    head, table = _table(rows)
    more = ahead["count"] - ahead["hidden"] - len(ahead["first"])
    yield from columns([head, *table[:-1]], [head, *table])
    if more > 0:
        yield f"  ... and {more} more"
    yield from columns([table[-1]], [head, *table])


def _table(rows: list[Answer]) -> tuple[list[str], list[list[str]]]:
    """Jobs side by side, with what their priorities are made of."""
    terms = list(dict.fromkeys(name for row in rows for name in row["terms"]))
    tiers = len({row["tier"] for row in rows}) > 1
    head = ["JOB", "USER", "PARTITION", *(["TIER"] if tiers else []), "PRIORITY", *map(str.upper, terms), "START"]
    table = []
    for row in rows:
        line = [row["job"], row["user"], row["partition"], *([str(row["tier"])] if tiers else []), str(row["priority"])]
        line += [f"{row['terms'].get(name, 0):.0f}" if row["terms"] else "" for name in terms]
        table.append([*line, moment(row["start"], "-")])
    return head, table


def columns(rows: list[list[str]], like: list[list[str]] | None = None) -> list[str]:
    """Aligned as wide as all of `like` are."""
    widths = [max(len(row[number]) for row in like or rows) for number in range(len(rows[0]))]
    return ["  " + "  ".join(f"{cell:>{width}}" for cell, width in zip(row, widths, strict=True)) for row in rows]


def _planned(planned: Answer, now: float) -> Iterator[str]:
    start = planned["start"]
    when = f"{moment(start)} ({distance(start - now)}), on {short(planned['nodes'])}"
    if start - now > _YEAR * 0.9:
        yield f"It will start on {short(planned['nodes'])}; nobody knows when: jobs without a time limit are in its way."
    elif planned["is_firm"]:
        yield f"Planned start: {when}."
    else:
        yield f"No start is planned for it yet; beside those that are, it could be {when}, at the earliest."
    awaits = planned["awaits"]
    if not awaits:
        return
    yield "It waits for the end, at the latest, of"
    for one in awaits:
        who = f"job {one['job']} of {one['user']}" if one["job"] else "a job of another user"
        yield f"  {who}: {_end(one['ends'], now)} ({short(one['nodes'])})"
    if planned["more"]:
        yield f"  and {_count(planned['more'], 'job')} that end before these"


def _end(ends: float, now: float) -> str:
    return "no time limit" if ends - now > _YEAR * 0.9 else moment(ends)


def _when(suggestion: Answer, now: float) -> str:
    return "now" if suggestion["now"] else distance(suggestion["start"] - now)


def of_node(why: Answer) -> list[str]:
    free = [
        f"{why['cpus'][0]} of {_count(why['cpus'][1], 'CPU')}",
        f"{_mib(why['memory_mb'][0])} of {_mib(why['memory_mb'][1])}",
    ]
    free += [f"{units[0]} of {units[1]} {kind}" for kind, units in why["gres"].items()]
    lines = [f"Node {why['node']} ({', '.join(why['partitions']) or 'in no partition'}): {why['state']}"]
    lines += [f"Free: {', '.join(free)}; {_count(why['jobs'], 'job')} on it.", ""]
    causes = why["causes"]
    if len(causes) < 2:
        return [*lines, _cause(causes[0], why) if causes else why["summary"]]
    return [*lines, *(f"{number}. {_cause(one, why)}" for number, one in enumerate(causes, 1))]


def of_queue(queue: Answer) -> list[str]:
    """The queue as a whole."""
    hidden = f" (and {queue['hidden']} not yours to see)" if queue["hidden"] else ""
    counts = ", ".join(f"{count} {reason}" for reason, count in queue["reasons"].items())
    verb = "waits" if queue["waiting"] == 1 else "wait"
    lines = [f"{_count(queue['waiting'], 'job')} {verb}{hidden}" + (f": {counts}." if counts else ".")]
    lines.append(f"{_count(queue['running'], 'job')} {'runs' if queue['running'] == 1 else 'run'}.")
    if queue["first"]:
        head, table = _table(queue["first"])
        rows = [[*line, row["reason"]] for line, row in zip(table, queue["first"], strict=True)]
        lines += ["", "First come", *columns([[*head, "REASON"], *rows])]
    nodes = queue["nodes"]
    states = (("idle", "idle"), ("partly", "partly free"), ("full", "full"), ("away", "away"))
    said = ", ".join(f"{nodes[word]} {text}" for word, text in states if nodes[word])
    free = [f"{queue['cpus'][0]} of {_count(queue['cpus'][1], 'CPU')}"]
    free.append(f"{_mib(queue['memory_mb'][0])} of {_mib(queue['memory_mb'][1])}")
    free += [f"{units[0]} of {units[1]} {kind}" for kind, units in queue["gres"].items()]
    lines += ["", f"Nodes: {said or 'none'}. Free on those that are up: {', '.join(free)}."]
    lines += [f"  {lack['count']:4}  {short(lack['nodes'])}  {lack['text']}" for lack in queue["away"]]
    return lines


def distance(seconds: float) -> str:
    """in 12 min, in 3 h 20 min, in 2 d 4 h."""
    if seconds < 1:
        return "now"
    for unit, size, below, part in (("d", 86400, "h", 3600), ("h", 3600, "min", 60)):
        if seconds >= size:
            rest = int(seconds % size // part)
            return f"in {int(seconds // size)} {unit}" + (f" {rest} {below}" if rest else "")
    return f"in {int(-(-seconds // 60))} min" if seconds >= 60 else f"in {int(seconds)} s"


def short(nodes: str) -> str:
    return nodes if len(nodes) <= _LONGEST_LIST else f"{nodes[: _LONGEST_LIST - 3]}..."


def _count(number: int, noun: str) -> str:
    return f"{number} {noun if number == 1 else noun + 's'}"


def _mib(amount: int) -> str:
    return f"{amount / 1024:.1f}".removesuffix(".0") + " GiB" if amount >= 1024 else f"{amount} MiB"
