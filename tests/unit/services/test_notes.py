"""What is noted of a change, in Kubernetes' words?"""

from typing import Any

from msgspec.structs import replace

from corral.model.kube.meta import Condition, ObjectMeta, OwnerReference
from corral.model.kube.pod import ContainerState, ContainerStatus, Pod, PodStatus
from corral.model.kube.workload import Deployment, DeploymentStatus, ReplicaSet, ReplicaSetSpec
from corral.services.notes import notes_of


def told(old: Any, new: Any) -> list[str]:
    return [f"{one.key.kind} {one.type} {one.reason}: {one.message}" for one in notes_of(old, new)]


def meta(name: str, owner: str = "", **fields: Any) -> ObjectMeta:
    owners = (OwnerReference(kind=owner, name="web", uid="u"),) if owner else ()
    return ObjectMeta(name=name, namespace="default", uid=name, owner_references=owners, **fields)


def pod(owner: str = "", **status: Any) -> Pod:
    return Pod(metadata=meta("a", owner), status=PodStatus(**status))


def container(state: str, reason: str = "", **fields: Any) -> ContainerStatus:
    known: Any = state
    return ContainerStatus(name="main", state=ContainerState(state=known, reason=reason), **fields)


def test_a_replica_that_comes_and_goes_is_its_owners_doing():
    one = pod("ReplicaSet")
    assert told(None, one) == ["ReplicaSet Normal SuccessfulCreate: Created pod: a"]
    ending = replace(one, metadata=replace(one.metadata, deletion_timestamp=5.0))
    assert told(one, ending) == ["ReplicaSet Normal SuccessfulDelete: Deleted pod: a"]
    assert told(ending, None) == []


def test_a_deployment_scales_its_replica_sets():
    small = ReplicaSet(metadata=meta("web-1", "Deployment"), spec=ReplicaSetSpec(replicas=1))
    large = replace(small, spec=replace(small.spec, replicas=3))
    assert told(None, small) == ["Deployment Normal ScalingReplicaSet: Scaled up replica set web-1 from 0 to 1"]
    assert told(small, large) == ["Deployment Normal ScalingReplicaSet: Scaled up replica set web-1 from 1 to 3"]
    assert told(large, small) == ["Deployment Normal ScalingReplicaSet: Scaled down replica set web-1 from 3 to 1"]


def test_a_pod_is_queued_scheduled_started():
    queued, placed = pod(job=7), pod(job=7, node="n1", container_statuses=(container("waiting"),))
    assert [line.split(":")[0] for line in told(pod(), queued)] == ["Pod Normal Queued"]
    assert told(queued, placed) == ["Pod Normal Scheduled: Successfully assigned default/a to n1"]
    runs = pod(job=7, node="n1", container_statuses=(container("running", step=0),))
    assert told(placed, runs) == ["Pod Normal Started: Started container main"]
    assert told(runs, runs) == []


def test_why_it_waits_is_told_once():
    waits = pod(
        conditions=(Condition(type="PodScheduled", status="False", reason="Resources", message="no GPU is free"),)
    )
    assert told(pod(), waits) == ["Pod Warning FailedScheduling: no GPU is free"]
    assert told(waits, replace(waits, status=replace(waits.status, start_time=1.0))) == []


def test_a_container_that_crashes_is_told_with_each_restart():
    runs = pod(container_statuses=(container("running", step=0),))
    first = pod(container_statuses=(container("waiting", "CrashLoopBackOff", step=0),))
    again = pod(container_statuses=(container("waiting", "CrashLoopBackOff", step=1, restart_count=1),))
    assert [line.split(":")[0] for line in told(runs, first)] == ["Pod Warning BackOff"]
    assert [line.split(":")[0] for line in told(first, again)] == ["Pod Warning BackOff"]


def test_a_probe_that_fails():
    ready = pod(ready_since=1.0, container_statuses=(container("running", ready=True, step=0),))
    unready = pod(container_statuses=(container("running", step=0, unready="HTTP 503"),))
    assert told(ready, unready) == ["Pod Warning Unhealthy: Readiness probe failed: HTTP 503"]
    began = pod(container_statuses=(container("running", step=0),))
    assert told(began, unready) == ["Pod Warning Unhealthy: Readiness probe failed: HTTP 503"]
    assert told(unready, ready) == []
    words = "Container main failed liveness probe, will be restarted: HTTP 500"
    stopping = pod(container_statuses=(container("running", step=0, unready="HTTP 503", stopping=words),))
    assert told(unready, stopping) == [
        "Pod Warning Unhealthy: Liveness probe failed: HTTP 500",
        "Pod Normal Killing: Container main failed liveness probe, will be restarted",
    ]
    ending = pod(
        container_statuses=(container("running", step=0, unready="HTTP 503", stopping="Pod is being deleted"),)
    )
    assert told(unready, ending) == []


def test_an_update_that_does_not_come_along():
    late = Condition(type="Progressing", status="False", reason="ProgressDeadlineExceeded", message="too slow")
    old = Deployment(metadata=meta("web"))
    new = replace(old, status=DeploymentStatus(conditions=(late,)))
    assert told(old, new) == ["Deployment Warning ProgressDeadlineExceeded: too slow"]
    assert told(new, replace(new, status=replace(new.status, replicas=1))) == []
