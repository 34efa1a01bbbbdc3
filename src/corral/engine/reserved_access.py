"""Which reservations may a job use, and what does the scheduler see of them?"""

import msgspec

from corral.engine.context import Context
from corral.engine.state import ClusterState
from corral.model.allocation import Allocation
from corral.model.job import JobSpec
from corral.model.reservation import Flag, Reservation, times
from corral.protocol.replies import Rejected
from corral.scheduler.demand import Demand
from corral.scheduler.nodetable import BoolColumn, NodeTable, mask_of
from corral.scheduler.reservations import Reserved, Window

INVALID = "Requested reservation is invalid"
#: No reservation has such a name: a job whose reservations have all been closed to it waits.
_CLOSED = "\n"


def names_of(text: str) -> list[str]:
    return [name for name in text.split(",") if name]


def problem_of(state: ClusterState, spec: JobSpec, user: str) -> Rejected | None:
    """May this user's job ask for the reservations that it names?"""
    for name in names_of(spec.reservation):
        reservation = state.reservations.get(name)
        if reservation is None:
            return Rejected(error=INVALID)
        if not reservation.admits(user, spec.account):
            return Rejected(error="Access denied to requested reservation", code="denied")
    return None


def rows_of(state: ClusterState, spec: JobSpec, table: NodeTable, rows: BoolColumn) -> BoolColumn:
    """The nodes on which it could ever run, if it names reservations."""
    found = [state.reservations[name] for name in names_of(spec.reservation) if name in state.reservations]
    if not found or any(one.has(Flag.FLEX) or one.has(Flag.ANY_NODES) for one in found):
        return rows
    inside = rows & False
    for reservation in found:
        inside |= _rows(reservation, table)
    return rows & inside


def alternatives(state: ClusterState, user: str, spec: JobSpec, demands: tuple[Demand, ...]) -> tuple[Demand, ...]:
    """The demands once for each reservation that the job may use."""
    if not spec.reservation:
        names = [one.name for one in state.reservations.values() if one.has(Flag.MAGNETIC)]
        names = [name for name in names if state.reservations[name].admits(user, spec.account)]
        names.append("")
    else:
        asked = [state.reservations[name] for name in names_of(spec.reservation) if name in state.reservations]
        names = [one.name for one in asked if one.admits(user, spec.account)] or [_CLOSED]
    if names == [""]:
        return demands
    return tuple(msgspec.structs.replace(demand, reservation=name) for name in names for demand in demands)


def _rows(reservation: Reservation, table: NodeTable) -> BoolColumn:
    rows = table.usable & False
    for name in reservation.nodes:
        row = table.index.get(name)
        if row is not None:
            rows[row] = True
    return rows


def windows(ctx: Context) -> Reserved:
    """As the scheduler sees them: made anew when a reservation or a node has changed."""
    state = ctx.state
    basis = (state.ledger.version, tuple(state.reservations.values()))
    if ctx.windows is None or ctx.windows[0] != basis:
        ctx.windows = (basis, Reserved(tuple(window(one, state.ledger) for one in state.reservations.values())))
    return ctx.windows[1]


def window(one: Reservation, table: NodeTable) -> Window:
    return Window(
        name=one.name,
        times=() if one.float_seconds else tuple(times(one)),
        ahead=one.float_seconds,
        rows=_rows(one, table),
        cpus={table.index[part.node]: mask_of(part.cpus) for part in one.cores if part.node in table.index},
        licenses=one.licenses,
        maintenance=one.has(Flag.MAINT),
        overlaps=one.has(Flag.OVERLAP),
        flexible=one.has(Flag.FLEX),
        any_nodes=one.has(Flag.ANY_NODES),
    )


def still_open(ctx: Context, allocation: Allocation, start: float, end: float) -> bool:
    """Is none of this kept from the job, now that it is to start?"""
    reserved = windows(ctx)
    demand = Demand(partition="", nodes_min=1, nodes_max=None, ntasks=None, reservation=allocation.reservation)
    if not reserved.is_open(demand, start):
        return False
    table = ctx.state.ledger
    kept = [reserved.windows[number] for number in reserved.kept(demand, start, end)]
    for share in allocation.nodes if kept else ():
        row = table.index[share.node]
        for window in kept:
            if window.cpus.get(row, 0) & mask_of(share.cpus) if window.cpus else window.rows[row]:
                return False
    return True
