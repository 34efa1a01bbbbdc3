"""What must be done so that each node that a DaemonSet means has one Pod of its template?

Kubernetes' rules. Which nodes those are the engine says (`Places`): whose labels it selects and whose taints it tolerates, in the Pod's
partition. A node that is drained or down gets no new Pod; one that is there stays on a drained node, as jobs do. A Pod that was
lost with its node is replaced when that node has said that nothing of it is left: never two of them on one machine but for a surge.

An update replaces Pods node by node: first those that are not available anyway, then as many as may be missing; with maxSurge the new one
comes beside the old one, which goes when the new one is available.
"""

import math

import msgspec

from corral.model.kube.meta import ObjectKey
from corral.model.kube.pod import Pod, Toleration
from corral.model.kube.workload import DaemonSet, DaemonSetStatus, RollingUpdateDaemonSet
from corral.services import podset, templaterevisions
from corral.services.backoff import Failures
from corral.services.changes import Change, Put, Remove, Wake
from corral.services.conditions import creating
from corral.services.rollout import share_of
from corral.services.selectors import pods_of
from corral.services.templaterevisions import REVISION_LABEL
from corral.services.view import View

#: What each of its Pods tolerates: conditions of a node that a node's own program lives with.
TOLERATED = (
    ("node.kubernetes.io/not-ready", "NoExecute"), ("node.kubernetes.io/unreachable", "NoExecute"),
    ("node.kubernetes.io/disk-pressure", "NoSchedule"), ("node.kubernetes.io/memory-pressure", "NoSchedule"),
    ("node.kubernetes.io/pid-pressure", "NoSchedule"), ("node.kubernetes.io/unschedulable", "NoSchedule"),
)  # fmt: skip


class Places(msgspec.Struct, frozen=True, kw_only=True):
    """Names of nodes, sorted."""

    wanted: tuple[str, ...]  #: each is to have one Pod
    kept: tuple[str, ...]  #: a Pod may stay, and none is made: drained ones


def tolerations(one: DaemonSet) -> tuple[Toleration, ...]:
    own = one.spec.template.spec.tolerations
    more = (Toleration(key=key, operator="Exists", effect=effect) for key, effect in TOLERATED)
    return (*own, *(toleration for toleration in more if toleration not in own))


def reconcile(one: DaemonSet, places: Places, view: View, now: float) -> list[Change]:
    pods, changes = pods_of(one, one.spec.selector, view)
    revisions, update, made = templaterevisions.of(one, view)
    look = _Look(one, places, pods, update.metadata.labels[REVISION_LABEL], view, now)
    look.keep_one_each()
    if one.spec.update_strategy.type == "RollingUpdate":
        look.update()
    changes += made + look.changes()
    conditions = creating(one.status.conditions, view.refusal(one.key), now)
    status = msgspec.structs.replace(look.status(), conditions=conditions)
    if status != one.status:
        changes.append(Put(msgspec.structs.replace(one, status=status)))
    used = {pod.metadata.labels.get(REVISION_LABEL) for pod in pods} | {update.metadata.labels[REVISION_LABEL]}
    changes += templaterevisions.beyond_limit(
        revisions, one.spec.revision_history_limit, lambda found: found.metadata.labels.get(REVISION_LABEL) in used
    )
    if look.due < math.inf:
        changes.append(Wake(look.due))
    return changes


