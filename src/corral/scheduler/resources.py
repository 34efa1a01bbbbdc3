"""What does a job get in all: nodes as placement finds them, licences, and a place in a reservation?"""

import msgspec

from corral.model.allocation import Allocation
from corral.scheduler import placement
from corral.scheduler.demand import Demand
from corral.scheduler.nodetable import BoolColumn, NodeTable


def place(table: NodeTable, demand: Demand, rows: BoolColumn, strategy: str = "pack") -> Allocation | None:
    """None when it does not fit now; without its licences, nodes are of no use to it."""
    if demand.licenses and not table.licenses.has(demand.licenses):
        return None
    allocation = placement.place(table, demand, rows, strategy)
    if allocation is None or not (demand.licenses or demand.reservation):
        return allocation
    return msgspec.structs.replace(allocation, licenses=demand.licenses, reservation=demand.reservation)
