"""How far is a rollout, and does it still come on? A Deployment's status and its conditions, in Kubernetes' words."""

import msgspec

from corral.model.kube.meta import Condition
from corral.model.kube.workload import Deployment, DeploymentStatus, ReplicaSet
from corral.services.canary import Stage
from corral.services.conditions import find, touched, with_condition, without
from corral.services.rollout import bounds

_ENDLESS = 2**31 - 1  #: progressDeadlineSeconds that means none
COMPLETE = "NewReplicaSetAvailable"
TIMED_OUT = "ProgressDeadlineExceeded"
CANARY, CANARY_FAILED = "CanaryStep", "CanaryCheckFailed"
#: What does not come on by itself.
GIVEN_UP = (TIMED_OUT, CANARY_FAILED)


def status_of(
    one: Deployment, new: ReplicaSet | None, olds: list[ReplicaSet], stage: Stage | None, now: float
) -> DeploymentStatus:
    """What there is, with the conditions that follow from it."""
    sets = [*olds, new] if new is not None else olds
    total = sum(found.status.replicas for found in sets)
    available = sum(found.status.available_replicas for found in sets)
    status = msgspec.structs.replace(
        stage.status if stage is not None else one.status,
        observed_generation=one.metadata.generation,
        replicas=total,
        updated_replicas=new.status.replicas if new is not None else 0,
        ready_replicas=sum(found.status.ready_replicas for found in sets),
        available_replicas=available,
        unavailable_replicas=max(total - available, 0),
    )
    _, unavailable = bounds(one)
    if available >= one.spec.replicas - unavailable:
        said: tuple[str, str, str] = ("True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
    else:
        said = ("False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability.")
    conditions = with_condition(status.conditions, "Available", said[0], said[1], said[2], now)  # type: ignore[arg-type]
    conditions = _progressing(one, status, new, stage, conditions, now)
    return msgspec.structs.replace(status, conditions=_failing(conditions, sets, now))


def is_complete(one: Deployment, status: DeploymentStatus) -> bool:
    wanted = one.spec.replicas
    return status.updated_replicas == wanted == status.replicas == status.available_replicas


def _progressing(
    one: Deployment, status: DeploymentStatus, new: ReplicaSet | None, stage: Stage | None,
    conditions: tuple[Condition, ...], now: float,
) -> tuple[Condition, ...]:  # fmt: skip
    old = find(conditions, "Progressing")
    if one.spec.paused:
        return with_condition(conditions, "Progressing", "Unknown", "DeploymentPaused", "Deployment is paused", now)
    if stage is not None and new is not None and (stage.failed or stage.waits):
        said = f'ReplicaSet "{new.metadata.name}": '
        if stage.failed:
            return with_condition(conditions, "Progressing", "False", CANARY_FAILED, said + stage.failed, now)
        return with_condition(conditions, "Progressing", "True", CANARY, said + stage.waits, now)
    if one.spec.progress_deadline_seconds >= _ENDLESS:
        return without(conditions, "Progressing")
    if new is None:
        return conditions
    name = f'ReplicaSet "{new.metadata.name}"'
    if is_complete(one, status) and new.status.observed_generation >= new.metadata.generation:
        return with_condition(conditions, "Progressing", "True", COMPLETE, f"{name} has successfully progressed.", now)
    if old is None or old.reason in ("DeploymentPaused", CANARY) or name[11:] not in old.message:
        if new.metadata.creation_timestamp >= now:
            reason, message = "NewReplicaSetCreated", f"Created new replica set {name[11:]}"
        else:
            reason, message = "FoundNewReplicaSet", f"Found new replica set {name[11:]}"
        return with_condition(conditions, "Progressing", "True", reason, message, now)
    if old.reason == COMPLETE and status.updated_replicas == status.replicas:
        return conditions  # it is only scaled, or has lost one: no rollout
    if _came_on(one.status, status):
        found = with_condition(conditions, "Progressing", "True", "ReplicaSetUpdated", f"{name} is progressing.", now)
        return touched(found, "Progressing", now)
    if now >= deadline(one, conditions):
        return with_condition(conditions, "Progressing", "False", TIMED_OUT, f"{name} has timed out progressing.", now)
    return conditions


def _came_on(before: DeploymentStatus, after: DeploymentStatus) -> bool:
    return (
        after.updated_replicas > before.updated_replicas
        or after.replicas - after.updated_replicas < before.replicas - before.updated_replicas
        or after.ready_replicas > before.ready_replicas
        or after.available_replicas > before.available_replicas
    )


def deadline(one: Deployment, conditions: tuple[Condition, ...]) -> float:
    """When it will have taken too long; infinity if it is no longer (or not yet) waited for."""
    said = find(conditions, "Progressing")
    limit = one.spec.progress_deadline_seconds
    if said is None or said.reason in (COMPLETE, *GIVEN_UP, CANARY, "DeploymentPaused") or limit >= _ENDLESS:
        return float("inf")
    return said.last_update_time + limit


def _failing(conditions: tuple[Condition, ...], sets: list[ReplicaSet], now: float) -> tuple[Condition, ...]:
    """What keeps a set from making its Pods, the newest first."""
    for found in reversed(sets):
        said = find(found.status.conditions, "ReplicaFailure")
        if said is not None:
            return with_condition(conditions, "ReplicaFailure", said.status, said.reason, said.message, now)
    return without(conditions, "ReplicaFailure")
