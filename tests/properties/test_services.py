"""The rules of services under random events: bounds hold after each, all comes to rest, and looking again changes nothing."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.kube import World, daemon_set, deployment, job, stateful

from corral.model.kube.meta import ObjectKey
from corral.model.kube.pod import Pod
from corral.model.kube.workload import (
    DaemonSet,
    DaemonSetUpdateStrategy,
    Deployment,
    DeploymentStrategy,
    Job,
    RollingUpdateDaemonSet,
    RollingUpdateDeployment,
    RollingUpdateStatefulSet,
    StatefulSet,
    StatefulSetUpdateStrategy,
)
from corral.services import daemonset, indexes, podset, rollout

#: What may happen: a name and a number that chooses whom it happens to.
Events = list[tuple[str, int]]


def events(*names: str, most: int = 25) -> st.SearchStrategy[Events]:
    return st.lists(st.tuples(st.sampled_from(names), st.integers(0, 99)), max_size=most)


def happen(world: World, what: str, number: int) -> None:
    """To a Pod, without the rules' answer yet."""
    pods = world.pods()
    if what == "time":
        world.pass_time(float(number))
        return
    if what == "end":
        world.end(settle=False)
        return
    if not pods:
        return
    pod = pods[number % len(pods)]
    if what == "ready":
        world.ready(pod, settle=False)
    elif what == "unready":
        world.unready(pod, settle=False)
    elif what == "fail":
        world.fail(pod, settle=False)
    elif what == "succeed":
        world.fail(pod, phase="Succeeded", settle=False)
    elif what == "vanish":
        world.vanish(pod, settle=False)
    elif what == "leave":
        conditions = podset.leaving(pod.status.conditions, "drained", world.now)
        world.change(pod, settle=False, conditions=conditions)


def rests(world: World) -> None:
    """The rules want nothing more, also when they look at everything again."""
    assert world.look_at_all() == 0


# -- Deployment

BOUNDS = st.tuples(
    st.one_of(st.integers(0, 5), st.sampled_from(["0%", "25%", "100%"])),
    st.one_of(st.integers(0, 5), st.sampled_from(["0%", "25%", "100%"])),
)
POD_EVENTS = ("ready", "ready", "ready", "unready", "fail", "vanish", "end", "end", "time", "leave")


def as_is(replicas: int, image: int, bounds: tuple[int | str, int | str], min_ready: int) -> Deployment:
    surge, unavailable = bounds
    strategy = DeploymentStrategy(rolling_update=RollingUpdateDeployment(max_surge=surge, max_unavailable=unavailable))
    return deployment(
        replicas, f"v{image}", strategy=strategy, min_ready_seconds=min_ready, progress_deadline_seconds=2**31 - 1
    )


def available(world: World) -> int:
    one = web(world)
    return sum(podset.is_available(pod, one.spec.min_ready_seconds, world.now) for pod in world.pods())


def web(world: World) -> Deployment:
    found = world.get("Deployment", "web")
    assert isinstance(found, Deployment)
    return found


@given(st.integers(0, 8), BOUNDS, st.sampled_from([0, 0, 20]), events(*POD_EVENTS, "roll", "roll", "scale"))
@settings(max_examples=150)
def test_a_deployment_keeps_its_bounds_and_comes_to_rest(
    replicas: int, bounds: tuple[int | str, int | str], min_ready: int, happened: Events
) -> None:
    world = World()
    image = 0
    world.put(as_is(replicas, image, bounds, min_ready))
    for what, number in happened:
        leaving = sum(map(podset.is_leaving, world.pods()))
        before = available(world)
        if what in ("roll", "scale"):
            image, replicas = (number % 4, replicas) if what == "roll" else (image, number % 9)
            world.put(as_is(replicas, image, bounds, min_ready))
        else:
            happen(world, what, number)
            before = available(world)
            world.settle()
        surge, unavailable = rollout.bounds(web(world))
        leaving = max(leaving, sum(map(podset.is_leaving, world.pods())))
        assert len(world.pods()) <= replicas + surge + leaving
        # Nothing that is available is taken away below the minimum: if there is less, it has gone by itself.
        assert available(world) >= min(before, replicas - unavailable)
        rests(world)
    world.run(200, 30.0)
    assert [pod.spec.containers[0].image for pod in world.pods()] == [f"v{image}"] * replicas
    assert web(world).status.available_replicas == replicas
    rests(world)


