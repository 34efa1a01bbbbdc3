"""How long does a reconcile pass take, and how soon do 1,000 replicas have their nodes? No daemons: engine and scheduler.

    python bench/services.py [--services 1000] [--replicas 1000] [--nodes 100]

Times are processor seconds of one core.
"""

import argparse
import gc
import time

import msgspec

from corral.daemon import memory
from corral.engine.effects import Effects
from corral.engine.engine import Engine
from corral.engine.kube import work
from corral.model.cluster import ClusterConfig
from corral.model.kube.meta import LabelSelector, ObjectMeta
from corral.model.kube.pod import Container, Pod, PodSpec, PodTemplateSpec, TemplateMeta
from corral.model.kube.workload import Deployment, DeploymentSpec
from corral.model.node import NodeInventory
from corral.model.partition import Partition
from corral.model.step import StepKey
from corral.protocol import reports as rp
from corral.protocol import requests as rq
from corral.scheduler.cycle import schedule

ANN = rq.Caller(uid=1000, gid=1000, user="ann", group="users")


def cluster(nodes: int) -> Engine:
    engine = Engine(ClusterConfig(partition=(Partition(name="batch", default=True),)), term=1)
    engine.start(0.0)
    inventories = tuple(NodeInventory(name=f"n{number}", cpus=64, memory_mb=256_000) for number in range(1, nodes + 1))
    engine.handle(rp.AgentRegistered(agent="agent", instance="1", nodes=inventories), 1.0)
    return engine


def deployment(name: str, replicas: int) -> Deployment:
    pod = PodSpec(containers=(Container(name="main", command=("serve",)),))
    template = PodTemplateSpec(metadata=TemplateMeta(labels={"app": name}), spec=pod)
    spec = DeploymentSpec(replicas=replicas, selector=LabelSelector(match_labels={"app": name}), template=template)
    return Deployment(metadata=ObjectMeta(name=name, namespace="default"), spec=spec)


def ready(engine: Engine, now: float) -> None:
    """All that is placed runs."""
    for pod in list(engine.state.objects.everywhere("Pod")):
        assert isinstance(pod, Pod)
        if pod.status.node and not pod.status.ready_since:
            key = StepKey(pod.status.job, pod.status.container_statuses[0].step)
            engine.handle(rp.ContainerStarted(agent="agent", node=pod.status.node, key=key, time=now), now)


def settle(engine: Engine, now: float) -> None:
    """All that is to be looked at, some hundred objects a tick."""
    while engine.state.objects.dirty:
        engine.tick(now)


def timed(what: str, began: float, more: str = "") -> None:
    print(f"{what:<82} {(time.process_time() - began) * 1000:9.2f} ms  {more}", flush=True)


def cycle(engine: Engine, now: float) -> int:
    before = len(engine.state.active)
    engine.commit(schedule(engine.snapshot(now), now), now)
    return len(engine.state.active) - before


def many_services(count: int, nodes: int) -> None:
    engine = cluster(nodes)
    began = time.process_time()
    wanted = tuple(deployment(f"web{number}", 1) for number in range(count))
    engine.handle(rq.PutObjects(objects=wanted), 2.0, ANN)
    settle(engine, 2.0)
    timed(f"{count} Deployments applied in one request, with their ReplicaSets, Pods and jobs", began)
    while engine.wants_cycle and cycle(engine, 3.0):
        pass
    ready(engine, 4.0)
    engine.tick(1000.0)
    settle(engine, 1000.0)
    gc.collect()
    began = time.process_time()
    for _ in range(1000):
        work.look(engine.ctx, 1001.0, Effects())
    timed("a pass with nothing to do (the mean of 1,000)", time.process_time() - (time.process_time() - began) / 1000)
    objects = engine.state.objects
    for kinds in (("Deployment",), ("Deployment", "ReplicaSet", "Pod")):
        out = Effects()
        objects.dirty = {key: None for key in objects.by_key if key.kind in kinds}
        began = time.process_time()
        while objects.dirty:
            work.look(engine.ctx, 1002.0, out)
        timed(
            f"a pass that looks at every {', '.join(kinds)}, as after a restart", began, f"{len(out.records)} changes"
        )


def many_replicas(count: int, nodes: int) -> None:
    engine = cluster(nodes)
    began = time.process_time()
    engine.handle(rq.PutObjects(objects=(deployment("web", count),)), 2.0, ANN)
    now = 2.0
    while len(engine.state.queue) < count:
        engine.tick(now)
        now = max(now, engine.next_wake(now))
    timed(f"one Deployment of {count} replicas applied: its Pods and their jobs", began)
    began = time.process_time()
    engine.before_cycle(3.0)
    placed = cycle(engine, 3.0)
    timed(f"one scheduling cycle over {nodes} nodes", began, f"{placed} replicas placed and told to start")
    began = time.process_time()
    ready(engine, 4.0)
    engine.tick(5.0)
    settle(engine, 5.0)
    timed(f"{count} of them say that they run", began)
    found = next(iter(engine.state.objects.everywhere("Deployment")))
    assert isinstance(found, Deployment)
    print(f"available: {found.status.available_replicas}")
    changed = msgspec.structs.replace(found.spec, replicas=0)
    began = time.process_time()
    engine.handle(rq.PutObjects(objects=(msgspec.structs.replace(found, spec=changed),)), 6.0, ANN)
    now = 6.0
    while found.status.replicas:
        engine.tick(now)
        now = max(now, engine.next_wake(now))
        found = next(iter(engine.state.objects.everywhere("Deployment")))
        assert isinstance(found, Deployment)
    timed("scaled to zero", began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--services", type=int, default=1000)
    parser.add_argument("--replicas", type=int, default=1000)
    parser.add_argument("--nodes", type=int, default=100)
    given = parser.parse_args()
    memory.collect_seldom()
    many_services(given.services, given.nodes)
    many_replicas(given.replicas, given.nodes)


if __name__ == "__main__":
    main()
