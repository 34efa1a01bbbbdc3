"""What of a change of an object is worth a note, as Kubernetes writes them: an Event with a reason and a message?"""

import re
from collections.abc import Iterator
from typing import Literal, NamedTuple

from corral.model.kube.meta import Condition, ObjectKey
from corral.model.kube.objects import AnyObject
from corral.model.kube.pod import ContainerStatus, Pod
from corral.model.kube.scaling import HorizontalPodAutoscaler
from corral.model.kube.workload import ControllerRevision, Deployment, Job, ReplicaSet

#: Conditions of which a change is told, and when.
_CONDITIONS: dict[tuple[str, str], Literal["Normal", "Warning"]] = {
    ("ReplicaFailure", "True"): "Warning",
    ("Progressing", "False"): "Warning",
    ("ScalingLimited", "True"): "Warning",
    ("AbleToScale", "False"): "Warning",
    ("ScalingActive", "False"): "Warning",
    ("Complete", "True"): "Normal",
    ("Failed", "True"): "Warning",
    ("Suspended", "True"): "Normal",
}
#: Whose deed it is, by the kind of the object.
_CONTROLLERS = {
    "Deployment": "deployment-controller", "ReplicaSet": "replicaset-controller", "StatefulSet": "statefulset-controller",
    "DaemonSet": "daemonset-controller", "Job": "job-controller", "CronJob": "cronjob-controller",
    "HorizontalPodAutoscaler": "horizontal-pod-autoscaler",
    "Pipeline": "pipeline-controller",
}  # fmt: skip


#: Why a container is told to end, as engine/kube/verdicts.py says it.
_FAILED_PROBE = re.compile(
    r"(?P<what>Container .+ failed (?P<probe>\w+) probe, will be restarted): (?P<why>.*)", re.DOTALL
)


class Note(NamedTuple):
    """About one object."""

    key: ObjectKey
    uid: str
    type: Literal["Normal", "Warning"]
    reason: str
    message: str
    source: str = ""
    field: str = ""  #: spec.containers{web}


def notes_of(old: AnyObject | None, new: AnyObject | None) -> Iterator[Note]:
    """`old` None: it is new; `new` None: it is gone."""
    if isinstance(new, Pod):
        yield from _of_pod(old if isinstance(old, Pod) else None, new)
    if new is not None:
        yield from _of_conditions(old, new)
    if isinstance(new, HorizontalPodAutoscaler):
        yield from _of_scaling(old, new)
    one = new if new is not None else old
    if one is not None:
        yield from _of_owners(old, new, one)


def _of_owners(old: AnyObject | None, new: AnyObject | None, one: AnyObject) -> Iterator[Note]:
    """What its owner has done: made it, removed it, changed its size."""
    is_deleted = (new is None and not (old is not None and old.metadata.deletion_timestamp)) or (
        new is not None
        and new.metadata.deletion_timestamp
        and not (old is not None and old.metadata.deletion_timestamp)
    )
    if isinstance(one, ControllerRevision):
        return
    for owner in one.metadata.owner_references:
        key = ObjectKey(owner.kind, one.metadata.namespace, owner.name)
        source = _CONTROLLERS.get(owner.kind, "")
        if isinstance(one, ReplicaSet) and owner.kind == "Deployment":
            was = old.spec.replicas if isinstance(old, ReplicaSet) else 0
            now = new.spec.replicas if isinstance(new, ReplicaSet) else was
            if was != now:
                word = "up" if now > was else "down"
                text = f"Scaled {word} replica set {one.metadata.name} from {was} to {now}"
                yield Note(key, owner.uid, "Normal", "ScalingReplicaSet", text, source)
            continue
        kind = one.key.kind.lower() if isinstance(one, (Pod, Job)) else one.key.kind
        if old is None:
            yield Note(key, owner.uid, "Normal", "SuccessfulCreate", f"Created {kind}: {one.metadata.name}", source)
        elif is_deleted:
            yield Note(key, owner.uid, "Normal", "SuccessfulDelete", f"Deleted {kind}: {one.metadata.name}", source)


def _conditions_of(one: AnyObject | None) -> tuple[Condition, ...]:
    found: tuple[Condition, ...] = getattr(getattr(one, "status", None), "conditions", ())
    return found


def _of_conditions(old: AnyObject | None, new: AnyObject) -> Iterator[Note]:
    found = _conditions_of(new)
    if not found or isinstance(new, Pod):
        return
    before = {(one.type, one.status, one.reason) for one in _conditions_of(old)}
    for one in found:
        kind = _CONDITIONS.get((one.type, one.status))
        if kind is None or (one.type, one.status, one.reason) in before:
            continue
        if isinstance(new, Deployment) and one.type == "Progressing" and one.reason == "DeploymentPaused":
            continue
        reason = {"Complete": "Completed", "Suspended": "Suspended"}.get(one.type, one.reason or one.type)
        text = one.message or {"Complete": "Job completed", "Suspended": "Job suspended"}.get(one.type, reason)
        yield Note(new.key, new.metadata.uid, kind, reason, text, _CONTROLLERS.get(new.key.kind, ""))


