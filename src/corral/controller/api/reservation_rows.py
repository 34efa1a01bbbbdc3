"""What does the API show of reservations?"""

from collections.abc import Callable
from typing import Any

from corral.controller import values
from corral.controller.api.table import Table
from corral.model.reservation import Reservation
from corral.scheduler.nodetable import NodeTable
from corral.syntax import licenses


class ReservationContext:
    def __init__(self, table: NodeTable, now: float) -> None:
        self.table = table
        self.now = now


def _whole(count: Callable[[NodeTable, int], int]) -> Callable[[Reservation, ReservationContext], int]:
    """A sum over its nodes, unless it is of single CPUs."""

    def get(one: Reservation, context: ReservationContext) -> int:
        if one.cores:
            return one.core_count
        rows = [context.table.index[name] for name in one.nodes if name in context.table.index]
        return sum(count(context.table, row) for row in rows)

    return get


def _start(one: Reservation, context: ReservationContext) -> float:
    return context.now + one.float_seconds if one.float_seconds else one.start_time


def _end(one: Reservation, context: ReservationContext) -> float:
    return one.end_time - one.start_time + _start(one, context)


def _is(name: str) -> Callable[[Reservation, ReservationContext], Any]:
    return lambda one, _: getattr(one, name)


RESERVATIONS: Table[Reservation] = Table(
    {
        "name": _is("name"),
        "state": lambda one, context: "ACTIVE" if one.is_active(context.now) else "INACTIVE",
        "start_time": _start,
        "end_time": _end,
        "nodes": lambda one, _: values.fold(one.nodes) if one.nodes else "",
        "node_names": _is("nodes"),
        "node_count": lambda one, _: len(one.nodes),
        "core_count": _whole(lambda table, row: int(table.cpus[row]) // int(table.threads[row])),
        "cpu_count": _whole(lambda table, row: int(table.cpus[row])),
        "cores": lambda one, _: [[part.node, values.id_ranges(part.cpus)] for part in one.cores],
        "features": _is("features"),
        "partition": _is("partition"),
        "flags": lambda one, _: [flag.value for flag in one.flags],
        "users": _is("users"),
        "users_denied": _is("users_denied"),
        "groups": _is("groups"),
        "accounts": _is("accounts"),
        "accounts_denied": _is("accounts_denied"),
        "licenses": lambda one, _: licenses.write(one.licenses),
        "purge_seconds": _is("purge_seconds"),
    }
)
