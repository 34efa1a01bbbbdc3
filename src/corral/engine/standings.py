"""Where does each association stand by what it has used? Worked out from time to time, not for every job."""

from corral.engine.rules import bucket_of
from corral.engine.state import ClusterState
from corral.scheduler.fairshare import Node, Standing, fair_tree

#: Seconds after which it is worked out anew.
INTERVAL = 30.0


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
        self._version = -1
        self._largest = (-1, 0)  #: as of which books, the highest priority of a QOS

    def largest(self, state: ClusterState) -> int:
        version, found = self._largest
        if version != state.books.rules_version:
            found = max((qos.priority for qos in state.books.qos.values()), default=0)
            self._largest = (state.books.rules_version, found)
        return found

    def of(self, state: ClusterState, now: float) -> dict[int, Standing]:
        if state.books.version != self._version or not self._at <= now < self._at + INTERVAL:
            self._known = fair_tree(nodes_of(state, now))
            self._at, self._version = now, state.books.version
        return self._known

    def factor(self, state: ClusterState, association: int, now: float) -> float:
        found = self.of(state, now).get(association)
        return 0.0 if found is None else found.factor
