"""Namespaces that must be there and go with all that is in them; quotas that are counted and kept."""

import msgspec
from tests.builders import cluster, nodes

from corral.engine.engine import Engine
from corral.engine.state import ClusterState
from corral.model.cluster import ClusterConfig
from corral.model.kube.config import (
    ConfigMap,
    Namespace,
    PodDisruptionBudget,
    PodDisruptionBudgetSpec,
    PriorityClass,
    ResourceQuota,
    ResourceQuotaSpec,
)
from corral.model.kube.meta import LabelSelector, ObjectKey, ObjectMeta
from corral.model.kube.pod import (
    Container,
    Pod,
    PodSpec,
    PodStatus,
    PodTemplateSpec,
    ResourceRequirements,
    TemplateMeta,
)
from corral.model.kube.workload import ReplicaSet, ReplicaSetSpec
from corral.protocol.replies import ObjectsPut, Rejected
from corral.protocol.requests import Caller, DeleteObjects, PutObjects

ANN = Caller(uid=1000, gid=1000, user="ann", group="ann")
BOB = Caller(uid=1001, gid=1001, user="bob", group="bob")
ROOT = Caller(uid=0, gid=0, user="root", group="root", role="administrator")
LAB = ObjectKey("Namespace", "", "lab")


def put(engine, *objects, caller=ANN, now=10.0):
    return engine.handle(PutObjects(objects=objects), now, caller).reply


def delete(engine, key, caller=ANN, now=20.0):
    return engine.handle(DeleteObjects(keys=(key,)), now, caller).reply


def namespace(name="lab"):
    return Namespace(metadata=ObjectMeta(name=name))


def config_map(name="settings", where="lab"):
    return ConfigMap(metadata=ObjectMeta(name=name, namespace=where), data={"a": "1"})


def quota(where="lab", **hard):
    return ResourceQuota(
        metadata=ObjectMeta(name="most", namespace=where),
        spec=ResourceQuotaSpec(
            hard={name.replace("__", "/").replace("_", "."): str(most) for name, most in hard.items()}
        ),
    )


def pod_spec(cpu="1"):
    resources = ResourceRequirements(requests={"cpu": cpu}) if cpu else ResourceRequirements()
    return PodSpec(containers=(Container(name="web", command=("sleep", "9"), resources=resources),))


def pod(name, where="lab", cpu="1"):
    return Pod(metadata=ObjectMeta(name=name, namespace=where), spec=pod_spec(cpu))


def replica_set(replicas, where="lab"):
    return ReplicaSet(
        metadata=ObjectMeta(name="web", namespace=where),
        spec=ReplicaSetSpec(
            replicas=replicas,
            selector=LabelSelector(match_labels={"app": "web"}),
            template=PodTemplateSpec(metadata=TemplateMeta(labels={"app": "web"}), spec=pod_spec()),
        ),
    )


def used(engine, where="lab"):
    return engine.state.objects.get(ObjectKey("ResourceQuota", where, "most")).status.used


def pods(engine, where="lab"):
    return list(engine.state.objects.of_kind("Pod", where))


def test_the_default_namespace_is_there_and_stays():
    engine = Engine(ClusterConfig())
    assert isinstance(put(engine, config_map(where="default")), ObjectsPut)
    refused = delete(engine, ObjectKey("Namespace", "", "default"), ROOT)
    assert (refused.error, refused.code) == ("this namespace may not be deleted", "denied")


def test_an_object_needs_its_namespace_which_may_be_made_with_it():
    engine = Engine(ClusterConfig())
    assert put(engine, config_map()).error == 'namespaces "lab" not found'
    assert isinstance(put(engine, namespace(), config_map()), ObjectsPut)


def test_a_namespace_goes_with_all_that_is_in_it_and_takes_nothing_new_meanwhile():
    engine = Engine(ClusterConfig())
    held = msgspec.structs.replace(
        config_map("held"), metadata=ObjectMeta(name="held", namespace="lab", finalizers=("a/b",))
    )
    put(engine, namespace(), config_map(), held)
    delete(engine, LAB)
    assert engine.state.objects.get(LAB).status.phase == "Terminating"
    assert [one.metadata.name for one in engine.state.objects.in_namespace("lab")] == ["held"]
    refused = put(engine, config_map("new"))
    assert "it is being terminated" in refused.error
    put(engine, config_map("held"), now=30.0)
    assert engine.state.objects.get(LAB) is None
    assert engine.state.objects.is_empty("lab")


def test_a_namespace_with_others_objects_in_it_is_deleted_by_an_operator_alone():
    engine = Engine(ClusterConfig())
    put(engine, namespace())
    put(engine, config_map(), caller=BOB)
    assert delete(engine, LAB).error == "others have objects in it: bob"
    assert isinstance(delete(engine, LAB, ROOT), ObjectsPut)
    assert engine.state.objects.get(LAB) is None


def test_a_quota_is_set_by_an_operator_or_by_whose_namespace_it_is():
    engine = Engine(ClusterConfig())
    put(engine, namespace())
    assert isinstance(put(engine, quota(pods=2)), ObjectsPut)
    assert put(engine, quota("default", pods=0)).code == "denied"
    assert isinstance(put(engine, quota("default", pods=9), caller=ROOT), ObjectsPut)


