"""Which lines do the tables of jobs, nodes and GPUs show, in which order?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from corral.cli.job_columns import job_id, letters_of, nodes_or_reason
from corral.model import ranges
from corral.syntax import arrayspec
from corral.syntax.duration import format_seconds

Row = dict[str, Any]

#: Lines of a table at most; what is beyond is counted.
MOST = 500

JOB_FIELDS = (
    "id", "array_job_id", "array_task_id", "array_waiting", "array_throttle", "het_job_id", "het_offset", "name", "user", "partition",
    "state", "reason", "why", "run_seconds", "time_limit", "nodes", "node_count", "cpus", "priority", "submit_time", "expected_start",
    "tres_alloc", "tres_req", "alloc_detail",
)  # fmt: skip
NODE_FIELDS = (
    "name", "state_long", "cpus", "cpus_alloc", "memory_mb", "memory_alloc_mb", "gres", "gres_used", "gpus_total", "gpus_alloc", "load",
    "jobs", "reason", "partitions", "gpus_busy", "gpus_memory_mb", "gpu_memory_mb",
)  # fmt: skip
_LIVE = ("RUNNING", "PENDING", "COMPLETING", "CONFIGURING", "SUSPENDED", "SPECIAL_EXIT")


class Column(NamedTuple):
    """Of one table."""

    title: str
    text: Callable[[Row], str]
    order: Callable[[Row], Any]
    descends: bool = False  #: the most is what one wants to see first


class View(NamedTuple):
    """What the user has chosen."""

    user: str = ""
    text: str = ""  #: somewhere in the line
    sort: int = -1  #: column; -1 = as it comes
    reverse: bool = False


class Lines(NamedTuple):
    """Of one table; `keys` name the rows from one look to the next."""

    keys: list[str]
    cells: list[tuple[str, ...]]
    rows: list[Row]
    total: int


def job_text(row: Row) -> str:
    return job_id(*(row[name] for name in JOB_FIELDS[:7]))


def gpus_of(row: Row) -> int:
    """Held, or asked for."""
    for part in (row["tres_alloc"] or row["tres_req"] or "").split(","):
        name, _, count = part.partition("=")
        if name == "gres/gpu":
            return int(count) if count.isdigit() else 0
    return 0


def percent_text(values: list[int]) -> str:
    """Of several GPUs the mean; "" = nobody has looked, or it cannot be told."""
    return f"{sum(values) / len(values):.0f}%" if values else ""


def _mean(values: list[int]) -> float:
    return sum(values) / len(values) if values else -1.0


def memory_text(used_mb: list[int], total_mb: int) -> str:
    """12.3/141G"""
    if not used_mb:
        return ""
    return f"{sum(used_mb) / 1024:.1f}" + (f"/{total_mb / 1024:.0f}G" if total_mb else "G")


def _busy(row: Row) -> list[int]:
    """Of a node, or of the GPUs that a job holds (see `with_gpu_use`): percent of each that can tell."""
    return [busy for busy in row.get("gpus_busy") or () if busy >= 0]


def _used(row: Row) -> list[int]:
    return [used for used in row.get("gpus_memory_mb") or () if used >= 0]


_STATE_ORDER = {"RUNNING": 0, "COMPLETING": 1, "CONFIGURING": 2, "SUSPENDED": 3, "PENDING": 4}

JOBS = (
    Column("JOBID", job_text, lambda row: row["id"]),
    Column("PARTITION", lambda row: row["partition"], lambda row: row["partition"]),
    Column("NAME", lambda row: row["name"], lambda row: row["name"]),
    Column("USER", lambda row: row["user"], lambda row: row["user"]),
    Column("ST", lambda row: letters_of(row["state"], row["reason"]), lambda row: _STATE_ORDER.get(row["state"], 9)),
    Column("TIME", lambda row: format_seconds(int(row["run_seconds"])), lambda row: row["run_seconds"], True),
    Column("LIMIT", lambda row: format_seconds(row["time_limit"]), lambda row: row["time_limit"], True),
    Column("NODES", lambda row: str(row["node_count"]), lambda row: row["node_count"], True),
    Column("CPUS", lambda row: str(row["cpus"]), lambda row: row["cpus"], True),
    Column("GPUS", lambda row: str(gpus_of(row) or "-"), gpus_of, True),
    Column("GPU%", lambda row: percent_text(_busy(row)), lambda row: _mean(_busy(row)), True),
    Column("GPUMEM", lambda row: memory_text(_used(row), 0), lambda row: sum(_used(row)), True),
    Column("PRIORITY", lambda row: str(row["priority"]), lambda row: row["priority"], True),
    Column(
        "NODELIST(REASON)",
        lambda row: nodes_or_reason(row["nodes"], row["state"], row["why"]),
        lambda row: row["nodes"],
    ),
)


def share(used: int, total: int, width: int = 10) -> str:
    """A bar and the numbers: ######---- 12/16."""
    if not total:
        return "-"
    full = round(width * min(used, total) / total)
    return f"{'█' * full}{'░' * (width - full)} {used}/{total}"


