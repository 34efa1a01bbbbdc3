"""Which services does a seed make, and what do users and operators do to them and to what they need?"""

import random

import msgspec

from corral.model.cluster import ClusterConfig, Scheduling, Timeouts
from corral.model.kube.config import (
    ConfigMap,
    Namespace,
    PodDisruptionBudget,
    PodDisruptionBudgetSpec,
    PriorityClass,
    ResourceQuota,
    ResourceQuotaSpec,
    Secret,
)
from corral.model.kube.meta import LabelSelector, ObjectKey, ObjectMeta
from corral.model.kube.network import Service, ServicePort, ServiceSpec
from corral.model.kube.objects import AnyObject
from corral.model.kube.pod import (
    Container,
    EnvFromSource,
    NameRef,
    PodSpec,
    PodTemplateSpec,
    TemplateMeta,
)
from corral.model.kube.scaling import (
    CrossVersionObjectReference,
    HorizontalPodAutoscaler,
    HPASpec,
    MetricIdentifier,
    MetricSpec,
    MetricTarget,
    PodsMetricSource,
)
from corral.model.kube.workload import (
    DaemonSet,
    DaemonSetSpec,
    DaemonSetUpdateStrategy,
    Deployment,
    DeploymentSpec,
    DeploymentStrategy,
    Job,
    JobSpec,
    RollingUpdateDaemonSet,
    RollingUpdateDeployment,
    StatefulSet,
    StatefulSetSpec,
)
from corral.model.node import NodeInventory
from corral.model.partition import Partition
from corral.protocol import requests as rq
from corral.simulator.generate import Wish, World

_FOREVER = "1000000"
LAB = Namespace(metadata=ObjectMeta(name="lab"))
#: What Pods of `web` need: without one of these none can start.
NEEDED: tuple[AnyObject, ...] = (
    ConfigMap(metadata=ObjectMeta(name="settings", namespace="default"), data={"COLOUR": "blue"}),
    Secret(metadata=ObjectMeta(name="key", namespace="default"), data={"KEY": "sealed"}),
    PriorityClass(metadata=ObjectMeta(name="first"), value=1000),
)


def template(app: str, version: int, seconds: str = _FOREVER, code: str = "0") -> PodTemplateSpec:
    """A program that runs so long and ends so: simulated nodes read that off its command."""
    needs = app == "web"
    sources = (
        EnvFromSource(config_map_ref=NameRef(name="settings")), EnvFromSource(secret_ref=NameRef(name="key")),
    )  # fmt: skip
    container = Container(name="main", command=(seconds, code, str(version)), env_from=sources if needs else ())
    policy = "Always" if seconds == _FOREVER else "Never"
    spec = PodSpec(
        containers=(container,),
        restart_policy=policy,  # type: ignore[arg-type]
        termination_grace_period_seconds=5,
        priority_class_name="first" if needs else "",
    )
    return PodTemplateSpec(metadata=TemplateMeta(labels={"app": app}), spec=spec)


def _meta(name: str, namespace: str = "default") -> ObjectMeta:
    return ObjectMeta(name=name, namespace=namespace)


def deployment(
    name: str, replicas: int, version: int, bounds: tuple[int | str, int | str], min_ready: int, namespace: str = "default"
) -> Deployment:  # fmt: skip
    surge, unavailable = bounds
    rolling = RollingUpdateDeployment(max_surge=surge, max_unavailable=unavailable)
    spec = DeploymentSpec(
        replicas=replicas,
        selector=LabelSelector(match_labels={"app": name}),
        template=template(name, version),
        strategy=DeploymentStrategy(rolling_update=rolling),
        min_ready_seconds=min_ready,
    )
    return Deployment(metadata=_meta(name, namespace), spec=spec)


def stateful_set(name: str, replicas: int, version: int, policy: str) -> StatefulSet:
    spec = StatefulSetSpec(
        replicas=replicas,
        selector=LabelSelector(match_labels={"app": name}),
        template=template(name, version),
        service_name=name,
        pod_management_policy=policy,  # type: ignore[arg-type]
    )
    return StatefulSet(metadata=_meta(name), spec=spec)


def daemon_set(name: str, version: int, bounds: tuple[int, int]) -> DaemonSet:
    surge, unavailable = bounds
    rolling = RollingUpdateDaemonSet(max_surge=surge, max_unavailable=unavailable)
    spec = DaemonSetSpec(
        selector=LabelSelector(match_labels={"app": name}), template=template(name, version),
        update_strategy=DaemonSetUpdateStrategy(rolling_update=rolling),
    )  # fmt: skip
    return DaemonSet(metadata=_meta(name), spec=spec)


def job(name: str, completions: int, parallelism: int, seconds: str, code: str) -> Job:
    spec = JobSpec(
        template=template(name, 0, seconds, code), completions=completions, parallelism=parallelism,
        completion_mode="Indexed", backoff_limit=1000 if code == "0" else 1,
    )  # fmt: skip
    return Job(metadata=_meta(name), spec=spec)


def autoscaler(low: int, high: int) -> tuple[AnyObject, ...]:
    target = MetricTarget(type="AverageValue", average_value="5")
    source = PodsMetricSource(metric=MetricIdentifier(name="requests_in_flight"), target=target)
    spec = HPASpec(
        scale_target_ref=CrossVersionObjectReference(kind="Deployment", name="web"), min_replicas=low, max_replicas=high,
        metrics=(MetricSpec(type="Pods", pods=source),),
    )  # fmt: skip
    front = Service(metadata=_meta("web"), spec=ServiceSpec(selector={"app": "web"}, ports=(ServicePort(port=80),)))
    return front, HorizontalPodAutoscaler(metadata=_meta("web"), spec=spec)