# -- StatefulSet


@given(
    st.integers(0, 5), st.sampled_from(["OrderedReady", "Parallel"]), st.integers(1, 3), st.integers(0, 3),
    events(*POD_EVENTS, "roll", "scale"),
)  # fmt: skip
@settings(max_examples=100)
def test_a_statefulset_keeps_its_order_and_comes_to_rest(
    replicas: int, policy: str, missing: int, partition: int, happened: Events
) -> None:
    def as_is(replicas: int, image: int) -> StatefulSet:
        rolling = RollingUpdateStatefulSet(partition=partition, max_unavailable=missing)
        return stateful(
            replicas, f"v{image}", pod_management_policy=policy,
            update_strategy=StatefulSetUpdateStrategy(rolling_update=rolling),
        )  # fmt: skip

    world = World()
    image = 0
    world.put(as_is(replicas, image))
    for what, number in happened:
        there = {pod.metadata.name: pod for pod in world.pods()}
        if what in ("roll", "scale"):
            image, replicas = (number % 3, replicas) if what == "roll" else (image, number % 6)
            world.put(as_is(replicas, image))
        else:
            happen(world, what, number)
            before = {pod.metadata.name for pod in world.pods() if pod.is_ready}
            world.settle()
            after = {pod.metadata.name for pod in world.pods() if pod.is_ready}
            wanted = {f"db-{number}" for number in range(replicas)}
            taken = (before - after) & wanted
            assert len(taken) <= missing
            assert not taken or len(wanted - after) <= missing
        if policy == "OrderedReady":
            made = sorted(int(pod.metadata.name[3:]) for pod in world.pods() if pod.metadata.name not in there)
            assert len(made) <= 1
            for lower in range(made[0] if made else 0):
                one = world.objects.get(ObjectKey("Pod", "default", f"db-{lower}"))
                assert isinstance(one, Pod)
                assert one.is_ready
        rests(world)
    world.run(200, 30.0)
    assert [pod.metadata.name for pod in world.pods()] == [f"db-{number}" for number in range(replicas)]
    for pod in world.pods():
        if int(pod.metadata.name[3:]) >= partition:
            assert pod.spec.containers[0].image == f"v{image}"
    rests(world)


# -- Job


@given(
    st.integers(1, 6), st.integers(1, 4), st.booleans(),
    events("ready", "succeed", "fail", "succeed", "vanish", "end", "time", "scale"),
)  # fmt: skip
@settings(max_examples=100)
def test_a_job_counts_each_pod_once_and_never_runs_more_than_it_may(
    completions: int, parallelism: int, indexed: bool, happened: Events
) -> None:
    mode = "Indexed" if indexed else "NonIndexed"

    def as_is(parallelism: int) -> Job:
        return job(completions=completions, parallelism=parallelism, completion_mode=mode, backoff_limit=1000)

    world = World()
    world.put(as_is(parallelism))
    succeeded: set[str] = set()
    for what, number in [*happened, *[("succeed", 0), ("time", 99), ("time", 99), ("time", 99), ("time", 99)] * 8]:
        if what == "scale":
            parallelism = 1 + number % 4
            world.put(as_is(parallelism))
        else:
            happen(world, what, number)
            succeeded |= {
                pod.metadata.uid
                for pod in world.objects.everywhere("Pod")
                if isinstance(pod, Pod) and pod.status.phase == "Succeeded" and pod.metadata.finalizers
            }
            world.settle()
        found = world.get("Job", "sum")
        assert isinstance(found, Job)
        assert len(world.pods()) <= parallelism
        assert found.status.succeeded == len(succeeded)
        if indexed:
            active = [pod.metadata.annotations["batch.kubernetes.io/job-completion-index"] for pod in world.pods()]
            assert len(set(active)) == len(active)
            assert len(indexes.parse(found.status.completed_indexes)) == found.status.succeeded
        rests(world)
    assert found.status.succeeded == completions
    assert found.status.completion_time


# -- the same again


