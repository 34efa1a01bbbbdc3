"""What keeps a node idle, or part of it: who drained or reserved it, for whom is it kept, and why do those who wait not fit there?

The jobs that wait are held against a table of this one node, with the functions that place them: so many may run here at all, so many
lack this or that of it, and so many would fit and wait for something else.
"""

from collections import Counter
from collections.abc import Iterable

import msgspec
import numpy as np

from corral.engine.explaining import away_of
from corral.engine.pending import PendingView
from corral.engine.rivals import Sees, label
from corral.model.job import JobId
from corral.model.node import Node
from corral.model.partition import Partition, PartitionState
from corral.model.reservation import times
from corral.protocol.explanations import Cause, WhyNode
from corral.scheduler import words
from corral.scheduler.demand import Demand
from corral.scheduler.explain_nodes import criteria, has, tasks_each
from corral.scheduler.feasibility import static_rows, task_capacity
from corral.scheduler.nodetable import BoolColumn, NodeTable
from corral.scheduler.plan import Expected
from corral.syntax import hostlist

#: Shapes of waiting jobs that are looked at, in the order of priority.
MOST_SHAPES = 400
#: Planned jobs that are named.
MOST_NAMED = 5


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """About one node, at one moment."""

    now: float
    node: Node
    table: NodeTable  #: of this node alone
    partitions: tuple[Partition, ...]  #: that it is in
    reservations: tuple[tuple[str, float, float, bool], ...]  #: name, start, end, whole node; those that are not over
    planned: tuple[tuple[str, Expected], ...]  #: jobs with a planned start here; "" = one that may not be seen
    waiting: tuple[tuple[tuple[Demand, ...], int, str], ...]  #: demands, how many jobs, why they wait


def node_inquiry(view: PendingView, name: str, now: float, sees: Sees) -> Found:
    """Raises KeyError for a node that there is not."""
    view.refresh()
    state = view.ctx.state
    node = state.nodes[name]
    row = state.ledger.index[name]
    rows = view._rows()
    partitions = tuple(one for one in state.partitions.values() if rows[one.name][row])
    inside = {one.name for one in partitions}
    planned, waiting = [], []
    for group in sorted(view.groups.values(), key=lambda one: one.queue[0])[:MOST_SHAPES]:
        demands = tuple(one for one in group.shape[0] if one.partition in inside)
        jobs = [state.jobs[JobId(key[2])] for key in group.queue]
        if demands:
            reasons = Counter(str(job.reason) for job in jobs)
            waiting += [(demands, count, reason) for reason, count in sorted(reasons.items())]
        for job in jobs:
            if not job.expected_start:
                break
            if name in hostlist.expand(job.expected_nodes):
                planned.append((label(job) if sees(job) else "", Expected(job.expected_start, job.expected_nodes)))
    reservations = []
    for one in state.reservations.values():
        if name in one.nodes:
            start, end = (now + one.float_seconds, 0.0) if one.float_seconds else next(times(one, now), (0.0, 0.0))
            reservations.append((one.name, start, end, not one.cores))
    return Found(
        now=now, node=node, table=_alone(state.ledger, name), partitions=partitions, reservations=tuple(reservations),
        planned=tuple(sorted(planned, key=lambda one: one[1].time)), waiting=tuple(waiting),
    )  # fmt: skip


def _alone(ledger: NodeTable, name: str) -> NodeTable:
    """A table of this node, with what is held there."""
    row = ledger.index[name]
    table = NodeTable()
    table.set_nodes([(ledger.inventories[row], bool(ledger.usable[row]), 1)])
    if ledger.jobs[row]:
        for job, allocation in ledger.holders.items():
            share = allocation.on(name)
            if share is not None:
                table.take(job, msgspec.structs.replace(allocation, nodes=(share,), licenses=()))
    return table


def explained(found: Found) -> WhyNode:
    table = found.table
    all_units: dict[str, list[int]] = {}
    for (name, type), column in table.total_gres.items():
        kind = f"gres/{name}:{type}" if type else f"gres/{name}"
        all_units[kind] = [int(table.free_gres[name, type][0]), int(column[0])]
    tally = _tally(found)
    causes = [*_state(found), *_places(found), *_reserved(found), *_planned(found), *_demand(found, tally)]
    return WhyNode(
        node=found.node.name, state=_word(found), summary=_summary(found, causes), time=found.now,
        cpus=(int(table.free_cpus[0]), int(table.cpus[0])), memory_mb=(int(table.free_memory[0]), int(table.memory[0])),
        gres={name: (free, whole) for name, (free, whole) in all_units.items()},
        partitions=tuple(one.name for one in found.partitions), causes=tuple(causes), jobs=int(table.jobs[0]),
        wanted_by=tally.wanted,
    )  # fmt: skip


def _word(found: Found) -> str:
    node, table = found.node, found.table
    held = "ALLOCATED" if not table.free_cpus[0] else "MIXED" if table.jobs[0] else "IDLE"
    base = "DOWN" if node.down_reason or node.admin_down or not node.up else held
    return f"{base}+DRAIN" if node.drains else base


