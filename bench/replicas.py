"""How long does one cycle take that places the replicas of a service? 1,000 over 100 nodes, with and without words about their places.

    python bench/replicas.py [--nodes 100] [--replicas 1000] [--profile]

Engine and scheduler without daemons; processor seconds of one core: the objects' pass that makes the Pods and their jobs, and the cycle.
"""

import argparse
import cProfile
import pstats
import time

from corral.daemon import memory
from corral.engine.engine import Engine
from corral.model.cluster import ClusterConfig
from corral.model.gres import GresDevice
from corral.model.kube.meta import LabelSelector, ObjectMeta
from corral.model.kube.pod import (
    Affinity,
    Container,
    PodAffinity,
    PodAffinityTerm,
    PodSpec,
    PodTemplateSpec,
    ResourceRequirements,
    TemplateMeta,
    TopologySpreadConstraint,
    WeightedPodAffinityTerm,
)
from corral.model.kube.workload import Deployment, DeploymentSpec
from corral.model.node import NodeInventory
from corral.protocol import reports as rp
from corral.protocol import requests as rq
from corral.scheduler.cycle import schedule

ANN = rq.Caller(uid=1000, gid=1000, user="ann", group="users")
WEB = LabelSelector(match_labels={"app": "web"})


def words(kind: str) -> dict[str, object]:
    match kind:
        case "spread over nodes":
            return {}
        case "skew 1 over racks":
            return {
                "topology_spread_constraints": (
                    TopologySpreadConstraint(max_skew=1, topology_key="rack", when_unsatisfiable="DoNotSchedule", label_selector=WEB),
                )
            }  # fmt: skip
        case _:
            term = PodAffinityTerm(topology_key="kubernetes.io/hostname", label_selector=WEB)
            weighted = (WeightedPodAffinityTerm(weight=50, pod_affinity_term=term),)
            return {
                "affinity": Affinity(
                    pod_anti_affinity=PodAffinity(preferred_during_scheduling_ignored_during_execution=weighted)
                )
            }


def measure(kind: str, nodes: int, replicas: int, profile: cProfile.Profile | None) -> None:
    engine = Engine(ClusterConfig(), term=1)
    engine.start(0.0)
    found = tuple(
        NodeInventory(
            name=f"n{number}", cpus=64, sockets=2, cores_per_socket=32, threads_per_core=1, memory_mb=512_000,
            gres=(GresDevice(name="gpu", type="h100", count=8),), labels=(("rack", f"r{number % 10}"),),
        )
        for number in range(1, nodes + 1)
    )  # fmt: skip
    engine.handle(rp.AgentRegistered(agent="a", instance="1", nodes=found), 1.0)
    container = Container(
        name="main", command=("serve",), resources=ResourceRequirements(requests={"cpu": "2", "memory": "1Gi"})
    )
    template = PodTemplateSpec(
        metadata=TemplateMeta(labels={"app": "web"}), spec=PodSpec(containers=(container,), **words(kind))
    )  # type: ignore[arg-type]
    one = Deployment(
        metadata=ObjectMeta(name="web", namespace="default"),
        spec=DeploymentSpec(replicas=replicas, selector=WEB, template=template),
    )
    began = time.process_time()
    engine.handle(rq.PutObjects(objects=(one,)), 2.0, ANN)
    now = 2.0
    while len(engine.state.queue) < replicas and now < 60:
        now += 1.0
        engine.tick(now)
    made = time.process_time() - began
    memory.collect_seldom()
    began = time.process_time()
    if profile:
        profile.enable()
    plan = schedule(engine.snapshot(now), now)
    if profile:
        profile.disable()
    decided = time.process_time() - began
    engine.commit(plan, now)
    everything = time.process_time() - began
    per_node: dict[str, int] = {}
    for start in plan.starts:
        name = start.allocation.nodes[0].node
        per_node[name] = per_node.get(name, 0) + 1
    print(
        f"{kind:24} {len(plan.starts):5} of {replicas} placed, {min(per_node.values())} to {max(per_node.values())} a node; "
        f"Pods and jobs made in {made:.2f} s; cycle {decided * 1000:.0f} ms, with the commit {everything * 1000:.0f} ms"
    )


def main() -> None:
    given = argparse.ArgumentParser(description=__doc__)
    given.add_argument("--nodes", type=int, default=100)
    given.add_argument("--replicas", type=int, default=1000)
    given.add_argument("--profile", action="store_true")
    options = given.parse_args()
    for kind in ("spread over nodes", "skew 1 over racks", "rather apart"):
        profile = cProfile.Profile() if options.profile else None
        measure(kind, options.nodes, options.replicas, profile)
        if profile:
            pstats.Stats(profile).sort_stats("cumulative").print_stats(25)


if __name__ == "__main__":
    main()
