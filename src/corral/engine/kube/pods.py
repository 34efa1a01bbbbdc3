"""How does a Pod become a job, and its containers steps of it?

It enters the queue through the door of every job. While the job runs, a pass over the Pod starts what is to be started: init
containers one after another, then all others, each as a step of the job, and again when its run has ended and the restart
policy says so. A job that ends without the Pod's doing leaves a Pod that has failed: who owns it makes another one.
"""

import math

import msgspec

from corral.engine import configuring, endings, podfiles, podjob, podruns, podusers, podwords, submit
from corral.engine.context import Context
from corral.engine.effects import Effects
from corral.engine.kube import claims, clusterips, containers, files, podports, stopping, taints
from corral.engine.kube.ends import see_ends
from corral.engine.kube.podstatus import condition, initial, judged, save, wake
from corral.engine.kube.requests import mark_deleted
from corral.engine.launch import send_launch
from corral.errors import UsageError
from corral.model.job import ExitStatus, Job, JobId, JobState
from corral.model.kube.pod import Container, ContainerState, ContainerStatus, Pod, PodStatus
from corral.model.reason import Reason
from corral.protocol.events import StepCreated
from corral.protocol.replies import Rejected, Submitted
from corral.protocol.requests import Caller, NewJob, SubmitJobs

#: A Pod whose job is refused asks again after so many seconds: limits change, partitions come.
ASK_AGAIN_SECONDS = 10.0
#: A ConfigMap or Secret that a container needs is looked for again after so many seconds.
LOOK_AGAIN_SECONDS = 2.0

#: What a Pod is told when its job has ended by other ways.
_ENDS = {
    JobState.NODE_FAIL: ("NodeLost", "its node is gone"),
    JobState.PREEMPTED: ("Preempted", "it has made room for others"),
    JobState.TIMEOUT: ("DeadlineExceeded", "its time limit was reached"),
    JobState.DEADLINE: ("DeadlineExceeded", "its job could not start in time"),
    JobState.CANCELLED: ("Evicted", "its job was cancelled"),
}


def reconcile(ctx: Context, pod: Pod, now: float, out: Effects) -> None:
    """What is to be done about this Pod?"""
    job = ctx.state.jobs.get(JobId(pod.status.job)) if pod.status.job else None
    if pod.metadata.deletion_timestamp:
        stopping.delete(ctx, pod, job, now, out)
    elif pod.has_ended:
        return
    elif not pod.status.job:
        _submit(ctx, pod, now, out)
    elif job is None or job.has_ended:
        _lost(ctx, pod, job, now, out)
    elif job.is_pending:
        _waits(ctx, pod, job, now, out)
    elif job.preempted is not None and job.state is JobState.RUNNING:
        mark_deleted(ctx, [pod], None, now, out)  # traffic ends first; who owns it makes another one
    elif job.state is JobState.RUNNING and (leaves := taints.leaves_at(ctx, pod)) <= now:
        mark_deleted(ctx, [pod], None, now, out)
    elif job.state is JobState.RUNNING and not configuring.waits(job):
        if leaves < math.inf:
            wake(ctx, pod, leaves)
        _run(ctx, pod, job, now, out)
    else:
        if job.state is JobState.COMPLETING:
            pod = see_ends(ctx, pod, job, now, out, is_last=True)
        save(ctx, pod, judged(pod, pod.status, now, withdrawn="Stopping"), now, out)


# ---------------------------------------------------------------------- before it runs


def _submit(ctx: Context, pod: Pod, now: float, out: Effects) -> None:
    owner = pod.creator
    assert owner is not None
    if why := claims.make_own(ctx, pod, now, out) or claims.waits_for(ctx, pod):
        _unscheduled(ctx, pod, pod.status, "Unschedulable", why, now, out)
        if any(one.ephemeral is not None for one in pod.spec.volumes):
            wake(ctx, pod, now + ASK_AGAIN_SECONDS)
        return  # it is looked at again when its claims or who has them change
    claims.bind_chosen(ctx, pod, now, out)
    caller = Caller(uid=owner.uid, gid=owner.gid, user=owner.user, group=owner.group)
    inner = Effects()
    try:
        podusers.check(pod)
        request = SubmitJobs(
            jobs=(NewJob(spec=podjob.spec_of(ctx, pod, claims.narrowed(ctx, pod, podwords.words_of(pod)))),)
        )
        submit.on_submit(ctx, request, owner, caller, now, inner)
    except UsageError as error:
        inner.reply = Rejected(error=str(error))
    out.records += inner.records
    out.sends += inner.sends
    if isinstance(inner.reply, Submitted):
        job = ctx.state.jobs[inner.reply.ids[0]]
        if points := podjob.points_of(ctx, pod):
            ctx.change_job(job, now, out, "updated", site_factor=points, priority=max(1, job.priority + points))
        status = msgspec.structs.replace(pod.status, job=inner.reply.ids[0], reason="", message="")
        _waits(ctx, save(ctx, pod, status, now, out), ctx.state.jobs[inner.reply.ids[0]], now, out)
        return
    assert isinstance(inner.reply, Rejected)
    words = ": ".join(word for word in (inner.reply.error, inner.reply.detail) if word)
    status = msgspec.structs.replace(pod.status, reason="Refused", message=words)
    _unscheduled(ctx, pod, status, "Refused", words, now, out)
    wake(ctx, pod, now + ASK_AGAIN_SECONDS)


