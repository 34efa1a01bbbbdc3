"""What becomes of services under faults? Deployments, StatefulSets and Jobs in the simulated cluster, checked after each turn.

Users change, scale and delete them while messages are lost and doubled, nodes vanish and come back, and the controller dies amid rollouts.
When all faults are over, everything must come to be as it was last said; then it is deleted, and nothing may be left.
"""

import random
from collections import Counter
from collections.abc import Iterable

from corral.engine.effects import Effects
from corral.model.cluster import ClusterConfig, Scheduling, Timeouts
from corral.model.kube.meta import LabelSelector, ObjectKey, ObjectMeta
from corral.model.kube.objects import AnyObject
from corral.model.kube.pod import Container, Pod, PodSpec, PodTemplateSpec, TemplateMeta
from corral.model.kube.workload import (
    Deployment,
    DeploymentSpec,
    DeploymentStrategy,
    Job,
    JobSpec,
    ReplicaSet,
    RollingUpdateDeployment,
    StatefulSet,
    StatefulSetSpec,
)
from corral.model.node import NodeInventory
from corral.model.partition import Partition
from corral.protocol import events as ev
from corral.protocol import requests as rq
from corral.services import batchjob, podset, rollout
from corral.services.selectors import controller_of
from corral.simulator.generate import Wish, World
from corral.simulator.loop import ANN, Simulation

_FOREVER = "1000000"
LOOK_SECONDS = 20.0


def template(app: str, version: int, seconds: str = _FOREVER, code: str = "0") -> PodTemplateSpec:
    """A program that runs so long and ends so: simulated nodes read that off its command."""
    container = Container(name="main", command=(seconds, code, str(version)))
    policy = "Always" if seconds == _FOREVER else "Never"
    spec = PodSpec(containers=(container,), restart_policy=policy, termination_grace_period_seconds=5)  # type: ignore[arg-type]
    return PodTemplateSpec(metadata=TemplateMeta(labels={"app": app}), spec=spec)


def _meta(name: str) -> ObjectMeta:
    return ObjectMeta(name=name, namespace="default")


def deployment(
    name: str, replicas: int, version: int, bounds: tuple[int | str, int | str], min_ready: int
) -> Deployment:
    surge, unavailable = bounds
    rolling = RollingUpdateDeployment(max_surge=surge, max_unavailable=unavailable)
    spec = DeploymentSpec(
        replicas=replicas,
        selector=LabelSelector(match_labels={"app": name}),
        template=template(name, version),
        strategy=DeploymentStrategy(rolling_update=rolling),
        min_ready_seconds=min_ready,
    )
    return Deployment(metadata=_meta(name), spec=spec)


def stateful_set(name: str, replicas: int, version: int, policy: str) -> StatefulSet:
    spec = StatefulSetSpec(
        replicas=replicas,
        selector=LabelSelector(match_labels={"app": name}),
        template=template(name, version),
        service_name=name,
        pod_management_policy=policy,  # type: ignore[arg-type]
    )
    return StatefulSet(metadata=_meta(name), spec=spec)


def job(name: str, completions: int, parallelism: int, seconds: str, code: str) -> Job:
    spec = JobSpec(
        template=template(name, 0, seconds, code), completions=completions, parallelism=parallelism,
        completion_mode="Indexed", backoff_limit=1000 if code == "0" else 1,
    )  # fmt: skip
    return Job(metadata=_meta(name), spec=spec)


