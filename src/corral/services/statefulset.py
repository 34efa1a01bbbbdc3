"""What must be done so that a StatefulSet has its Pods: each of its own name, in order, one after the other?

Kubernetes' rules. Missing ordinals are made from the lowest up, surplus ones end from the highest down; with OrderedReady each waits until
those before it are available. When all is there, an update ends what has another revision, from the highest down to the partition. An
ordinal is made anew only when its old Pod is gone altogether: two of one name never run.
"""

import math

import msgspec

from corral.model.kube.meta import ObjectKey
from corral.model.kube.pod import Pod, PodTemplateSpec
from corral.model.kube.workload import (
    ControllerRevision,
    RollingUpdateStatefulSet,
    StatefulSet,
    StatefulSetStatus,
)
from corral.services import backoff, budgets, podset, statefulclaims, templaterevisions
from corral.services.changes import Change, Put, Remove, Wake
from corral.services.conditions import creating
from corral.services.rollout import share_of
from corral.services.selectors import pods_of
from corral.services.templaterevisions import REVISION_LABEL
from corral.services.view import View

_NAME, _INDEX = "statefulset.kubernetes.io/pod-name", "apps.kubernetes.io/pod-index"
_LOOK_AGAIN = 5.0  #: seconds until it is looked again whether a budget lets a Pod go
_NAME_TAKEN = 10.0  #: seconds until it is looked again whether a Pod of another owner is gone


def reconcile(one: StatefulSet, view: View, now: float) -> list[Change]:
    pods, changes = pods_of(one, one.spec.selector, view)
    revisions, update, made = templaterevisions.of(one, view)
    changes += made
    current = one.status.current_revision or update.metadata.name
    step = _Step(
        one, pods, {found.metadata.name: found for found in revisions}, current, update.metadata.name, view, now
    )
    step.look()
    status = _status(one, pods, current, update.metadata.name, now)
    conditions = creating(status.conditions, view.refusal(one.key), now)
    status = msgspec.structs.replace(status, conditions=conditions, failures=step.failures)
    if status != one.status:
        changes.append(Put(msgspec.structs.replace(one, status=status)))
    changes += step.changes
    used = {pod.metadata.labels.get(REVISION_LABEL) for pod in pods} | {status.current_revision, status.update_revision}
    changes += templaterevisions.beyond_limit(
        revisions, one.spec.revision_history_limit, lambda found: found.metadata.name in used
    )
    if (due := min(step.due, podset.next_available(pods, one.spec.min_ready_seconds, now))) < math.inf:
        changes.append(Wake(due))
    return changes


def ordinal_of(pod: Pod, owner: str) -> int:
    """-1 = it is none of its Pods by name."""
    head, _, tail = pod.metadata.name.rpartition("-")
    return int(tail) if head == owner and tail.isascii() and tail.isdigit() and str(int(tail)) == tail else -1


