"""What must be done so that as many Pods of a template are there as a ReplicaSet says?"""

import math

import msgspec

from corral.model.kube.meta import Condition, ObjectKey
from corral.model.kube.pod import Pod
from corral.model.kube.workload import ReplicaSet, ReplicaSetStatus
from corral.services import budgets, podset
from corral.services.backoff import Failures
from corral.services.changes import Change, Put, Remove, Wake
from corral.services.conditions import creating
from corral.services.selectors import pods_of
from corral.services.view import View

_LOOK_AGAIN = 5.0  #: seconds until it is looked again whether a budget lets a Pod go


def reconcile(one: ReplicaSet, view: View, now: float) -> list[Change]:
    pods, changes = pods_of(one, one.spec.selector, view)
    group = podset.Group(pods, one.spec.min_ready_seconds, now)
    failures = Failures(group.ended, now)
    changes += [Remove(pod.key, 0) for pod in failures.forgotten(one.spec.replicas)]
    wakes = [failures.next_look, group.next_available]
    missing = one.spec.replicas - len(group.staying)
    if missing > 0 and not podset.is_refused(group.active):
        wait = failures.may_create_at(one.spec.replicas)
        if wait > now:
            wakes.append(wait)
        else:
            changes += [Put(pod) for pod in _new(one, view, min(missing, podset.AT_ONCE), now)]
    gone, waits = _surplus(one, group, view, now)
    changes += [Remove(pod.key) for pod in gone]
    if waits:
        wakes.append(now + _LOOK_AGAIN)
    status = _status(one, group, view.refusal(one.key), now)
    if status != one.status:
        changes.append(Put(msgspec.structs.replace(one, status=status)))
    if (due := min(wakes)) < math.inf:
        changes.append(Wake(due))
    return changes


def _new(one: ReplicaSet, view: View, count: int, now: float) -> list[Pod]:
    """Named as nothing that is there, and not as what has just gone."""
    found: dict[str, Pod] = {}
    number = 0
    while len(found) < count:
        number += 1
        name = f"{one.metadata.name}-{podset.letters(f'{one.metadata.uid} {now} {number}', 5)}"
        if name not in found and view.get(ObjectKey("Pod", one.metadata.namespace, name)) is None:
            found[name] = podset.made_from(one.spec.template, one, name)
    return list(found.values())


def _surplus(one: ReplicaSet, group: podset.Group, view: View, now: float) -> tuple[list[Pod], bool]:
    """Too many of those that stay; of those whose node is being drained as many as can be missed; and does a budget hold one back?"""
    gone: list[Pod] = []
    minimum = one.spec.min_ready_seconds
    if (surplus := len(group.staying) - one.spec.replicas) > 0:
        gone = podset.first_to_go(group.staying, now, minimum, min(surplus, podset.AT_ONCE))
    if not group.leaving:
        return gone, False
    spare = group.available - sum(podset.is_available(pod, minimum, now) for pod in gone) - one.spec.replicas
    allowance = budgets.Allowance(view, now)
    for pod in gone:
        allowance.note(pod)
    waits = False
    for pod in podset.first_to_go(group.leaving, now, minimum):
        is_missed = podset.is_available(pod, minimum, now)
        if is_missed and spare <= 0:
            continue
        if allowance.holder(pod) is None:
            allowance.note(pod)
            spare -= is_missed
            gone.append(pod)
        else:
            waits = True
    return gone, waits


def _status(one: ReplicaSet, group: podset.Group, refusal: str, now: float) -> ReplicaSetStatus:
    template = one.spec.template.metadata.labels.items()
    return ReplicaSetStatus(
        observed_generation=one.metadata.generation,
        replicas=len(group.active),
        fully_labeled_replicas=sum(template <= pod.metadata.labels.items() for pod in group.active),
        ready_replicas=group.ready,
        available_replicas=group.available,
        conditions=_failing(one, group.active, refusal, now),
    )


def _failing(one: ReplicaSet, active: list[Pod], refusal: str, now: float) -> tuple[Condition, ...]:
    """Pods that may not be made, or whose jobs are refused."""
    why = refusal or next((pod.status.message for pod in active if pod.status.reason == "Refused"), "")
    return creating(one.status.conditions, why, now)
