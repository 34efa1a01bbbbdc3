"""Which replicas of a service may be taken from it, and what does a Pod's PriorityClass say?

Those above its minimum: that of its autoscaler, or what the annotation corral.dev/min-replicas says; a service with neither keeps all it
asks for. Of its running replicas the ready and the old stay. The others are numbered from the minimum on: of several services the one
with the highest number gives first, so that they are trimmed evenly.
"""

from typing import Protocol

from corral.engine.state import ClusterState
from corral.errors import NoPriorityClass
from corral.model.job import Job, JobId, JobState
from corral.model.kube.config import PriorityClass
from corral.model.kube.meta import ObjectKey
from corral.model.kube.pod import Pod
from corral.model.kube.scaling import HorizontalPodAutoscaler
from corral.model.kube.workload import Deployment, ReplicaSet, StatefulSet
from corral.services import budgets

#: Annotation of a Deployment, ReplicaSet or StatefulSet without an autoscaler.
MIN_REPLICAS = "corral.dev/min-replicas"

Workload = Deployment | ReplicaSet | StatefulSet


class Basis(Protocol):
    @property
    def state(self) -> ClusterState: ...


def pod_of(ctx: Basis, job: Job) -> Pod | None:
    """The Pod that this job is."""
    key = ctx.state.objects.pod_of_job.get(job.id)
    pod = ctx.state.objects.get(key) if key is not None else None
    return pod if isinstance(pod, Pod) else None


def class_of(ctx: Basis, pod: Pod) -> PriorityClass | None:
    """The PriorityClass that it names, or the one that is everybody's. Raises NoPriorityClass."""
    objects = ctx.state.objects
    name = pod.spec.priority_class_name
    if name:
        found = objects.get(ObjectKey("PriorityClass", "", name))
        if not isinstance(found, PriorityClass):
            raise NoPriorityClass(name=name)
        return found
    general = [one for one in objects.of_kind("PriorityClass") if isinstance(one, PriorityClass) and one.global_default]
    return min(general, key=lambda one: (one.value, one.metadata.name), default=None)


def is_peaceful(ctx: Basis, job: Job) -> bool:
    """It preempts nobody, whatever its QOS may: preemptionPolicy Never."""
    pod = pod_of(ctx, job) if ctx.state.objects.pod_of_job else None
    try:
        found = class_of(ctx, pod) if pod is not None else None
    except NoPriorityClass:
        return False
    return found is not None and found.preemption_policy == "Never"


def workload_of(ctx: Basis, job: Job) -> Workload | None:
    """The service that this job is a replica of."""
    if not ctx.state.objects.pod_of_job or (pod := pod_of(ctx, job)) is None:
        return None
    one = _controller(ctx, pod)
    if isinstance(one, ReplicaSet):
        above = _controller(ctx, one)
        return above if isinstance(above, Deployment) else one
    return one


def _controller(ctx: Basis, one: Pod | ReplicaSet) -> Workload | None:
    for owner in one.metadata.owner_references:
        if owner.controller:
            found = ctx.state.objects.get(ObjectKey(owner.kind, one.metadata.namespace, owner.name))
            if isinstance(found, Deployment | ReplicaSet | StatefulSet) and found.metadata.uid == owner.uid:
                return found
    return None


def least(ctx: Basis, one: Workload) -> int:
    """So many replicas are its own: those that a PodDisruptionBudget wants healthy among them."""
    return min(max(_least(ctx, one), budgets.healthy(one, ctx.state.objects)), one.spec.replicas)


def _least(ctx: Basis, one: Workload) -> int:
    objects = ctx.state.objects
    bounds = [
        found.spec.min_replicas
        for key in objects.links.autoscalers_of(one.key)
        if isinstance(found := objects.get(key), HorizontalPodAutoscaler)
    ]
    if bounds:
        return min(max(bounds), one.spec.replicas)
    try:
        return min(max(0, int(one.metadata.annotations[MIN_REPLICAS])), one.spec.replicas)
    except (KeyError, ValueError):
        return one.spec.replicas


def running(ctx: Basis, one: Workload) -> list[tuple[Pod, Job]]:
    """Its replicas that hold a place and are to keep it, the most worth first."""
    objects = ctx.state.objects
    if isinstance(one, Deployment):
        sets = [found for found in objects.owned(one.metadata.uid) if isinstance(found, ReplicaSet)]
        pods = [pod for found in sets for pod in objects.pods_of(found.metadata.uid)]
    else:
        pods = objects.pods_of(one.metadata.uid)
    found = []
    for pod in pods:
        job = ctx.state.jobs.get(JobId(pod.status.job))
        stays = job is not None and job.state is JobState.RUNNING and job.preempted is None
        if job is not None and stays and not pod.metadata.deletion_timestamp:
            found.append((pod, job))
    found.sort(key=lambda both: (not both[0].is_ready, both[1].start_time, both[1].id))
    return found


def surplus(ctx: Basis, one: Workload) -> dict[JobId, int]:
    """Of the replicas above its minimum, the how manieth each is."""
    kept = least(ctx, one)
    return {job.id: number for number, (_, job) in enumerate(running(ctx, one)[kept:], start=1)}
