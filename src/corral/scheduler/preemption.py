"""Who makes room for a job that finds no place, and how is the room kept until they are gone?

Theory. Who may preempt whom is a question of rights (a QOS' list, a partition's tier), never of priority. Those that a job may preempt
stand in ranks: replicas above a service's minimum, those of the service that has most of them first; then jobs, suspended before
requeued before cancelled, and of each the young before the old (a rank is a doubling of the minutes run, so that jobs of much the same
age count alike). As few ranks are opened as make room. Within them, of each node one is taken away, then two, four ...: the first time
that the job fits, it is on nodes where the fewest have to go. Of these, the most precious first, every one that is not needed after all
is left alone. So nothing is preempted for a job that would still not fit, none that could have stayed, and no rank is touched while a
lower one is enough.

A preemptor's place is promised: the very cores and units. Until its victims are gone they hold what the promise leaves of theirs, and
nobody else gets either.
"""

import functools
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import msgspec

from corral.model.allocation import Allocation, NodeShare
from corral.model.job import JobId
from corral.scheduler.demand import Demand
from corral.scheduler.nodetable import NodeTable
from corral.scheduler.quota import NO_RULES, Rules

#: So many are left alone one by one; of more, halves at a time.
FEW = 8
#: Orders of victims on the nodes, each with its tables, that are kept for the next who looks for so much.
MOST_LAYERS = 12

#: A place in this table, and its time limit where that is shorter than asked for.
Fits = Callable[[NodeTable], tuple[Allocation | None, int | None]]

#: Replicas above a service's minimum come before all jobs, whatever would become of these.
_REPLICAS, _MOST_SURPLUS = -1, 64
_GENTLEST_FIRST = {"SUSPEND": 0, "REQUEUE": 1, "CANCEL": 2}


