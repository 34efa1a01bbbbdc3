"""A clock that is set back by a day holds up no service: what was noted in its future counts as past."""

from tests.kube import World, deployment, job, stateful

DAY = 86_400.0


def later() -> World:
    world = World()
    world.now = 10 * DAY
    return world


def set_back(world: World) -> None:
    world.now -= DAY
    world.ctx.set_back(DAY, world.now)
    world.settle()


def test_who_was_ready_for_long_enough_is_available_still() -> None:
    world = later()
    world.put(deployment(2, min_ready_seconds=30))
    world.ready()
    world.pass_time(60)
    set_back(world)
    assert world.get("Deployment", "web").status.available_replicas == 2  # type: ignore[union-attr]
    world.look_at_all()
    assert world.get("Deployment", "web").status.available_replicas == 2  # type: ignore[union-attr]


def test_a_pod_that_has_failed_is_made_anew() -> None:
    world = later()
    world.put(deployment(1))
    world.fail(world.pods()[0])
    assert not world.pods()  # it waits a little
    set_back(world)
    assert len(world.pods()) == 1


def test_a_pod_of_a_job_too() -> None:
    world = later()
    world.put(job())
    world.fail(world.pods()[0])
    set_back(world)
    assert len(world.pods()) == 1


def test_and_one_of_a_statefulset() -> None:
    world = later()
    world.put(stateful(1))
    world.fail(world.pods()[0])
    set_back(world)
    world.end()
    assert len(world.pods()) == 1
