"""How many nodes fit each demand of a job by itself and all of them together, and what do the rest lack?

Each demand is looked at with the very functions that place the job (feasibility.py), with the other demands taken out. A node that fails
is counted once, with the weightiest of what stands against it: that it is away, is reserved, does not have what is wanted at all, has
it but not free, or is kept for jobs that come before.
"""

from collections.abc import Iterable
from typing import NamedTuple

import msgspec
import numpy as np

from corral.model.gres import GresRequest
from corral.protocol.explanations import Ask, Lack, Place
from corral.scheduler import nodewords, words
from corral.scheduler.demand import ALL_MEMORY, ANY_CORES, Demand
from corral.scheduler.feasibility import (
    MANY,
    feature_rows,
    gpus_per_node,
    on_sockets,
    static_rows,
    task_capacity,
    without_others,
)
from corral.scheduler.nodetable import BoolColumn, IntColumn, NodeTable
from corral.scheduler.reservations import Reserved
from corral.syntax import hostlist

#: So many kinds of lacks are told apart; the rarest are put together.
MOST_LACKS = 12


class Kept(NamedTuple):
    """Nodes that are kept for a planned start."""

    start: float
    rows: BoolColumn
    job: str  #: "" = it may not be told


class Sight(NamedTuple):
    """The nodes as one of a job's demands finds them."""

    table: NodeTable
    demand: Demand
    partition_rows: BoolColumn
    reserved: Reserved
    now: float
    span: float
    kept: tuple[Kept, ...] = ()
    away: dict[str, str] = {}  #: node -> why it is not usable


def place_of(sight: Sight) -> Place:
    """All that can be said of the nodes of one partition."""
    table, demand = sight.table, sight.demand
    empty = table.emptied()
    rows = sight.partition_rows
    least = tasks_each(demand)
    found = [(one, has(table, one, least), has(empty, one, least)) for one in criteria(table, demand)]
    ever = static_rows(empty, demand, rows) & (task_capacity(empty, demand, rows) >= least)
    mine, withheld = _open_rows(sight, rows)
    capacity = task_capacity(withheld, demand, static_rows(table, demand, mine) & table.usable)
    fit = (capacity >= least) & ~_kept(sight, len(table))
    return Place(
        partition=demand.partition,
        reservation=demand.reservation.strip("\n"),
        asks=words.of_demand(demand),
        total=int(rows.sum()),
        needed=max(demand.nodes_min, len(demand.nodelist)),
        fit=int(fit.sum()),
        ever=int(ever.sum()),
        room=min(MANY, int(np.minimum(capacity, MANY)[fit].sum())),
        tasks=demand.ntasks or demand.nodes_min,
        each=tuple(
            Ask(name=one.name, text=one.text, free=int((now & rows).sum()), ever=int((at_all & rows).sum()))
            for one, now, at_all in found
        ),
        lacks=tuple(_lacks(sight, rows, mine, fit, found)),
        licenses=",".join(
            f"{name}:{count} ({max(0, table.licenses.free(name))} of {table.licenses.total.get(name, 0)} are free)"
            for name, count in demand.licenses
            if count > table.licenses.free(name)
        ),
    )


def tasks_each(demand: Demand) -> int:
    """A node is of use if it takes so many tasks."""
    if demand.tasks_per_node:
        return demand.tasks_per_node
    return demand.ntasks or 1 if demand.nodes_max == 1 else 1


# -- one demand by itself


class Criterion(NamedTuple):
    name: str
    text: str
    alone: Demand | None  #: nothing but this; None = `rows` says it
    rows: BoolColumn | None = None
    column: IntColumn | None = None  #: how much is free
    unit: str = ""
    otherwise: str = ""  #: what is so where it is not fulfilled; "" = they lack it


