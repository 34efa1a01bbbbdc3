"""What is somebody told whose eviction a PodDisruptionBudget holds?"""

from corral.engine.state import ClusterState
from corral.model.kube.objects import AnyObject
from corral.model.kube.pod import Pod
from corral.protocol.replies import Rejected
from corral.services import budgets


class Allowance:
    """For several Pods of one request: each that is let go counts."""

    def __init__(self, state: ClusterState, now: float) -> None:
        self._state, self._now = state, now
        self._allowance = budgets.Allowance(state.objects, now)

    def refusal(self, one: AnyObject) -> Rejected | None:
        """In Kubernetes' words. None: it counts as gone from now on."""
        if not isinstance(one, Pod):
            return None
        budget = self._allowance.holder(one)
        if budget is None:
            self._allowance.note(one)
            return None
        found, name = budgets.status_of(budget, self._state.objects, self._now), budget.metadata.name
        detail = f"The disruption budget {name} needs {found.desired_healthy} healthy pods and has {found.current_healthy} currently"
        return Rejected(
            error="Cannot evict pod as it would violate the pod's disruption budget.", code="held", detail=detail
        )