def _waits(ctx: Context, pod: Pod, job: Job, now: float, out: Effects) -> None:
    why = job.reason_text or (job.reason.value if job.reason is not Reason.NONE else "")
    _unscheduled(ctx, pod, pod.status, "Unschedulable", f"job {job.id} waits: {why}" if why else "", now, out)


def _unscheduled(
    ctx: Context, pod: Pod, status: PodStatus, reason: str, message: str, now: float, out: Effects
) -> None:
    conditions = condition(status, "PodScheduled", False, now, reason, message)
    save(ctx, pod, msgspec.structs.replace(status, conditions=conditions), now, out)


# ---------------------------------------------------------------------- while it runs


def _run(ctx: Context, pod: Pod, job: Job, now: float, out: Effects) -> None:
    status = pod.status
    if not status.node:
        begun = _begun(ctx, pod, job, now, out)
        if begun is None:
            return
        pod, status = begun, begun.status
    times: list[float] = []
    if (limit := pod.spec.active_deadline_seconds) is not None:
        if now >= status.start_time + limit:
            _fail(
                ctx,
                pod,
                job,
                "DeadlineExceeded",
                "Pod was active on the node longer than the specified deadline",
                now,
                out,
            )
            return
        times.append(status.start_time + limit)
    pod = see_ends(ctx, pod, job, now, out)
    if why := ctx.evicted.pop(pod.key, ""):
        _fail(ctx, pod, job, "Evicted", why, now, out)
        return
    if ctx.to_move.pop(pod.key, False):
        try:
            addresses = podports.addresses(ctx, pod, status.node)
        except podports.NoPort as error:
            _fail(ctx, pod, job, "NodePorts", str(error), now, out)
            return
        pod = save(ctx, pod, msgspec.structs.replace(pod.status, addresses=addresses), now, out)
    to_start, over = _next(pod, now)
    for container in to_start:
        if why := podfiles.missing(ctx, pod, container):
            pod = _cannot_start(ctx, pod, container, why, now, out)
            times.append(now + LOOK_AGAIN_SECONDS)
        else:
            pod = _start(ctx, pod, container, ctx.state.jobs[job.id], now, out)
    statuses = (*pod.status.init_container_statuses, *pod.status.container_statuses)
    times += [one.restart_at for one in statuses if one.restart_at > now]
    if times:
        wake(ctx, pod, min(times))
    if due := files.refresh(ctx, pod, job, now, out):
        ctx.object_wakes.set_no_later(pod.key, due)
    withdrawn = "Preempted" if job.preempted is not None else ""
    pod = save(ctx, pod, judged(pod, pod.status, now, withdrawn=withdrawn), now, out)
    if over:
        _end(ctx, pod, ctx.state.jobs[job.id], now, out)


def _begun(ctx: Context, pod: Pod, job: Job, now: float, out: Effects) -> Pod | None:
    """It has its node; None: it cannot be there."""
    assert job.allocation is not None
    node = job.allocation.nodes[0].node
    try:
        addresses = podports.addresses(ctx, pod, node)
    except podports.NoPort as error:
        _fail(ctx, pod, job, "NodePorts", str(error), now, out)
        return None
    if why := claims.take(ctx, pod, node, now, out):
        _fail(ctx, pod, job, "FailedMount", why, now, out)
        return None
    host = podjob.host_of(ctx, node)
    status = msgspec.structs.replace(
        pod.status,
        node=node,
        host_ip=host,
        own_ip=clusterips.for_pod(ctx, pod) if addresses else "",
        start_time=job.start_time,
        addresses=addresses,
        init_container_statuses=tuple(map(initial, pod.spec.init_containers)),
        container_statuses=tuple(map(initial, pod.spec.containers)),
    )
    return save(ctx, pod, status, now, out)


