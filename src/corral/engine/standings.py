"""Where does each association stand by what it has used? Worked out from time to time, not for every job."""

from corral.engine.rules import bucket_of
from corral.engine.state import ClusterState
from corral.model.cluster import PriorityWeights
from corral.scheduler.fairshare import Node, Standing, classic, fair_tree


def nodes_of(state: ClusterState, now: float) -> list[Node]:
    books, meter = state.books, state.meter
    found = []
    for one in books.associations.values():
        parent = books.parent_of(one)
        used = meter.used(bucket_of(one.id), now).seconds.get("billing", 0.0)
        found.append(Node(one.id, parent.id if parent is not None else 0, one.shares, bool(one.user), used))
    return found


class Standings:
    def __init__(self) -> None:
        self._known: dict[int, Standing] = {}
        self._at = float("-inf")
        self._basis: tuple[object, ...] = ()
        self._largest = (-1, 0, 0)  #: as of which books, the highest priority of a QOS and of an association

    def largest(self, state: ClusterState) -> int:
        """The highest priority of a QOS."""
        return self._highest(state)[1]

    def largest_association(self, state: ClusterState) -> int:
        return self._highest(state)[2]

    def _highest(self, state: ClusterState) -> tuple[int, int, int]:
        books = state.books
        if self._largest[0] != books.version:
            qos = max((one.priority for one in books.qos.values()), default=0)
            association = max((one.priority or 0 for one in books.associations.values()), default=0)
            self._largest = (books.version, qos, association)
        return self._largest

    def of(self, state: ClusterState, weights: PriorityWeights, now: float) -> dict[int, Standing]:
        """By association; worked out anew after a while, and when the accounts or the way to do it have changed."""
        basis = (state.books.version, state.meter.resets, weights)
        if basis != self._basis or not self._at <= now < self._at + weights.calc_period:
            nodes = nodes_of(state, now)
            if weights.is_fair_tree:
                self._known = fair_tree(nodes)
            else:
                self._known = classic(nodes, weights.fair_share_dampening, weights.has("DEPTH_OBLIVIOUS"))
            self._at, self._basis = now, basis
        return self._known

    def factor(self, state: ClusterState, weights: PriorityWeights, association: int, now: float) -> float:
        found = self.of(state, weights, now).get(association)
        return 0.0 if found is None else found.factor