def quota(pods: int) -> ResourceQuota:
    return ResourceQuota(metadata=_meta("few"), spec=ResourceQuotaSpec(hard={"pods": str(pods)}))


def budget(least: int | str) -> PodDisruptionBudget:
    spec = PodDisruptionBudgetSpec(selector=LabelSelector(match_labels={"app": "web"}), min_available=least)
    return PodDisruptionBudget(metadata=_meta("web"), spec=spec)


class _Plan:
    """What is wished, in no order."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.span = chance.choice((60.0, 200.0))
        self.bounds: tuple[int | str, int | str] = chance.choice(((1, 0), (0, 1), ("25%", "25%"), (2, 1)))
        self.min_ready = chance.choice((0, 0, 5))
        self.policy = chance.choice(("OrderedReady", "Parallel"))
        self.wishes: list[Wish] = []
        self.daemons = chance.choice(((0, 1), (0, 2), (1, 0)))

    def put(self, at: float, *objects: AnyObject) -> None:
        self.wishes += [Wish(at, "put", request=rq.PutObjects(objects=(one,))) for one in objects]

    def drop(self, at: float, one: AnyObject, propagation: str = "Background") -> None:
        request = rq.DeleteObjects(keys=(ObjectKey(*one.key),), propagation=propagation)  # type: ignore[arg-type]
        self.wishes.append(Wish(at, "drop", request=request))

    def web(self, at: float) -> None:
        chance = self.chance
        self.put(at, deployment("web", chance.randint(0, 5), chance.randint(0, 3), self.bounds, self.min_ready))

    def happen(self, what: str, at: float) -> None:
        chance = self.chance
        match what:
            case "web":
                self.web(at)
            case "db":
                self.put(at, stateful_set("db", chance.randint(0, 3), chance.randint(0, 3), self.policy))
            case "exporter":
                self.put(at, daemon_set("exporter", chance.randint(0, 3), self.daemons))
            case "job":
                name = f"sum{len(self.wishes)}"
                self.put(at, job(name, chance.randint(1, 5), chance.randint(1, 3), "5", chance.choice("001")))
            case "lost":
                one = chance.choice(NEEDED)
                self.drop(at, one)
                self.put(at + chance.uniform(1, 60), one)
                self.web(at + chance.uniform(-5, 30))
            case "quota":
                self.put(at, quota(chance.randint(0, 6)))
                self.web(at + chance.uniform(-5, 30))
            case "budget":
                self.put(at, budget(chance.choice((1, 2, 5, "50%", "100%"))))
                self.wishes.append(Wish(at + chance.uniform(0, 20), "drain", pick=chance.random()))
                self.wishes.append(Wish(at + chance.uniform(0, 40), "evict", pick=chance.random()))
            case "scaler":
                self.put(at, *autoscaler(chance.randint(1, 2), chance.randint(2, 6)))
                self.web(at + chance.uniform(0, 30))
                self.web(at + chance.uniform(0, 60))
            case "lab":
                self.put(at, deployment("tool", 2, chance.randint(0, 3), self.bounds, 0, "lab"))
            case "no_lab":
                self.drop(at, LAB)
                self.put(at + chance.uniform(1, 60), LAB)
            case "again":
                how = chance.choice(("Background", "Foreground", "Orphan"))
                self.drop(at, deployment("web", 0, 0, self.bounds, 0), how)
                self.web(at + chance.uniform(0, 40))
            case _:
                self.wishes.append(Wish(at, what, pick=chance.random()))


_OFTEN = ("web", "web", "web", "db", "job", "delete_pod", "drain", "resume_node", "down")
_SELDOM = ("lost", "quota", "budget", "scaler", "lab", "no_lab", "again", "evict", "exporter", "exporter")


def world_of(chance: random.Random) -> World:
    """Nodes with room to spare, and services that change all the time."""
    nodes = [NodeInventory(name=f"n{number}", cpus=10, memory_mb=10_000) for number in range(1, 5)]
    config = ClusterConfig(
        partition=(Partition(name="batch", default=True),),
        scheduling=Scheduling(time_limit_step=1, placement=chance.choice(("pack", "spread"))),
        timeouts=Timeouts(kill_wait=5.0, node=30.0, heartbeat=10.0, min_job_age=chance.choice((30.0, 300.0))),
    )
    plan = _Plan(chance)
    plan.put(0.0, *NEEDED, LAB)
    plan.put(0.1, deployment("web", 3, 0, plan.bounds, plan.min_ready))
    plan.put(0.1, stateful_set("db", 2, 0, plan.policy))
    if chance.random() < 0.4:
        plan.happen("exporter", 0.1)
    plan.put(0.1, deployment("tool", 1, 0, plan.bounds, 0, "lab"))
    for _ in range(chance.randint(3, 10)):
        plan.happen(chance.choice(_OFTEN), chance.uniform(5, plan.span))
    for _ in range(chance.choice((0, 0, 1, 2, 4))):
        plan.happen(chance.choice(_SELDOM), chance.uniform(5, plan.span))
    wishes = [msgspec.structs.replace(wish, at=min(wish.at, plan.span)) for wish in plan.wishes]
    wishes.sort(key=lambda wish: wish.at)
    return World(config=config, agents=tuple((node,) for node in nodes), wishes=tuple(wishes), span=plan.span)
