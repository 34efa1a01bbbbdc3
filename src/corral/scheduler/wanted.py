"""How many nodes and tasks are looked for, and which nodes are among them whatever the others?"""

from corral.scheduler.demand import Demand


class Wanted:
    """Out of so many `available` nodes; `required` are rows."""

    def __init__(self, demand: Demand, required: list[int], available: int) -> None:
        self.required = required
        self.ntasks = demand.ntasks or demand.nodes_min
        most = demand.nodes_max if demand.nodes_max is not None else available
        if demand.nodes_limit is not None:
            most = min(most, demand.nodes_limit)
        count = self.least = max(demand.nodes_min, len(required))
        if demand.nodes_max is not None and demand.nodes_max > demand.nodes_min and not demand.few_nodes:
            count = min(most, available)  # a range asks for as many nodes as there are, up to its end
        elif demand.many_nodes and demand.nodes_max is None:
            count = min(most, available, self.ntasks)
        self.count = max(count, self.least)
        self.most = max(most, 0)
