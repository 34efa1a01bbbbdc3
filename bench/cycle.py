"""How long does one scheduling cycle take on 5,000 nodes with 10,000 waiting jobs of 2,000 shapes? No daemons: engine and scheduler.

    python bench/cycle.py [--nodes 5000] [--jobs 10000] [--shapes 2000] [--backfill easy|conservative] [--profile]

Printed beside what the real Slurm 22.05 took for such a load on this machine: 306 ms in the mean and 3.9 s at most for its main
cycle; its backfill was cut off after 27 s with 122 of 9,254 jobs looked at. Times are processor seconds of one core.
"""

import argparse
import cProfile
import gc
import itertools
import pstats
import random
import resource
import time

from corral.daemon import memory
from corral.engine.engine import Engine
from corral.model.cluster import ClusterConfig, Scheduling
from corral.model.gres import GresDevice, GresRequest
from corral.model.job import JobSpec
from corral.model.node import NodeInventory
from corral.model.partition import Partition
from corral.protocol import reports as rp
from corral.protocol import requests as rq
from corral.protocol.replies import Submitted
from corral.scheduler.cycle import schedule
from corral.scheduler.plan import Plan

ANN = rq.Caller(uid=1000, gid=1000, user="ann", group="users")
HOURS = [1, 2, 4, 8, 12, 24, 48, 72]
SLURM = "real Slurm: main 306 ms (3.9 s at most); backfill cut off after 27 s with 122 of 9,254 jobs looked at"


def inventories(count: int) -> tuple[NodeInventory, ...]:
    """64 CPUs and 8 GPUs each, of three kinds."""
    kinds = ["a100", "h100", "h200"]
    return tuple(
        NodeInventory(
            name=f"n{number}", cpus=64, sockets=2, cores_per_socket=32, threads_per_core=1, memory_mb=(512_000, 1_024_000)[number % 2],
            gres=(GresDevice(name="gpu", type=kinds[number % 3], count=8),),
            features=(kinds[number % 3], f"rack{number % 40}", *(("ib",) if number % 4 else ())),
        )
        for number in range(1, count + 1)
    )  # fmt: skip


def shape(dice: random.Random) -> JobSpec:
    """One of what people ask for: 1 to 64 nodes, parts of nodes or whole ones, with and without GPUs."""
    nodes = dice.choice([1] * 10 + [1, 2, 2, 3, 4, 4, 6, 8, 8, 12, 16, 24, 32, 48, 64])
    per_node = dice.choice([1, 2, 4, 8, 16, 32])
    fields: dict[str, object] = {
        "nodes_min": nodes, "nodes_max": nodes, "ntasks": nodes * per_node,
        "cpus_per_task": dice.choice([1, 1, 2, 2, 4]) if per_node <= 16 else dice.choice([1, 2]),
        "time_limit": dice.choice(HOURS) * 3600 - dice.randrange(6) * 600,
        "partition": dice.choice(["batch", "batch", "batch", "long", "gpu", "gpu,batch"]),
    }  # fmt: skip
    match dice.randrange(4):
        case 0:
            fields["memory_per_node_mb"] = dice.choice([4, 16, 64, 128, 256]) * 1000
        case 1:
            fields["memory_per_cpu_mb"] = dice.choice([1, 2, 4]) * 1000
    if "gpu" in str(fields["partition"]) or dice.random() < 0.3:
        fields["gpus_per_node"] = (GresRequest("gpu", dice.choice(["", "", "h100"]), dice.choice([1, 2, 4, 8])),)
    if dice.random() < 0.3:
        fields["constraint"] = dice.choice(["ib", "a100|h100", "h200&ib", "rack1|rack2|rack3"])
    if dice.random() < 0.1:
        fields["exclusive"] = True
    return JobSpec(**fields)  # type: ignore[arg-type]


def partitions() -> tuple[Partition, ...]:
    return (
        Partition(name="batch", default=True),
        Partition(name="long"),
        Partition(name="gpu"),
    )


