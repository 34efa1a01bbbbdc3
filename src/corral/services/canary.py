"""Which step is a canary at, how many replicas and which share of the traffic has it there, and does its check say yes?

A step is reached when its replicas are available. Then its check runs, as a Job that the Deployment owns; when that has succeeded the pause
begins, and after it the next step; after the last one the rollout goes on as a rolling update. A check that fails takes the rollout back.
What was rolled out once needs no canary: going back is quick.
"""

import math

import msgspec

from corral.model.kube.meta import ObjectKey, ObjectMeta
from corral.model.kube.pod import EnvVar, Pod, PodTemplateSpec, TemplateMeta
from corral.model.kube.workload import CanaryStep, Deployment, DeploymentStatus, Job, JobSpec, ReplicaSet
from corral.services import batchjob, podset, revisions, rollout
from corral.services.changes import Change, Put, Remove
from corral.services.conditions import find
from corral.services.endpoints import WEIGHT
from corral.services.revisions import GOOD
from corral.services.selectors import owner_reference
from corral.services.view import View
from corral.services.waits import over_at

_OF = "corral.dev/canary-of"  #: label of a check: the ReplicaSet that it is about


class Stage(msgspec.Struct, frozen=True, kw_only=True):
    target: int  #: replicas of the new set
    weight: int | None  #: percent of the traffic that it gets; None = as its replicas are
    status: DeploymentStatus
    waits: str = ""  #: for what, once its replicas are there
    failed: str = ""  #: why it is not to go on
    due: float = math.inf
    changes: list[Change] = []


def look(
    one: Deployment, new: ReplicaSet | None, olds: list[ReplicaSet], status: DeploymentStatus, view: View, now: float
) -> Stage | None:
    """None = there is no canary under way."""
    steps = one.spec.strategy.canary
    if new is None or not is_one(one, new, olds) or one.spec.paused:
        return None
    if status.canary_of != new.metadata.name:
        status = msgspec.structs.replace(status, canary_of=new.metadata.name, canary_step=0, canary_since=0.0)
    while status.canary_step < len(steps):
        stage = _stage(one, new, status, view, now)
        if stage.failed or stage.changes or stage.due > now:
            return stage
        status = msgspec.structs.replace(stage.status, canary_step=status.canary_step + 1, canary_since=0.0)
    return Stage(target=one.spec.replicas, weight=None, status=status)


def is_one(one: Deployment, new: ReplicaSet, olds: list[ReplicaSet]) -> bool:
    if one.spec.strategy.type != "Canary" or not one.spec.strategy.canary or not one.spec.replicas:
        return False
    was_good = new.metadata.annotations.get(GOOD) == "true"
    return not was_good and any(old.spec.replicas for old in olds)


def _stage(one: Deployment, new: ReplicaSet, status: DeploymentStatus, view: View, now: float) -> Stage:
    number = status.canary_step
    step = one.spec.strategy.canary[number]
    target = min(math.ceil(one.spec.replicas * step.weight / 100), one.spec.replicas)
    said = f"step {number + 1} of {len(one.spec.strategy.canary)}, {step.weight} % of the traffic"
    if rollout.available(new) < target or new.spec.replicas != target:
        return Stage(target=target, weight=step.weight, status=status)
    if step.check:
        key = ObjectKey("Job", one.metadata.namespace, f"{new.metadata.name}-check-{number + 1}")
        check = view.get(key)
        stage = Stage(target=target, weight=step.weight, status=status, waits=f"{said}: {key.name} is under way")
        if not isinstance(check, Job):
            return msgspec.structs.replace(stage, changes=[Put(_check(one, new, step, key.name, view))])
        if (found := find(check.status.conditions, "Failed")) is not None and found.status == "True":
            return msgspec.structs.replace(stage, failed=f"{said}: check {key.name} failed ({found.message}).")
        if not batchjob.has_finished(check):
            return stage
    if not status.canary_since:
        status = msgspec.structs.replace(status, canary_since=now)
    return Stage(
        target=target,
        weight=step.weight,
        status=status,
        waits=said,
        due=over_at(status.canary_since, step.pause_seconds, now),
    )