def criteria(table: NodeTable, demand: Demand) -> list[Criterion]:
    """What it asks of a node, one by one."""
    blank = Demand(partition=demand.partition, nodes_min=1, nodes_max=None, ntasks=None, cpus_per_task=1)
    found = [*_of_names(table, demand)]
    cpus = max(demand.cpus_per_node, demand.cpus_per_gpu * max(1, gpus_per_node(demand)) if demand.cpus_per_gpu else 1)
    alone = msgspec.structs.replace(
        blank, ntasks=demand.ntasks, nodes_max=demand.nodes_max, cpus_per_task=demand.cpus_per_task, tasks_per_node=demand.tasks_per_node,
        cpus_per_node=cpus, geometry=demand.geometry, overcommit=demand.overcommit, cpus_limit=demand.cpus_limit,
        sharers=demand.sharers, tasks_on=(),
    )  # fmt: skip
    each = tasks_each(demand)
    found.append(Criterion("cpus", words.cpus(demand, each), alone, None, table.free_cpus, "CPU"))
    memory = _memory(demand, blank, each)
    if memory is not None:
        found.append(Criterion("memory", words.memory(demand), memory, None, table.free_memory, "MiB"))
    found += _of_gres(table, demand, blank, each)
    if demand.share is not None:
        found.append(_of_share(table, blank, demand, demand.share))
    if demand.exclusive:
        found.append(
            Criterion(
                "exclusive",
                "a node without other jobs",
                msgspec.structs.replace(blank, exclusive=True),
                otherwise="other jobs run there",
            )
        )
    if demand.user >= 0:
        users = msgspec.structs.replace(blank, user=demand.user, only_user=demand.only_user)
        found.append(
            Criterion("users", "a node without other users' jobs", users, otherwise="other users' jobs run there")
        )
    return found


def _of_names(table: NodeTable, demand: Demand) -> Iterable[Criterion]:
    if demand.nodelist and demand.nodes_min <= len(demand.nodelist):
        named = _named(table, demand.nodelist)
        yield Criterion(
            "nodes",
            f"node {hostlist.fold(list(demand.nodelist))}",
            None,
            named,
            otherwise="are not those that it names",
        )
    if demand.exclude:
        yield Criterion(
            "exclude",
            f"not {hostlist.fold(list(demand.exclude))}",
            None,
            ~_named(table, demand.exclude),
            otherwise="are excluded by its request",
        )
    if demand.constraint:
        rows = feature_rows(table, demand.constraint)
        yield Criterion("features", f"features {demand.constraint}", None, rows)
    if demand.pod is not None:
        if nodewords.has_taints(table):
            rows = nodewords.by_taints(table, demand.pod)
            yield Criterion(
                "taints",
                "a node whose taints it tolerates",
                None,
                rows,
                otherwise="have taints that it does not tolerate",
            )
        if demand.pod.selected or demand.pod.required:
            rows = nodewords.by_selector(table, demand.pod)
            yield Criterion("labels", "the labels of its nodeSelector and affinity", None, rows)
    if demand.tmp_disk_mb:
        yield Criterion("tmp", f"{words.mib(demand.tmp_disk_mb)} of disk", None, table.tmp_disk >= demand.tmp_disk_mb)
    asked = demand.geometry
    if asked is not ANY_CORES and (asked.sockets or asked.cores or asked.threads):
        rows = (table.sockets >= asked.sockets) & (table.cores >= asked.cores) & (table.threads >= asked.threads)
        yield Criterion("sockets", words.geometry(asked), None, rows)


def _memory(demand: Demand, blank: Demand, each: int) -> Demand | None:
    if demand.memory_per_node_mb:
        return msgspec.structs.replace(blank, memory_per_node_mb=demand.memory_per_node_mb)
    if demand.memory_per_cpu_mb:
        least = demand.memory_per_cpu_mb * demand.cpus_per_task * each
        return msgspec.structs.replace(blank, memory_per_node_mb=least)
    if demand.memory_per_gpu_mb:
        per_task = sum(one.count for one in demand.gres_per_task if one.name == "gpu") * each
        least = demand.memory_per_gpu_mb * max(1, gpus_per_node(demand) or per_task)
        return msgspec.structs.replace(blank, memory_per_node_mb=least)
    return None