def _next(pod: Pod, now: float) -> tuple[list[Container], bool]:
    """Which containers begin now; and is the Pod over?"""
    due: list[Container] = []

    def look(container: Container, status: ContainerStatus) -> None:
        # Nobody waits longer than the longest back-off: then the clock has been set back.
        if status.step < 0 or 0.0 < status.restart_at <= now or status.restart_at > now + containers.LONGEST_BACK_OFF:
            due.append(container)

    for container, status in zip(pod.spec.init_containers, pod.status.init_container_statuses, strict=True):
        if status.state.state == "terminated":
            if status.state.exit_code:
                return [], True
            continue
        look(container, status)
        if not (podjob.is_sidecar(container) and status.started):
            return due, False
    for container, status in zip(pod.spec.containers, pod.status.container_statuses, strict=True):
        look(container, status)
    return due, all(one.state.state == "terminated" for one in pod.status.container_statuses)


def _cannot_start(ctx: Context, pod: Pod, container: Container, why: str, now: float, out: Effects) -> Pod:
    waiting = ContainerState(state="waiting", reason="CreateContainerConfigError", message=why)

    def told(statuses: tuple[ContainerStatus, ...]) -> tuple[ContainerStatus, ...]:
        return tuple(
            msgspec.structs.replace(one, state=waiting) if one.name == container.name else one for one in statuses
        )

    status = msgspec.structs.replace(
        pod.status,
        init_container_statuses=told(pod.status.init_container_statuses),
        container_statuses=told(pod.status.container_statuses),
    )
    return save(ctx, pod, status, now, out)


def _start(ctx: Context, pod: Pod, container: Container, job: Job, now: float, out: Effects) -> Pod:
    """As a new step of the job."""
    step = podruns.step_of(pod, container, job, now)

    def begun(statuses: tuple[ContainerStatus, ...]) -> tuple[ContainerStatus, ...]:
        return tuple(
            msgspec.structs.replace(
                one,
                step=step.key.step,
                restart_at=0.0,
                restart_count=one.restart_count + (one.step >= 0),
                state=msgspec.structs.replace(initial(container).state, reason="ContainerCreating"),
            )
            if one.name == container.name
            else one
            for one in statuses
        )

    status = msgspec.structs.replace(
        pod.status,
        init_container_statuses=begun(pod.status.init_container_statuses),
        container_statuses=begun(pod.status.container_statuses),
    )
    job = ctx.change_job(job, now, out, "step", next_step=job.next_step + 1)
    ctx.record(StepCreated(time=now, step=step), out)
    pod = save(ctx, pod, status, now, out)
    files.launched(ctx, pod, now)
    send_launch(ctx, job, step, out)
    return pod


# ---------------------------------------------------------------------- how it ends


def _end(ctx: Context, pod: Pod, job: Job, now: float, out: Effects) -> None:
    """All its containers are over: so is it, and its job."""
    failed = [
        one for one in (*pod.status.init_container_statuses, *pod.status.container_statuses) if one.state.exit_code
    ]
    code = failed[0].state.exit_code if failed else 0
    status = msgspec.structs.replace(pod.status, phase="Failed" if failed else "Succeeded")
    pod = save(ctx, pod, msgspec.structs.replace(status, ready_since=0.0), now, out)
    reason = Reason.NON_ZERO_EXIT_CODE if failed else Reason.NONE
    state = JobState.FAILED if failed else JobState.COMPLETED
    ended = msgspec.structs.replace(job, exit_status=ExitStatus(code, 0), reason=reason)
    endings.clear_away(ctx, ended, state, now, out, "pod", stopping.grace_of(pod))


def _fail(ctx: Context, pod: Pod, job: Job, reason: str, message: str, now: float, out: Effects) -> None:
    """It may not go on."""
    status = msgspec.structs.replace(pod.status, phase="Failed", reason=reason, message=message, ready_since=0.0)
    status = msgspec.structs.replace(
        status, container_statuses=tuple(containers.cut_off(one, "Error", now) for one in status.container_statuses)
    )
    pod = save(ctx, pod, status, now, out)
    ended = msgspec.structs.replace(job, reason=Reason.NON_ZERO_EXIT_CODE, reason_text=message)
    endings.clear_away(ctx, ended, JobState.FAILED, now, out, "pod", stopping.grace_of(pod))


def _lost(ctx: Context, pod: Pod, job: Job | None, now: float, out: Effects) -> None:
    """Its job has ended by other ways."""
    reason, message = ("NodeLost", "its job is gone")
    if job is not None:
        reason, message = _ENDS.get(job.state, ("Evicted", f"its job ended as {job.state.value}"))
        message = f"job {job.id}: {job.reason_text or message}"
    status = msgspec.structs.replace(
        pod.status,
        phase="Failed",
        reason=reason,
        message=message,
        ready_since=0.0,
        container_statuses=tuple(containers.cut_off(one, "Error", now) for one in pod.status.container_statuses),
        init_container_statuses=tuple(
            containers.cut_off(one, "Error", now) for one in pod.status.init_container_statuses
        ),
    )
    conditions = condition(status, "Ready", False, now, "PodFailed")
    save(ctx, pod, msgspec.structs.replace(status, conditions=conditions), now, out)
