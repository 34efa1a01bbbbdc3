"""A small world of Kubernetes' objects under the rules of services/, in which the test says how Pods fare."""

import msgspec

from corral.engine.context import Context
from corral.engine.effects import Effects
from corral.engine.kube import requests
from corral.engine.kube.work import _LEVELS, _delete, carry_out
from corral.engine.state import ClusterState
from corral.model.cluster import ClusterConfig
from corral.model.kube.meta import LabelSelector, ObjectKey, ObjectMeta
from corral.model.kube.objects import AnyObject
from corral.model.kube.pod import Container, Pod, PodSpec, PodTemplateSpec, TemplateMeta
from corral.model.kube.workload import (
    CronJob,
    CronJobSpec,
    DaemonSet,
    DaemonSetSpec,
    Deployment,
    DeploymentSpec,
    DeploymentStrategy,
    Job,
    JobSpec,
    JobTemplateSpec,
    ReplicaSet,
    StatefulSet,
    StatefulSetSpec,
)
from corral.protocol.events import ObjectsChanged
from corral.protocol.requests import Caller, DeleteObjects, PutObjects
from corral.services import daemonset
from corral.services.reconcile import RULES

ANN = Caller(uid=1000, gid=1000, user="ann", group="ann")


def template(image: str = "v1", app: str = "web", policy: str = "Always") -> PodTemplateSpec:
    return PodTemplateSpec(
        metadata=TemplateMeta(labels={"app": app}),
        spec=PodSpec(containers=(Container(name="main", image=image),), restart_policy=policy),  # type: ignore[arg-type]
    )


def meta(name: str, **fields: object) -> ObjectMeta:
    return ObjectMeta(name=name, namespace="default", **fields)  # type: ignore[arg-type]


def deployment(
    replicas: int = 3,
    image: str = "v1",
    name: str = "web",
    strategy: DeploymentStrategy | None = None,
    **fields: object,
) -> Deployment:
    spec = DeploymentSpec(
        replicas=replicas,
        selector=LabelSelector(match_labels={"app": name}),
        template=template(image, name),
        strategy=strategy or DeploymentStrategy(),
        **fields,  # type: ignore[arg-type]
    )
    return Deployment(metadata=meta(name), spec=spec)


def stateful(replicas: int = 3, image: str = "v1", name: str = "db", **fields: object) -> StatefulSet:
    spec = StatefulSetSpec(
        replicas=replicas,
        selector=LabelSelector(match_labels={"app": name}),
        template=template(image, name),
        service_name=name,
        **fields,  # type: ignore[arg-type]
    )
    return StatefulSet(metadata=meta(name), spec=spec)


def daemon_set(image: str = "v1", name: str = "exporter", **fields: object) -> DaemonSet:
    selector = LabelSelector(match_labels={"app": name})
    spec = DaemonSetSpec(selector=selector, template=template(image, name), **fields)  # type: ignore[arg-type]
    return DaemonSet(metadata=meta(name), spec=spec)


def job(name: str = "sum", **fields: object) -> Job:
    return Job(metadata=meta(name), spec=JobSpec(template=template(app=name, policy="Never"), **fields))  # type: ignore[arg-type]


def cron_job(schedule: str, name: str = "hello", **fields: object) -> CronJob:
    spec = CronJobSpec(schedule=schedule, job_template=JobTemplateSpec(spec=job().spec), **fields)  # type: ignore[arg-type]
    return CronJob(metadata=meta(name), spec=spec)


