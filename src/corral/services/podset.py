"""A Pod among its equals: is it active, available, which goes first, and what is the next one called?"""

import hashlib
import math

import msgspec

from corral.model.kube.meta import Condition, KubeObject, ObjectMeta
from corral.model.kube.pod import ENDED_PHASES, Pod, PodTemplateSpec
from corral.services.conditions import find, with_condition, without
from corral.services.selectors import matches, owner_reference
from corral.services.waits import over_at

#: So many Pods are made or ended at one look at most: what is too much for the cluster shows before there are millions, and others have
#: their turn in between.
AT_ONCE = 100
MOST_REFUSED = 100
#: As Kubernetes' names: no vowels, nothing that looks like something else.
_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
_DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
#: The condition of a Pod that has to leave its node: it counts until its replacement is there.
LEAVING = "DisruptionTarget"
#: The condition of a Pod that was lost with its node, when it is known that nothing of it runs there any more.
GONE = "Gone"


def letters(text: str, count: int) -> str:
    """So many letters that stand for this text: the same ones each time."""
    number = int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "big")
    found = []
    for _ in range(count):
        number, rest = divmod(number, len(_LETTERS))
        found.append(_LETTERS[rest])
    return "".join(found)


def is_active(pod: Pod) -> bool:
    """It counts as one of the replicas."""
    return not pod.has_ended and not pod.metadata.deletion_timestamp


class Group:
    """The Pods of one owner, looked through once: there may be thousands, and each look counts them all."""

    __slots__ = ("active", "available", "ended", "leaving", "next_available", "ready", "staying")

    def __init__(self, pods: list[Pod], min_ready: int, now: float) -> None:
        self.active: list[Pod] = []  #: they count as replicas
        self.leaving: list[Pod] = []  #: of these those whose node is being drained
        self.staying: list[Pod] = []  #: and the others
        self.ended: list[Pod] = []  #: not being deleted
        self.ready = self.available = 0
        self.next_available = math.inf  #: when the next becomes so by waiting alone
        for pod in pods:
            status = pod.status
            if pod.metadata.deletion_timestamp:
                continue
            if status.phase in ENDED_PHASES:
                self.ended.append(pod)
                continue
            self.active.append(pod)
            if since := status.ready_since:
                self.ready += 1
                at = over_at(since, min_ready, now) if min_ready else since
                if at <= now or since > now:
                    self.available += 1
                elif at < self.next_available:
                    self.next_available = at
            (self.leaving if is_leaving(pod) else self.staying).append(pod)


def is_refused(pods: list[Pod]) -> bool:
    """The cluster takes no more of them, as many wait for that already as there need be: to make more would help nobody."""
    return sum(pod.status.reason == "Refused" for pod in pods) >= MOST_REFUSED


def is_leaving(pod: Pod) -> bool:
    """Its node is being drained."""
    for one in pod.status.conditions:
        if one.type == LEAVING:
            return one.status == "True"
    return False


def may_run_on(pod: Pod) -> bool:
    """Its node was lost, and with it what the Pod runs: who knows whether it runs on?"""
    return pod.has_ended and pod.status.reason == "NodeLost" and find(pod.status.conditions, GONE) is None


def leaving(conditions: tuple[Condition, ...], why: str, now: float) -> tuple[Condition, ...]:
    """The conditions of a Pod that has to leave its node."""
    return (*with_condition((), LEAVING, "True", "DrainedNode", why, now), *without(conditions, LEAVING))


def available_at(pod: Pod, min_ready: int, now: float) -> float:
    """From when on it counts as available, as things are."""
    return over_at(pod.status.ready_since, min_ready, now) if pod.is_ready and not pod.has_ended else math.inf


def is_available(pod: Pod, min_ready: int, now: float) -> bool:
    return available_at(pod, min_ready, now) <= now


