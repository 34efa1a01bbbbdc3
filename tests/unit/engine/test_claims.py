"""A claim is a directory: which volume it gets, where its Pod goes, what stays when both are gone."""

from typing import Any

import msgspec
from tests.builders import ANN, Cluster, cluster, nodes

from corral.engine.podruns import run_of
from corral.model.cluster import StorageClassConfig
from corral.model.kube.claim import (
    ClaimTemplate,
    ClaimTemplateMeta,
    PersistentVolumeClaimSpec,
    VolumeResourceRequirements,
)
from corral.model.kube.config import ResourceQuota, ResourceQuotaSpec
from corral.model.kube.meta import LabelSelector, ObjectKey, ObjectMeta
from corral.model.kube.pod import (
    ClaimVolume,
    Container,
    EphemeralVolume,
    HostPathVolume,
    NodeSelector,
    NodeSelectorRequirement,
    NodeSelectorTerm,
    Pod,
    PodSpec,
    PodTemplateSpec,
    TemplateMeta,
    Volume,
    VolumeMount,
)
from corral.model.kube.storage import (
    LocalVolume,
    PersistentVolume,
    PersistentVolumeClaim,
    PersistentVolumeSpec,
    VolumeNodeAffinity,
)
from corral.model.kube.workload import ClaimRetentionPolicy, StatefulSet, StatefulSetSpec
from corral.protocol import orders as od
from corral.protocol import reports as rp
from corral.protocol.replies import Rejected
from corral.protocol.requests import Caller, DeleteObjects, PutObjects
from corral.services.manifests import updates

ROOT = Caller(uid=0, gid=0, user="root", group="root", role="administrator")
SHARED = StorageClassConfig(name="shared", path="/shared/claims", default=True)
LOCAL = StorageClassConfig(name="local", path="/scratch", scope="node")
ONCE, MANY = ("ReadWriteOnce",), ("ReadWriteMany",)


def world(count: int = 2, *classes: StorageClassConfig) -> Cluster:
    one = cluster(nodes(f"n[1-{count}]", cpus=4), storage_class=classes or (SHARED, LOCAL))
    one._take(one.engine.start(one.now))
    one.cleans = False
    return one


def spec(group: str | None = None, size: str = "1Gi", modes: Any = ONCE, **fields: Any) -> PersistentVolumeClaimSpec:
    return PersistentVolumeClaimSpec(
        access_modes=modes, storage_class_name=group, resources=VolumeResourceRequirements(requests={"storage": size}), **fields
    )  # fmt: skip


def claim(one: Cluster, name: str = "data", group: str | None = None, **fields: Any) -> None:
    made = PersistentVolumeClaim(metadata=ObjectMeta(name=name, namespace="default"), spec=spec(group, **fields))
    one.ask(PutObjects(objects=(made,)), ANN)


def volume(one: Cluster, name: str, size: str = "5Gi", node: str = "", group: str = "manual", **fields: Any) -> None:
    term = NodeSelectorTerm(
        match_expressions=(NodeSelectorRequirement(key="kubernetes.io/hostname", operator="In", values=(node,)),)
    )
    fields |= {
        "capacity": {"storage": size}, "access_modes": ONCE, "storage_class_name": group,
        "local": LocalVolume(path=f"/disks/{name}") if node else None,
        "host_path": None if node else HostPathVolume(path=f"/mnt/{name}"),
        "node_affinity": VolumeNodeAffinity(required=NodeSelector(node_selector_terms=(term,))) if node else None,
    }  # fmt: skip
    one.ask(
        PutObjects(objects=(PersistentVolume(metadata=ObjectMeta(name=name), spec=PersistentVolumeSpec(**fields)),)),
        ROOT,
    )


def pod_spec(claimed: str = "data") -> PodSpec:
    return PodSpec(
        containers=(
            Container(name="main", command=("serve",), volume_mounts=(VolumeMount(name="v", mount_path="/data"),)),
        ),
        volumes=(Volume(name="v", persistent_volume_claim=ClaimVolume(claim_name=claimed)),),
    )


def put(one: Cluster, name: str = "web", claimed: str = "data") -> None:
    one.ask(
        PutObjects(objects=(Pod(metadata=ObjectMeta(name=name, namespace="default"), spec=pod_spec(claimed)),)), ANN
    )
    one.cycle()


