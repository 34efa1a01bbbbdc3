"""Which simulations does a command line ask for, and what comes out of each? Policies beside one another, each with each seed."""

import argparse
from collections.abc import Callable, Collection, Iterator
from itertools import islice

import msgspec

from corral.config import cluster
from corral.model.cluster import ClusterConfig
from corral.model.job import JobSpec
from corral.model.node import NodeInventory
from corral.simulator import machines, metrics, policies
from corral.simulator.breakdowns import breakdowns
from corral.simulator.machines import BadMachine
from corral.simulator.metrics import Metrics
from corral.simulator.outcome import Outcome
from corral.simulator.policies import Policy
from corral.simulator.replay import Replay
from corral.simulator.workloads import lublin, sacct, snapshot, swf
from corral.simulator.workloads.snapshot import LiveCluster
from corral.simulator.workloads.work import Work, Workload
from corral.syntax import size

#: So many of --seeds, jobs done, jobs in all.
Progress = Callable[[str, int, int], None]


class Result(msgspec.Struct, kw_only=True):
    """One simulation: a policy, a seed, and what came out."""

    policy: str
    seed: int
    metrics: Metrics
    outcome: Outcome


class Setting(msgspec.Struct, kw_only=True):
    """What all simulations of a command share; the jobs of a synthetic workload differ by seed."""

    name: str
    config: ClusterConfig
    nodes: tuple[NodeInventory, ...]
    jobs: Callable[[int], Collection[Work]]
    left_out: dict[str, int] = {}
    live: LiveCluster | None = None


def results(given: argparse.Namespace, setting: "Setting", progress: Progress) -> Iterator[Result]:
    chosen = policies_of(given, setting)
    for policy in chosen:
        for seed in given.seeds:
            yield one(given, setting, policy, seed, progress)


def policies_of(given: argparse.Namespace, setting: Setting) -> list[Policy]:
    if given.policy:
        return [policies.policy_of(text) for text in given.policy]
    if given.config is not None or setting.live is not None:
        return [Policy(name="configured", config=setting.config)]
    return [policies.policy_of("default")]


def one(given: argparse.Namespace, setting: Setting, policy: Policy, seed: int, progress: Progress) -> Result:
    config = msgspec.structs.replace(
        setting.config, scheduling=policy.config.scheduling, priority=policy.config.priority
    )
    jobs = setting.jobs(seed)
    total = len(jobs) if setting.live is None else len(setting.live.works)
    label = f"{policy.name} #{seed}" if len(given.seeds) > 1 else policy.name
    fitted = _fitted(jobs, config, given.load)
    broken = None
    if given.faults is not None:
        first = next(iter(jobs), None)
        begins = first.submit / given.load if first is not None else 0.0
        broken = breakdowns(seed, [node.name for node in setting.nodes], begins, given.faults)
    replay = Replay(config, setting.nodes, fitted, setting.live, broken, lambda done: progress(label, done, total))
    outcome = replay.run()
    return Result(policy=policy.name, seed=seed, metrics=metrics.measure(outcome), outcome=outcome)


def _fitted(jobs: Collection[Work], config: ClusterConfig, load: float) -> Iterator[Work]:
    """At the times that the load says, in partitions that there are."""
    names = {partition.name for partition in config.partition}
    known: dict[int, tuple[JobSpec, JobSpec]] = {}  #: by the spec's identity; the first keeps it from being another's
    for job in jobs:
        spec = job.spec
        if spec.partition:
            found = known.get(id(spec))
            if found is None:
                found = (spec, msgspec.structs.replace(spec, partition=_left(spec.partition, names)))
                known[id(spec)] = found
            spec = found[1]
        if load != 1.0 or spec is not job.spec:
            job = msgspec.structs.replace(job, spec=spec, submit=job.submit / load)
        yield job


def _left(partitions: str, names: set[str]) -> str:
    return ",".join(name for name in partitions.split(",") if name in names)


# -- the work and the machine


def setting_of(given: argparse.Namespace) -> Setting:
    for option, value in (("--alibaba-nodes", given.alibaba_nodes), ("--demand", given.demand)):
        if value is not None:
            raise BadMachine(reason=f"{option} goes with --alibaba-pods")
    config = cluster.load(given.config) if given.config is not None else ClusterConfig()
    if given.snapshot is not None:
        return _live(given)
    workload = Workload(name="", jobs=()) if given.synthetic else _trace(given)
    nodes = _nodes(given, config, workload.nodes)
    nodes, config = _changed(given, nodes, config)
    if given.synthetic is not None:

        def made(seed: int) -> Collection[Work]:
            count = min(given.synthetic, given.jobs or given.synthetic)
            return lublin.workload(count, nodes, seed, given.overestimate, given.largest or 0).jobs

        return Setting(name=f"Lublin-Feitelson, {given.synthetic} jobs", config=config, nodes=nodes, jobs=made)
    jobs = list(islice(workload.jobs, given.jobs)) if given.jobs else workload.jobs
    return Setting(name=workload.name, config=config, nodes=nodes, jobs=lambda _seed: jobs, left_out=workload.left_out)


def _trace(given: argparse.Namespace) -> Workload:
    workload = swf.read(given.swf) if given.swf is not None else sacct.read(given.sacct)
    start = min((job.submit for job in workload.jobs), default=0.0)
    if start > 1e8:  # seconds since the epoch: a load factor is to count from the first job on
        jobs = [msgspec.structs.replace(job, submit=job.submit - start) for job in workload.jobs]
        workload = msgspec.structs.replace(workload, jobs=jobs)
    return workload


def _nodes(
    given: argparse.Namespace, config: ClusterConfig, own: tuple[NodeInventory, ...]
) -> tuple[NodeInventory, ...]:
    if given.nodes is not None and given.config is not None:
        raise BadMachine(reason="--nodes and --config: the nodes are those of one of them")
    if given.config is not None:
        return machines.configured(config)
    if given.nodes is not None:
        memory = size.parse(given.memory) if given.memory else 1
        return machines.of_one_kind(given.nodes, given.cpus, given.gpus, memory)
    if not own:
        raise BadMachine(reason="on which machine? --nodes N --cpus N, or --config FILE with [[node]] tables")
    return own


def _changed(
    given: argparse.Namespace, nodes: tuple[NodeInventory, ...], config: ClusterConfig
) -> tuple[tuple[NodeInventory, ...], ClusterConfig]:
    for text in given.add:
        nodes, config = machines.with_more(nodes, config, text)
    for name in given.without_partition:
        nodes, config = machines.without_partition(nodes, config, name)
    return nodes, config


def _live(given: argparse.Namespace) -> Setting:
    for option, value in (("--nodes", given.nodes), ("--config", given.config), ("--jobs", given.jobs)):
        if value is not None:
            raise BadMachine(reason=f"{option} and --snapshot: the snapshot says it")
    if given.load != 1.0:
        raise BadMachine(reason="--load and --snapshot: no jobs come after it")
    live = snapshot.read(given.snapshot, given.run_share)
    known = tuple(node.inventory for node in live.file.nodes)
    nodes, config = _changed(given, known, live.config)
    if given.without_partition:
        live = snapshot.without(live, {partition.name for partition in config.partition}, {node.name for node in nodes})
    live = msgspec.structs.replace(live, config=config)
    return Setting(name=live.name, config=config, nodes=nodes, jobs=lambda _seed: (), live=live)
