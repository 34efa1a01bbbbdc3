"""Deployment and ReplicaSet: Pods as the template says, rollouts within their bounds, conditions, undo."""

import msgspec
from tests.kube import World, deployment, template

from corral.model.kube.meta import LabelSelector, ObjectMeta
from corral.model.kube.pod import (
    Affinity,
    Pod,
    PodAffinity,
    PodAffinityTerm,
    PodSpec,
    PodStatus,
    WeightedPodAffinityTerm,
)
from corral.model.kube.workload import Deployment, DeploymentStrategy, RollingUpdateDeployment
from corral.services.conditions import find
from corral.services.podset import first_to_go


def web(world: World) -> Deployment:
    found = world.get("Deployment", "web")
    assert isinstance(found, Deployment)
    return found


def reason(world: World, kind: str = "Progressing") -> str:
    found = find(web(world).status.conditions, kind)
    return found.reason if found is not None else ""


def images(world: World) -> dict[str, int]:
    counts: dict[str, int] = {}
    for pod in world.pods():
        counts[pod.spec.containers[0].image] = counts.get(pod.spec.containers[0].image, 0) + 1
    return counts


def rolled_out(**fields: object) -> World:
    world = World()
    world.put(deployment(**fields))  # type: ignore[arg-type]
    world.run()
    return world


def test_an_applied_deployment_has_its_pods_named_and_owned_as_in_kubernetes() -> None:
    world = World()
    world.put(deployment(3))
    (one,) = world.sets()
    digest = one.metadata.labels["pod-template-hash"]
    assert one.metadata.name == f"web-{digest}"
    assert one.metadata.annotations["deployment.kubernetes.io/revision"] == "1"
    pods = world.pods()
    assert len(pods) == 3
    for pod in pods:
        assert pod.metadata.name.startswith(f"{one.metadata.name}-")
        assert len(pod.metadata.name.rsplit("-")[-1]) == 5
        assert pod.metadata.labels == {"app": "web", "pod-template-hash": digest}
        assert [owner.uid for owner in pod.metadata.owner_references] == [one.metadata.uid]
    assert reason(world) == "ReplicaSetUpdated"
    world.run()
    status = web(world).status
    assert (status.replicas, status.ready_replicas, status.available_replicas) == (3, 3, 3)
    assert (reason(world), reason(world, "Available")) == ("NewReplicaSetAvailable", "MinimumReplicasAvailable")
    assert web(world).metadata.annotations["deployment.kubernetes.io/revision"] == "1"


def test_nothing_is_changed_when_nothing_has_changed() -> None:
    world = rolled_out()
    assert world.look_at_all() == 0


def test_a_rolling_update_surges_and_never_falls_below() -> None:
    strategy = DeploymentStrategy(rolling_update=RollingUpdateDeployment(max_surge=1, max_unavailable=0))
    world = rolled_out(replicas=3, strategy=strategy)
    world.put(deployment(3, "v2", strategy=strategy))
    assert images(world) == {"v1": 3, "v2": 1}
    for left in (2, 1, 0):
        world.ready()
        assert images(world).get("v1", 0) == left
    world.run()
    assert images(world) == {"v2": 3}
    assert [one.spec.replicas for one in sorted(world.sets(), key=lambda one: one.metadata.creation_timestamp)] == [
        0,
        3,
    ]


def test_percents_round_the_surge_up_and_the_unavailable_down() -> None:
    world = rolled_out(replicas=10)
    world.put(deployment(10, "v2"))
    assert images(world) == {"v1": 8, "v2": 5}  # 10 + 3, 10 - 2


def test_what_is_not_long_ready_does_not_count() -> None:
    world = rolled_out(replicas=2, min_ready_seconds=30)
    strategy = DeploymentStrategy(rolling_update=RollingUpdateDeployment(max_surge=1, max_unavailable=0))
    world.pass_time(60)
    world.put(deployment(2, "v2", min_ready_seconds=30, strategy=strategy))
    world.ready()
    world.pass_time(29)
    assert images(world) == {"v1": 2, "v2": 1}
    world.pass_time(1)
    assert images(world) == {"v1": 1, "v2": 2}


def test_recreate_waits_until_all_old_pods_have_ended() -> None:
    strategy = DeploymentStrategy(type="Recreate")
    world = rolled_out(replicas=2, strategy=strategy)
    world.put(deployment(2, "v2", strategy=strategy))
    assert images(world) == {}
    world.end()
    assert images(world) == {"v2": 2}


def test_a_rollout_that_does_not_come_on_is_taken_back() -> None:
    world = rolled_out(replicas=3, progress_deadline_seconds=60)
    world.put(deployment(3, "v2", progress_deadline_seconds=60))
    world.pass_time(61)
    assert web(world).spec.template.spec.containers[0].image == "v1"
    said = find(web(world).status.conditions, "RolledBack")
    assert said is not None
    assert "Revision 2 was taken back: this is the template of revision 1 again." in said.message
    world.run()
    assert images(world) == {"v1": 3}
    assert reason(world) == "NewReplicaSetAvailable"
    assert find(web(world).status.conditions, "RolledBack") is not None
    world.put(deployment(3, "v3"))
    assert find(web(world).status.conditions, "RolledBack") is None
    assert "corral.dev/rolled-back-to" not in web(world).metadata.annotations


def test_who_does_not_want_that_reads_that_the_deadline_has_passed() -> None:
    world = rolled_out(replicas=3, progress_deadline_seconds=60)
    wanted = deployment(3, "v2", progress_deadline_seconds=60)
    annotations = {**web(world).metadata.annotations, "corral.dev/auto-undo": "false"}
    world.put(
        msgspec.structs.replace(wanted, metadata=msgspec.structs.replace(wanted.metadata, annotations=annotations))
    )
    world.pass_time(61)
    assert reason(world) == "ProgressDeadlineExceeded"
    assert web(world).spec.template.spec.containers[0].image == "v2"
    assert world.look_at_all() == 0


