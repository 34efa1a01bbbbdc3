"""What becomes of a container when its run has ended: is it over, or started again, and when?

As the kubelet: at once the first time, then after 10 seconds, 20, 40 and so on up to 5 minutes; who has run for 10 minutes
begins anew.
"""

import msgspec

from corral.model.job import JobState
from corral.model.kube.pod import Container, ContainerState, ContainerStatus
from corral.model.step import EndCause, Step
from corral.protocol.pods import EVICTED, NO_IMAGE

FIRST_BACK_OFF, LONGEST_BACK_OFF = 10.0, 300.0
#: Who has run so long is taken for well.
WELL_AFTER = 600.0


def is_under_way(status: ContainerStatus) -> bool:
    """It has a run that has not been seen to end."""
    return status.step >= 0 and status.state.state != "terminated" and not status.restart_at


def ended(status: ContainerStatus, step: Step, words: str) -> ContainerState:
    """How the run has ended."""
    code, signal = step.exit_status.code, step.exit_status.signal
    reason = "Completed" if not code and not signal else "Error"
    if step.state is JobState.OUT_OF_MEMORY:
        code, signal, reason = 137, 0, "OOMKilled"
    elif words.startswith(EVICTED):
        code, signal, reason, words = 137, 0, "Error", words.removeprefix(EVICTED)
    elif step.cause is EndCause.LAUNCH_FAILED:
        code, signal = 128, 0
        reason = "ErrImagePull" if words.startswith(NO_IMAGE) else "StartError"
        words = words.removeprefix(NO_IMAGE)
    elif step.cause is EndCause.LOST:
        code, signal, reason = 137, 0, "ContainerStatusUnknown"
    elif signal:
        code, signal = 128 + signal, signal
    return ContainerState(
        state="terminated", reason=reason, message=words, exit_code=code, signal=signal,
        started_at=status.state.started_at or step.start_time, finished_at=step.end_time,
    )  # fmt: skip


def after(
    container: Container, status: ContainerStatus, over: ContainerState, policy: str, now: float
) -> ContainerStatus:
    """The status after a run; `restart_at` says whether and when there is another one."""
    status = msgspec.structs.replace(status, ready=False, started=False, stopping="", unready="", restart_at=0.0)
    if policy == "Never" or (policy == "OnFailure" and not over.exit_code):
        return msgspec.structs.replace(status, state=over)
    ran = over.finished_at - over.started_at
    pause = 0.0 if ran >= WELL_AFTER else status.back_off
    following = FIRST_BACK_OFF if not pause else min(LONGEST_BACK_OFF, pause * 2)
    at = max(over.finished_at + pause, 1.0)
    waiting = ContainerState(state="waiting", reason="CrashLoopBackOff", message=_why(container, over, pause))
    if over.reason == "ErrImagePull":
        waiting = msgspec.structs.replace(waiting, reason="ImagePullBackOff", message=over.message)
    return msgspec.structs.replace(status, state=waiting, last_state=over, restart_at=at, back_off=following)


def _why(container: Container, over: ContainerState, pause: float) -> str:
    head = f"back-off {pause:g}s restarting failed container={container.name}"
    return f"{head}: {over.message}" if over.message else head


def cut_off(status: ContainerStatus, reason: str, now: float) -> ContainerStatus:
    """Its job is over, and so is it."""
    if status.state.state == "terminated":
        return status
    status = msgspec.structs.replace(status, ready=False, started=False, stopping="", unready="", restart_at=0.0)
    if status.step < 0 or (status.last_state is not None and status.state.state == "waiting"):
        return status
    over = ContainerState(
        state="terminated", reason=reason, exit_code=137, started_at=status.state.started_at, finished_at=now
    )
    return msgspec.structs.replace(status, state=over)