class _Step:
    """One look at a set: what is to be done next, until something has to be waited for."""

    def __init__(
        self, one: StatefulSet, pods: list[Pod], revisions: dict[str, ControllerRevision], current: str, update: str,
        view: View, now: float,
    ) -> None:  # fmt: skip
        self.one, self.view, self.now = one, view, now
        self.current, self.update, self.revisions = current, update, revisions
        self.start = one.spec.ordinals.start if one.spec.ordinals is not None else 0
        self.wanted = range(self.start, self.start + one.spec.replicas)
        self.pods = {number: pod for pod in pods if (number := ordinal_of(pod, one.metadata.name)) >= 0}
        self.in_order = one.spec.pod_management_policy == "OrderedReady"
        rolling = one.spec.update_strategy.rolling_update or RollingUpdateStatefulSet()
        self.partition = self.start + rolling.partition
        self.most_missing = max(share_of(rolling.max_unavailable, one.spec.replicas, up=True), 1)
        self.is_rolling = one.spec.update_strategy.type == "RollingUpdate"
        self.failures = {key: count for key, count in one.status.failures.items() if int(key) in self.wanted}
        self.changes: list[Change] = []
        self.due = math.inf

    def look(self) -> None:
        self.changes += statefulclaims.changes(self.one, self.wanted, self.view)
        if self._missing_made() and self._surplus_ended() and self._leaving_moved() and self.is_rolling:
            self._updated()

    def is_available(self, pod: Pod) -> bool:
        return podset.is_available(pod, self.one.spec.min_ready_seconds, self.now)

    def _missing_made(self) -> bool:
        """Each ordinal has its Pod; False = it has to be waited before anything else is done."""
        made = 0
        is_full = podset.is_refused(list(self.pods.values()))
        for number in self.wanted:
            pod = self.pods.get(number)
            waits = False
            if pod is None:
                made += 1
                if is_full or made > podset.AT_ONCE:
                    return False
                waits = not self._make(number) or self.in_order
            elif pod.metadata.deletion_timestamp:
                waits = True
            elif pod.has_ended:
                waits = True
                self._failed(number, pod)
            elif not self.is_available(pod):
                waits = True
                # It would be waited for in vain if its template is what is wrong, and has been mended since.
                if self.in_order and self.is_rolling and not pod.is_ready and self._is_outdated(number, pod):
                    self.changes.append(Remove(pod.key))
            if waits and self.in_order:
                return False
        return True

    def _failed(self, number: int, pod: Pod) -> None:
        """It goes, and its name is free; later and later, unless its template has been mended meanwhile."""
        count, wait = backoff.next_try(pod, podset.ended_at(pod), self.failures.get(str(number), 0), self.now)
        if self.is_rolling and self._is_outdated(number, pod):
            count, wait = 0, 0.0
        if wait > self.now:
            self.due = min(self.due, wait)
        elif not podset.may_run_on(pod):
            self.changes.append(Remove(pod.key, 0))
            self.failures[str(number)] = count

    def _make(self, number: int) -> bool:
        name = f"{self.one.metadata.name}-{number}"
        if self.view.get(ObjectKey("Pod", self.one.metadata.namespace, name)) is not None:
            self.due = min(self.due, self.now + _NAME_TAKEN)
            return False
        is_kept = self.is_rolling and number < self.partition and self.current in self.revisions
        revision = self.current if is_kept else self.update
        template = templaterevisions.template_of(self.revisions[revision]) if is_kept else self.one.spec.template
        self.changes.append(Put(self._pod(number, name, revision, template)))
        return True

    def _pod(self, number: int, name: str, revision: str, template: PodTemplateSpec) -> Pod:
        labels = {_NAME: name, _INDEX: str(number), REVISION_LABEL: revision}
        pod = podset.made_from(template, self.one, name, labels)
        spec = msgspec.structs.replace(
            pod.spec,
            hostname=name,
            subdomain=pod.spec.subdomain or self.one.spec.service_name,
            volumes=statefulclaims.volumes_of(self.one, number, pod.spec.volumes),
        )
        return msgspec.structs.replace(pod, spec=spec)

    def _surplus_ended(self) -> bool:
        """Those beyond the wanted ones, from the highest down."""
        for number in sorted((found for found in self.pods if found not in self.wanted), reverse=True):
            pod = self.pods[number]
            if not pod.metadata.deletion_timestamp:
                self.changes.append(Remove(pod.key))
            if self.in_order:
                return False
        return True

    def _leaving_moved(self) -> bool:
        """Whose node is being drained goes there where there is room, one at a time."""
        leaving = [pod for number, pod in sorted(self.pods.items()) if podset.is_leaving(pod)]
        if not leaving:
            return True
        there = [self.pods.get(number) for number in self.wanted]
        if all(pod is not None and self.is_available(pod) for pod in there) or not any(map(self.is_available, leaving)):
            pod = leaving[-1]
            if pod.metadata.deletion_timestamp:
                return False
            if budgets.Allowance(self.view, self.now).holder(pod) is None:
                self.changes.append(Remove(pod.key))
            else:
                self.due = min(self.due, self.now + _LOOK_AGAIN)
        return False

    def _is_outdated(self, number: int, pod: Pod) -> bool:
        return number >= self.partition and pod.metadata.labels.get(REVISION_LABEL) != self.update

    def _updated(self) -> None:
        """What has another revision ends, from the highest down, no more at once than may be missing."""
        missing = 0
        for number in reversed(self.wanted):
            pod = self.pods.get(number)
            if pod is None or pod.metadata.deletion_timestamp or not self.is_available(pod):
                missing += 1
        for number in reversed(self.wanted):
            pod = self.pods.get(number)
            if pod is None or pod.metadata.deletion_timestamp:
                if self.most_missing == 1:
                    return
                continue
            if self._is_outdated(number, pod):
                is_missing = not self.is_available(pod)
                if missing >= self.most_missing and not is_missing:
                    return
                missing += not is_missing
                self.changes.append(Remove(pod.key))
                if missing >= self.most_missing:
                    return
            elif not self.is_available(pod) and self.most_missing == 1:
                return


def _status(one: StatefulSet, pods: list[Pod], current: str, update: str, now: float) -> StatefulSetStatus:
    living = [pod for pod in pods if not pod.has_ended]
    staying = [pod for pod in living if not pod.metadata.deletion_timestamp]
    of = [pod.metadata.labels.get(REVISION_LABEL) for pod in staying]
    updated, ready = of.count(update), sum(pod.is_ready for pod in staying)
    if updated == len(staying) == one.spec.replicas == ready and one.spec.update_strategy.type == "RollingUpdate":
        current = update
    return StatefulSetStatus(
        observed_generation=one.metadata.generation,
        replicas=len(living),
        ready_replicas=ready,
        current_replicas=of.count(current),
        updated_replicas=updated,
        available_replicas=sum(podset.is_available(pod, one.spec.min_ready_seconds, now) for pod in staying),
        current_revision=current,
        update_revision=update,
        conditions=one.status.conditions,
    )