def test_a_paused_deployment_does_not_roll_but_scales() -> None:
    world = rolled_out(replicas=3)
    world.put(deployment(3, "v2", paused=True))
    world.run()
    assert images(world) == {"v1": 3}
    assert reason(world) == "DeploymentPaused"
    world.put(deployment(5, "v2", paused=True))
    assert images(world) == {"v1": 5}
    world.put(deployment(5, "v2"))
    world.run()
    assert images(world) == {"v2": 5}


def test_scaling_amid_a_rollout_is_proportional() -> None:
    world = rolled_out(replicas=10)
    world.put(deployment(10, "v2"))
    assert images(world) == {"v1": 8, "v2": 5}
    world.put(deployment(15, "v2"))  # the example of Kubernetes' pages: 15 + 4 = 19
    assert images(world) == {"v1": 12, "v2": 7}  # 8*19/13 = 11.7, 5*19/13 = 7.3
    world.run()
    assert images(world) == {"v2": 15}


def test_old_revisions_are_kept_up_to_the_limit_and_gone_back_to() -> None:
    world = rolled_out(replicas=1, revision_history_limit=2)
    for image in ("v2", "v3", "v4"):
        world.put(deployment(1, image, revision_history_limit=2))
        world.run()
    numbers = sorted(int(one.metadata.annotations["deployment.kubernetes.io/revision"]) for one in world.sets())
    assert numbers == [2, 3, 4]
    world.put(deployment(1, "v3", revision_history_limit=2))
    world.run()
    numbers = sorted(int(one.metadata.annotations["deployment.kubernetes.io/revision"]) for one in world.sets())
    assert numbers == [2, 4, 5]
    assert len(world.sets()) == 3


def test_a_rollover_leaves_the_one_in_between() -> None:
    world = rolled_out(replicas=4)
    world.put(deployment(4, "v2"))
    world.put(deployment(4, "v3"))
    world.run()
    assert images(world) == {"v3": 4}


def test_a_pod_that_fails_is_made_anew_later_and_later() -> None:
    world = rolled_out(replicas=1)
    world.pass_time(100)
    for seconds in (0, 20, 40, 80):
        (pod,) = world.pods()
        world.fail(pod)
        if seconds:
            world.pass_time(seconds - 1)
            assert not world.pods()
            world.pass_time(1)


def test_no_more_pods_are_made_when_the_cluster_takes_none() -> None:
    world = World()
    world.put(deployment(101))
    for pod in world.pods()[:100]:
        world.change(pod, settle=False, reason="Refused", message="Job violates accounting/QOS policy")
    world.put(deployment(150))
    assert len(world.pods()) == 101
    assert reason(world, "ReplicaFailure") == "FailedCreate"
    for pod in world.pods():
        world.change(pod, settle=False, reason="", message="")
    world.settle()
    assert len(world.pods()) == 150
    assert reason(world, "ReplicaFailure") == ""


def test_orphans_that_match_are_adopted_and_who_matches_no_more_is_let_go() -> None:
    world = World()
    world.put(Pod(metadata=ObjectMeta(name="stray", namespace="default", labels={"app": "web"}), spec=template().spec))
    world.put(deployment(2))
    (one,) = world.sets()
    assert len(world.pods()) == 3  # the hash is not on it: no ReplicaSet of a Deployment takes it
    digest = one.metadata.labels["pod-template-hash"]
    labels = {"app": "web", "pod-template-hash": digest}
    world.put(Pod(metadata=ObjectMeta(name="extra", namespace="default", labels=labels), spec=template().spec))
    assert len(world.pods(**labels)) == 2
    pod = world.pods(**labels)[0]
    world.put(msgspec.structs.replace(pod, metadata=msgspec.structs.replace(pod.metadata, labels={"app": "x"})))
    assert world.get("Pod", pod.metadata.name).metadata.owner_references == ()
    assert len(world.pods(**labels)) == 2


def test_what_a_deployment_made_goes_with_it_unless_it_is_orphaned() -> None:
    world = rolled_out(replicas=2)
    world.delete(web(world))
    assert not world.sets()
    assert not world.pods()
    world = rolled_out(replicas=2)
    world.delete(web(world), "Orphan")
    assert len(world.pods()) == 2
    world.put(deployment(3))
    assert len(world.sets()) == 1
    assert len(world.pods()) == 3


def test_pods_that_gather_on_nodes_go_first_from_where_fewest_are() -> None:
    selector = LabelSelector(match_labels={"app": "web"})
    term = PodAffinityTerm(topology_key="kubernetes.io/hostname", label_selector=selector)
    wish = WeightedPodAffinityTerm(weight=1, pod_affinity_term=term)
    near = Affinity(pod_affinity=PodAffinity(preferred_during_scheduling_ignored_during_execution=(wish,)))

    def on(node: str, name: str, affinity: Affinity | None) -> Pod:
        meta = ObjectMeta(name=name, namespace="default", labels={"app": "web"}, creation_timestamp=1.0)
        status = PodStatus(phase="Running", node=node, ready_since=10.0)
        return Pod(metadata=meta, spec=PodSpec(affinity=affinity), status=status)

    places = (("n1", "a"), ("n1", "b"), ("n2", "c"))
    assert first_to_go([on(*place, near) for place in places], 1000.0)[0].metadata.name == "c"
    assert first_to_go([on(*place, None) for place in places], 1000.0)[0].metadata.name in ("a", "b")