def get(one: Cluster, kind: str, name: str) -> Any:
    return one.state.objects.get(ObjectKey(kind, "" if kind == "PersistentVolume" else "default", name))


def of(one: Cluster, name: str = "data") -> Any:
    return get(one, "PersistentVolumeClaim", name)


def delete(one: Cluster, kind: str, name: str) -> None:
    one.ask(DeleteObjects(keys=(get(one, kind, name).key,), grace_seconds=0), ANN)


def ended(one: Cluster, name: str = "web") -> None:
    """It is deleted, and its node says that nothing of it is left."""
    found = get(one, "Pod", name)
    if not found.metadata.deletion_timestamp:
        delete(one, "Pod", name)
    one.tick()
    one.clean(found.status.job, found.status.node)
    assert get(one, "Pod", name) is None or get(one, "Pod", name).metadata.uid != found.metadata.uid


def waits(one: Cluster, name: str = "web") -> str:
    found: str = get(one, "Pod", name).status.conditions[0].message
    return found


def mounted(one: Cluster, name: str = "web") -> Any:
    job = one.job(get(one, "Pod", name).status.job)
    run = run_of(one.engine.ctx, job, one.step(job.id, 0), get(one, "Pod", name).status.node)
    assert run is not None
    return run.volumes[0]


def test_a_claim_without_a_class_gets_the_default_one_and_a_directory_of_its_own() -> None:
    one = world()
    claim(one)
    found = of(one)
    assert (found.spec.storage_class_name, found.status.phase, found.status.capacity) == (
        "shared",
        "Bound",
        {"storage": "1Gi"},
    )
    put(one)
    volume = mounted(one)
    assert volume.kind == "claim"
    assert volume.path == f"/shared/claims/pvc-{found.metadata.uid}_default_data"
    assert volume.owner == (ANN.uid, ANN.gid)


def test_without_a_default_class_a_claim_says_what_is_to_be_done_and_its_pod_waits() -> None:
    one = world(1, LOCAL)
    claim(one)
    put(one)
    assert of(one).status.phase == "Pending"
    assert "[[storage_class]]" in of(one).status.message
    assert "unbound immediate PersistentVolumeClaims" in waits(one)
    assert get(one, "Pod", "web").status.job == 0


def test_a_pod_waits_for_its_claim_and_goes_on_when_it_is_made() -> None:
    one = world()
    put(one)
    assert waits(one) == 'persistentvolumeclaim "data" not found'
    claim(one)
    assert get(one, "Pod", "web").status.job


def test_a_directory_of_a_node_is_made_where_the_pod_is_first_and_the_next_one_goes_there() -> None:
    one = world()
    claim(one, group="local")
    assert of(one).status.phase == "Pending"
    put(one)
    node = get(one, "Pod", "web").status.node
    assert of(one).status.phase == "Bound"
    assert mounted(one).path.startswith("/scratch/pvc-")
    ended(one)
    for number in range(3):  # others fill the other node no more than this one
        put(one, f"next{number}")
        assert get(one, "Pod", f"next{number}").status.node == node


def test_read_write_once_is_one_node_at_a_time() -> None:
    one = world()
    claim(one)
    put(one, "a")
    put(one, "b")
    assert get(one, "Pod", "a").status.node == get(one, "Pod", "b").status.node != ""


def test_read_write_once_pod_is_one_pod_at_a_time() -> None:
    one = world()
    claim(one, modes=("ReadWriteOncePod",))
    put(one, "a")
    put(one, "b")
    assert "used by pod a" in waits(one, "b")
    ended(one, "a")
    assert get(one, "Pod", "b").status.job


def test_read_write_many_is_everywhere() -> None:
    one = world()
    claim(one, modes=MANY)
    for name in "abcdefgh":  # a node has four CPUs
        put(one, name)
    assert {get(one, "Pod", name).status.node for name in "abcdefgh"} == {"n1", "n2"}


def test_of_the_volumes_that_were_made_by_hand_the_smallest_that_fits_is_taken() -> None:
    one = world()
    for name, size in (("big", "10Gi"), ("small", "500Mi"), ("middle", "3Gi")):
        volume(one, name, size)
    claim(one, group="manual", size="2Gi")
    assert of(one).spec.volume_name == "middle"
    assert get(one, "PersistentVolume", "middle").status.phase == "Bound"
    assert get(one, "PersistentVolume", "big").status.phase == "Available"
    assert of(one).status.capacity == {"storage": "3Gi"}


