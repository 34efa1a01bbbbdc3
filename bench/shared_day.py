"""What is one pool worth? A day of a GPU service and a queue of training on ten nodes: one pool against a fixed half-and-half split.

    python bench/shared_day.py [--seeds 1-3] [--hours 24] [--json]

The real engine, scheduler, autoscaler and preemption under a virtual clock (`corral.simulator.serving`). Ten nodes of 8 GPUs. The service's
requests follow `bench/data/day.csv` (the ten-minute means of a working day) with noise and sudden bursts from the seed; a replica has one
GPU and answers eight requests at a time, each in two seconds; a request is good when it is answered within four. The training queue never
gets empty: jobs of 1 to 16 GPUs, of half an hour to some hours, from the seed.

- split: five nodes are the service's, with as many replicas as they have GPUs; the others are the training's.
- one pool: the service is scaled by its requests in flight, between 4 and 60 replicas, and takes GPUs back from training, which has 60
  seconds for its checkpoint.
"""

import argparse
import json
import random
import time
from pathlib import Path

from corral.daemon import memory
from corral.model.cluster import ClusterConfig, Preemption, PriorityWeights
from corral.model.gres import GresDevice, GresRequest
from corral.model.job import JobSpec
from corral.model.kube.meta import LabelSelector, ObjectMeta
from corral.model.kube.network import Service, ServicePort, ServiceSpec
from corral.model.kube.objects import AnyObject
from corral.model.kube.pod import (
    Affinity,
    Container,
    ContainerPort,
    PodAffinity,
    PodAffinityTerm,
    PodSpec,
    PodTemplateSpec,
    ResourceRequirements,
    TemplateMeta,
    WeightedPodAffinityTerm,
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
from corral.model.kube.workload import Deployment, DeploymentSpec
from corral.model.node import NodeInventory
from corral.model.partition import Partition
from corral.protocol import requests as rq
from corral.protocol.accounting import Condition, Settings
from corral.simulator.demand import Noise, Station, curve_of
from corral.simulator.serving import Account, Served, Serving
from corral.simulator.workloads.work import Work

NODES, GPUS, CPUS = 10, 8, 64
HALF = NODES // 2 * GPUS
SERVICE_SECONDS, CONCURRENCY, TARGET_SECONDS = 2.0, 8, 4.0
#: Requests per second at the busiest: five in flight for each replica of the split.
PEAK = HALF * 5 / SERVICE_SECONDS
#: Its replicas fill nodes: whole ones are left for training.
TOGETHER = Affinity(
    pod_affinity=PodAffinity(
        preferred_during_scheduling_ignored_during_execution=(
            WeightedPodAffinityTerm(
                weight=100,
                pod_affinity_term=PodAffinityTerm(
                    topology_key="kubernetes.io/hostname", label_selector=LabelSelector(match_labels={"app": "llm"})
                ),
            ),
        )
    )
)
CURVE = Path(__file__).parent / "data" / "day.csv"


def training(seed: int, hours: float) -> list[Work]:
    """More than ten nodes can do in the time."""
    dice = random.Random(seed)
    found: list[Work] = []
    left = NODES * GPUS * hours * 3600 * 1.5
    while left > 0:
        gpus = dice.choice([1, 1, 1, 2, 2, 4, 4, 8, 8, 16])
        seconds = min(8 * 3600.0, max(1800.0, dice.lognormvariate(8.7, 0.7)))
        each, nodes = min(gpus, GPUS), max(1, gpus // GPUS)
        spec = JobSpec(
            nodes_min=nodes, nodes_max=nodes, ntasks=nodes, cpus_per_task=each * (CPUS // GPUS),
            gres=(GresRequest("gpu", "", each),), time_limit=int(seconds * 2), requeue=True, qos="train", partition="train",
        )  # fmt: skip
        found.append(Work(number=len(found) + 1, submit=0.0, seconds=seconds, spec=spec, user=f"u{len(found) % 8}"))
        left -= seconds * gpus
    return found


def service(replicas: int, scaled: bool) -> tuple[AnyObject, ...]:
    labels = {"app": "llm"}
    container = Container(
        name="server", command=("serve",), ports=(ContainerPort(container_port=8000),),
        resources=ResourceRequirements(requests={"cpu": str(CPUS // GPUS)}, limits={"nvidia.com/gpu": 1}),
    )  # fmt: skip
    words = {"corral.dev/qos": "service", "corral.dev/partition": "serve"}
    template = PodTemplateSpec(
        metadata=TemplateMeta(labels=labels, annotations=words),
        spec=PodSpec(containers=(container,), affinity=TOGETHER),
    )
    meta = ObjectMeta(name="llm", namespace="default")
    target = MetricTarget(type="AverageValue", average_value="5")
    source = PodsMetricSource(metric=MetricIdentifier(name="requests_in_flight"), target=target)
    scaler = HorizontalPodAutoscaler(
        metadata=meta,
        spec=HPASpec(
            scale_target_ref=CrossVersionObjectReference(kind="Deployment", name="llm"), min_replicas=4, max_replicas=60,
            metrics=(MetricSpec(type="Pods", pods=source),),
        ),
    )  # fmt: skip
    one = Deployment(
        metadata=meta,
        spec=DeploymentSpec(replicas=replicas, selector=LabelSelector(match_labels=labels), template=template),
    )
    front = Service(metadata=meta, spec=ServiceSpec(selector=labels, ports=(ServicePort(port=80, target_port=8000),)))
    return (one, front, scaler) if scaled else (one, front)


def qos(name: str, **fields: object) -> rq.ChangeAccounts:
    numbers = {key: value for key, value in fields.items() if isinstance(value, int)}
    lists = {key: value for key, value in fields.items() if isinstance(value, tuple)}
    settings = Settings(numbers=numbers, lists=lists)  # type: ignore[arg-type]
    return rq.ChangeAccounts(verb="add", kind="qos", where=Condition(names=(name,)), settings=settings)


def run(seed: int, hours: float, *, one_pool: bool) -> tuple[Account, Station, float]:
    width = len(str(NODES))
    names = [f"n{number:0{width}d}" for number in range(1, NODES + 1)]
    nodes = tuple(
        NodeInventory(
            name=name, cpus=CPUS, sockets=2, cores_per_socket=CPUS // 2, threads_per_core=1, memory_mb=512_000,
            gres=(GresDevice(name="gpu", type="", count=GPUS),),
        )
        for name in names
    )  # fmt: skip
    serve, train = ("ALL", "ALL") if one_pool else (",".join(names[: NODES // 2]), ",".join(names[NODES // 2 :]))
    config = ClusterConfig(
        partition=(Partition(name="train", nodes=train, default=True), Partition(name="serve", nodes=serve)),
        preemption=Preemption(type="qos", mode="REQUEUE"),
        priority=PriorityWeights(qos=1000),
    )
    set_up = (qos("train", grace_time=60), qos("service", priority=10, preempt=("=train",)))
    station = Station(SERVICE_SECONDS, CONCURRENCY, TARGET_SECONDS)
    curve = curve_of(CURVE.read_text(encoding="utf-8"), PEAK)
    at_night = max(4, round(curve.at(0.0) * SERVICE_SECONDS / 5))
    served = Served("llm", service(at_night if one_pool else HALF, one_pool), curve, Noise(seed), station)
    began = time.process_time()
    replay = Serving(config, nodes, training(seed, hours), served, set_up, hours * 3600)
    return replay.run_day(), station, time.process_time() - began


def row(name: str, account: Account, station: Station, hours: float) -> str:
    whole = NODES * GPUS * hours
    used = (account.service + account.training) / 3600
    return (
        f"{name:10} {used:8.0f} {100 * used / whole:5.1f} % {account.service / 3600:9.0f} {account.training / 3600:9.0f}"
        f" {account.finished:9} {account.finished_gpu_seconds / 3600:10.0f} {account.preempted:10}"
        f" {account.replica_seconds / hours / 3600:8.1f} {account.most_replicas:5} {100 * station.good_share:9.3f} %"
    )


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--seeds", default="1-3")
    words.add_argument("--hours", type=float, default=24.0)
    words.add_argument("--json", action="store_true")
    given = words.parse_args()
    low, _, high = given.seeds.partition("-")
    memory.collect_seldom()
    told = []
    if not given.json:
        print(
            "            GPU-hours  of all   service  training  finished  GPU-h done  preempted  replicas  most      good"
        )
    for seed in range(int(low), int(high or low) + 1):
        found = {}
        for name, one_pool in (("split", False), ("one pool", True)):
            account, station, seconds = run(seed, given.hours, one_pool=one_pool)
            found[name] = account, station
            if not given.json:
                print(row(name, account, station, given.hours), f"  ({seconds:.0f} s)", flush=True)
        (half, line), (pool, other) = found["split"], found["one pool"]
        jobs, work = (
            pool.finished / max(1, half.finished),
            pool.finished_gpu_seconds / max(1.0, half.finished_gpu_seconds),
        )
        told.append({"seed": seed, "jobs": jobs, "gpu_hours": work, "good": [line.good_share, other.good_share]})
        if not given.json:
            print(
                f"seed {seed}: one pool finishes {jobs:.2f} x the training jobs, {work:.2f} x their GPU-hours\n",
                flush=True,
            )
    if given.json:
        print(json.dumps(told, indent=1))


if __name__ == "__main__":
    main()