def _of_scaling(old: AnyObject | None, new: HorizontalPodAutoscaler) -> Iterator[Note]:
    if isinstance(old, HorizontalPodAutoscaler) and new.status.last_scale_time > old.status.last_scale_time:
        text = f"New size: {new.status.desired_replicas}"
        ready = next((one for one in new.status.conditions if one.type == "AbleToScale"), None)
        text += f"; reason: {ready.message}" if ready is not None and ready.message else ""
        yield Note(new.key, new.metadata.uid, "Normal", "SuccessfulRescale", text, "horizontal-pod-autoscaler")


# -- Pods


def _of_pod(old: Pod | None, new: Pod) -> Iterator[Note]:
    status, meta = new.status, new.metadata
    before = old.status if old is not None else None

    def note(
        kind: Literal["Normal", "Warning"], reason: str, text: str, source: str = "kubelet", container: str = ""
    ) -> Note:
        return Note(
            new.key, meta.uid, kind, reason, text, source, f"spec.containers{{{container}}}" if container else ""
        )

    if status.job and (before is None or before.job != status.job):
        yield note(
            "Normal",
            "Queued",
            f"It is job {status.job}: `corral why {status.job}` says what it waits for",
            "default-scheduler",
        )
    if status.node and (before is None or before.node != status.node):
        text = f"Successfully assigned {meta.namespace}/{meta.name} to {status.node}"
        yield note("Normal", "Scheduled", text, "default-scheduler")
    yield from _unschedulable(old, new)
    known = {one.name: one for one in (*before.init_container_statuses, *before.container_statuses)} if before else {}
    for one in (*status.init_container_statuses, *status.container_statuses):
        yield from _of_container(new, known.get(one.name), one)
    if meta.deletion_timestamp and (old is None or not old.metadata.deletion_timestamp):
        for one in status.container_statuses:
            if one.state.state == "running":
                yield note("Normal", "Killing", f"Stopping container {one.name}", container=one.name)
    if status.phase == "Failed" and status.reason and (before is None or before.reason != status.reason):
        yield note("Warning", status.reason, status.message or f"The Pod has failed: {status.reason}")


def _unschedulable(old: Pod | None, new: Pod) -> Iterator[Note]:
    for one in new.status.conditions:
        if one.type == "PodScheduled" and one.status == "False" and one.message:
            said = any(
                was.type == one.type and was.message == one.message for was in (old.status.conditions if old else ())
            )
            if not said:
                yield Note(new.key, new.metadata.uid, "Warning", "FailedScheduling", one.message, "default-scheduler")


def _of_container(pod: Pod, was: ContainerStatus | None, now: ContainerStatus) -> Iterator[Note]:
    field = f"spec.containers{{{now.name}}}"

    def note(kind: Literal["Normal", "Warning"], reason: str, text: str) -> Note:
        return Note(pod.key, pod.metadata.uid, kind, reason, text, "kubelet", field)

    before = was.state if was is not None else None
    if now.stopping and (was is None or not was.stopping) and (found := _FAILED_PROBE.fullmatch(now.stopping)):
        yield note("Warning", "Unhealthy", f"{found['probe'].capitalize()} probe failed: {found['why']}")
        yield note("Normal", "Killing", found["what"])
    if now.unready and (was is None or was.unready != now.unready):
        yield note("Warning", "Unhealthy", f"Readiness probe failed: {now.unready}")
    if now.step >= 0 and (was is None or was.step < 0) and now.image:
        yield note("Normal", "Pulling", f'Pulling image "{now.image}"')
    state = now.state
    if state.state == "running" and (
        before is None or before.state != "running" or (was is not None and was.step != now.step)
    ):
        if now.image and not now.restart_count:
            yield note("Normal", "Pulled", f'Image "{now.image}" is on node {pod.status.node}')
        yield note("Normal", "Started", f"Started container {now.name}")
    is_same = before is not None and before.state == state.state and before.reason == state.reason
    is_again = was is not None and was.restart_count != now.restart_count
    if (state.state == "waiting" and not is_same) or is_again:
        if state.reason == "CrashLoopBackOff":
            meta = pod.metadata
            where = f"in pod {meta.name}_{meta.namespace}({meta.uid})"
            yield note("Warning", "BackOff", f"Back-off restarting failed container {now.name} {where}")
        elif state.reason in ("ImagePullBackOff", "ErrImagePull"):
            yield note("Warning", "Failed", state.message or f'Failed to pull image "{now.image}"')
    ended = state if state.state == "terminated" else now.last_state
    told = (
        before if before is not None and before.state == "terminated" else was.last_state if was is not None else None
    )
    if ended is not None and ended != told and ended.reason == "OOMKilled":
        yield note("Warning", "OOMKilling", f"Container {now.name} has used more memory than its limit")
    if ended is not None and ended != told and ended.reason == "StartError":
        yield note("Warning", "Failed", ended.message or f"Container {now.name} could not be started")