class World:
    def __init__(self, nodes: int, scheduling: Scheduling) -> None:
        self.now = 1e9
        self.engine = Engine(ClusterConfig(partition=partitions(), scheduling=scheduling), term=1)
        self.engine.start(self.now)
        found = inventories(nodes)
        self.engine.handle(rp.AgentRegistered(agent="a", instance="1", nodes=found, steps=()), self.now)

    def submit(self, specs: list[JobSpec]) -> None:
        jobs = tuple(rq.NewJob(spec=spec) for spec in specs)
        for at in range(0, len(jobs), 1000):
            reply = self.engine.handle(rq.SubmitJobs(jobs=jobs[at : at + 1000]), self.now, ANN).reply
            assert isinstance(reply, Submitted), reply

    def shapes(self, dice: random.Random, count: int) -> list[JobSpec]:
        """That this cluster takes."""
        found: list[JobSpec] = []
        while len(found) < count:
            one = rq.SubmitJobs(jobs=(rq.NewJob(spec=shape(dice)),))
            reply = self.engine.handle(one, self.now, ANN).reply
            if isinstance(reply, Submitted):
                found.append(one.jobs[0].spec)
                self.engine.handle(rq.CancelJobs(selection=rq.JobSelection(ids=(str(reply.ids[0]),))), self.now, ANN)
        return found

    def cycle(self) -> tuple[Plan, list[float]]:
        """What came of it, and the seconds of snapshot, schedule and commit."""
        self.now += 1.0
        times = [time.process_time()]
        self.engine.before_cycle(self.now)
        snapshot = self.engine.snapshot(self.now)
        times.append(time.process_time())
        plan = schedule(snapshot, self.now)
        times.append(time.process_time())
        self.engine.commit(plan, self.now)
        times.append(time.process_time())
        return plan, [later - earlier for earlier, later in itertools.pairwise(times)]

    def fill(self, dice: random.Random, share: float) -> None:
        """Until so much of the CPUs is taken."""
        ledger = self.engine.state.ledger
        total = int(ledger.cpus.sum())
        while int(ledger.free_cpus.sum()) > (1 - share) * total:
            before = int(ledger.free_cpus.sum())
            self.submit(self.shapes(dice, 1000))
            self.cycle()
            if int(ledger.free_cpus.sum()) == before:
                break
        ids = tuple(str(key[2]) for key in self.engine.state.queue)
        for at in range(0, len(ids), 1000):
            self.engine.handle(rq.CancelJobs(selection=rq.JobSelection(ids=ids[at : at + 1000])), self.now, ANN)


def show(what: str, plan: Plan, times: list[float]) -> None:
    parts = ", ".join(
        f"{name} {took * 1000:.0f}" for name, took in zip(["snapshot", "schedule", "commit"], times, strict=True)
    )
    print(
        f"{what:<44} {sum(times) * 1000:7.0f} ms ({parts})  {plan.looked_at:6} looked at, {len(plan.starts):5} started"
        f" ({plan.backfilled} backfilled), {len(plan.expected)} planned", flush=True
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=5000)
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--shapes", type=int, default=2000)
    parser.add_argument("--only", default="", help="full, empty or single")
    parser.add_argument("--policy", default="", help="JSON of the [scheduling] table")
    parser.add_argument("--profile", action="store_true", help="where the time goes")
    given = parser.parse_args()
    import msgspec

    policy = msgspec.json.decode(given.policy or "{}", type=Scheduling)
    print(SLURM)
    memory.collect_seldom()  # as the controller does
    for name, share in (("mostly full", 0.97), ("empty", 0.0)):
        if given.only and given.only not in name:
            continue
        world, dice = World(given.nodes, policy), random.Random(1)
        if share:
            world.fill(random.Random(2), share)
        shapes = world.shapes(dice, given.shapes)
        jobs = [dice.choice(shapes) for _ in range(given.jobs)]
        gc.collect()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        began = time.process_time()
        world.submit(jobs)
        took = time.process_time() - began
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak
        free = int(world.engine.state.ledger.free_cpus.sum()) / int(world.engine.state.ledger.cpus.sum())
        each = grown * 1024 // max(1, given.jobs)
        print(f"{name}: {len(world.engine.state.active)} running, {free:.1%} of the CPUs free;", end=" ")
        print(f"{given.jobs} submitted in {took:.2f} s, {each} bytes each")
        profile = cProfile.Profile()
        if given.profile:
            profile.enable()
        show(f"{name}: first cycle", *world.cycle())
        profile.disable()
        show(f"{name}: nothing has changed", *world.cycle())
        show(f"{name}: nothing has changed", *world.cycle())
        ended = sorted(world.engine.state.active)[:: max(1, len(world.engine.state.active) // 10)][:10]
        world.engine.handle(rq.CancelJobs(selection=rq.JobSelection(ids=tuple(map(str, ended)))), world.now, ANN)
        for number in ended:
            job = world.engine.state.jobs[number]
            for node in job.allocation.node_names if job.allocation is not None else ():
                world.engine.handle(rp.JobCleaned(agent="a", node=node, job=number, restart=0), world.now)
        show(f"{name}: ten jobs have ended", *world.cycle())
        if given.profile:
            pstats.Stats(profile).sort_stats("tottime").print_stats(35)
    if not given.only or given.only == "single":
        world = World(given.nodes, policy)
        world.submit([JobSpec(ntasks=1, time_limit=600)] * given.jobs)
        profile = cProfile.Profile()
        if given.profile:
            profile.enable()
        plan, times = world.cycle()
        profile.disable()
        show("single-node jobs", plan, times)
        print(
            f"{'starts per second of engine and scheduler':<44} {len(plan.starts) / sum(times):7.0f}  (to reach: 10,000)"
        )
        if given.profile:
            pstats.Stats(profile).sort_stats("tottime").print_stats(35)


if __name__ == "__main__":
    main()