def world_of(chance: random.Random) -> World:
    """Nodes with room to spare, and services that change all the time."""
    nodes = [NodeInventory(name=f"n{number}", cpus=10, memory_mb=10_000) for number in range(1, 5)]
    config = ClusterConfig(
        partition=(Partition(name="batch", default=True),),
        scheduling=Scheduling(time_limit_step=1, placement=chance.choice(("pack", "spread"))),
        timeouts=Timeouts(kill_wait=5.0, node=30.0, heartbeat=10.0, min_job_age=chance.choice((30.0, 300.0))),
    )
    span = chance.choice((60.0, 200.0))
    bounds = chance.choice(((1, 0), (0, 1), ("25%", "25%"), (2, 1)))
    min_ready, policy = chance.choice((0, 0, 5)), chance.choice(("OrderedReady", "Parallel"))
    wishes: list[Wish] = []

    def put(at: float, one: AnyObject) -> None:
        wishes.append(Wish(at, "objects", request=rq.PutObjects(objects=(one,))))

    put(0.0, deployment("web", 3, 0, bounds, min_ready))
    put(0.0, stateful_set("db", 2, 0, policy))
    for number in range(chance.randint(3, 10)):
        at = chance.uniform(5, span)
        match chance.choice(("web", "web", "web", "db", "job", "delete", "drain", "resume_node", "down")):
            case "web":
                put(at, deployment("web", chance.randint(0, 5), chance.randint(0, 3), bounds, min_ready))
            case "db":
                put(at, stateful_set("db", chance.randint(0, 3), chance.randint(0, 3), policy))
            case "job":
                put(at, job(f"sum{number}", chance.randint(1, 5), chance.randint(1, 3), "5", chance.choice("001")))
            case "delete":
                wishes.append(Wish(at, "delete_pod", pick=chance.random()))
            case what:
                wishes.append(Wish(at, what, pick=chance.random()))
    wishes.sort(key=lambda wish: wish.at)
    return World(config=config, agents=tuple((node,) for node in nodes), wishes=tuple(wishes), span=span)


