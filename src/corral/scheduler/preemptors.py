"""For which waiting jobs is room made in this cycle, and which promises are kept?"""

from collections.abc import Iterable

import msgspec

from corral.model.allocation import Allocation
from corral.scheduler.demand import Demand
from corral.scheduler.nodetable import NodeTable
from corral.scheduler.preemption import Field, Fits, Rights, Victim, hold, may_preempt, measure_of

#: In one cycle room is made for so many at most; the next cycle, which follows at once, goes on.
MOST_AT_ONCE = 128
#: Keys of promises in the ledger of a cycle start here, and go down.
FIRST_KEY = -3_000_000_000


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """What a cycle must know of preemption; nothing of it where there is none."""

    victims: tuple[Victim, ...] = ()
    leaving: tuple[int, ...] = ()  #: jobs that are about to be gone whatever is decided
    tiers: dict[str, int] = {}  #: partition -> tier
    strict_order: bool = False


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """Room for one job."""

    key: int
    allocation: Allocation
    time_limit: int | None
    victims: tuple[Victim, ...]
    leaving: tuple[int, ...]  #: others that still have something of it, and are about to be gone
    before: dict[int, Allocation]  #: what all of these held; now they hold what the place leaves of it


class Preemptors:
    def __init__(self, standing: Standing, now: float) -> None:
        self.standing = standing
        self.now = now
        self.leaving = set(standing.leaving)
        self.victims = list(standing.victims)
        self.gone: set[int] = set()  #: of these, who makes room for somebody already
        self.leaving_on: dict[str, set[int]] | None = None  #: by node
        self.fields: dict[object, Field] = {}
        self.hopeless: set[object] = set()
        self.made = 0  #: for how many there is room now
        self.key = FIRST_KEY
        self.exempt_until = float(
            "inf"
        )  #: when the next of those ceases to be exempt that somebody would have preempted

    def next_key(self) -> int:
        self.key -= 1
        return self.key

    def took(self, key: int, allocation: Allocation) -> None:
        """A job has started."""
        for field in self.fields.values():
            field.take(key, allocation)

    def make_room(
        self, table: NodeTable, rights: Rights, demand: Demand, priority: int, fits: Fits, shape: object
    ) -> Made | None:
        """Those who must go, and the place that is kept in the table from now on."""
        tier = self.standing.tiers.get(demand.partition, 0) if rights.by_tier else 0
        measure, need = measure_of(demand)
        who = (rights, tier, priority if rights.within else 0)
        if (who, shape) in self.hopeless or self.made >= MOST_AT_ONCE:
            return None
        field = self.fields.get((who, measure))
        if field is None:
            victims = self._allowed(rights, tier, priority)
            field = Field(table, victims, self.leaving, measure, self.now, self.standing.strict_order)
            self.fields[who, measure] = field
        room = field.room(fits, need)
        if room is None:
            self.hopeless.add((who, shape))
            return None
        key = self.next_key()
        gone = tuple(victim.job for victim in room.victims)
        near = self._leaving_on(table, room.allocation)
        leaving = tuple(job for job in sorted(near) if _overlaps(table.holders.get(job), room.allocation))
        before = {job: table.holders[job] for job in (*gone, *leaving) if job in table.holders}
        if not hold(table, key, room.allocation, (*gone, *leaving)):
            return None
        self.made += 1
        self.gone.update(gone)
        self.leaving.update(gone)
        self._note_leaving(table, gone)
        for other in self.fields.values():
            other.promise(key, room.allocation, gone)
        return Made(
            key=key, allocation=room.allocation, time_limit=room.time_limit, victims=room.victims, leaving=leaving,
            before=before,
        )  # fmt: skip

    def _allowed(self, rights: Rights, tier: int, priority: int) -> list[Victim]:
        """Those that this one may preempt now; of a heterogeneous job all or none."""
        found: list[Victim] = []
        units: dict[int, int] = {}
        whole: dict[int, int] = {}
        for victim in self.victims:
            if victim.job in self.gone:
                continue
            may = may_preempt(rights, tier, priority, victim)
            if may and victim.exempt_until > self.now:
                self.exempt_until = min(self.exempt_until, victim.exempt_until)
                may = False
            if victim.unit:
                whole[victim.unit] = whole.get(victim.unit, 0) + 1
                units[victim.unit] = units.get(victim.unit, 0) + may
            if may:
                found.append(victim)
        return [victim for victim in found if not victim.unit or units[victim.unit] == whole[victim.unit]]

    def _leaving_on(self, table: NodeTable, allocation: Allocation) -> set[int]:
        """Those that leave its nodes."""
        if self.leaving_on is None:
            self.leaving_on = {}
            self._note_leaving(table, self.leaving)
        return {job for name in allocation.node_names for job in self.leaving_on.get(name, ())}

    def _note_leaving(self, table: NodeTable, jobs: Iterable[int]) -> None:
        if self.leaving_on is not None:
            for job in jobs:
                held = table.holders.get(job)
                for name in held.node_names if held is not None else ():
                    self.leaving_on.setdefault(name, set()).add(job)


def _overlaps(held: Allocation | None, wanted: Allocation) -> bool:
    """Has it something of this?"""
    if held is None:
        return False
    places = {share.node: share for share in wanted.nodes}
    for share in held.nodes:
        other = places.get(share.node)
        if other is None:
            continue
        if set(share.cpus) & set(other.cpus) or (share.memory_mb and other.memory_mb):
            return True
        units = {(gres.name, gres.type): set(gres.indices) for gres in other.gres}
        if any(units.get((gres.name, gres.type), set()) & set(gres.indices) for gres in share.gres):
            return True
    return False