def test_a_claim_waits_for_a_volume_that_fits() -> None:
    one = world()
    claim(one, group="manual", selector=LabelSelector(match_labels={"disk": "fast"}))
    volume(one, "any")
    assert of(one).status.phase == "Pending"
    marked = get(one, "PersistentVolume", "any")
    labelled = PersistentVolume(metadata=ObjectMeta(name="any", labels={"disk": "fast"}), spec=marked.spec)
    one.ask(PutObjects(objects=(labelled,)), ROOT)
    assert of(one).spec.volume_name == "any"


def test_a_local_volume_takes_its_pod_to_its_node() -> None:
    one = world(3)
    volume(one, "disk", node="n3")
    claim(one, group="manual")
    put(one)
    assert get(one, "Pod", "web").status.node == "n3"
    assert (mounted(one).kind, mounted(one).path) == ("host", "/disks/disk")


def test_a_claim_that_is_in_use_goes_when_its_pod_has_ended_and_its_directory_with_it() -> None:
    one = world()
    claim(one)
    put(one)
    name = of(one).spec.volume_name
    path = mounted(one).path
    delete(one, "PersistentVolumeClaim", "data")
    assert of(one).metadata.deletion_timestamp
    ended(one)
    assert of(one) is None
    order = one.orders(od.RemoveDirectory)[-1]
    assert (order.path, order.uid) == (path, ANN.uid)
    report = rp.DirectoryRemoved(agent="agent", node=order.node, volume=name, problem="Permission denied")
    one.report(report)
    assert get(one, "PersistentVolume", name).status.phase == "Failed"
    one.orders(od.RemoveDirectory)
    one.at(40)
    assert one.orders(od.RemoveDirectory)
    one.report(rp.DirectoryRemoved(agent="agent", node=order.node, volume=name))
    assert get(one, "PersistentVolume", name) is None
    one.check()


def test_a_volume_that_no_pod_has_mounted_has_no_directory_to_remove() -> None:
    one = world()
    claim(one)
    name = of(one).spec.volume_name
    delete(one, "PersistentVolumeClaim", "data")
    assert (of(one), get(one, "PersistentVolume", name)) == (None, None)
    assert not one.orders(od.RemoveDirectory)


def test_a_retained_volume_is_released_and_nobody_gets_it_by_chance() -> None:
    one = world()
    volume(one, "disk")
    claim(one, group="manual")
    delete(one, "PersistentVolumeClaim", "data")
    assert get(one, "PersistentVolume", "disk").status.phase == "Released"
    claim(one, group="manual")
    assert of(one).status.phase == "Pending"


def test_a_claim_grows_where_its_class_lets_it_and_never_shrinks() -> None:
    one = world()
    claim(one)
    claim(one, size="2Gi")
    assert of(one).status.capacity == {"storage": "2Gi"}
    small = PersistentVolumeClaim(metadata=ObjectMeta(name="data", namespace="default"), spec=spec(size="1Gi"))
    assert "can not be less" in str(updates.check(updates.with_kept(small, of(one)), of(one)))
    volume(one, "disk")
    claim(one, "hand", group="manual")
    bigger = PersistentVolumeClaim(
        metadata=ObjectMeta(name="hand", namespace="default"), spec=spec("manual", size="9Gi")
    )
    reply = one.ask(PutObjects(objects=(bigger,)), ANN)
    assert isinstance(reply, Rejected)
    assert "allowVolumeExpansion" in reply.error


def test_only_an_operator_says_where_volumes_are() -> None:
    one = world()
    made = PersistentVolume(
        metadata=ObjectMeta(name="x"), spec=PersistentVolumeSpec(host_path=HostPathVolume(path="/"))
    )
    reply = one.ask(PutObjects(objects=(made,)), ANN)
    assert isinstance(reply, Rejected)
    assert reply.code == "denied"