def digest() -> str:
    """Of all events of a run in which much happens."""
    world = World()
    world.put(as_is(6, 0, ("25%", 1), 5))
    world.put(stateful(3))
    world.put(job(completions=6, parallelism=3, completion_mode="Indexed"))
    names: list[Callable[[int], tuple[str, int]]] = [
        lambda n: ("ready", n * 7), lambda n: ("fail", n * 5), lambda n: ("end", n), lambda n: ("time", n % 40),
        lambda n: ("vanish", n * 3), lambda n: ("ready", n * 11),
    ]  # fmt: skip
    for number in range(60):
        if number % 20 == 10:
            world.put(as_is(6 + number % 3, number, ("25%", 1), 5))
        happen(world, *names[number % len(names)](number))
        world.settle()
    return hashlib.sha256(msgspec.json.encode(world.log)).hexdigest()


def test_the_same_events_give_the_same_log_whatever_the_hash_seed() -> None:
    found = set()
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", "from tests.properties.test_services import digest; print(digest())"],
            env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True, timeout=60,
        )  # fmt: skip
        found.add(done.stdout)
    assert len(found) == 1


# -- DaemonSet


@given(
    st.sampled_from([(0, 1), (0, 2), (0, "50%"), (1, 0), ("50%", 0)]), st.sampled_from([0, 0, 20]),
    events("ready", "ready", "ready", "unready", "fail", "vanish", "end", "end", "time", "roll", "roll", "node"),
)  # fmt: skip
@settings(max_examples=150)
def test_a_daemonset_has_one_on_each_node_and_keeps_its_bounds(
    bounds: tuple[int | str, int | str], min_ready: int, happened: Events
) -> None:
    surge, missing = bounds
    strategy = DaemonSetUpdateStrategy(rolling_update=RollingUpdateDaemonSet(max_surge=surge, max_unavailable=missing))

    def as_is(image: int) -> DaemonSet:
        return daemon_set(f"v{image}", update_strategy=strategy, min_ready_seconds=min_ready)

    def served(world: World) -> set[str]:
        found = world.places.wanted
        pods = [pod for pod in world.pods() if podset.is_available(pod, min_ready, world.now)]
        return {pod.spec.node_name for pod in pods if pod.spec.node_name in found}

    world = World()
    image, meant = 0, {"n1": True, "n2": True, "n3": True}  #: False = drained
    world.places = daemonset.Places(wanted=("n1", "n2", "n3"), kept=())
    world.put(as_is(image))
    for what, number in happened:
        if what == "node":
            name = f"n{number % 5}"
            if name in meant and number > 50:
                del meant[name]
            else:
                meant[name] = not meant.get(name, False)
            wanted = tuple(sorted(node for node, is_usable in meant.items() if is_usable))
            kept = tuple(sorted(node for node, is_usable in meant.items() if not is_usable))
            world.places = daemonset.Places(wanted=wanted, kept=kept)
        before = served(world)
        if what == "node":
            world.look_at_all()
        elif what == "roll":
            image = number % 4
            world.put(as_is(image))
        else:
            happen(world, what, number)
            before = served(world)
            world.settle()
        by_node: dict[str, list[Pod]] = {}
        for pod in world.pods():
            by_node.setdefault(pod.spec.node_name, []).append(pod)
        assert all(len(pods) <= 1 + bool(surge) for pods in by_node.values())
        assert by_node.keys() <= meant.keys()
        count = len(world.places.wanted)
        assert sum(len(pods) > 1 for pods in by_node.values()) <= rollout.share_of(surge, count, up=True)
        least = count - max(rollout.share_of(missing, count, up=True), 0 if surge else 1)
        # Nothing that is available is taken away below the minimum.
        assert len(served(world)) >= min(len(before), least)
        rests(world)
    world.run(200, 30.0)
    by_image = {pod.spec.node_name: pod.spec.containers[0].image for pod in world.pods()}
    assert {node: by_image[node] for node in world.places.wanted} == dict.fromkeys(world.places.wanted, f"v{image}")
    assert len(world.pods()) == len(by_image)
    found = world.get("DaemonSet", "exporter")
    assert isinstance(found, DaemonSet)
    assert found.status.number_available == found.status.desired_number_scheduled == len(by_image)
    rests(world)
