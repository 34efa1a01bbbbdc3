"""How is a Pod's status written: its conditions, is it ready, in which phase is it?"""

from typing import Any

import msgspec

from corral.engine.context import Context
from corral.engine.effects import Effects
from corral.engine.podjob import is_sidecar
from corral.model.kube.meta import Condition
from corral.model.kube.pod import Container, ContainerStatus, Pod, PodStatus
from corral.protocol.events import ObjectsChanged


def save(ctx: Context, pod: Pod, status: PodStatus, now: float, out: Effects) -> Pod:
    """Recorded, if it has changed."""
    if status == pod.status:
        return pod
    version = ctx.state.objects.version + 1
    meta = msgspec.structs.replace(pod.metadata, resource_version=str(version))
    pod = msgspec.structs.replace(pod, metadata=meta, status=status)
    ctx.record(ObjectsChanged(time=now, objects=(pod,), version=version), out)
    return pod


def wake(ctx: Context, pod: Pod, at: float) -> None:
    """Look at it then."""
    ctx.object_wakes.set(pod.key, at)


def condition(
    status: PodStatus, kind: str, holds: bool, now: float, reason: str = "", message: str = ""
) -> tuple[Condition, ...]:
    """All of them, with this one as it is now."""
    word: Any = "True" if holds else "False"
    old = next((one for one in status.conditions if one.type == kind), None)
    since = now if old is None or old.status != word else old.last_transition_time
    new = Condition(type=kind, status=word, reason=reason, message=message, last_transition_time=since)
    return (*(one for one in status.conditions if one.type != kind), new)


def initial(container: Container) -> ContainerStatus:
    return ContainerStatus(name=container.name, image=container.image)


def are_initialized(pod: Pod, statuses: tuple[ContainerStatus, ...]) -> bool:
    """Have all init containers done their work, or do they run as sidecars?"""
    return all(
        status.started if is_sidecar(container) else status.state.state == "terminated" and not status.state.exit_code
        for container, status in zip(pod.spec.init_containers, statuses, strict=True)
    )


def judged(pod: Pod, status: PodStatus, now: float, *, withdrawn: str = "") -> PodStatus:
    """With phase, readiness and conditions as the containers' statuses give them. withdrawn: why it gets no traffic though it runs."""
    inits = status.init_container_statuses
    initialized = are_initialized(pod, inits) if len(inits) == len(pod.spec.init_containers) else False
    unready = [one.name for one in status.container_statuses if not one.ready]
    unready += [
        one.name for one, c in zip(inits, pod.spec.init_containers, strict=False) if is_sidecar(c) and not one.ready
    ]
    all_ready = initialized and not unready
    ready = all_ready and not withdrawn
    has_run = any(
        one.step >= 0 and (one.state.state != "waiting" or one.last_state) for one in status.container_statuses
    )
    phase: Any = status.phase
    if not pod.has_ended:
        phase = "Running" if has_run else "Pending"
    names = f"containers with unready status: [{' '.join(unready)}]" if unready else ""
    status = msgspec.structs.replace(status, phase=phase, ready_since=0.0 if not ready else status.ready_since or now)
    for kind, holds, reason, message in (
        ("PodScheduled", True, "", ""),
        ("Initialized", initialized, "" if initialized else "ContainersNotInitialized", ""),
        ("ContainersReady", all_ready, "" if all_ready else "ContainersNotReady", names),
        ("Ready", ready, "" if ready else withdrawn or "ContainersNotReady", names),
    ):
        status = msgspec.structs.replace(status, conditions=condition(status, kind, holds, now, reason, message))
    return status