class World:
    """Pods are made by the rules; `ready`, `fail`, `vanish` say what becomes of them. A deleted Pod ends when `end` is called."""

    def __init__(self) -> None:
        self.ctx = Context(ClusterConfig(), ClusterState(), 1)
        self.now = 1000.0
        self.log: list[object] = []
        self.rounds = 0
        self.places = daemonset.Places(wanted=(), kept=())  #: on which nodes DaemonSets mean to be

    @property
    def objects(self):  # type: ignore[no-untyped-def]
        return self.ctx.state.objects

    def get(self, kind: str, name: str) -> AnyObject:
        found = self.objects.get(ObjectKey(kind, "default", name))
        assert found is not None, f"no {kind} {name}"
        return found

    def put(self, one: AnyObject) -> None:
        """As a user."""
        out = Effects()
        requests.on_put(self.ctx, PutObjects(objects=(one,)), ANN, None, self.now, out)
        self.log += out.records
        self.settle()

    def delete(self, one: AnyObject, propagation: str = "Background") -> None:
        out = Effects()
        request = DeleteObjects(keys=(one.key,), propagation=propagation)  # type: ignore[arg-type]
        requests.on_delete(self.ctx, request, ANN, self.now, out)
        self.log += out.records
        self.settle()

    def settle(self) -> int:
        """Until the rules want nothing. Returns how many events that made."""
        out = Effects()
        for _ in range(100):
            for key in self.ctx.object_wakes.due(self.now):
                if key in self.objects.by_key:
                    self.objects.dirty[key] = None
            if not self.objects.dirty:
                break
            due, self.objects.dirty = self.objects.dirty, {}
            for key in sorted(due, key=lambda key: _LEVELS.get(key.kind, 2)):
                one = self.objects.get(key)
                if one is None or isinstance(one, Pod):
                    continue
                self.objects.dirty.pop(key, None)
                if one.metadata.deletion_timestamp:
                    _delete(self.ctx, one, self.now, out)
                elif isinstance(one, DaemonSet):
                    changes = daemonset.reconcile(one, self.places, self.objects, self.now)
                    carry_out(self.ctx, one, changes, self.now, out)
                elif key.kind in RULES:
                    carry_out(self.ctx, one, RULES[key.kind](one, self.objects, self.now), self.now, out)
        else:
            raise AssertionError(f"the rules contradict each other: {sorted(self.objects.dirty)}")
        self.log += out.records
        return len(out.records)

    def look_at_all(self) -> int:
        """As after a restart of the controller."""
        self.objects.dirty = dict.fromkeys(self.objects.by_key)
        return self.settle()

    def pass_time(self, seconds: float) -> None:
        until = self.now + seconds
        while (at := self.ctx.object_wakes.next()) <= until:
            self.now = max(self.now, at)
            self.settle()
        self.now = until
        self.settle()

    # -- how Pods fare

    def pods(self, **labels: str) -> list[Pod]:
        """Those that are there and not being deleted."""
        found = self.objects.pods_selected("default", labels)
        return [pod for pod in found if not pod.metadata.deletion_timestamp and not pod.has_ended]

    def change(self, pod: Pod, *, settle: bool = True, **status: object) -> None:
        pod = self.objects.get(pod.key) or pod
        version = self.objects.version + 1
        changed = msgspec.structs.replace(
            pod,
            status=msgspec.structs.replace(pod.status, **status),
            metadata=msgspec.structs.replace(pod.metadata, resource_version=str(version)),
        )
        out = Effects()
        self.ctx.record(ObjectsChanged(time=self.now, objects=(changed,), version=version), out)
        self.log += out.records
        if settle:
            self.settle()

    def ready(self, *pods: Pod, settle: bool = True) -> None:
        for pod in pods or self.pods():
            if not pod.status.ready_since:
                self.change(pod, settle=False, phase="Running", node=pod.status.node or "n1", ready_since=self.now)
        if settle:
            self.settle()

    def unready(self, pod: Pod, *, settle: bool = True) -> None:
        self.change(pod, settle=settle, ready_since=0.0)

    def fail(self, pod: Pod, *, phase: str = "Failed", settle: bool = True, **status: object) -> None:
        self.change(pod, settle=settle, phase=phase, ready_since=0.0, **status)

    def end(self, *, settle: bool = True) -> None:
        """What was deleted is gone."""
        for pod in [
            pod
            for pod in self.objects.everywhere("Pod")
            if pod.metadata.deletion_timestamp and not pod.metadata.finalizers
        ]:
            self.vanish(pod, settle=False)
        if settle:
            self.settle()

    def vanish(self, pod: Pod, *, settle: bool = True) -> None:
        out = Effects()
        self.ctx.record(ObjectsChanged(time=self.now, removed=(pod.key,), version=self.objects.version + 1), out)
        self.log += out.records
        if settle:
            self.settle()

    def sets(self) -> list[ReplicaSet]:
        return [one for one in self.objects.of_kind("ReplicaSet", "default") if isinstance(one, ReplicaSet)]

    def run(self, rounds: int = 60, seconds: float = 1.0) -> None:
        """All Pods become ready, all that is deleted ends, until nothing changes."""
        for _ in range(rounds):
            before = len(self.log)
            self.ready()
            self.end()
            self.pass_time(seconds)
            if len(self.log) == before:
                return