def next_available(pods: list[Pod], min_ready: int, now: float) -> float:
    """When the next of them becomes so by waiting alone; infinity if none does."""
    return min((at for pod in pods if (at := available_at(pod, min_ready, now)) > now), default=math.inf)


def ended_at(pod: Pod) -> float:
    """When it ended, as far as that is known."""
    times = [one.state.finished_at for one in pod.status.container_statuses]
    times += [one.last_transition_time for one in pod.status.conditions]
    return max((*times, pod.metadata.deletion_timestamp, pod.metadata.creation_timestamp))


def first_to_go(pods: list[Pod], now: float, min_ready: int = 0, count: int | None = None) -> list[Pod]:
    """In Kubernetes' order: without a node, not running, not ready, the cheapest to delete, where most of them are, the youngest.

    Of those that are ready first who is not so for long enough: else one that counts could go for one that does not. Pods that want
    to be near each other on their nodes go first from where fewest of them are: so whole nodes get free. `count`: so many are wanted.
    """
    sign = -1 if pods and _fills_nodes(pods[0]) else 1
    crowd: dict[str, int] = {}
    for pod in pods:
        if node := pod.status.node:
            crowd[node] = crowd.get(node, 0) + 1

    def rank(pod: Pod) -> tuple[float, ...]:
        ready = pod.status.ready_since
        return (
            ready > 0.0 and not (min_ready and now < over_at(ready, min_ready, now)),
            _cost(pod),
            -sign * crowd.get(pod.status.node, 0),
            # Of those that are ready for about as long none is preferred for seconds.
            -ready if not ready else int(math.log2(max(now - ready, 1.0))),
            -sum(one.restart_count for one in pod.status.container_statuses),
            int(math.log2(max(now - pod.metadata.creation_timestamp, 1.0))),
        )

    found: list[Pod] = []
    groups = _by_progress(pods)
    for progress in sorted(groups):
        if count is not None and len(found) >= count:
            break
        found += sorted(groups[progress], key=rank)
    return found if count is None else found[:count]


def _by_progress(pods: list[Pod]) -> dict[tuple[bool, int, bool], list[Pod]]:
    """Without a node, not running, not ready, ready."""
    phases = {"Pending": 0, "Unknown": 1, "Running": 2}
    groups: dict[tuple[bool, int, bool], list[Pod]] = {}
    for pod in pods:
        status = pod.status
        groups.setdefault((bool(status.node), phases.get(status.phase, 0), pod.is_ready), []).append(pod)
    return groups


def _fills_nodes(pod: Pod) -> bool:
    """Does it want to be where others like it are?"""
    affinity = pod.spec.affinity
    near = affinity.pod_affinity if affinity is not None else None
    wishes = near.preferred_during_scheduling_ignored_during_execution if near is not None else ()
    return any(
        one.pod_affinity_term.topology_key == "kubernetes.io/hostname"
        and matches(one.pod_affinity_term.label_selector, pod.metadata.labels)
        for one in wishes
    )


def _cost(pod: Pod) -> int:
    text = pod.metadata.annotations.get(_DELETION_COST)
    try:
        return int(text) if text else 0
    except ValueError:
        return 0


def made_from(
    template: PodTemplateSpec, owner: KubeObject, name: str,
    labels: dict[str, str] | None = None, annotations: dict[str, str] | None = None,
) -> Pod:  # fmt: skip
    """A new Pod as the template says, owned by `owner`."""
    meta = ObjectMeta(
        name=name,
        namespace=owner.metadata.namespace,
        labels={**template.metadata.labels, **(labels or {})},
        annotations={**template.metadata.annotations, **(annotations or {})},
        owner_references=(owner_reference(owner),),
    )
    return Pod(metadata=meta, spec=template.spec, creator=owner.creator)


def digest(template: PodTemplateSpec, salt: str = "") -> str:
    """What stands for a template in names and labels. What has no default is in it alone, so new fields change nothing."""
    return letters(msgspec.json.encode(template, order="deterministic").decode() + salt, 10)