def _of_gres(table: NodeTable, demand: Demand, blank: Demand, each: int) -> Iterable[Criterion]:
    sockets = max(1, demand.geometry.sockets)
    wanted = [(one.name, one.type, one.count) for one in demand.gres_per_node]
    wanted += [(one.name, one.type, one.count * each) for one in demand.gres_per_task]
    wanted += [(one.name, one.type, one.count * sockets) for one in on_sockets(demand)]
    wanted += [(one.name, one.type, one.count if demand.nodes_max == 1 else 1) for one in demand.gres_total]
    for name, type, count in wanted:
        request = GresRequest(name, type, count)
        kind = f"gres/{name}:{type}" if type else f"gres/{name}"
        text = words.units(name, type, count)
        alone = msgspec.structs.replace(blank, gres_per_node=(request,))
        yield Criterion(kind, text, alone, None, table.gres_column(name, type), words.unit_of(name, type))


def _of_share(table: NodeTable, blank: Demand, demand: Demand, share: GresRequest) -> Criterion:
    alone = msgspec.structs.replace(blank, share=share, owner=demand.owner)
    of_type = f" ({share.type})" if share.type else ""
    text = f"{share.amount} of a GPU{of_type}" if share.milli else f"{share.count} shards of a GPU{of_type}"
    owner = "" if demand.owner < 0 else ", on one of no other user's jobs"
    return Criterion("gres/shard", text + owner, alone)


def _named(table: NodeTable, names: Iterable[str]) -> BoolColumn:
    rows: BoolColumn = np.zeros(len(table), np.bool_)
    rows[[table.index[name] for name in names if name in table.index]] = True
    return rows


def has(table: NodeTable, one: Criterion, least: int) -> BoolColumn:
    """Which nodes have it free?"""
    if one.alone is None:
        assert one.rows is not None
        return one.rows
    if one.name == "cpus":
        everything: BoolColumn = np.ones(len(table), np.bool_)
        return task_capacity(table, one.alone, everything) >= least
    return _alone(table, one.alone)


def _alone(table: NodeTable, asked: Demand) -> BoolColumn:
    """Without the CPU that each task needs."""
    rows: BoolColumn = np.ones(len(table), np.bool_)
    if asked.memory_per_node_mb == ALL_MEMORY:
        rows = table.free_memory >= table.memory
    elif asked.memory_per_node_mb:
        rows = table.free_memory >= asked.memory_per_node_mb
    for request in asked.gres_per_node:
        rows = rows & (table.gres_column(request.name, request.type) >= request.count)
    if asked.exclusive:
        rows = rows & (table.jobs == 0)
    if asked.user >= 0:
        rows = rows & (without_others(table, asked, np.ones(len(table), np.int64)) > 0)
    return rows


# -- all of them together


def _open_rows(sight: Sight, rows: BoolColumn) -> tuple[BoolColumn, NodeTable]:
    """What reservations leave to it, of the nodes and of the table."""
    reserved, demand = sight.reserved, sight.demand
    if not reserved and not demand.reservation:
        return rows, sight.table
    if not reserved.is_open(demand, sight.now):
        return rows & False, sight.table
    kept = reserved.kept(demand, sight.now, sight.now + sight.span)
    view = reserved.view(demand, kept)
    return reserved.rows(demand, rows, kept), sight.table if view is None else view(sight.table)


def _kept(sight: Sight, size: int) -> BoolColumn:
    rows: BoolColumn = np.zeros(size, np.bool_)
    for one in sight.kept:
        if one.start < sight.now + sight.span:
            rows |= one.rows
    return rows


