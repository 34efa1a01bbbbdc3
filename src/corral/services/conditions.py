"""What is said of an object, since when?"""

from typing import Literal

import msgspec

from corral.model.kube.meta import Condition

Status = Literal["True", "False", "Unknown"]


def find(conditions: tuple[Condition, ...], kind: str) -> Condition | None:
    return next((one for one in conditions if one.type == kind), None)


def with_condition(
    conditions: tuple[Condition, ...], kind: str, status: Status, reason: str, message: str, now: float
) -> tuple[Condition, ...]:
    """As they are, if that is said already; `last_transition_time` is when the status has changed."""
    old = find(conditions, kind)
    if old is not None and (old.status, old.reason, old.message) == (status, reason, message):
        return conditions
    since = old.last_transition_time if old is not None and old.status == status else now
    new = Condition(
        type=kind, status=status, reason=reason, message=message, last_transition_time=since, last_update_time=now
    )
    if old is None:
        return (*conditions, new)
    return tuple(new if one is old else one for one in conditions)


def touched(conditions: tuple[Condition, ...], kind: str, now: float) -> tuple[Condition, ...]:
    """Said again just now."""
    return tuple(msgspec.structs.replace(one, last_update_time=now) if one.type == kind else one for one in conditions)


def without(conditions: tuple[Condition, ...], kind: str) -> tuple[Condition, ...]:
    return tuple(one for one in conditions if one.type != kind)


def creating(conditions: tuple[Condition, ...], refusal: str, now: float) -> tuple[Condition, ...]:
    """Whether what an object wants is made; "" = it is."""
    if not refusal:
        return without(conditions, "ReplicaFailure")
    return with_condition(conditions, "ReplicaFailure", "True", "FailedCreate", refusal, now)
