"""Which containers of a Pod have ended since it was last looked at, and what becomes of them?"""

import msgspec

from corral.engine import podjob
from corral.engine.context import Context
from corral.engine.effects import Effects
from corral.engine.kube import containers, podports
from corral.engine.kube.podstatus import initial, save
from corral.model.job import Job
from corral.model.kube.pod import Container, ContainerStatus, Pod
from corral.protocol.pods import EVICTED


def see_ends(ctx: Context, pod: Pod, job: Job, now: float, out: Effects, *, is_last: bool = False) -> Pod:
    """Runs that have ended since the last look. is_last: nothing is started again."""
    if not pod.status.node:
        return pod

    def seen(container: Container, status: ContainerStatus, policy: str) -> ContainerStatus:
        if not containers.is_under_way(status):
            return status
        step = ctx.state.steps_of(job.id).get(status.step)
        if step is not None and step.end_time == 0.0:
            return status
        if step is None:
            return containers.cut_off(status, "ContainerStatusUnknown", now)
        said = ctx.last_words.pop(step.key, "")
        words = status.stopping or said
        if not is_last and podports.told_in_use(ctx, pod, words):
            ctx.to_move[pod.key] = True
            return msgspec.structs.replace(status, step=-1, state=initial(container).state)
        if words.startswith(EVICTED):
            ctx.evicted[pod.key] = words.removeprefix(EVICTED)
            return containers.after(container, status, containers.ended(status, step, words), "Never", now)
        return containers.after(container, status, containers.ended(status, step, words), policy, now)

    policy = "Never" if is_last else pod.spec.restart_policy
    inits = tuple(
        seen(container, status, _init_policy(container, policy, is_last))
        for container, status in zip(pod.spec.init_containers, pod.status.init_container_statuses, strict=True)
    )
    others = tuple(
        seen(container, status, policy)
        for container, status in zip(pod.spec.containers, pod.status.container_statuses, strict=True)
    )
    status = msgspec.structs.replace(pod.status, init_container_statuses=inits, container_statuses=others)
    return save(ctx, pod, status, now, out)


def _init_policy(container: Container, policy: str, is_last: bool) -> str:
    """An init container that has done its work is not run again."""
    if podjob.is_sidecar(container) and not is_last:
        return "Always"
    return "Never" if policy == "Never" else "OnFailure"