class Victim(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A running job that others may preempt."""

    job: int
    action: str  #: what would become of it: SUSPEND, REQUEUE, CANCEL
    qos: str = ""
    tier: int = 0  #: of its partition
    worth: int = 0  #: its QOS' priority, or its tier
    start: float
    exempt_until: float = 0.0
    unit: int = 0  #: a component of this heterogeneous job: it goes with the others; 0 = of none
    family: int = 0  #: its array, or itself
    surplus: int = 0  #: it is the how manieth replica above its service's minimum; 0 = no such replica
    within: int = -1  #: others of its own QOS with a higher priority than this may preempt it; -1 = they may not


class Rights(msgspec.Struct, frozen=True, kw_only=True, cache_hash=True):
    """Whom a waiting job may preempt."""

    over: frozenset[str] = frozenset()  #: jobs of these QOS
    within: str = ""  #: and of its own, this, with a lower priority
    never: frozenset[int] = frozenset()  #: of those in its own QOS not these, for which it has made room itself
    by_tier: bool = False  #: those in partitions of a lower tier than its own


class Promised(msgspec.Struct, frozen=True, kw_only=True):
    """A waiting job for which others make room."""

    job: JobId
    allocation: Allocation
    victims: tuple[int, ...]  #: those that are still there
    ends: float  #: when they are gone, as far as is known
    time_limit: int
    element: int | None = None
    shorter: int | None = None  #: the time limit, when it is less than was asked for
    rules: Rules = NO_RULES


class Suspended(msgspec.Struct, frozen=True, kw_only=True):
    """A job that is suspended for others, and all that it had and is to have again."""

    job: JobId
    allocation: Allocation
    victim: Victim | None  #: as others see it when it runs again


class Room(NamedTuple):
    allocation: Allocation
    time_limit: int | None
    victims: tuple[Victim, ...]


class Unit:
    """Those that go together."""

    __slots__ = ("is_gone", "members", "precious", "rank", "rows", "start")

    def __init__(self, members: list[Victim], table: NodeTable, measure: str, now: float, strict: bool) -> None:
        self.members = members
        self.start = min(victim.start for victim in members)
        harm = max(_GENTLEST_FIRST[victim.action] for victim in members)
        worth = max(victim.worth for victim in members)
        age = (int(max(0.0, now - self.start) // 60) + 1).bit_length()
        surplus = min(victim.surplus for victim in members)
        self.rank = (worth, harm, age) if strict else (harm, age, worth)
        if surplus:  # of several services the one that has most above its minimum gives first
            self.rank = (_REPLICAS, -min(surplus, _MOST_SURPLUS), worth)
        self.rows: dict[int, int] = {}  #: how much of what is short each node would get back
        for victim in members:
            for share in table.holders[victim.job].nodes:
                row = table.index.get(share.node)
                if row is not None:
                    self.rows[row] = self.rows.get(row, 0) + _size(share, measure)
        self.precious = (self.rank, -self.start, -members[0].job)
        self.is_gone = False  #: somebody's already


def may_preempt(rights: Rights, tier: int, priority: int, victim: Victim) -> bool:
    if rights.by_tier:
        return victim.tier < tier
    if victim.qos in rights.over:
        return True
    if not rights.within or victim.qos != rights.within or victim.family in rights.never:
        return False
    return 0 <= victim.within < priority


class Layers:
    """The units of some ranks on each node, best first; and tables without the first one of each node, the first two, four, ..."""

    def __init__(self, base: NodeTable, units: Iterable[Unit], need: int) -> None:
        self.on_row: dict[int, list[Unit]] = {}
        for unit in units:
            for row in unit.rows:
                self.on_row.setdefault(row, []).append(unit)
        for row, found in self.on_row.items():
            found.sort(key=functools.partial(_order_on, row, need))
        self.most = max(len(found) for found in self.on_row.values())
        self.tables: list[tuple[int, NodeTable]] = [(0, base)]

    def table(self, number: int) -> tuple[int, NodeTable] | None:
        """How many of each node are gone there, and the table; None = there are no more."""
        while len(self.tables) <= number:
            done, last = self.tables[-1]
            if done >= self.most:
                return None
            upto, table = done * 2 or 1, last.copy()
            for found in self.on_row.values():
                for unit in found[done:upto]:
                    if not unit.is_gone and not _is_removed(table, unit):
                        remove(table, unit)
            self.tables.append((upto, table))
        return self.tables[number]


class Field:
    """What could be free for those who may preempt these. The tables are brought up to date by `take` and `promise`."""

    def __init__(
        self,
        table: NodeTable,
        victims: Iterable[Victim],
        leaving: Iterable[int],
        measure: str,
        now: float,
        strict: bool,
    ) -> None:
        base = table.copy()
        for job in leaving:
            base.give_back(job)
        units: dict[int, list[Victim]] = {}
        for victim in victims:
            if victim.job in base.holders:
                units.setdefault(-victim.unit or victim.job, []).append(victim)
        found = [Unit(members, base, measure, now, strict) for members in units.values()]
        self.units = sorted(found, key=lambda unit: unit.precious)
        self.unit_of = {victim.job: unit for unit in found for victim in unit.members}
        self.ranks = sorted({unit.rank for unit in self.units})
        self.tables = {0: base}  #: without those of the first ranks
        self.layers: dict[tuple[int, int], Layers] = {}

    def without(self, ranks: int) -> NodeTable:
        """Without the units of so many ranks, the lowest first."""
        known = self.tables.get(ranks)
        if known is None:
            nearest = max(number for number in self.tables if number < ranks)
            known = self.tables[ranks] = self.tables[nearest].copy()
            for unit in self._of_ranks(nearest, ranks):
                remove(known, unit)
        return known

    def _of_ranks(self, first: int, last: int) -> Iterator[Unit]:
        low, high = self.ranks[first], self.ranks[last - 1]
        return (unit for unit in self.units if low <= unit.rank <= high and not unit.is_gone)

    def _all_tables(self) -> Iterator[NodeTable]:
        yield from self.tables.values()
        for layers in self.layers.values():
            yield from (table for _, table in layers.tables[1:])

    def take(self, key: int, allocation: Allocation) -> None:
        """Somebody has got this."""
        for table in self._all_tables():
            table.take(key, allocation)

    def promise(self, key: int, allocation: Allocation, victims: Iterable[int]) -> None:
        gone = tuple(victims)
        for job in gone:
            if job in self.unit_of:
                self.unit_of[job].is_gone = True
        for table in self._all_tables():
            for job in gone:
                table.give_back(job)
            table.take(key, allocation)

    def room(self, fits: Fits, need: int) -> Room | None:
        """Who must go so that it fits; None when it would not even then, or when those that leave anyhow are enough."""
        last = len(self.ranks)
        if not self.ranks or fits(self.without(last))[0] is None:
            return None
        low, high = 0, last
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if fits(self.without(middle))[0] is not None else (middle + 1, high)
        if low == 0:
            return None
        gone = self._on_chosen_nodes(low, fits, need)
        if not gone:
            return None
        table = self.tables[0]  # tried on, and left as it was
        before = {victim.job: table.holders[victim.job] for unit in gone for victim in unit.members}
        for unit in gone:
            remove(table, unit)
        needed = self._needed(table, gone, before, fits)
        allocation, limit = fits(table)
        for unit in needed:
            restore(table, unit, before)
        if allocation is None or not needed:
            return None
        return Room(allocation, limit, tuple(victim for unit in needed for victim in unit.members))

    def _on_chosen_nodes(self, ranks: int, fits: Fits, need: int) -> list[Unit]:
        """Take away one from each node, then two, four, ... until it fits; those that are gone from the nodes on which it does."""
        layers = self.layers.get((ranks, need))
        if layers is None:
            if len(self.layers) >= MOST_LAYERS:
                self.layers.clear()
            layers = self.layers[ranks, need] = Layers(self.tables[0], self._of_ranks(0, ranks), need)
        number = 1
        while (layer := layers.table(number)) is not None:
            allocation, _ = fits(layer[1])
            if allocation is not None:
                rows = (layer[1].index[name] for name in allocation.node_names)
                found = {unit.members[0].job: unit for row in rows for unit in layers.on_row.get(row, ())}
                return [unit for unit in found.values() if not unit.is_gone and _is_removed(layer[1], unit)]
            number += 1
        return []

    def _needed(self, table: NodeTable, gone: list[Unit], before: dict[int, Allocation], fits: Fits) -> list[Unit]:
        """Those without whose going it would not fit; the others are there again."""
        needed: list[Unit] = []
        precious_first = sorted(gone, key=lambda unit: unit.precious, reverse=True)
        step = FEW if len(gone) > FEW else 1
        rest = [precious_first[i : i + step] for i in range(0, len(gone), step)]
        rest.reverse()
        while rest:
            part = rest.pop()
            for unit in part:
                restore(table, unit, before)
            if fits(table)[0] is not None:
                continue
            for unit in part:
                remove(table, unit)
            if len(part) == 1:
                needed.append(part[0])
            else:
                half = len(part) // 2
                rest += [part[half:], part[:half]]
        return needed


def remove(table: NodeTable, unit: Unit) -> None:
    """It holds nothing any more; licences stay with it, and a suspended job keeps its memory and GPUs too."""
    for victim in unit.members:
        held = table.holders.get(victim.job)
        if held is None:
            continue
        table.give_back(victim.job)
        if victim.action == "SUSPEND":
            table.take(victim.job, frozen(held))
        elif held.licenses:
            table.take(victim.job, msgspec.structs.replace(held, nodes=()))


def restore(table: NodeTable, unit: Unit, before: dict[int, Allocation]) -> None:
    for victim in unit.members:
        table.give_back(victim.job)
        table.take(victim.job, before[victim.job])


def frozen(held: Allocation) -> Allocation:
    """What a job keeps while it is suspended for another."""
    return msgspec.structs.replace(
        held, nodes=tuple(msgspec.structs.replace(share, cpus=()) for share in held.nodes), sharers=0
    )


def _is_removed(table: NodeTable, unit: Unit) -> bool:
    held = table.holders.get(unit.members[0].job)
    return held is None or not any(share.cpus for share in held.nodes)


def hold(table: NodeTable, key: int, allocation: Allocation, victims: Iterable[int]) -> bool:
    """Keep it from everybody else, though these still have some of it; False (and nothing has changed) when it can't be had."""
    held = {job: table.holders[job] for job in victims if job in table.holders}
    for job in held:
        table.give_back(job)
    if not table.can_take(allocation):
        for job, old in held.items():
            table.take(job, old)
        return False
    table.take(key, allocation)
    promised = {share.node: share for share in allocation.nodes}
    memory: dict[str, int] = {}
    for old in held.values():
        for share in old.nodes:
            memory[share.node] = memory.get(share.node, 0) + share.memory_mb
    left = {
        name: max(0, amount - (promised[name].memory_mb if name in promised else 0)) for name, amount in memory.items()
    }
    for job, old in held.items():
        table.take(job, msgspec.structs.replace(old, nodes=tuple(_left(share, promised, left) for share in old.nodes)))
    return True


def _left(share: NodeShare, promised: dict[str, NodeShare], memory: dict[str, int]) -> NodeShare:
    other = promised.get(share.node)
    if other is None:
        return share
    amount = min(share.memory_mb, memory[share.node])
    memory[share.node] -= amount
    units = {(gres.name, gres.type): set(gres.indices) for gres in other.gres}
    gres = tuple(
        msgspec.structs.replace(
            one, indices=tuple(i for i in one.indices if i not in units.get((one.name, one.type), ()))
        )
        for one in share.gres
    )
    mine = tuple(cpu for cpu in share.cpus if cpu not in set(other.cpus))
    return msgspec.structs.replace(share, cpus=mine, memory_mb=amount, gres=gres)


def measure_of(demand: Demand) -> tuple[str, int]:
    """By what the size of a victim is told, and about how much of it the job needs on a node."""
    tasks = demand.tasks_per_node or max(1, -(-(demand.ntasks or 1) // max(1, demand.nodes_min)))
    gpus = sum(request.count for request in demand.gres_per_node if request.name == "gpu")
    gpus += tasks * sum(request.count for request in demand.gres_per_task if request.name == "gpu")
    gpus += sum(-(-request.count // max(1, demand.nodes_min)) for request in demand.gres_total if request.name == "gpu")
    return ("gpu", gpus) if gpus else ("cpu", max(demand.cpus_per_node, tasks * demand.cpus_per_task))


def _size(share: NodeShare, measure: str) -> int:
    if measure == "gpu":
        return sum(len(gres.indices) for gres in share.gres if gres.name == "gpu")
    return len(share.cpus)


def _order_on(row: int, need: int, unit: Unit) -> tuple[object, ...]:
    return unit.rank, *_best_fit(unit.rows[row], need), -unit.start, -unit.members[0].job


def _best_fit(size: int, need: int) -> tuple[bool, int]:
    """The smallest that is large enough, then the largest of the others."""
    return (False, size) if size >= need else (True, -size)