class _Look:
    def __init__(
        self, one: DaemonSet, places: Places, pods: list[Pod], revision: str, view: View, now: float
    ) -> None:  # fmt: skip
        self.one, self.places, self.revision, self.view, self.now = one, places, revision, view, now
        self.pods: dict[str, list[Pod]] = {}  #: by node, those being deleted left out
        self.ending: set[str] = set()  #: nodes on which one is being ended
        for pod in pods:
            if pod.metadata.deletion_timestamp:
                self.ending.add(pod.spec.node_name)
            else:
                self.pods.setdefault(pod.spec.node_name, []).append(pod)
        self.gone: dict[ObjectKey, int | None] = {}  #: with the grace, None = as it says
        self.new: list[str] = []  #: nodes that get one
        self.due = podset.next_available([pod for pod in pods if podset.is_active(pod)], self.minimum, now)

    @property
    def minimum(self) -> int:
        return self.one.spec.min_ready_seconds

    def is_available(self, pod: Pod) -> bool:
        return podset.is_available(pod, self.minimum, self.now)

    def is_new(self, pod: Pod) -> bool:
        return pod.metadata.labels.get(REVISION_LABEL) == self.revision

    def active(self, node: str) -> list[Pod]:
        """The oldest first."""
        found = [pod for pod in self.pods.get(node, ()) if not pod.has_ended]
        return sorted(found, key=lambda pod: (pod.metadata.creation_timestamp, pod.metadata.name))

    # -- one on each node

    def keep_one_each(self) -> None:
        wanted = set(self.places.wanted)
        meant = wanted | set(self.places.kept)
        for node in sorted(self.pods.keys() | wanted):
            active = self.active(node)
            if node not in meant:
                self.gone |= dict.fromkeys((pod.key for pod in active), None)
            may_create = self._may_create(node)
            if node in wanted and not active and node not in self.ending and may_create:
                self.new.append(node)
            self._end_twins(node, active)

    def _may_create(self, node: str) -> bool:
        """Those that have failed are remembered, and wait for another one later and later; those of an old template go."""
        ended = [pod for pod in self.pods.get(node, ()) if pod.has_ended]
        if any(map(podset.may_run_on, ended)):
            return False  # it is looked at again when the node has spoken
        failures = Failures([pod for pod in ended if self.is_new(pod)], self.now)
        self.gone |= {pod.key: 0 for pod in ended if not self.is_new(pod)}
        self.gone |= {pod.key: 0 for pod in failures.forgotten(1)}
        wait = failures.may_create_at(1)
        self.due = min(self.due, failures.next_look, wait if wait > self.now else math.inf)
        return wait <= self.now

    def _end_twins(self, node: str, active: list[Pod]) -> None:
        """One of each revision at most: the second of the new revision is a mistake, the old ones are the update's."""
        for twins in ([pod for pod in active if self.is_new(pod)], [pod for pod in active if not self.is_new(pod)]):
            ready_first = sorted(twins, key=lambda pod: not self.is_available(pod))
            self.gone |= dict.fromkeys((pod.key for pod in ready_first[1:]), None)

    # -- from revision to revision

    def update(self) -> None:
        wanted = self.places.wanted
        rolling = self.one.spec.update_strategy.rolling_update or RollingUpdateDaemonSet()
        surge = share_of(rolling.max_surge, len(wanted), up=True)
        missing = share_of(rolling.max_unavailable, len(wanted), up=True)
        if not surge and not missing:
            missing = 1
        if surge:
            self._update_by_surge(surge)
        else:
            self._update_in_place(missing)

    def _split(self, node: str) -> tuple[Pod | None, Pod | None]:
        """The old and the new one that stay."""
        active = [pod for pod in self.active(node) if pod.key not in self.gone]
        old = next((pod for pod in active if not self.is_new(pod)), None)
        return old, next((pod for pod in active if self.is_new(pod)), None)

    def _update_in_place(self, most: int) -> None:
        missing, candidates = 0, list[Pod]()
        for node in self.places.wanted:
            old, new = self._split(node)
            if not any(pod is not None and self.is_available(pod) for pod in (old, new)):
                missing += 1
            if old is not None and (new is not None or not self.is_available(old)):
                self.gone[old.key] = None
            elif old is not None:
                candidates.append(old)
        self.gone |= dict.fromkeys((pod.key for pod in candidates[: max(most - missing, 0)]), None)

    def _update_by_surge(self, most: int) -> None:
        beside, candidates = 0, list[str]()
        for node in self.places.wanted:
            old, new = self._split(node)
            if old is None:
                continue
            if new is not None and self.is_available(new):
                self.gone[old.key] = None
            elif new is not None:
                beside += 1
            elif not self.is_available(old):
                self.gone[old.key] = None
            elif self._may_create(node):
                candidates.append(node)
        self.new += candidates[: max(most - beside, 0)]

    # -- what comes of it

    def changes(self) -> list[Change]:
        found: list[Change] = [Remove(key, grace) for key, grace in sorted(self.gone.items())]
        waiting = [pod for pods in self.pods.values() for pod in pods if not pod.has_ended]
        if podset.is_refused(waiting):
            return found
        return found + [Put(self._pod(node)) for node in self.new[: podset.AT_ONCE]]

    def _pod(self, node: str) -> Pod:
        salt = 0
        while True:
            letters = podset.letters(f"{self.one.metadata.uid} {self.now} {node} {salt}", 5)
            name = f"{self.one.metadata.name}-{letters}"
            if self.view.get(ObjectKey("Pod", self.one.metadata.namespace, name)) is None:
                break
            salt += 1
        pod = podset.made_from(self.one.spec.template, self.one, name, {REVISION_LABEL: self.revision})
        return msgspec.structs.replace(
            pod, spec=msgspec.structs.replace(pod.spec, node_name=node, tolerations=tolerations(self.one))
        )

    def status(self) -> DaemonSetStatus:
        meant = sorted(set(self.places.wanted) | {node for node in self.places.kept if self.active(node)})
        on_nodes = {node: self.active(node) for node in {*meant, *self.pods}}
        ready = sum(any(pod.is_ready for pod in on_nodes[node]) for node in meant)
        available = sum(any(map(self.is_available, on_nodes[node])) for node in meant)
        return DaemonSetStatus(
            observed_generation=self.one.metadata.generation,
            desired_number_scheduled=len(meant),
            current_number_scheduled=sum(bool(on_nodes[node]) for node in meant),
            number_misscheduled=sum(bool(pods) for node, pods in on_nodes.items() if node not in meant),
            number_ready=ready,
            number_available=available,
            number_unavailable=len(meant) - available,
            updated_number_scheduled=sum(any(map(self.is_new, on_nodes[node])) for node in meant),
        )