def _summary(found: Found, causes: list[Cause]) -> str:
    table = found.table
    if not table.free_cpus[0]:
        return f"All of its CPUs are in use, by {words.counted(int(table.jobs[0]), 'job')}."
    free = f"{words.counted(int(table.free_cpus[0]), 'CPU')} of {int(table.cpus[0])}"
    if not causes:
        return f"Nothing keeps {free} from being used: the next cycle may."
    return f"{free} {'is' if table.free_cpus[0] == 1 else 'are'} not used: {causes[0].text[:1].lower()}{causes[0].text[1:]}"


def _state(found: Found) -> Iterable[Cause]:
    if not found.node.is_usable:
        text = away_of([found.node])[found.node.name]
        since = max([found.node.down_since, *(one.since for one in found.node.drains)])
        yield Cause(kind="state", reason="NodeDown", text=f"It is {text}.", since=since)


def _places(found: Found) -> Iterable[Cause]:
    if not found.partitions:
        yield Cause(kind="partition", reason="PartitionConfig", text="It is in no partition.")
    shut = [one for one in found.partitions if one.state is not PartitionState.UP]
    for one in shut:
        yield Cause(kind="partition", reason="PartitionDown", text=f"Partition {one.name} is {one.state}.")


def _reserved(found: Found) -> Iterable[Cause]:
    for name, start, end, whole in found.reservations:
        what = "It" if whole else "A part of it"
        if start <= found.now:
            yield Cause(kind="reservation", reason="Reservation", text=f"{what} is reserved by {name}.", until=end)
        else:
            text = f"{what} will be reserved by {name}: only jobs that end before then can start."
            yield Cause(kind="reservation", reason="Reservation", text=text, since=start, until=end)


def _planned(found: Found) -> Iterable[Cause]:
    if not found.planned:
        return
    first = found.planned[0][1].time
    names = [name for name, _ in found.planned if name][:MOST_NAMED]
    more = len(found.planned) - len(names)
    who = ", ".join(f"job {name}" for name in names)
    if more:
        who += f"{' and ' if who else ''}{words.counted(more, 'other job')}"
    text = f"It is planned for {who}: only jobs that end before then, or leave enough beside, can start."
    yield Cause(kind="planned", reason="Resources", text=text, since=first)


# -- who waits, and what do they lack here?


class _Tally:
    def __init__(self) -> None:
        self.wanted = 0
        self.never = 0  #: may run in its partitions, but not here
        self.lacking: Counter[str] = Counter()
        self.fitting: Counter[str] = Counter()  #: by why they wait


def _tally(found: Found) -> _Tally:
    tally = _Tally()
    table, empty = found.table, found.table.emptied()
    rows = np.ones(1, np.bool_)
    for demands, count, reason in found.waiting:
        able = [one for one in demands if _takes(empty, one, rows)]
        if not able:
            tally.never += count
            continue
        tally.wanted += count
        if any(_takes(table, one, rows) for one in able):
            tally.fitting[reason] += count
            continue
        lacks = [one.name for one in criteria(table, able[0]) if not has(table, one, tasks_each(able[0]))[0]]
        tally.lacking[" and ".join(_noun(name) for name in lacks) or "all of it together"] += count
    return tally


def _takes(table: NodeTable, demand: Demand, rows: BoolColumn) -> bool:
    """Named nodes and the like are no hindrance for one that is among them."""
    if demand.nodelist and demand.nodes_min <= len(demand.nodelist) and table.names[0] not in demand.nodelist:
        return False
    return bool(task_capacity(table, demand, static_rows(table, demand, rows))[0] >= tasks_each(demand))


def _noun(name: str) -> str:
    return {"cpus": "CPUs", "gres/gpu": "GPUs"}.get(name, name.removeprefix("gres/"))


def _demand(found: Found, tally: _Tally) -> Iterable[Cause]:
    if not found.node.is_usable:
        return
    if not tally.wanted:
        text = "No job that waits may run here." if tally.never else "No job of its partitions waits."
        yield Cause(kind="nobody", reason="None", text=text)
        return
    for what, count in tally.lacking.most_common(3):
        text = (
            f"{words.counted(count, 'waiting job')} {'lacks' if count == 1 else 'lack'} {what} here ({_left(found)})."
        )
        yield Cause(kind="leftover", reason="Resources", text=text)
    for reason, count in tally.fitting.most_common(3):
        verb = "waits" if count == 1 else "wait"
        text = f"{words.counted(count, 'waiting job')} would have room here, and {verb} for something else: {reason}."
        yield Cause(kind="elsewhere", reason=reason, text=text)


def _left(found: Found) -> str:
    table = found.table
    parts = [words.counted(int(table.free_cpus[0]), "CPU"), words.mib(int(table.free_memory[0]))]
    parts += [words.units(name, type, int(column[0])) for (name, type), column in table.free_gres.items()]
    return ", ".join(parts) + " free"
