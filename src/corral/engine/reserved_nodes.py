"""Which nodes and cores does a reservation get?"""

import msgspec

from corral.engine.context import Context
from corral.engine.duetimes import limit_ends
from corral.engine.partitions import partition_rows
from corral.engine.state import ClusterState
from corral.errors import UsageError
from corral.model.job import Job
from corral.model.reservation import Flag, NodeCores, Reservation, overlap
from corral.protocol.replies import Rejected
from corral.scheduler.feasibility import feature_rows
from corral.scheduler.nodetable import ids_of, mask_of
from corral.syntax import hostlist

BUSY = "Requested nodes are busy"
OVERLAPS = "Requested reservation overlaps with another reservation"
BAD_NODES = "Invalid node name specified"


def busy() -> Rejected:
    return Rejected(
        error=BUSY, code="busy",
        detail="Note, unless nodes are directly requested a reservation must exist in a single partition.\n"
        "If no partition is requested the default partition is assumed.",
    )  # fmt: skip


class Choice:
    """The nodes for one reservation as it is drafted: what others have of them at its times is known."""

    def __init__(self, ctx: Context, draft: Reservation) -> None:
        self.ctx = ctx
        self.state = ctx.state
        self.table = ctx.state.ledger
        self.draft = draft
        self.shares = draft.has(Flag.OVERLAP) or draft.has(Flag.MAINT)
        others = [one for one in self.state.reservations.values() if one.name != draft.name and overlap(one, draft)]
        self.all_taken = {name for one in others if not one.cores for name in one.nodes}
        others = [one for one in others if not one.has(Flag.OVERLAP) and not one.has(Flag.MAINT)]
        self.others: list[Reservation] = [] if self.shares else others
        self.taken = {name for one in self.others if not one.cores for name in one.nodes}
        self.in_the_way: list[Job] = [] if draft.has(Flag.IGNORE_JOBS) else self._in_the_way()
        self.working = {name for job in self.in_the_way if job.allocation for name in job.allocation.node_names}

    def _in_the_way(self) -> list[Job]:
        """Jobs that run on when it begins. Its own are welcome."""
        found = []
        for job_id in sorted(self.state.active):
            job = self.state.jobs[job_id]
            own = job.allocation is not None and job.allocation.reservation == self.draft.name
            if not own and limit_ends(job) > self.draft.start_time:
                found.append(job)
        return found

    def named(self, text: str) -> tuple[str, ...] | Rejected:
        """The nodes that were named."""
        if text.upper() == "ALL":
            names = self._of_partition() if self.draft.partition else list(self.table.names)
        else:
            try:
                names = hostlist.expand(text)
            except UsageError:
                return Rejected(error=BAD_NODES)
        if not names or any(name not in self.state.nodes for name in names):
            return Rejected(error=BAD_NODES)
        return tuple(sorted(set(names), key=self.table.index.__getitem__))

    def problem(self, names: tuple[str, ...], whole: bool) -> Rejected | None:
        """Are these free for it?"""
        if whole and not self.taken.isdisjoint(names):
            return Rejected(error=OVERLAPS, code="busy")
        if whole and not self.working.isdisjoint(names):
            return busy()
        return None

    def _of_partition(self) -> list[str]:
        return of_partition(self.state, self.draft)

    def free(self) -> list[str]:
        """The nodes of its partition that nobody has then; those that are up first."""
        names = [name for name in self._of_partition() if name not in self.taken and name not in self.working]
        names.sort(key=self.all_taken.__contains__)
        up = [name for name in names if self.state.nodes[name].is_usable]
        if self.draft.has(Flag.MAINT):
            return up + [name for name in names if not self.state.nodes[name].is_usable]
        return up

    def counted(self, count: int, keep: tuple[str, ...] = ()) -> tuple[str, ...] | Rejected:
        """So many nodes; those that it has already stay as far as they can."""
        kept = list(keep)[-count:] if count else []
        free = [name for name in self.free() if name not in keep]
        found = kept + free[: count - len(kept)]
        if len(found) < count and (count <= len(self._of_partition()) or not found):
            return busy()
        return tuple(sorted(found, key=self.table.index.__getitem__))

    def cores(
        self, counts: tuple[int, ...], names: tuple[str, ...] | None, node_count: int
    ) -> tuple[NodeCores, ...] | Rejected:
        """CPUs of named nodes (a count for each), of so many nodes, or of as many as it takes."""
        total = sum(counts)
        candidates = list(names) if names is not None else self._core_nodes()
        if names is not None and len(counts) == len(names):
            wanted = list(counts)
        elif node_count:
            if len(counts) == 1:
                counts = (-(-total // node_count),) * node_count
            candidates = [name for name in candidates if len(self._free_cpus(name)) >= max(counts)][:node_count]
            wanted = list(counts)
        else:
            wanted = []
            for name in candidates:
                wanted.append(min(total - sum(wanted), len(self._free_cpus(name))))
        found = []
        for name, count in zip(candidates, wanted, strict=False):
            cpus = self._free_cpus(name)
            if len(cpus) < count:
                return busy()
            if count:
                found.append(NodeCores(name, cpus[:count]))
        if not found or sum(len(part.cpus) for part in found) < total:
            return busy()
        return tuple(found)

    def _core_nodes(self) -> list[str]:
        return [n for n in self._of_partition() if self._cores_of(n) and self.state.nodes[n].is_usable]

    def _cores_of(self, name: str) -> bool:
        """Whole nodes of others are no place for single cores."""
        return self.shares or name not in self.all_taken

    def _free_cpus(self, name: str) -> tuple[int, ...]:
        every = (1 << self.state.nodes[name].inventory.cpus) - 1
        if self.draft.has(Flag.FIRST_CORES):
            return ids_of(every)
        held = 0
        for job in self.in_the_way:
            share = job.allocation.on(name) if job.allocation is not None else None
            held |= mask_of(share.cpus) if share is not None else 0
        for one in self.others:
            held |= next((mask_of(part.cpus) for part in one.cores if part.node == name), 0)
        return ids_of(every & ~held) if self._cores_of(name) else ()


def of_partition(state: ClusterState, reservation: Reservation) -> list[str]:
    """The nodes of its partition (the default one, if it names none) that have its features."""
    name = reservation.partition or next((p.name for p in state.partitions.values() if p.default), "")
    partition = state.partitions.get(name)
    if partition is None:
        return []
    inside = partition_rows(state, partition, state.ledger)
    if reservation.features:
        inside = inside & feature_rows(state.ledger, reservation.features)
    return [name for name, row in zip(state.ledger.names, inside.tolist(), strict=True) if row]


def replaced(ctx: Context, reservation: Reservation, now: float) -> Reservation:
    """Its nodes as they should be now: those of its partition; nodes that are away replaced by idle ones (with REPLACE, also those
    that jobs have).
    """
    if reservation.has(Flag.PART_NODES) or reservation.has(Flag.ALL_NODES):
        everywhere = reservation.has(Flag.ALL_NODES)
        every = ctx.state.ledger.names if everywhere else of_partition(ctx.state, reservation)
        return reservation if reservation.cores else msgspec.structs.replace(reservation, nodes=tuple(every))
    fixed = (Flag.SPEC_NODES, Flag.STATIC, Flag.MAINT, Flag.ANY_NODES)
    if not reservation.node_count or reservation.cores or any(map(reservation.has, fixed)):
        return reservation
    state = ctx.state
    good = [
        name
        for name in reservation.nodes
        if name in state.nodes
        and state.nodes[name].is_usable
        and not (reservation.has(Flag.REPLACE) and reservation.is_active(now) and state.jobs_by_node.get(name))
    ]
    missing = reservation.node_count - len(good)
    if missing <= 0:
        return reservation
    choice = Choice(ctx, reservation)
    spare = [n for n in choice.free() if n not in reservation.nodes and not state.jobs_by_node.get(n)]
    if not spare:
        return reservation
    bad = [name for name in reservation.nodes if name not in good][: len(spare)]
    names = [name for name in reservation.nodes if name not in bad] + spare[: max(len(bad), missing)]
    ordered = sorted(names, key=lambda name: state.ledger.index.get(name, 0))
    return msgspec.structs.replace(reservation, nodes=tuple(ordered))