def _check(one: Deployment, new: ReplicaSet, step: CanaryStep, name: str, view: View) -> Job:
    """As the first container, with its image, files and environment, but this command and no ports."""
    pods = [pod for pod in view.pods_of(new.metadata.uid) if pod.is_ready]
    addresses = [f"{address.host}:{address.host_port}" for pod in pods for address in pod.status.addresses]
    told = {
        "CORRAL_CANARY_REVISION": str(revisions.revision_of(new)),
        "CORRAL_CANARY_WEIGHT": str(step.weight),
        "CORRAL_CANARY_ADDRESSES": " ".join(addresses),
    }
    spec = one.spec.template.spec
    first = spec.containers[0]
    container = type(first)(
        name="check",
        image=first.image,
        command=step.check,
        working_dir=first.working_dir,
        env=(*first.env, *(EnvVar(name=key, value=value) for key, value in told.items())),
        env_from=first.env_from,
        volume_mounts=first.volume_mounts,
        security_context=first.security_context,
    )
    pod = type(spec)(
        containers=(container,), volumes=spec.volumes, restart_policy="Never", security_context=spec.security_context
    )
    labels = {_OF: new.metadata.name}
    return Job(
        metadata=ObjectMeta(
            name=name, namespace=one.metadata.namespace, labels=labels, owner_references=(owner_reference(one),)
        ),
        creator=one.creator,
        spec=JobSpec(
            backoff_limit=0,
            active_deadline_seconds=one.spec.progress_deadline_seconds,
            template=PodTemplateSpec(metadata=TemplateMeta(labels=labels), spec=pod),
        ),
    )


def outdated_checks(one: Deployment, new: ReplicaSet | None, view: View) -> list[Change]:
    """Those of earlier rollouts."""
    name = new.metadata.name if new is not None else ""
    return [
        Remove(found.key) for found in view.owned(one.metadata.uid)
        if isinstance(found, Job) and found.metadata.labels.get(_OF, name) != name and not found.metadata.deletion_timestamp
    ]  # fmt: skip


def weighted(new: ReplicaSet | None, olds: list[ReplicaSet], weight: int, view: View) -> list[Change]:
    """The replicas with the part of the traffic that each takes, while there are some of both."""
    fresh = _active([new] if new is not None else [], view)
    stable = _active(olds, view)
    ready = [sum(pod.is_ready for pod in pods) for pods in (fresh, stable)]
    if not weight or not all(ready):
        return _weigh(fresh, "0" if ready[1] else "1") + _weigh(stable, "1")
    shares = weight * ready[1], (100 - weight) * ready[0]
    whole = math.gcd(*shares) or 1
    return _weigh(fresh, str(shares[0] // whole)) + _weigh(stable, str(shares[1] // whole))


def unweighted(sets: list[ReplicaSet], given_up: str, view: View) -> list[Change]:
    """It is over: traffic goes to all alike, but none to what has been given up."""
    failed = [found for found in sets if found.metadata.name == given_up]
    return _weigh(_active(failed, view), "0") + _weigh(_active([one for one in sets if one not in failed], view), "")


def _active(sets: list[ReplicaSet], view: View) -> list[Pod]:
    return [pod for one in sets for pod in view.pods_of(one.metadata.uid) if podset.is_active(pod)]


def _weigh(pods: list[Pod], text: str) -> list[Change]:
    return [Put(found) for pod in pods if (found := _with_weight(pod, text)) is not pod]


def _with_weight(pod: Pod, text: str) -> Pod:
    annotations = {name: value for name, value in pod.metadata.annotations.items() if name != WEIGHT}
    if text:
        annotations[WEIGHT] = text
    changed: Pod = revisions.with_annotations(pod, annotations)
    return changed
