"""Kubernetes' objects in the state: put, changed, deleted, kept over a snapshot."""

from typing import Literal

import pytest

from corral.engine.engine import Engine
from corral.engine.kube.work import MOST_LOOKS
from corral.engine.state import ClusterState
from corral.model.cluster import ClusterConfig
from corral.model.job import JobKind, JobSpec
from corral.model.kube.config import ConfigMap
from corral.model.kube.meta import LabelSelector, ObjectKey, ObjectMeta, OwnerReference
from corral.model.kube.objects import AnyObject
from corral.model.kube.pod import Container, Pod, PodSpec, PodTemplateSpec, TemplateMeta
from corral.model.kube.workload import Deployment, DeploymentSpec, Job
from corral.model.kube.workload import JobSpec as JobSpecOf
from corral.model.node import NodeInventory
from corral.model.partition import Partition
from corral.protocol.events import ObjectsChanged
from corral.protocol.replies import ObjectsPut, Rejected
from corral.protocol.reports import AgentRegistered
from corral.protocol.requests import Caller, DeleteObjects, NewJob, PutObjects, SubmitJobs

ANN = Caller(uid=1000, gid=1000, user="ann", group="ann")
BOB = Caller(uid=1001, gid=1001, user="bob", group="bob")
KEY = ObjectKey("Deployment", "default", "web")


def deployment(replicas: int = 1, version: str = "") -> Deployment:
    return Deployment(
        metadata=ObjectMeta(name="web", namespace="default", resource_version=version),
        spec=DeploymentSpec(replicas=replicas),
    )


def put(engine: Engine, one: AnyObject, caller: Caller = ANN, now: float = 10.0) -> ObjectsPut | Rejected:
    reply = engine.handle(PutObjects(objects=(one,)), now, caller).reply
    assert isinstance(reply, ObjectsPut | Rejected)
    return reply


def test_an_object_gets_its_uid_and_versions_and_keeps_what_is_not_its_spec() -> None:
    engine = Engine(ClusterConfig())
    put(engine, deployment())
    first = engine.state.objects.get(KEY)
    assert first is not None
    assert first.creator is not None
    assert (first.metadata.generation, first.metadata.creation_timestamp, first.creator.user) == (1, 10.0, "ann")
    put(engine, deployment(3), now=20.0)
    second = engine.state.objects.get(KEY)
    assert second is not None
    assert (second.metadata.uid, second.metadata.generation) == (first.metadata.uid, 2)
    assert int(second.metadata.resource_version) > int(first.metadata.resource_version)
    effects = engine.handle(PutObjects(objects=(deployment(3),)), 30.0, ANN)
    assert effects.records == []


def test_what_has_changed_meanwhile_and_what_is_anothers_is_refused() -> None:
    engine = Engine(ClusterConfig())
    put(engine, deployment())
    stale = put(engine, deployment(2, version="999"))
    assert isinstance(stale, Rejected)
    assert stale.code == "conflict"
    foreign = put(engine, deployment(2), BOB)
    assert isinstance(foreign, Rejected)
    assert foreign.code == "denied"


def test_what_an_object_owns_goes_with_it() -> None:
    engine = Engine(ClusterConfig())
    put(engine, deployment(0))
    owner = engine.state.objects.get(KEY)
    assert owner is not None
    reference = OwnerReference(kind="Deployment", name="web", uid=owner.metadata.uid)
    put(
        engine,
        Pod(
            metadata=ObjectMeta(name="web-1", namespace="default", owner_references=(reference,), deletion_timestamp=1)
        ),
    )
    engine.handle(DeleteObjects(keys=(KEY,)), 30.0, ANN)
    assert list(engine.state.objects.in_namespace("default")) == []


def test_a_snapshot_has_the_objects_and_their_indexes() -> None:
    engine = Engine(ClusterConfig())
    put(engine, deployment())
    put(engine, Pod(metadata=ObjectMeta(name="a", namespace="default", labels={"app": "x"})))
    state = ClusterState.load(engine.state.dump())
    assert state.objects.by_key == engine.state.objects.by_key
    assert [one.metadata.name for one in state.objects.pods_selected("default", {"app": "x"})] == ["a"]
    assert state.objects.version == engine.state.objects.version


def test_nobody_submits_a_pod_as_a_job() -> None:
    engine = Engine(ClusterConfig())
    reply = engine.handle(SubmitJobs(jobs=(NewJob(spec=JobSpec(kind=JobKind.POD)),)), 1.0, ANN).reply
    assert isinstance(reply, Rejected)
    assert "Pod" in reply.error


