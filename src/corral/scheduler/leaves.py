"""At which leaf switch is each node, and which leaves are under each switch? As numbers, for the rows of a table."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from corral.model.topology import Topology


class Leaves:
    def __init__(self, topology: Topology, names: Sequence[str]) -> None:
        leaves = [switch.name for switch in topology.switches if not topology.below[switch.name]]
        number = {leaf: i for i, leaf in enumerate(leaves)}
        self.count = len(leaves)
        #: of each row; -1 = at none
        self.of_row: npt.NDArray[np.int64] = np.array(
            [number.get(topology.leaf_of.get(name, ""), -1) for name in names], np.int64
        )
        #: level of each switch, in the order of the configuration
        self.levels = np.array([topology.level.get(switch.name, 0) for switch in topology.switches], np.int64)
        #: a line for each switch: which leaves are under it
        self.under = np.zeros((len(topology.switches), self.count), np.bool_)
        for position, switch in enumerate(topology.switches):
            self.under[position, [number[leaf] for leaf in topology.leaves_under(switch.name) if leaf in number]] = True