def test_a_quota_counts_what_claims_ask_for() -> None:
    one = world()
    hard = {"requests.storage": "2Gi", "shared.storageclass.storage.k8s.io/persistentvolumeclaims": "5"}
    quota = ResourceQuota(metadata=ObjectMeta(name="most", namespace="default"), spec=ResourceQuotaSpec(hard=hard))
    one.ask(PutObjects(objects=(quota,)), ROOT)
    claim(one, "a")
    made = PersistentVolumeClaim(metadata=ObjectMeta(name="b", namespace="default"), spec=spec(size="1500Mi"))
    reply = one.ask(PutObjects(objects=(made,)), ANN)
    assert isinstance(reply, Rejected)
    assert (
        "requested: requests.storage=1500Mi, used: requests.storage=1Gi, limited: requests.storage=2Gi" in reply.error
    )


# ---------------------------------------------------------------------- StatefulSets


def stateful(one: Cluster, replicas: int, **fields: Any) -> None:
    template = PodTemplateSpec(metadata=TemplateMeta(labels={"app": "db"}), spec=pod_spec())
    whole = StatefulSetSpec(
        replicas=replicas, selector=LabelSelector(match_labels={"app": "db"}), template=template, pod_management_policy="Parallel",
        volume_claim_templates=(ClaimTemplate(metadata=ClaimTemplateMeta(name="v"), spec=spec()),), **fields,
    )  # fmt: skip
    one.ask(PutObjects(objects=(StatefulSet(metadata=ObjectMeta(name="db", namespace="default"), spec=whole),)), ANN)
    one.cycle()


def claims(one: Cluster) -> list[str]:
    return [found.metadata.name for found in one.state.objects.of_kind("PersistentVolumeClaim", "default")]


def test_each_pod_of_a_set_has_its_own_claim_which_stays_when_it_is_scaled_down() -> None:
    one = world()
    stateful(one, 2)
    assert claims(one) == ["v-db-0", "v-db-1"]
    assert get(one, "Pod", "db-1").spec.volumes == (
        Volume(name="v", persistent_volume_claim=ClaimVolume(claim_name="v-db-1")),
    )
    before = of(one, "v-db-1").metadata.uid
    stateful(one, 1)
    ended(one, "db-1")
    assert claims(one) == ["v-db-0", "v-db-1"]
    stateful(one, 2)
    assert of(one, "v-db-1").metadata.uid == before
    assert of(one, "v-db-1").metadata.labels == {"app": "db"}


def test_claims_go_with_their_pods_or_with_their_set_where_that_is_asked_for() -> None:
    one = world()
    policy = ClaimRetentionPolicy(when_scaled="Delete", when_deleted="Delete")
    stateful(one, 2, persistent_volume_claim_retention_policy=policy)
    stateful(one, 1, persistent_volume_claim_retention_policy=policy)
    assert claims(one) == ["v-db-0", "v-db-1"]
    ended(one, "db-1")
    assert claims(one) == ["v-db-0"]
    delete(one, "StatefulSet", "db")
    ended(one, "db-0")
    assert claims(one) == []


# ---------------------------------------------------------------------- claims that go with their Pod


def test_an_ephemeral_volume_is_a_claim_of_the_pods_own_and_goes_with_it() -> None:
    one = world()
    volume = Volume(name="v", ephemeral=EphemeralVolume(volume_claim_template=ClaimTemplate(spec=spec())))
    made = msgspec.structs.replace(pod_spec(), volumes=(volume,))
    one.ask(PutObjects(objects=(Pod(metadata=ObjectMeta(name="web", namespace="default"), spec=made),)), ANN)
    one.cycle()
    assert of(one, "web-v").status.phase == "Bound"
    assert mounted(one).path.endswith("_default_web-v")
    ended(one)
    assert of(one, "web-v") is None


def test_another_ones_claim_of_that_name_is_not_taken() -> None:
    one = world()
    claim(one, "web-v")
    volume = Volume(name="v", ephemeral=EphemeralVolume(volume_claim_template=ClaimTemplate(spec=spec())))
    made = msgspec.structs.replace(pod_spec(), volumes=(volume,))
    one.ask(PutObjects(objects=(Pod(metadata=ObjectMeta(name="web", namespace="default"), spec=made),)), ANN)
    assert "was not created for pod" in waits(one)


def test_a_volume_made_by_hand_that_is_to_be_deleted_says_who_has_to_do_that() -> None:
    one = world()
    volume(one, "disk", persistent_volume_reclaim_policy="Delete")
    claim(one, group="manual")
    delete(one, "PersistentVolumeClaim", "data")
    found = get(one, "PersistentVolume", "disk").status
    assert found.phase == "Failed"
    assert "remove it yourself" in found.message
