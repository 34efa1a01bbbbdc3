"""StatefulSet: names and ordinals, one after the other, revisions and the partition."""

from tests.kube import World, stateful, template

from corral.model.kube.pod import Pod
from corral.model.kube.workload import (
    ControllerRevision,
    RollingUpdateStatefulSet,
    StatefulSet,
    StatefulSetOrdinals,
    StatefulSetUpdateStrategy,
)
from corral.services.templaterevisions import template_of


def db(world: World) -> StatefulSet:
    found = world.get("StatefulSet", "db")
    assert isinstance(found, StatefulSet)
    return found


def pod(world: World, number: int) -> Pod:
    found = world.get("Pod", f"db-{number}")
    assert isinstance(found, Pod)
    return found


def names(world: World) -> list[str]:
    return [one.metadata.name for one in world.pods()]


def images(world: World) -> dict[str, str]:
    return {one.metadata.name: one.spec.containers[0].image for one in world.pods()}


def up(**fields: object) -> World:
    world = World()
    world.put(stateful(**fields))  # type: ignore[arg-type]
    world.run()
    return world


def rolling(**fields: int) -> StatefulSetUpdateStrategy:
    return StatefulSetUpdateStrategy(rolling_update=RollingUpdateStatefulSet(**fields))


def test_each_pod_waits_until_those_before_it_are_ready() -> None:
    world = World()
    world.put(stateful(3))
    assert names(world) == ["db-0"]
    world.ready()
    assert names(world) == ["db-0", "db-1"]
    world.pass_time(100)
    assert names(world) == ["db-0", "db-1"]
    world.run()
    assert names(world) == ["db-0", "db-1", "db-2"]
    status = db(world).status
    assert (status.replicas, status.ready_replicas, status.current_replicas, status.updated_replicas) == (3, 3, 3, 3)
    assert status.current_revision == status.update_revision
    assert world.look_at_all() == 0


def test_pods_have_the_labels_and_names_of_kubernetes() -> None:
    world = up(replicas=1)
    one = pod(world, 0)
    revision = db(world).status.update_revision
    assert one.metadata.labels == {
        "app": "db", "apps.kubernetes.io/pod-index": "0", "statefulset.kubernetes.io/pod-name": "db-0",
        "controller-revision-hash": revision,
    }  # fmt: skip
    assert (one.spec.hostname, one.spec.subdomain) == ("db-0", "db")
    kept = world.get("ControllerRevision", revision)
    assert isinstance(kept, ControllerRevision)
    assert template_of(kept) == template(app="db")


def test_in_parallel_all_are_made_at_once_and_ordinals_may_start_higher() -> None:
    world = World()
    world.put(stateful(3, pod_management_policy="Parallel", ordinals=StatefulSetOrdinals(start=5)))
    assert names(world) == ["db-5", "db-6", "db-7"]


def test_it_shrinks_from_the_highest_down_one_at_a_time() -> None:
    world = up(replicas=3)
    world.put(stateful(1))
    assert names(world) == ["db-0", "db-1"]
    world.pass_time(60)
    assert names(world) == ["db-0", "db-1"]  # db-2 has not ended yet
    world.end()
    assert names(world) == ["db-0"]


def test_an_ordinal_is_made_anew_only_when_its_old_pod_is_gone() -> None:
    world = up(replicas=2)
    uid = pod(world, 1).metadata.uid
    world.delete(pod(world, 1))
    world.pass_time(100)
    assert pod(world, 1).metadata.uid == uid
    world.end()
    assert pod(world, 1).metadata.uid != uid


def test_an_update_goes_from_the_highest_down_and_waits_for_each() -> None:
    world = up(replicas=3)
    world.put(stateful(3, "v2"))
    assert names(world) == ["db-0", "db-1"]
    world.end()
    assert images(world) == {"db-0": "v1", "db-1": "v1", "db-2": "v2"}
    world.pass_time(60)
    assert names(world) == ["db-0", "db-1", "db-2"]
    world.run()
    assert set(images(world).values()) == {"v2"}
    assert db(world).status.current_revision == db(world).status.update_revision


