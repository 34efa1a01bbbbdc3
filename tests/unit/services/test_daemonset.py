"""One Pod on each node that is meant: it comes and goes with the node, and is replaced node by node."""

import msgspec
from tests.kube import World, daemon_set

from corral.model.kube.pod import Pod
from corral.model.kube.workload import DaemonSet, DaemonSetUpdateStrategy, RollingUpdateDaemonSet
from corral.services import daemonset, podset
from corral.services.daemonset import Places


def on(*wanted: str, kept: tuple[str, ...] = ()) -> Places:
    return Places(wanted=wanted, kept=kept)


def look(world: World, places: Places) -> None:
    world.places = places
    world.look_at_all()


def running(*nodes: str, **fields: object) -> World:
    world = World()
    world.places = on(*nodes)
    world.put(daemon_set(**fields))  # type: ignore[arg-type]
    world.ready()
    return world


def rolling(surge: int | str = 0, missing: int | str = 1) -> DaemonSetUpdateStrategy:
    return DaemonSetUpdateStrategy(rolling_update=RollingUpdateDaemonSet(max_surge=surge, max_unavailable=missing))


def shown(world: World) -> list[tuple[str, str, bool]]:
    return sorted((pod.spec.node_name, pod.spec.containers[0].image, pod.is_ready) for pod in world.pods())


def one(world: World) -> DaemonSet:
    found = world.get("DaemonSet", "exporter")
    assert isinstance(found, DaemonSet)
    return found


def pod_on(world: World, node: str) -> Pod:
    return next(pod for pod in world.pods() if pod.spec.node_name == node)


def test_each_node_has_one_that_tolerates_its_conditions() -> None:
    world = running("n1", "n2")
    assert shown(world) == [("n1", "v1", True), ("n2", "v1", True)]
    assert {toleration.key for toleration in world.pods()[0].spec.tolerations} >= {"node.kubernetes.io/unreachable"}
    status = one(world).status
    assert (status.desired_number_scheduled, status.current_number_scheduled, status.number_available) == (2, 2, 2)
    assert (status.updated_number_scheduled, status.number_unavailable, status.number_misscheduled) == (2, 0, 0)


def test_a_new_node_gets_one_and_one_that_is_not_meant_any_more_loses_its() -> None:
    world = running("n1")
    look(world, on("n1", "n2"))
    assert [node for node, _, _ in shown(world)] == ["n1", "n2"]
    look(world, on("n2"))
    world.end()
    assert [node for node, _, _ in shown(world)] == ["n2"]


def test_on_a_drained_node_it_stays_and_none_is_made() -> None:
    world = running("n1")
    look(world, on(kept=("n1", "n2")))
    assert shown(world) == [("n1", "v1", True)]
    assert one(world).status.desired_number_scheduled == 1
    world.vanish(world.pods()[0])
    assert not world.pods()


def test_one_that_fails_is_made_anew_later_and_later_but_at_once_with_another_template() -> None:
    world = running("n1")
    world.pass_time(30)
    world.fail(world.pods()[0])
    world.ready()
    world.fail(world.pods()[0])
    assert not world.pods()
    world.pass_time(25)
    assert shown(world) == [("n1", "v1", False)]
    world.fail(world.pods()[0])
    assert not world.pods()
    world.put(daemon_set("v2"))
    assert shown(world) == [("n1", "v2", False)]


def test_one_that_was_lost_is_replaced_when_its_node_has_spoken() -> None:
    world = running("n1")
    lost = world.pods()[0]
    world.fail(lost, reason="NodeLost")
    world.pass_time(100)
    assert not world.pods()
    lost = next(pod for pod in world.objects.everywhere("Pod") if isinstance(pod, Pod))
    gone = msgspec.structs.replace(podset.leaving((), "", 0.0)[0], type=podset.GONE)
    world.change(lost, conditions=(gone,))
    assert shown(world) == [("n1", "v1", False)]


def test_an_update_goes_from_node_to_node_what_is_not_available_first() -> None:
    world = running("n1", "n2", "n3", update_strategy=rolling())
    world.unready(pod_on(world, "n3"))
    world.put(daemon_set("v2", update_strategy=rolling()))
    world.end()
    assert shown(world) == [("n1", "v1", True), ("n2", "v1", True), ("n3", "v2", False)]
    world.ready()
    world.end()
    assert shown(world) == [("n1", "v2", False), ("n2", "v1", True), ("n3", "v2", True)]


def test_with_a_surge_the_new_one_comes_beside_the_old_one() -> None:
    world = running("n1", "n2", update_strategy=rolling(1, 0))
    world.put(daemon_set("v2", update_strategy=rolling(1, 0)))
    assert shown(world) == [("n1", "v1", True), ("n1", "v2", False), ("n2", "v1", True)]
    world.ready()
    world.end()
    assert shown(world) == [("n1", "v2", True), ("n2", "v1", True), ("n2", "v2", False)]


def test_on_delete_nothing_is_replaced_by_itself() -> None:
    world = running("n1", "n2", update_strategy=DaemonSetUpdateStrategy(type="OnDelete"))
    world.put(daemon_set("v2", update_strategy=DaemonSetUpdateStrategy(type="OnDelete")))
    assert {image for _, image, _ in shown(world)} == {"v1"}
    world.vanish(pod_on(world, "n1"))
    assert shown(world) == [("n1", "v2", False), ("n2", "v1", True)]
    assert one(world).status.updated_number_scheduled == 1


def test_templates_are_kept_as_many_as_are_to_be() -> None:
    world = running("n1", revision_history_limit=1)
    for number in range(2, 6):
        world.put(daemon_set(f"v{number}", revision_history_limit=1))
        world.end()
        world.ready()
    assert len(list(world.objects.everywhere("ControllerRevision"))) == 2


def test_its_own_tolerations_are_not_there_twice() -> None:
    found = daemonset.tolerations(daemon_set())
    own = msgspec.structs.replace(daemon_set().spec.template.spec, tolerations=found)
    again = daemon_set()
    again = msgspec.structs.replace(
        again,
        spec=msgspec.structs.replace(again.spec, template=msgspec.structs.replace(again.spec.template, spec=own)),
    )
    assert daemonset.tolerations(again) == found
