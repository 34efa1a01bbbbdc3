"""Who may be preempted now, who is about to be gone, and what is promised to whom? Kept up to date from one cycle to the next."""

from collections.abc import Iterable

from corral.engine import preemption, replicas
from corral.engine.context import Context
from corral.engine.state import is_suspended_for_another
from corral.model.job import Job, JobId, JobState
from corral.model.kube.config import PodDisruptionBudget
from corral.model.kube.meta import ObjectKey
from corral.model.kube.workload import Deployment, ReplicaSet, StatefulSet
from corral.scheduler.podplaces import Placed
from corral.scheduler.preemption import Promised, Suspended, Victim
from corral.scheduler.preemptors import Standing
from corral.services import budgets


class Preemptible:
    def __init__(self, ctx: Context) -> None:
        self.ctx = ctx
        self.victims: dict[JobId, Victim] = {}
        self.leaving: set[JobId] = set()  #: jobs that are about to be gone
        self.promised: set[JobId] = set()  #: waiting jobs for which others make room
        self.suspended: set[JobId] = set()  #: for others
        self.services: dict[
            ObjectKey, int
        ] = {}  #: services with replicas that run -> by which minimum they were looked at
        self.service_of: dict[JobId, ObjectKey] = {}
        self.alone: set[JobId] = set()  #: Pods of no service
        self.pods: dict[JobId, Placed] = {}  #: Pods that have a place

    @property
    def is_busy(self) -> bool:
        """Is there something for a cycle to do, even if nobody waits for his turn?"""
        return bool(self.promised or self.suspended)

    def put_running(self, job_id: JobId, job: Job | None) -> None:
        """A job has started, changed or gone."""
        self.leaving.discard(job_id)
        self.suspended.discard(job_id)
        if self.pods or self.ctx.state.objects.pod_of_job:
            self._place(job_id, job)
        if (service := self.service_of.pop(job_id, None)) is not None:
            self.services[service] = -1
        self.alone.discard(job_id)
        if job is None or not job.is_active:
            self.victims.pop(job_id, None)
            return
        pods = self.ctx.state.objects.pod_of_job
        if job_id in pods and (workload := replicas.workload_of(self.ctx, job)) is not None:
            self.service_of[job_id] = workload.key
            self.services[workload.key] = -1
            if job.state is JobState.COMPLETING or job.preempted is not None:
                self.leaving.add(job_id)
            return
        if job_id in pods:
            self.alone.add(job_id)
        if job.state is JobState.COMPLETING:
            self.leaving.add(job_id)
        elif is_suspended_for_another(job):
            self.suspended.add(job_id)
        elif job.preempted is not None and job.state is JobState.RUNNING:
            self.leaving.add(job_id)
        for one in self.ctx.state.het_members(job) or [job]:
            victim = preemption.victim_of(self.ctx, one)
            if victim is None or is_suspended_for_another(one):
                self.victims.pop(one.id, None)
            else:
                self.victims[one.id] = victim

    def put_waiting(self, job: Job) -> bool:
        """Must a place be sought for it still, or for some of its elements?"""
        if not job.promises:
            return True
        self.promised.add(job.id)
        return bool(job.array_waiting)

    def standing(self, is_asked: bool) -> Standing:
        """`is_asked`: some waiting job may preempt others."""
        config = self.ctx.config.preemption
        if config.type == "none" or not is_asked:
            return Standing()
        self._look_at_services()
        held = self._held()
        victims = tuple(one for job_id, one in self.victims.items() if job_id not in held)
        return Standing(
            victims=victims, leaving=tuple(sorted(self.leaving)), strict_order=config.strict_order,
            tiers={partition.name: partition.priority_tier for partition in self.ctx.state.partitions.values()},
        )  # fmt: skip

    def _look_at_services(self) -> None:
        """Which of their replicas may be taken: where one has come or gone, or another minimum holds."""
        objects = self.ctx.state.objects
        for key, known in list(self.services.items()):
            one = objects.get(key)
            if not isinstance(one, Deployment | ReplicaSet | StatefulSet):
                del self.services[key]
                continue
            kept = replicas.least(self.ctx, one)
            if kept == known:
                continue
            self.services[key] = kept
            found = replicas.running(self.ctx, one)
            for number, (_, job) in enumerate(found, start=1):
                victim = preemption.replica_of(self.ctx, job, max(0, number - kept))
                if victim is None:
                    self.victims.pop(job.id, None)
                else:
                    self.victims[job.id] = victim
            if not found:
                del self.services[key]

    def _held(self) -> set[JobId]:
        """Pods of no service that a PodDisruptionBudget keeps; as many as it allows may go. (Of services: `replicas.least`.)"""
        objects, held = self.ctx.state.objects, set[JobId]()
        left: dict[ObjectKey, int] = {}
        for job_id in sorted(self.alone & self.victims.keys()):
            pod = replicas.pod_of(self.ctx, self.ctx.state.jobs[job_id])
            if pod is None or not pod.is_ready:
                continue
            meant = [
                one for one in objects.of_kind("PodDisruptionBudget", pod.metadata.namespace)
                if isinstance(one, PodDisruptionBudget) and budgets.means(one, pod)
            ]  # fmt: skip
            for one in meant:
                left.setdefault(one.key, budgets.status_of(one, objects, 0.0).disruptions_allowed)
            if any(left[one.key] <= 0 for one in meant):
                held.add(job_id)
                continue
            for one in meant:
                left[one.key] -= 1
        return held

    def _place(self, job_id: JobId, job: Job | None) -> None:
        words = self.ctx.state.spec(job).places if job is not None and job.is_active else None
        if job is None or words is None or job.allocation is None:
            self.pods.pop(job_id, None)
        else:
            self.pods[job_id] = Placed(job.allocation.nodes[0].node, words)

    def placed(self) -> tuple[Placed, ...]:
        """Where Pods are, and where they will be when others have made room."""
        promised = (
            Placed(promise.allocation.nodes[0].node, words)
            for job_id in self.promised
            if (words := self.ctx.state.spec(self.ctx.state.jobs[job_id]).places) is not None
            for promise in self.ctx.state.jobs[job_id].promises
        )
        return (*self.pods.values(), *promised)

    def promises(self) -> tuple[Promised, ...]:
        return tuple(one for job in self._in_order(self.promised) for one in preemption.promised(self.ctx, job))

    def lent(self) -> tuple[Suspended, ...]:
        return tuple(preemption.suspended(self.ctx, job) for job in self._in_order(self.suspended))

    def _in_order(self, ids: Iterable[JobId]) -> list[Job]:
        found = (self.ctx.state.jobs[job_id] for job_id in ids)
        return sorted(found, key=lambda job: (-job.priority, job.submit_time, job.id))