def test_below_the_partition_everything_stays_as_it_was() -> None:
    world = up(replicas=3)
    world.put(stateful(3, "v2", update_strategy=rolling(partition=2)))
    world.run()
    assert images(world) == {"db-0": "v1", "db-1": "v1", "db-2": "v2"}
    world.delete(pod(world, 0))
    world.run()
    assert images(world) == {"db-0": "v1", "db-1": "v1", "db-2": "v2"}
    assert db(world).status.current_replicas == 2
    assert db(world).status.updated_replicas == 1


def test_on_delete_only_what_is_deleted_is_updated() -> None:
    strategy = StatefulSetUpdateStrategy(type="OnDelete")
    world = up(replicas=2, update_strategy=strategy)
    world.put(stateful(2, "v2", update_strategy=strategy))
    world.run()
    assert images(world) == {"db-0": "v1", "db-1": "v1"}
    world.delete(pod(world, 0))
    world.run()
    assert images(world) == {"db-0": "v2", "db-1": "v1"}


def test_more_than_one_may_be_missing_if_it_is_said() -> None:
    world = up(replicas=4, pod_management_policy="Parallel")
    world.put(stateful(4, "v2", pod_management_policy="Parallel", update_strategy=rolling(max_unavailable=2)))
    assert names(world) == ["db-0", "db-1"]
    world.run()
    assert set(images(world).values()) == {"v2"}


def test_a_template_that_never_gets_ready_can_be_mended() -> None:
    world = up(replicas=2)
    world.put(stateful(2, "broken"))
    world.end()
    assert images(world)["db-1"] == "broken"
    world.put(stateful(2, "v1"))
    world.run()
    assert images(world) == {"db-0": "v1", "db-1": "v1"}
    assert db(world).status.update_revision == db(world).status.current_revision


def test_old_templates_are_kept_up_to_the_limit() -> None:
    world = up(replicas=1, revision_history_limit=1)
    for image in ("v2", "v3", "v4"):
        world.put(stateful(1, image, revision_history_limit=1))
        world.run()
    kept = list(world.objects.of_kind("ControllerRevision", "default"))
    assert sorted(one.revision for one in kept) == [3, 4]


def test_a_pod_that_has_failed_is_made_anew_under_its_name() -> None:
    world = up(replicas=1)
    world.pass_time(60)
    uid = pod(world, 0).metadata.uid
    world.fail(pod(world, 0))
    world.end()
    assert pod(world, 0).metadata.uid != uid


def failing_for(world: World, seconds: float, after: float = 1.0) -> int:
    """How many Pods were made in that time, each of which fails so long after it was made."""
    seen, until = set(), world.now + seconds
    while world.now < until:
        for one in world.pods():
            seen.add(one.metadata.uid)
            if world.now - one.metadata.creation_timestamp >= after:
                world.fail(one)
        world.pass_time(1.0)
        world.end()
    return len(seen)


def test_a_pod_that_fails_again_and_again_is_made_anew_later_and_later() -> None:
    world = World()
    world.put(stateful(1))
    assert failing_for(world, 300) <= 6  # after 10, 20, 40, 80, 160 seconds
    assert failing_for(world, 3000) <= 11  # never later than after 300


def test_who_fails_after_a_long_time_is_made_anew_at_once() -> None:
    world = World()
    world.put(stateful(1))
    failing_for(world, 300)
    assert failing_for(world, 3000, after=700) >= 4


def test_a_mended_template_does_not_wait() -> None:
    world = World()
    world.put(stateful(1))
    failing_for(world, 1000)
    world.put(stateful(1, "v2"))
    world.pass_time(1)
    world.end()
    assert images(world) == {"db-0": "v2"}
