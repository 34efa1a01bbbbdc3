"""PodDisruptionBudgets: what they say, and whom they hold back."""

from tests.kube import World, deployment, meta, stateful

from corral.model.kube.config import PodDisruptionBudget, PodDisruptionBudgetSpec
from corral.model.kube.meta import LabelSelector
from corral.model.kube.pod import Pod
from corral.services import podset


def budget(app: str = "web", **fields: object) -> PodDisruptionBudget:
    selector = LabelSelector(match_labels={"app": app})
    spec = PodDisruptionBudgetSpec(selector=selector, **fields)  # type: ignore[arg-type]
    return PodDisruptionBudget(metadata=meta("kept"), spec=spec)


def said(world: World) -> tuple[int, int, int, int]:
    found = world.get("PodDisruptionBudget", "kept")
    assert isinstance(found, PodDisruptionBudget)
    status = found.status
    return status.expected_pods, status.desired_healthy, status.current_healthy, status.disruptions_allowed


def leave(world: World, pod: Pod) -> None:
    world.change(pod, conditions=podset.leaving(pod.status.conditions, "drained", world.now))


def test_it_says_how_many_may_go() -> None:
    for fields, wanted in (
        ({"min_available": 3}, (4, 3, 4, 1)),
        ({"min_available": "50%"}, (4, 2, 4, 2)),
        ({"max_unavailable": 1}, (4, 3, 4, 1)),
        ({"max_unavailable": "30%"}, (4, 2, 4, 2)),  # rounded up, as Kubernetes does
        ({"min_available": 5}, (4, 5, 4, 0)),
    ):
        world = World()
        world.put(deployment(4))
        world.put(budget(**fields))
        world.run()
        assert said(world) == wanted, fields


def test_it_follows_its_pods_and_rests() -> None:
    world = World()
    world.put(deployment(3))
    world.put(budget(min_available=2))
    assert said(world) == (3, 2, 0, 0)
    world.run()
    assert said(world) == (3, 2, 3, 1)
    world.unready(world.pods()[0])
    assert said(world) == (3, 2, 2, 0)
    assert world.look_at_all() == 0


def test_a_drain_waits_for_the_budget() -> None:
    world = World()
    world.put(stateful(2))
    world.put(budget("db", min_available=2))
    world.run()
    leave(world, world.pods()[1])
    assert len(world.pods()) == 2
    world.put(budget("db", min_available=1))
    world.pass_time(5)
    assert [pod.metadata.name for pod in world.pods()] == ["db-0"]


def test_a_replica_that_has_a_replacement_does_not_break_the_budget() -> None:
    world = World()
    world.put(deployment(2))
    world.put(budget(min_available=2))
    world.run()
    leave(world, world.pods()[0])
    assert len(world.pods()) == 3
    world.ready()
    assert len(world.pods()) == 2
    assert not any(map(podset.is_leaving, world.pods()))
