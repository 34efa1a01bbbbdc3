"""What must be done so that a Deployment runs its template: which ReplicaSets, with how many replicas each?"""

import math

import msgspec

from corral.model.kube.workload import Deployment, DeploymentStatus, ReplicaSet
from corral.services import progress, revisions, rollout
from corral.services.changes import Change, Put, Remove, Wake
from corral.services.conditions import find, with_condition, without
from corral.services.revisions import AUTO_UNDO, DESIRED, GOOD, MOST, REVISION, UNDONE
from corral.services.selectors import controller_of, matches, owned_by, owner_reference
from corral.services.view import View


def reconcile(one: Deployment, view: View, now: float) -> list[Change]:
    sets, adopted = _sets(one, view)
    if adopted:
        return adopted  # it is looked at again when they are its own
    new, olds = revisions.split(one, sets)
    status = progress.status_of(one, new, olds, now)
    said = find(status.conditions, "Progressing")
    if said is not None and said.reason == progress.TIMED_OUT and new is not None:
        undone = undo(one, new, olds, status, said.message, now)
        if undone is not None:
            return [undone]
    if new is None and not one.spec.paused:
        new = revisions.made(one, view)
        if new is None:  # another has that name
            status = msgspec.structs.replace(status, collision_count=status.collision_count + 1)
            return [Put(msgspec.structs.replace(one, status=status))]
    wanted = _wanted(one, new, olds, view, status)
    changes: list[Change] = [Put(found) for found in wanted if found is not view.get(found.key)]
    number = next((str(revisions.revision_of(found)) for found in wanted if found.key == (new and new.key)), "")
    changes += _said(one, status, number, now)
    if progress.is_complete(one, status):
        changes += [Remove(old.key) for old in revisions.beyond_limit(olds, one.spec.revision_history_limit)]
    if (due := progress.deadline(one, status.conditions)) < math.inf:
        changes.append(Wake(due))
    return changes


def _sets(one: Deployment, view: View) -> tuple[list[ReplicaSet], list[Change]]:
    """Its ReplicaSets, and the changes that adopt orphans which it selects."""
    mine = [
        found for found in view.owned(one.metadata.uid)
        if isinstance(found, ReplicaSet) and not found.metadata.deletion_timestamp
        and (owner := controller_of(found.metadata)) is not None and owner.uid == one.metadata.uid
    ]  # fmt: skip
    selector = one.spec.selector
    adopted: list[Change] = [
        Put(owned_by(found, (*found.metadata.owner_references, owner_reference(one))))
        for found in view.orphans("ReplicaSet", one.metadata.namespace, selector.match_labels)
        if matches(selector, found.metadata.labels) and not found.metadata.deletion_timestamp
    ]
    return mine, adopted


def _wanted(
    one: Deployment, new: ReplicaSet | None, olds: list[ReplicaSet], view: View, status: DeploymentStatus
) -> list[ReplicaSet]:
    """All its sets as they are to be."""
    sets = [*olds, new] if new is not None else olds
    if one.spec.paused or new is None or rollout.is_scaled(one, sets):
        sizes = rollout.proportional(one, new, olds)
    elif one.spec.strategy.type == "Recreate":
        sizes = rollout.recreated(one, new, olds, view)
    else:
        sizes = rollout.rolling(one, new, olds, one.spec.replicas)
    surge, _ = rollout.bounds(one)
    found = []
    for old in sets:
        size = sizes[old.metadata.name]
        changed = revisions.numbered(one, old, olds) if old is new and not one.spec.paused else old
        annotations = dict(changed.metadata.annotations)
        if size:
            annotations |= {DESIRED: str(one.spec.replicas), MOST: str(one.spec.replicas + surge)}
        if old is new and one.spec.replicas and progress.is_complete(one, status):
            annotations[GOOD] = "true"
        changed = revisions.with_annotations(changed, annotations)
        if size != changed.spec.replicas:
            changed = msgspec.structs.replace(changed, spec=msgspec.structs.replace(changed.spec, replicas=size))
        found.append(changed)
    return found


def _said(one: Deployment, status: DeploymentStatus, number: str, now: float) -> list[Change]:
    """The status, and which revision it is of."""
    annotations = dict(one.metadata.annotations)
    if number:
        annotations[REVISION] = number
    if UNDONE in annotations and annotations[UNDONE] != number and number:
        del annotations[UNDONE]  # it has been given another template since
        status = msgspec.structs.replace(status, conditions=without(status.conditions, "RolledBack"))
    changed = revisions.with_annotations(one, annotations)
    if status != one.status:
        changed = msgspec.structs.replace(changed, status=status)
    return [Put(changed)] if changed is not one else []


def undo(
    one: Deployment, new: ReplicaSet, olds: list[ReplicaSet], status: DeploymentStatus, why: str, now: float
) -> Change | None:
    """Back to the template of the last revision that was rolled out, if there is one and it is wanted."""
    good = revisions.last_good(olds)
    if good is None or one.metadata.annotations.get(AUTO_UNDO) == "false":
        return None
    number = str(max(revisions.revision_of(found) for found in (*olds, new)) + 1)
    message = (
        f"{why} Revision {revisions.revision_of(new)} was taken back: this is the template of revision"
        f" {revisions.revision_of(good)} again."
    )
    conditions = with_condition(status.conditions, "RolledBack", "True", progress.TIMED_OUT, message, now)
    annotations = {**one.metadata.annotations, UNDONE: number}
    return Put(
        msgspec.structs.replace(
            revisions.with_annotations(one, annotations),
            spec=msgspec.structs.replace(one.spec, template=revisions.plain_template(good)),
            status=msgspec.structs.replace(status, conditions=conditions),
        )
    )