def _lacks(
    sight: Sight,
    rows: BoolColumn,
    mine: BoolColumn,
    fit: BoolColumn,
    found: list[tuple[Criterion, BoolColumn, BoolColumn]],
) -> list[Lack]:
    """What stands against each node that can't be had, the same things together."""
    table = sight.table
    left = rows & ~fit
    lacks = [*_away(sight, left & ~table.usable)]
    left &= table.usable
    lacks += _together(table, left, [(one, ~at_all) for one, _, at_all in found], "never")
    for _, _, at_all in found:
        left &= at_all
    kept_away = left & ~mine
    if kept_away.any():
        lacks.append(_lack(table, kept_away, "reserved", _reserved_for(sight, kept_away)))
    left &= mine
    busy = left.copy()
    for _, now, _ in found:
        busy &= now
    lacks += _together(table, left & ~busy, [(one, ~now) for one, now, _ in found], "busy")
    lacks += _kept_for(sight, busy)
    rest = busy & ~_kept(sight, len(table))
    if rest.any():
        lacks.append(_lack(table, rest, "busy", "do not have all of it together (cores, sockets or reserved cores)"))
    lacks.sort(key=lambda one: -one.count)
    return lacks[:MOST_LACKS]


def _lack(table: NodeTable, rows: BoolColumn, kind: str, text: str) -> Lack:
    names = [table.names[row] for row in np.flatnonzero(rows)]
    return Lack(kind=kind, count=len(names), nodes=hostlist.fold(names), text=text)


def _away(sight: Sight, rows: BoolColumn) -> Iterable[Lack]:
    """Nodes that are down or drained, by why."""
    names: dict[str, list[str]] = {}
    for row in np.flatnonzero(rows):
        name = sight.table.names[row]
        names.setdefault(sight.away.get(name, "not usable"), []).append(name)
    for text, found in names.items():
        yield Lack(kind="state", count=len(found), nodes=hostlist.fold(found), text=text)


def _together(
    table: NodeTable, rows: BoolColumn, failing: list[tuple[Criterion, BoolColumn]], kind: str
) -> Iterable[Lack]:
    """Rows by what they fail in."""
    key = np.zeros(len(table), np.int64)
    for number, (_, fails) in enumerate(failing):
        key |= fails.astype(np.int64) << number
    key = np.where(rows, key, 0)
    for value in np.unique(key[key > 0]).tolist():
        which = key == value
        parts = [one for number, (one, _) in enumerate(failing) if value >> number & 1]
        lacking = ", ".join(_lacking(one, which, kind) for one in parts if not one.otherwise)
        said = [f"lack {lacking}"] if lacking else []
        yield _lack(table, which, kind, "; ".join(said + [one.otherwise for one in parts if one.otherwise]))


def _lacking(one: Criterion, rows: BoolColumn, kind: str) -> str:
    if one.column is None or kind == "never":
        return one.text
    low, high = int(one.column[rows].min()), int(one.column[rows].max())
    return f"{one.text} ({words.between(low, high, one.unit)} free)"


def _reserved_for(sight: Sight, rows: BoolColumn) -> str:
    demand = sight.demand
    own = sight.reserved.named.get(demand.reservation)
    if demand.reservation and own is None:
        return "are not in a reservation that it may use"
    if not sight.reserved.is_open(demand, sight.now):
        return f"reservation {demand.reservation} is not open"
    names = [
        window.name
        for number, window in enumerate(sight.reserved.windows)
        if number in sight.reserved.kept(demand, sight.now, sight.now + sight.span) and (window.rows & rows).any()
    ]
    if not names and own is not None:
        return f"are not in reservation {own.name}"
    return f"are kept by reservation {', '.join(names)} before it would end"


def _kept_for(sight: Sight, rows: BoolColumn) -> Iterable[Lack]:
    """Nodes that it would fit on, by the first start that is planned there."""
    ends = sight.now + sight.span
    for one in sorted(sight.kept, key=lambda kept: kept.start):
        which = rows & one.rows
        if one.start < ends and which.any():
            whom = f"job {one.job}" if one.job else "a job of another user"
            lack = _lack(sight.table, which, "kept", f"are free, but planned for {whom}, which comes first")
            yield msgspec.structs.replace(lack, start=one.start)
            rows = rows & ~one.rows