def big(replicas: int) -> Deployment:
    template = PodTemplateSpec(
        metadata=TemplateMeta(labels={"app": "web"}), spec=PodSpec(containers=(Container(name="m", command=("x",)),))
    )
    spec = DeploymentSpec(replicas=replicas, selector=LabelSelector(match_labels={"app": "web"}), template=template)
    return Deployment(metadata=ObjectMeta(name="web", namespace="default"), spec=spec)


def settled(engine: Engine, now: float) -> tuple[float, int]:
    """When all is done, and the most Pods that one tick has changed."""
    most = 0
    while (due := engine.next_wake(now)) <= now + 2.0:
        now = max(now, due)
        changed = [
            one
            for record in engine.tick(now).records
            if isinstance(record, ObjectsChanged)
            for one in (*(found.key for found in record.objects), *record.removed)
            if one.kind == "Pod"
        ]
        most = max(most, len(changed))
        if not engine.state.objects.dirty and not engine.state.objects.of_kind("Pod", "default") and changed:
            break
    return now, most


def test_thousands_of_pods_are_made_and_ended_a_part_at_a_time() -> None:
    engine = Engine(ClusterConfig(partition=(Partition(name="batch", default=True),)), term=1)
    engine.start(0.0)
    node = NodeInventory(name="n1", cpus=1, memory_mb=1000)
    engine.handle(AgentRegistered(agent="a", instance="1", nodes=(node,)), 1.0)
    put(engine, big(3000))
    now, made = settled(engine, 10.0)
    assert len(list(engine.state.objects.of_kind("Pod", "default"))) == 3000
    put(engine, big(1), now=now)
    now, ended = settled(engine, now)
    assert len(list(engine.state.objects.of_kind("Pod", "default"))) == 1
    put(engine, big(3000), now=now)
    now, _ = settled(engine, now)
    assert len(list(engine.state.objects.of_kind("Pod", "default"))) == 3000
    engine.handle(DeleteObjects(keys=(KEY,)), now, ANN)
    now, deleted = settled(engine, now)
    assert not list(engine.state.objects.of_kind("Pod", "default"))
    assert engine.state.objects.get(KEY) is None
    assert max(made, ended, deleted) <= 4 * MOST_LOOKS


def config(name: str, *owners: AnyObject) -> ConfigMap:
    references = tuple(
        OwnerReference(kind="ConfigMap", name=one.metadata.name, uid=one.metadata.uid, api_version="v1")
        for one in owners
    )
    return ConfigMap(metadata=ObjectMeta(name=name, namespace="default", owner_references=references))


@pytest.mark.parametrize("how", ["Background", "Foreground"])
@pytest.mark.parametrize("names", ["a", "ab", "abc"])
def test_what_owns_itself_by_way_of_others_can_be_deleted(how: Literal["Background", "Foreground"], names: str) -> None:
    engine = Engine(ClusterConfig())
    keys = [ObjectKey("ConfigMap", "default", name) for name in names]
    for name in names:
        put(engine, config(name))
    for place, name in enumerate(names):
        owner = engine.state.objects.get(keys[place - 1])
        assert owner is not None
        put(engine, config(name, owner))
    engine.handle(DeleteObjects(keys=tuple(keys), propagation=how), 20.0, ANN)
    engine.tick(21.0)
    assert not any(engine.state.objects.get(key) for key in keys)


def test_a_jobs_selector_means_its_own_pods_and_stays_when_a_manifest_does_not_name_it() -> None:
    engine = Engine(ClusterConfig())
    template = PodTemplateSpec(
        spec=PodSpec(containers=(Container(name="m", command=("true",)),), restart_policy="Never")
    )
    wanted = Job(metadata=ObjectMeta(name="sum", namespace="default"), spec=JobSpecOf(template=template))
    put(engine, wanted)
    for _ in range(2):
        one = engine.state.objects.get(ObjectKey("Job", "default", "sum"))
        assert isinstance(one, Job)
        assert one.spec.selector == LabelSelector(match_labels={"batch.kubernetes.io/controller-uid": one.metadata.uid})
        put(engine, wanted)
    engine.tick(11.0)
    (pod,) = engine.state.objects.of_kind("Pod", "default")
    assert pod.metadata.labels.items() >= one.spec.selector.match_labels.items()