class ServiceSimulation(Simulation):
    """After each turn the promises of services are checked, and what the nodes run."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed, world_of(random.Random(seed)))
        self.by_users: set[str] = set()  #: uids of Pods that users have deleted
        self.emptied = False
        self.available: dict[str, int] = {}  #: Pods of each Deployment, after the turn before
        self.seen: Counter[str] = Counter()
        self.clock.after(self.world.span * 1.2 + LOOK_SECONDS, self.look)

    def is_over(self) -> bool:
        if not (self.emptied and super().is_over()):
            return False
        assert self.engine is not None
        return all(key.kind == "Namespace" for key in self.engine.state.objects.by_key)

    def wish(self, wish: Wish) -> None:
        if isinstance(wish.request, rq.PutObjects):
            self.ask(wish.request, ANN)
        elif wish.what == "delete_pod":
            pods = self.pods()
            if pods:
                self.delete(pods[int(wish.pick * len(pods))])
        else:
            super().wish(wish)

    def delete(self, pod: Pod, grace: int | None = None) -> None:
        self.by_users.add(pod.metadata.uid)
        self.ask(rq.DeleteObjects(keys=(pod.key,), grace_seconds=grace), ANN)

    def pods(self) -> list[Pod]:
        return [pod for pod in self.all_of("Pod") if isinstance(pod, Pod)]

    def all_of(self, kind: str) -> Iterable[AnyObject]:
        return self.engine.state.objects.everywhere(kind) if self.engine is not None else ()

    # -- at the end

    def look(self) -> None:
        """Is all as it was last said? Then it is deleted."""
        self.clock.after(LOOK_SECONDS, self.look)
        if self.engine is None or self.busy:
            return
        gone = {node for agent in self.gone for node in agent.own}
        for pod in self.pods():
            if pod.status.node in gone and podset.may_run_on(pod):
                self.delete(pod, 0)  # somebody has seen that the machine is no more
        if not self.emptied and self.is_settled():
            self.emptied = True
            kinds = ("Deployment", "StatefulSet", "Job")
            keys = tuple(ObjectKey(*one.key) for kind in kinds for one in self.all_of(kind))
            self.ask(rq.DeleteObjects(keys=keys), ANN)

    def is_settled(self) -> bool:
        for one in self.all_of("Deployment"):
            assert isinstance(one, Deployment)
            wanted, status = one.spec.replicas, one.status
            if not wanted == status.available_replicas == status.updated_replicas == status.replicas:
                return False
        for one in self.all_of("StatefulSet"):
            assert isinstance(one, StatefulSet)
            if not one.spec.replicas == one.status.available_replicas == one.status.updated_replicas:
                return False
        return all(batchjob.has_finished(one) for one in self.all_of("Job") if isinstance(one, Job))

    def why_stuck(self) -> str:
        lines = [super().why_stuck()]
        lines += [
            f"{one.key} {one.metadata.deletion_timestamp} {getattr(one, 'status', '')}" for one in self.all_of("Pod")
        ]
        for kind in ("Deployment", "ReplicaSet", "StatefulSet", "Job"):
            lines += [f"{one.key} {getattr(one, 'status', '')}" for one in self.all_of(kind)]
        return "\n".join(lines)

    # -- after each turn

    def write(self, effects: list[Effects]) -> None:
        super().write(effects)
        assert self.engine is not None
        assert not any(effect.problems for effect in effects), [effect.problems for effect in effects]
        ended: dict[str, Pod] = {}
        for record in (record for effect in effects for record in effect.records):
            if isinstance(record, ev.ObjectsChanged):
                for one in record.objects:
                    self.seen[one.key.kind] += 1
                    if (
                        isinstance(one, Pod)
                        and one.metadata.deletion_timestamp == record.time
                        and one.status.ready_since
                    ):
                        ended.setdefault(one.metadata.uid, one)
        for found in self.all_of("Deployment"):
            assert isinstance(found, Deployment)
            self.check_deployment(found, list(ended.values()))
        self.check_processes()
        self.check_jobs()

    def check_deployment(self, one: Deployment, ended: list[Pod]) -> None:
        assert self.engine is not None
        objects = self.engine.state.objects
        sets = {found.metadata.uid: found for found in objects.owned(one.metadata.uid) if isinstance(found, ReplicaSet)}
        pods = [pod for uid in sets for pod in objects.pods_of(uid) if podset.is_active(pod)]
        surge, unavailable = rollout.bounds(one)
        leaving = sum(map(podset.is_leaving, pods))
        assert len(pods) <= one.spec.replicas + surge + leaving, f"{len(pods)} Pods of {one.key}"
        taken = [
            pod for pod in ended
            if (owner := controller_of(pod.metadata)) is not None and owner.uid in sets
            and pod.metadata.uid not in self.by_users
        ]  # fmt: skip
        minimum = one.spec.min_ready_seconds
        available = sum(podset.is_available(pod, minimum, self.clock.now) for pod in pods)
        least = min(one.spec.replicas - unavailable, self.available.get(one.metadata.uid, 0))
        self.available[one.metadata.uid] = available
        counted = any(pod.status.ready_since + minimum <= self.clock.now for pod in taken)
        if counted and not one.metadata.deletion_timestamp:
            self.seen["taken"] += 1
            assert available >= least, f"{available} of {one.key} are left available, and {least} must be"

    def check_processes(self) -> None:
        """No name of a StatefulSet runs twice, on whatever node."""
        found: Counter[str] = Counter()
        for agent in self.agents:
            for step in agent.steps.values():
                if step.pod.startswith("db-") and not step.is_over:
                    found[step.pod] += 1
        twice = [name for name, count in found.items() if count > 1]
        assert not twice, f"{twice} run twice"

    def check_jobs(self) -> None:
        """No index has two Pods that count."""
        active = Counter(
            (owner.uid, batchjob.index_of(pod))
            for pod in self.pods()
            if podset.is_active(pod) and (owner := controller_of(pod.metadata)) is not None and owner.kind == "Job"
        )
        assert all(count == 1 for count in active.values()), f"{active}"


def run(seed: int) -> str:
    """One seed; a failure names it."""
    try:
        return ServiceSimulation(seed).run()
    except AssertionError as error:
        raise AssertionError(f"services, seed {seed}: {error}") from error