def _part(used: str, total: str) -> Callable[[Row], float]:
    return lambda row: row[used] / row[total] if row[total] else -1.0


NODES = (
    Column("NODE", lambda row: row["name"], lambda row: row["name"]),
    Column("STATE", lambda row: row["state_long"], lambda row: row["state_long"]),
    Column("CPUS", lambda row: share(row["cpus_alloc"], row["cpus"]), _part("cpus_alloc", "cpus"), True),
    Column(
        "MEMORY (GB)", lambda row: share(row["memory_alloc_mb"] // 1000, row["memory_mb"] // 1000),
        _part("memory_alloc_mb", "memory_mb"), True,
    ),
    Column("GPUS", lambda row: share(row["gpus_alloc"], row["gpus_total"]), _part("gpus_alloc", "gpus_total"), True),
    Column("GPU%", lambda row: percent_text(_busy(row)), lambda row: _mean(_busy(row)), True),
    Column("GPUMEM", lambda row: memory_text(_used(row), sum(row["gpu_memory_mb"])), lambda row: sum(_used(row)), True),
    Column("LOAD", lambda row: f"{row['load']:.2f}", lambda row: row["load"], True),
    Column("JOBS", lambda row: str(len(row["jobs"])), lambda row: len(row["jobs"]), True),
    Column("REASON", lambda row: row["reason"], lambda row: row["reason"]),
)  # fmt: skip


def _of_jobs(name: str) -> Callable[[Row], list[Any]]:
    return lambda row: [job[name] for job in row["jobs"]]


def _longest(row: Row) -> float:
    return max((job["run_seconds"] for job in row["jobs"]), default=-1.0)


GPUS = (
    Column("NODE", lambda row: row["node"], lambda row: row["node"]),
    Column("GPU", lambda row: str(row["index"]), lambda row: row["index"]),
    Column("TYPE", lambda row: row["type"], lambda row: row["type"]),
    Column("GPU%", lambda row: percent_text(_busy(row)), lambda row: _mean(_busy(row)), True),
    Column("GPUMEM", lambda row: memory_text(_used(row), row["memory_mb"]), lambda row: sum(_used(row)), True),
    Column("JOBID", lambda row: ",".join(map(job_text, row["jobs"])), _of_jobs("id"), True),
    Column("USER", lambda row: ",".join(sorted(set(_of_jobs("user")(row)))), _of_jobs("user"), True),
    Column("NAME", lambda row: ",".join(_of_jobs("name")(row)), _of_jobs("name"), True),
    Column("TIME", lambda row: format_seconds(int(_longest(row))) if row["jobs"] else "", _longest, True),
)


def gpu_rows(nodes: list[Row], jobs: list[Row]) -> list[Row]:
    """One for each GPU: whose is it?"""
    held: dict[tuple[str, int], list[Row]] = {}
    for job in jobs:
        for place in _gpus_held(job):
            held.setdefault(place, []).append(job)
    found = []
    for node in nodes:
        first = 0
        for kind, count in _kinds(node["gres"]):
            for index in range(first, first + count):
                jobs_there = held.get((node["name"], index), [])
                found.append({
                    "node": node["name"], "type": kind, "index": index, "jobs": jobs_there,
                    "memory_mb": sum(node["gpu_memory_mb"][index : index + 1]),
                    **{name: node[name][index : index + 1] for name in _USE},
                })  # fmt: skip
            first += count
    return found


_USE = ("gpus_busy", "gpus_memory_mb")


def with_gpu_use(jobs: list[Row], nodes: list[Row]) -> list[Row]:
    """Jobs with what is seen of the GPUs they hold; of a GPU that several share all that is seen of it."""
    by_name = {node["name"]: node for node in nodes if node["gpus_busy"] or node["gpus_memory_mb"]}
    found = []
    for job in jobs:
        held = [(by_name[node], index) for node, index in _gpus_held(job) if node in by_name]
        use = {name: [value for node, index in held for value in node[name][index : index + 1]] for name in _USE}
        found.append({**job, **use} if held else job)
    return found


def _gpus_held(job: Row) -> list[tuple[str, int]]:
    """Node and number, of whole ones and shares."""
    rows = job["alloc_detail"] or ()
    return [(node, index) for node, _, _, devices in rows for index in _numbers(devices)]


def _kinds(gres: str) -> list[tuple[str, int]]:
    """gpu:v100:8,gpu:a100:2"""
    found = []
    for part in _parts(gres):
        name, _, rest = part.partition("(")[0].partition(":")
        kind, _, count = rest.rpartition(":")
        if name == "gpu" and count.isdigit():
            found.append((kind, int(count)))
    return found


def _numbers(text: str) -> list[int]:
    """gpu:v100:2(IDX:0-1),shard:4(IDX:2): of which GPUs? They are counted through all kinds of a node."""
    found: set[int] = set()
    for part in _parts(text):
        name, _, rest = part.partition(":")
        indices = rest.rstrip(")").partition("(IDX:")[2]
        if name in ("gpu", "shard") and indices and indices != "N/A":
            found.update(arrayspec.parse(indices, 1 << 16).indices)
    return sorted(found)


def _parts(text: str) -> list[str]:
    """At the commas that are not in parentheses."""
    parts, depth = [""], 0
    for letter in text:
        depth += (letter == "(") - (letter == ")")
        if letter == "," and not depth:
            parts.append("")
        else:
            parts[-1] += letter
    return [part for part in parts if part]


def live(jobs: list[Row]) -> list[Row]:
    """Those that wait or run: first what runs, the longest first; then the queue in its order."""
    found = [row for row in jobs if row["state"] in _LIVE]
    return sorted(
        found, key=lambda row: (_STATE_ORDER.get(row["state"], 9), -row["priority"], row["submit_time"], row["id"])
    )


def lines(columns: tuple[Column, ...], rows: list[Row], view: View, key: Callable[[Row], str]) -> Lines:
    wanted = view.text.lower()
    if view.user:
        rows = [row for row in rows if _users(row) is None or view.user in (_users(row) or ())]
    if 0 <= view.sort < len(columns):
        column = columns[view.sort]
        rows = sorted(rows, key=column.order, reverse=column.descends != view.reverse)
    elif view.reverse:
        rows = rows[::-1]
    found = [(key(row), tuple(column.text(row) for column in columns), row) for row in rows[: None if wanted else MOST]]
    if wanted:
        found = [one for one in found if any(wanted in cell.lower() for cell in one[1])]
    total = len(found) if wanted else len(rows)
    found = found[:MOST]
    return Lines([one[0] for one in found], [one[1] for one in found], [one[2] for one in found], total)


def _users(row: Row) -> set[str] | None:
    """Whose it is; None = it is nobody's, as a node."""
    if "user" in row:
        return {row["user"]}
    if "index" in row:
        return {job["user"] for job in row["jobs"]}
    return None


def summary(jobs: list[Row], nodes: list[Row]) -> str:
    runs = sum(row["state"] == "RUNNING" for row in jobs)
    waits = sum(_count(row) for row in jobs if row["state"] in ("PENDING", "SPECIAL_EXIT"))
    used, total = sum(row["gpus_alloc"] for row in nodes), sum(row["gpus_total"] for row in nodes)
    cpus, all_cpus = sum(row["cpus_alloc"] for row in nodes), sum(row["cpus"] for row in nodes)
    away = sum(row["state_long"].startswith(("down", "drain", "fail", "unk")) for row in nodes)
    text = f"{runs} run, {waits} wait · {len(nodes)} nodes" + (f", {away} not usable" if away else "")
    return f"{text} · CPUs {cpus}/{all_cpus} · GPUs {used}/{total}"


def _count(row: Row) -> int:
    """Elements of an array that wait."""
    if row["array_job_id"] is None or row["array_task_id"] is not None:
        return 1
    return ranges.count(row["array_waiting"])
