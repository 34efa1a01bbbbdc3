"""How does `get pods` say in one line how a Pod fares?"""

from corral.model.kube.pod import Container, ContainerState, ContainerStatus, Pod
from corral.syntax.age import format_age

NONE = "<none>"


def _ended(state: ContainerState, before: str = "") -> str:
    if state.reason:
        return before + state.reason
    return f"{before}Signal:{state.signal}" if state.signal else f"{before}ExitCode:{state.exit_code}"


def is_sidecar(container: Container) -> bool:
    return container.restart_policy == "Always"


def _initializing(pod: Pod) -> str:
    """ "" when it has got beyond its init containers."""
    specs = {one.name: one for one in pod.spec.init_containers}
    statuses = pod.status.init_container_statuses
    for at, one in enumerate(statuses):
        state = one.state
        if state.state == "terminated" and state.exit_code == 0 and not state.signal:
            continue
        if one.name in specs and is_sidecar(specs[one.name]) and (one.started or one.ready):
            continue
        if state.state == "terminated":
            return _ended(state, "Init:")
        if state.state == "waiting" and state.reason not in ("", "PodInitializing"):
            return f"Init:{state.reason}"
        return f"Init:{at}/{len(pod.spec.init_containers)}"
    return ""


def status_text(pod: Pod) -> str:
    reason = pod.status.reason or pod.status.phase
    if initializing := _initializing(pod):
        reason = initializing
    else:
        has_running = False
        for one in reversed(pod.status.container_statuses):
            state = one.state
            if state.state == "waiting" and state.reason:
                reason = state.reason
            elif state.state == "terminated":
                reason = _ended(state)
            elif state.state == "running" and one.ready:
                has_running = True
        if reason == "Completed" and has_running:
            reason = "Running" if pod.is_ready else "NotReady"
    if pod.metadata.deletion_timestamp:
        return "Unknown" if pod.status.reason == "NodeLost" else "Terminating" if not pod.has_ended else reason
    return reason


def _counted(pod: Pod) -> list[ContainerStatus]:
    sidecars = {one.name for one in pod.spec.init_containers if is_sidecar(one)}
    return [
        *(one for one in pod.status.init_container_statuses if one.name in sidecars),
        *pod.status.container_statuses,
    ]


def ready_text(pod: Pod, now: float) -> str:
    total = len(pod.spec.containers) + sum(map(is_sidecar, pod.spec.init_containers))
    return f"{sum(one.ready and one.state.state == 'running' for one in _counted(pod))}/{total}"


def restarts_text(pod: Pod, now: float) -> str:
    statuses = [*pod.status.init_container_statuses, *pod.status.container_statuses]
    count = sum(one.restart_count for one in statuses)
    last = max((one.last_state.finished_at for one in statuses if one.last_state is not None), default=0.0)
    return f"{count} ({format_age(now - last)} ago)" if count and last else str(count)
