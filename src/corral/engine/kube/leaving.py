"""Which Pods have to leave their node, and of which that were lost with one is it known that they are gone?

A Pod of a ReplicaSet or StatefulSet on a drained node gets Kubernetes' condition DisruptionTarget: who keeps it makes another first
(services/replicaset.py) and ends it then. All others run on there to their end, as jobs do,
and so do all on a node from which `kubectl cordon` keeps new work.

A node that is not heard may well run on. What a ReplicaSet replaces at once, a StatefulSet must not: two Pods of one name would write
the same files. So a lost Pod is known to be gone (condition Gone) only when its node has been heard again, was told to end it, and has
said that it did; or when somebody deletes it with --grace-period=0. That an inventory does not name it proves nothing: reports come
twice and late, so it may be older than the Pod, and the order to launch it may still be on its way. After EndJob none is obeyed.
"""

import msgspec

from corral.engine.context import Context
from corral.engine.effects import Effects
from corral.engine.kube.podstatus import condition, save
from corral.model.job import JobId
from corral.model.kube.pod import Pod
from corral.model.node import CORDONED, Drain, DrainOwner, Reboot
from corral.protocol.orders import EndJob
from corral.protocol.reports import JobCleaned, KnownStep
from corral.services import podset
from corral.services.conditions import without
from corral.services.selectors import controller_of

_KEPT_ELSEWHERE = ("ReplicaSet", "StatefulSet")


def mark(ctx: Context, pod: Pod, now: float, out: Effects) -> Pod:
    """As its node is now."""
    node = ctx.state.nodes.get(pod.status.node) if pod.status.node else None
    if node is None or pod.has_ended or pod.metadata.deletion_timestamp:
        return pod
    drains = (one for one in node.drains if one.owner is not DrainOwner.POWER and one.reason != CORDONED)
    drain: Drain | Reboot | None = next(drains, None)
    if drain is None and node.reboot is not None and node.reboot.asap:
        drain = node.reboot
    is_marked = podset.is_leaving(pod)
    if drain is None:
        if not is_marked:
            return pod
        conditions = without(pod.status.conditions, podset.LEAVING)
    else:
        owner = controller_of(pod.metadata)
        if is_marked or owner is None or owner.kind not in _KEPT_ELSEWHERE:
            return pod
        what = "drained" if isinstance(drain, Drain) else "to boot"
        why = f"node {pod.status.node} is {what}: {drain.reason}"
        conditions = podset.leaving(pod.status.conditions, why, now)
    return save(ctx, pod, msgspec.structs.replace(pod.status, conditions=conditions), now, out)


def heard(ctx: Context, nodes: set[str], steps: tuple[KnownStep, ...], out: Effects) -> None:
    """These nodes can be spoken to: they are to end what was lost with them, until they say that it is done."""
    lost = ctx.state.objects.lost
    told = {one.key.job for one in steps if not one.finished} if lost else set()  # by nodes.compare
    for name in sorted(nodes & lost.keys()) if lost else ():
        for key in sorted(lost[name]):
            pod = ctx.state.objects.get(key)
            if isinstance(pod, Pod) and pod.status.job not in told:
                job = pod.status.job
                order = EndJob(term=ctx.term, node=name, job=job, restart=_restarts(ctx, job), reason="node_fail")
                ctx.send(name, order, out)


def cleaned(ctx: Context, report: JobCleaned, now: float, out: Effects) -> None:
    """Nothing of this job is left on its node, nor will be: was it a Pod's that was lost?"""
    objects = ctx.state.objects
    lost = objects.lost.get(report.node)
    key = objects.pod_of_job.get(report.job) if lost else None
    if not lost or key not in lost or report.restart != _restarts(ctx, report.job):
        return
    pod = objects.get(key)
    assert isinstance(pod, Pod)
    why = f"node {report.node} has nothing of it"
    conditions = condition(pod.status, podset.GONE, True, now, "NodeSpoke", why)
    save(ctx, pod, msgspec.structs.replace(pod.status, conditions=conditions), now, out)


def _restarts(ctx: Context, job_id: int) -> int:
    job = ctx.state.jobs.get(JobId(job_id))
    return job.restarts if job is not None else 0  # a Pod's job is never queued again


def waits(ctx: Context, pod: Pod, now: float, out: Effects) -> bool:
    """It is deleted and its job is over: is its name kept all the same, because something of it may run on?"""
    owner = controller_of(pod.metadata)
    if owner is None or owner.kind != "StatefulSet" or pod.metadata.deletion_grace_period_seconds == 0:
        return False
    node = ctx.state.nodes.get(pod.status.node)
    is_known = any(one.type == podset.GONE for one in pod.status.conditions)
    if node is not None and (not node.up or node.admin_down) and not pod.has_ended and not is_known:
        # It was being ended when its node was lost: nobody has said that it is done.
        status = msgspec.structs.replace(pod.status, phase="Failed", reason="NodeLost", message="its node is gone")
        pod = save(ctx, pod, msgspec.structs.replace(status, ready_since=0.0), now, out)
    return podset.may_run_on(pod)
