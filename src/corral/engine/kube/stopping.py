"""How is one container told to end, and how does a Pod end?

A Pod that is deleted gets no traffic any more at once; a moment later, when who sends traffic has heard of it, its containers get
their preStop and SIGTERM, and SIGKILL when their time is over.
"""

import msgspec

from corral.engine import cancel, endings
from corral.engine.context import Context
from corral.engine.effects import Effects
from corral.engine.kube import leaving
from corral.engine.kube.containers import is_under_way
from corral.engine.kube.ends import see_ends
from corral.engine.kube.podstatus import judged, save, wake
from corral.engine.kube.requests import mark_deleted
from corral.engine.podjob import is_sidecar
from corral.model.job import Job, JobState
from corral.model.kube.pod import Pod
from corral.model.step import StepKey
from corral.protocol.events import ObjectsChanged, StepChanged
from corral.protocol.orders import ForgetPod, SignalTasks
from corral.services.waits import over_at

#: Seconds from the end of the traffic to the end of who serves it.
WITHDRAWAL_SECONDS = 1.0
SIGTERM = 15


def grace_of(pod: Pod) -> float:
    given = pod.metadata.deletion_grace_period_seconds
    return float(pod.spec.termination_grace_period_seconds if given is None else given)


def stop(ctx: Context, pod: Pod, key: StepKey, grace: float | None, now: float, out: Effects) -> None:
    """One container, by its present run."""
    step = ctx.state.steps_of(key.job).get(key.step)
    if step is None:
        return
    ctx.killed[key] = now
    if step.cancelled_by is None:
        by = pod.creator.uid if pod.creator is not None else 0
        ctx.record(StepChanged(time=now, step=msgspec.structs.replace(step, cancelled_by=by)), out)
    for node in step.nodes:
        order = SignalTasks(
            term=ctx.term, node=node.share.node, job=key.job, step=key.step, restart=key.restart, signal=SIGTERM,
            kill_after=grace_of(pod) if grace is None else float(grace), reason="pod", at=now,
        )  # fmt: skip
        ctx.send(node.share.node, order, out)


def delete(ctx: Context, pod: Pod, job: Job | None, now: float, out: Effects) -> None:
    """On, one stage after the other, until the record is gone."""
    if job is None or job.has_ended:
        if leaving.waits(ctx, pod, now, out):
            return
        if not pod.metadata.finalizers:
            if node := pod.status.node:
                name = pod.metadata
                forget = ForgetPod(term=ctx.term, node=node, namespace=name.namespace, name=name.name, uid=name.uid)
                ctx.send(node, forget, out)
            ctx.pod_files.pop(pod.key, None)
            if owned := ctx.state.objects.owned(pod.metadata.uid):  # claims of its own
                mark_deleted(ctx, [one for one in owned if not one.metadata.deletion_timestamp], None, now, out)
            ctx.record(ObjectsChanged(time=now, removed=(pod.key,), version=ctx.state.objects.version + 1), out)
        return
    by = pod.creator.uid if pod.creator is not None else 0
    if job.is_pending:
        cancel.cancel_pending(ctx, job, None, by, now, out)
        return
    pod = see_ends(ctx, pod, job, now, out, is_last=True)
    if job.state is JobState.COMPLETING:
        _hurry(ctx, pod, job, now, out)
        return
    if pod.status.ready_since:
        pod = save(ctx, pod, judged(pod, pod.status, now, withdrawn="Terminating"), now, out)
    serves = bool(pod.status.addresses) and any(one.ready for one in pod.status.container_statuses)
    due = over_at(pod.metadata.deletion_timestamp, min(WITHDRAWAL_SECONDS, grace_of(pod)), now)
    if serves and now < due:
        wake(ctx, pod, due)
        return
    if _sidecars_wait(ctx, pod, job, now, out):
        return
    if job.preempted is not None:
        endings.terminate(ctx, job, JobState.PREEMPTED, now, out, why="pod", kill_after=grace_of(pod))
    else:
        endings.terminate(ctx, job, JobState.CANCELLED, now, out, why="pod", by=by, kill_after=grace_of(pod))


def _sidecars_wait(ctx: Context, pod: Pod, job: Job, now: float, out: Effects) -> bool:
    """Those whom the sidecars help end before these, in the same grace."""
    last = over_at(pod.metadata.deletion_timestamp, grace_of(pod), now)
    mains = [one for one in pod.status.container_statuses if is_under_way(one)]
    helped = any(
        is_sidecar(container) and is_under_way(status)
        for container, status in zip(pod.spec.init_containers, pod.status.init_container_statuses, strict=False)
    )
    if not mains or not helped or now >= last:
        return False
    told = {one.name for one in mains if not one.stopping}
    statuses = tuple(
        msgspec.structs.replace(one, stopping="Pod is being deleted") if one.name in told else one
        for one in pod.status.container_statuses
    )
    save(ctx, pod, msgspec.structs.replace(pod.status, container_statuses=statuses), now, out)
    for one in mains:
        if one.name in told:
            stop(ctx, pod, StepKey(job.id, one.step, job.restarts), max(0, round(last - now)), now, out)
    wake(ctx, pod, last)
    return True


def _hurry(ctx: Context, pod: Pod, job: Job, now: float, out: Effects) -> None:
    """It has been deleted again, with less grace."""
    latest = now + grace_of(pod)
    if pod.metadata.deletion_grace_period_seconds is not None and latest < endings.kill_time(ctx, job) - 1.0:
        ctx.kill_at[job.id] = latest
        waiting = set(ctx.cleaning.get(job.id, ()))
        if waiting:
            endings.send_end(ctx, job, waiting, now, out, "pod")
