"""How many Pods may go by somebody's will, so that a PodDisruptionBudget is kept?"""

import msgspec

from corral.model.kube.config import PodDisruptionBudget, PodDisruptionBudgetStatus
from corral.model.kube.meta import ObjectKey, ObjectMeta
from corral.model.kube.pod import Pod
from corral.model.kube.workload import DaemonSet, Deployment, Job, ReplicaSet, StatefulSet
from corral.services.changes import Change, Put
from corral.services.conditions import with_condition
from corral.services.rollout import share_of
from corral.services.selectors import controller_of, is_empty, matches
from corral.services.view import View


def reconcile(one: PodDisruptionBudget, view: View, now: float) -> list[Change]:
    status = status_of(one, view, now)
    return [Put(msgspec.structs.replace(one, status=status))] if status != one.status else []


def means(one: PodDisruptionBudget, pod: Pod) -> bool:
    """An empty selector means all Pods of the namespace: those of who has made the budget; of root's, everybody's."""
    if one.creator is not None and pod.creator is not None and one.creator.uid not in (0, pod.creator.uid):
        return False
    return pod.metadata.namespace == one.metadata.namespace and matches(one.spec.selector, pod.metadata.labels)


def status_of(one: PodDisruptionBudget, view: View, now: float) -> PodDisruptionBudgetStatus:
    selector = one.spec.selector
    found = view.pods_selected(one.metadata.namespace, selector.match_labels) if selector is not None else []
    pods = [pod for pod in found if not pod.has_ended and means(one, pod)]
    healthy = sum(pod.is_ready for pod in pods)
    expected, desired = _wanted(one, pods, view)
    allowed = max(healthy - desired, 0) if expected else 0
    word, reason = ("True", "SufficientPods") if allowed else ("False", "InsufficientPods")
    return PodDisruptionBudgetStatus(
        observed_generation=one.metadata.generation,
        disruptions_allowed=allowed,
        current_healthy=healthy,
        desired_healthy=desired,
        expected_pods=expected,
        conditions=with_condition(one.status.conditions, "DisruptionAllowed", word, reason, "", now),  # type: ignore[arg-type]
    )


def _wanted(one: PodDisruptionBudget, pods: list[Pod], view: View) -> tuple[int, int]:
    """How many there should be, and how many of them healthy."""
    least, most = one.spec.min_available, one.spec.max_unavailable
    if most is not None:
        expected = _scale(pods, view)
        return expected, max(expected - share_of(most, expected, up=True), 0)
    if isinstance(least, str) and least.endswith("%"):
        expected = _scale(pods, view)
        return expected, share_of(least, expected, up=True)
    return len(pods), share_of(least, len(pods), up=True) if least is not None else 0


def _scale(pods: list[Pod], view: View) -> int:
    """What the owners of these Pods want altogether; a Pod without one counts for itself."""
    sizes: dict[str, int] = {}
    for pod in pods:
        owner = controller_of(pod.metadata)
        if owner is None:
            sizes[pod.metadata.uid] = 1
            continue
        found = view.get(ObjectKey(owner.kind, pod.metadata.namespace, owner.name))
        above = controller_of(found.metadata) if isinstance(found, ReplicaSet) else None
        if above is not None:
            found = view.get(ObjectKey(above.kind, pod.metadata.namespace, above.name)) or found
        match found:
            case Deployment() | ReplicaSet() | StatefulSet():
                sizes[found.metadata.uid] = found.spec.replicas
            case DaemonSet():
                sizes[found.metadata.uid] = found.status.desired_number_scheduled
            case Job():
                sizes[found.metadata.uid] = found.spec.parallelism
            case _:
                sizes[pod.metadata.uid] = 1
    return sum(sizes.values())


class Allowance:
    """How many more may go at one moment, by all budgets? Their Pods are counted once, and who goes is noted."""

    def __init__(self, view: View, now: float) -> None:
        self._view, self._now = view, now
        self._left: dict[ObjectKey, int] = {}  #: by the budget

    def holder(self, pod: Pod) -> PodDisruptionBudget | None:
        """The first budget that does not allow that it goes. What is not ready serves nobody."""
        if not pod.is_ready:
            return None
        return next((one for one in self._of(pod) if self._left_of(one) <= 0), None)

    def note(self, pod: Pod) -> None:
        """It goes."""
        if pod.is_ready:
            for one in self._of(pod):
                self._left[one.key] = self._left_of(one) - 1

    def _of(self, pod: Pod) -> list[PodDisruptionBudget]:
        found = self._view.of_kind("PodDisruptionBudget", pod.metadata.namespace)
        return [one for one in found if isinstance(one, PodDisruptionBudget) and means(one, pod)]

    def _left_of(self, one: PodDisruptionBudget) -> int:
        if one.key not in self._left:
            self._left[one.key] = status_of(one, self._view, self._now).disruptions_allowed
        return self._left[one.key]


def healthy(one: Deployment | ReplicaSet | StatefulSet, view: View) -> int:
    """So many of its Pods some budget wants healthy."""
    found = list(view.of_kind("PodDisruptionBudget", one.metadata.namespace))
    if not found:
        return 0
    meta = ObjectMeta(namespace=one.metadata.namespace, labels=one.spec.template.metadata.labels)
    like = Pod(metadata=meta, creator=one.creator)
    return max(
        (
            known.status.desired_healthy
            for known in found
            if isinstance(known, PodDisruptionBudget) and means(known, like)
        ),
        default=0,
    )


def selects_by(one: PodDisruptionBudget) -> tuple[str, str, str]:
    """One label that all its Pods have; two empty words = there is none."""
    selector = one.spec.selector
    if selector is None or is_empty(selector) or not selector.match_labels:
        return one.metadata.namespace, "", ""
    name, value = min(selector.match_labels.items())
    return one.metadata.namespace, name, value
