"""What must be done so that a Deployment runs its template: which ReplicaSets, with how many replicas each?"""

import math

import msgspec

from corral.model.kube.workload import Deployment, DeploymentStatus, ReplicaSet
from corral.services import canary, progress, revisions, rollout
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
    status = one.status
    stage = canary.look(one, new, olds, status, view, now)
    status = progress.status_of(one, new, olds, stage, now)
    said = find(status.conditions, "Progressing")
    before = find(one.status.conditions, "Progressing")
    # First it is said, then it is done: who waits for the rollout hears that it has failed.
    is_told = said is not None and before is not None and before.reason == said.reason
    if said is not None and said.reason in progress.GIVEN_UP and new is not None and is_told:
        undone = _undone(one, new, olds, status, said.reason, said.message, now)
        if undone is not None:
            return [undone]
    if new is None and not one.spec.paused:
        new = revisions.made(one, view)
        if new is None:  # another has that name
            status = msgspec.structs.replace(status, collision_count=status.collision_count + 1)
            return [Put(msgspec.structs.replace(one, status=status))]
        if canary.is_one(one, new, olds):
            stage = canary.look(one, new, olds, status, view, now)
    wanted = _wanted(one, new, olds, view, status, stage)
    changes: list[Change] = [Put(found) for found in wanted if found is not view.get(found.key)]
    if stage is not None:
        changes += stage.changes + canary.outdated_checks(one, new, view)
        if stage.weight is not None:
            changes += canary.weighted(new, olds, stage.weight, view)
        else:
            changes += canary.unweighted(wanted, "", view)
    elif status.canary_of and not one.spec.paused:
        given_up = status.canary_of if new is not None and status.canary_of != new.metadata.name else ""
        changes += canary.unweighted(sets, given_up, view)
        status = msgspec.structs.replace(status, canary_of="", canary_step=0, canary_since=0.0)
    number = next((str(revisions.revision_of(found)) for found in wanted if found.key == (new and new.key)), "")
    changes += _said(one, status, number)
    if progress.is_complete(one, status):
        changes += [Remove(old.key) for old in revisions.beyond_limit(olds, one.spec.revision_history_limit)]
    due = min(progress.deadline(one, status.conditions), stage.due if stage is not None else math.inf)
    if due < math.inf:
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
    one: Deployment, new: ReplicaSet | None, olds: list[ReplicaSet], view: View, status: DeploymentStatus,
    stage: canary.Stage | None,
) -> list[ReplicaSet]:  # fmt: skip
    """All its sets as they are to be."""
    sets = [*olds, new] if new is not None else olds
    if one.spec.paused or new is None or rollout.is_scaled(one, sets):
        sizes = rollout.proportional(one, new, olds)
    elif one.spec.strategy.type == "Recreate":
        sizes = rollout.recreated(one, new, olds, view)
    else:
        sizes = rollout.rolling(one, new, olds, stage.target if stage is not None else one.spec.replicas)
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


def _said(one: Deployment, status: DeploymentStatus, number: str) -> list[Change]:
    """The status, and which revision it is of."""
    annotations = dict(one.metadata.annotations)
    if number:
        annotations[REVISION] = number
    if number and annotations.get(UNDONE, number) != number:
        del annotations[UNDONE]  # it has been given another template since
        status = msgspec.structs.replace(status, conditions=without(status.conditions, "RolledBack"))
    changed: Deployment = revisions.with_annotations(one, annotations)
    if status != one.status:
        changed = msgspec.structs.replace(changed, status=status)
    return [Put(changed)] if changed is not one else []


def _undone(
    one: Deployment, new: ReplicaSet, olds: list[ReplicaSet], status: DeploymentStatus, reason: str, why: str, now: float
) -> Change | None:  # fmt: skip
    """Back to the template of the last revision that was rolled out, if there is one and it is wanted."""
    good = revisions.last_good(olds)
    if good is None or one.metadata.annotations.get(AUTO_UNDO) == "false":
        return None
    number = str(max(revisions.revision_of(found) for found in (*olds, new)) + 1)
    message = (
        f"{why} Revision {revisions.revision_of(new)} was taken back: this is the template of revision"
        f" {revisions.revision_of(good)} again."
    )
    conditions = with_condition(status.conditions, "RolledBack", "True", reason, message, now)
    annotations = {**one.metadata.annotations, UNDONE: number}
    return Put(
        msgspec.structs.replace(
            revisions.with_annotations(one, annotations),
            spec=msgspec.structs.replace(one.spec, template=revisions.plain_template(good)),
            status=msgspec.structs.replace(status, conditions=conditions),
        )
    )