def test_what_is_used_is_counted_as_objects_come_and_go():
    engine = Engine(ClusterConfig())
    put(engine, namespace(), pod("a", cpu="500m"))
    put(engine, quota(pods=3, requests_cpu="2", count__configmaps=5, count__pods=9))
    assert used(engine) == {"pods": "1", "requests.cpu": "500m", "count/configmaps": "0", "count/pods": "1"}
    put(engine, pod("b"), config_map())
    assert used(engine) == {"pods": "2", "requests.cpu": "1500m", "count/configmaps": "1", "count/pods": "2"}
    delete(engine, config_map().key)
    assert used(engine)["count/configmaps"] == "0"


def test_a_pod_beyond_a_quota_is_refused_in_kubernetes_words_alone_and_with_others():
    engine = Engine(ClusterConfig())
    put(engine, namespace(), quota(requests_cpu="2"))
    assert isinstance(put(engine, pod("a", cpu="1500m")), ObjectsPut)
    assert (
        put(engine, pod("b")).error
        == "exceeded quota: most, requested: requests.cpu=1, used: requests.cpu=1500m, limited: requests.cpu=2"
    )
    assert isinstance(put(engine, pod("c", cpu="300m"), pod("d", cpu="300m")), Rejected)
    assert put(engine, pod("e", cpu="")).error == "failed quota: most: must specify requests.cpu for: web"
    assert [one.metadata.name for one in pods(engine)] == ["a"]


def test_it_goes_on_at_once_when_the_quota_is_gone_and_is_forgotten_when_it_is_gone_itself():
    one = cluster(nodes("n1", cpus=8))
    one.ask(PutObjects(objects=(namespace(), quota(pods=2))), ROOT)
    one.ask(PutObjects(objects=(replica_set(3),)), ANN)
    one.ask(DeleteObjects(keys=(quota().key,)), ROOT)
    assert len(pods(one.engine)) == 3
    one.ask(PutObjects(objects=(quota(pods=3),)), ROOT)
    one.ask(PutObjects(objects=(replica_set(5),)), ANN)
    waiting = one.state.objects.usage.waiting
    assert waiting
    one.ask(DeleteObjects(keys=(ObjectKey("ReplicaSet", "lab", "web"),)), ANN)
    one.tick()
    assert not waiting


def test_a_replica_set_beyond_a_quota_says_so_and_goes_on_when_there_is_room():
    one = cluster(nodes("n1", cpus=8))
    key = ObjectKey("ReplicaSet", "lab", "web")
    one.ask(PutObjects(objects=(namespace(), quota(pods=2))), ROOT)
    one.ask(PutObjects(objects=(replica_set(3),)), ANN)
    assert len(pods(one.engine)) == 2
    (said,) = one.state.objects.get(key).status.conditions
    assert (said.type, said.status, said.reason) == ("ReplicaFailure", "True", "FailedCreate")
    assert said.message.startswith('pods "web-" is forbidden: exceeded quota: most, requested: pods=1, used: pods=2')
    one.ask(PutObjects(objects=(quota(pods=5),)), ROOT)
    one.tick()
    assert len(pods(one.engine)) == 3
    assert one.state.objects.get(key).status.conditions == ()
    assert used(one.engine) == {"pods": "3"}


def test_a_snapshot_keeps_what_is_counted():
    engine = Engine(ClusterConfig())
    put(engine, namespace(), pod("a"), quota(pods=1))
    state = ClusterState.load(engine.state.dump())
    assert state.objects.usage.used["lab"]["pods"] == 10**9
    assert state.objects.get(LAB) is not None


def test_an_eviction_waits_for_a_disruption_budget_and_a_deletion_does_not():
    engine = Engine(ClusterConfig())
    budget = PodDisruptionBudget(
        metadata=ObjectMeta(name="web", namespace="default"),
        spec=PodDisruptionBudgetSpec(selector=LabelSelector(match_labels={"app": "web"}), min_available=1),
    )
    ready = Pod(
        metadata=ObjectMeta(name="web-1", namespace="default", labels={"app": "web"}), spec=pod_spec(),
        status=PodStatus(phase="Running", ready_since=5.0),
    )  # fmt: skip
    put(engine, budget, ready)
    held = engine.handle(DeleteObjects(keys=(ready.key,), is_eviction=True), 20.0, ANN).reply
    assert held.code == "held"
    assert held.detail == "The disruption budget web needs 1 healthy pods and has 1 currently"
    assert isinstance(delete(engine, ready.key), ObjectsPut)


def test_one_priority_class_alone_is_everybodys():
    engine = Engine(ClusterConfig())
    first, second = (
        PriorityClass(metadata=ObjectMeta(name=name), value=value, global_default=True)
        for name, value in (("a", 1), ("b", 2))
    )
    assert isinstance(put(engine, first, caller=ROOT), ObjectsPut)
    assert (
        put(engine, second, caller=ROOT).error
        == "PriorityClass a is already marked as default. Only one default can exist"
    )
    assert isinstance(put(engine, first, caller=ROOT), ObjectsPut)
