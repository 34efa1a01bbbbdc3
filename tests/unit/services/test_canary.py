"""Canary: steps with a share of the traffic, a check and a pause; what fails its check is taken back."""

import msgspec
from tests.kube import World, deployment

from corral.model.kube.pod import PortAddress
from corral.model.kube.workload import CanaryStep, Deployment, DeploymentStrategy, Job
from corral.services.conditions import find
from corral.services.endpoints import weight_of

CHECK = ("curl", "--fail", "http://web/health")


def web(world: World) -> Deployment:
    found = world.get("Deployment", "web")
    assert isinstance(found, Deployment)
    return found


def progressing(world: World) -> str:
    found = find(web(world).status.conditions, "Progressing")
    assert found is not None
    return f"{found.reason}: {found.message}"


def images(world: World) -> dict[str, int]:
    counts: dict[str, int] = {}
    for pod in world.pods(app="web"):
        counts[pod.spec.containers[0].image] = counts.get(pod.spec.containers[0].image, 0) + 1
    return counts


def traffic(world: World) -> dict[str, float]:
    """Percent by image, as the gateway shares it."""
    ready = [pod for pod in world.pods(app="web") if pod.is_ready]
    total = sum(map(weight_of, ready))
    shares: dict[str, float] = {}
    for pod in ready:
        shares[pod.spec.containers[0].image] = shares.get(pod.spec.containers[0].image, 0.0) + weight_of(pod)
    return {image: round(100 * share / total, 1) for image, share in shares.items()}


def with_canary(*steps: CanaryStep, image: str = "v2", **fields: object) -> Deployment:
    return deployment(10, image, strategy=DeploymentStrategy(type="Canary", canary=steps), **fields)


def begun(*steps: CanaryStep, **fields: object) -> World:
    world = World()
    world.put(with_canary(*steps, image="v1", **fields))
    world.run()
    assert images(world) == {"v1": 10}  # the first rollout needs no canary
    world.put(with_canary(*steps, **fields))
    return world


def test_each_step_gets_its_share_and_waits_for_its_pause() -> None:
    world = begun(CanaryStep(weight=5, pause_seconds=60), CanaryStep(weight=50, pause_seconds=60))
    assert images(world) == {"v1": 9, "v2": 1}
    world.ready()
    world.end()
    assert traffic(world) == {"v1": 95.0, "v2": 5.0}
    assert "CanaryStep" in progressing(world)
    assert "step 1 of 2, 5 % of the traffic" in progressing(world)
    assert images(world) == {"v1": 9, "v2": 1}
    assert world.look_at_all() == 0
    world.pass_time(59)
    assert images(world)["v2"] == 1
    world.pass_time(1)
    for _ in range(5):
        world.ready()
    assert images(world) == {"v1": 5, "v2": 5}
    assert traffic(world) == {"v1": 50.0, "v2": 50.0}
    world.pass_time(60)
    world.run()
    assert images(world) == {"v2": 10}
    assert {pod.metadata.annotations.get("corral.dev/weight") for pod in world.pods(app="web")} == {None}
    assert progressing(world).startswith("NewReplicaSetAvailable")


def the_check(world: World) -> Job:
    (found,) = world.objects.of_kind("Job", "default")
    assert isinstance(found, Job)
    return found


def test_a_check_runs_as_a_job_and_the_step_waits_for_it() -> None:
    world = begun(CanaryStep(weight=10, check=CHECK))
    (pod,) = [pod for pod in world.pods(app="web") if pod.spec.containers[0].image == "v2"]
    world.change(pod, addresses=(PortAddress(port=80, host="n1", host_port=3001),))
    assert not list(world.objects.of_kind("Job", "default"))
    world.ready()
    container = the_check(world).spec.template.spec.containers[0]
    assert (container.image, container.command) == ("v2", CHECK)
    told = {one.name: one.value for one in container.env}
    assert told["CORRAL_CANARY_ADDRESSES"] == "n1:3001"
    assert told["CORRAL_CANARY_REVISION"] == "2"
    world.pass_time(60)
    assert images(world)["v2"] == 1
    (pod,) = world.pods(**{"job-name": the_check(world).metadata.name})
    world.fail(pod, phase="Succeeded")
    world.run()
    assert images(world) == {"v2": 10}


def test_what_fails_its_check_is_taken_back_and_gets_no_traffic() -> None:
    world = begun(CanaryStep(weight=10, check=CHECK))
    world.ready()
    (pod,) = world.pods(**{"job-name": the_check(world).metadata.name})
    world.fail(pod)
    assert web(world).spec.template.spec.containers[0].image == "v1"
    said = find(web(world).status.conditions, "RolledBack")
    assert said is not None
    assert said.reason == "CanaryCheckFailed"
    assert "Revision 2 was taken back" in said.message
    assert traffic(world).get("v2", 0.0) == 0.0
    world.run()
    assert images(world) == {"v1": 10}
    assert traffic(world) == {"v1": 100.0}
    # The same again is tried again, from its first step.
    world.put(with_canary(CanaryStep(weight=10, check=CHECK), image="v3"))
    assert images(world) == {"v1": 9, "v3": 1}


def test_without_the_automatic_undo_it_stays_where_it_is() -> None:
    world = begun(CanaryStep(weight=10, check=CHECK))
    changed = web(world)
    annotations = {**changed.metadata.annotations, "corral.dev/auto-undo": "false"}
    meta = msgspec.structs.replace(changed.metadata, annotations=annotations)
    world.put(msgspec.structs.replace(changed, metadata=meta))
    world.ready()
    (pod,) = world.pods(**{"job-name": the_check(world).metadata.name})
    world.fail(pod)
    assert progressing(world).startswith("CanaryCheckFailed")
    assert images(world)["v2"] == 1
    assert world.look_at_all() == 0


def test_a_pause_longer_than_the_deadline_is_no_standstill() -> None:
    world = begun(CanaryStep(weight=10, pause_seconds=1000), progress_deadline_seconds=60)
    world.ready()
    world.pass_time(900)
    assert web(world).spec.template.spec.containers[0].image == "v2"


def test_going_back_to_what_was_rolled_out_needs_no_canary() -> None:
    world = begun(CanaryStep(weight=10, pause_seconds=1000))
    world.ready()
    world.put(with_canary(CanaryStep(weight=10, pause_seconds=1000), image="v1"))
    world.run()
    assert images(world) == {"v1": 10}
