"""How long does a cycle take in which many jobs preempt others? 5,000 nodes full of 40,000 jobs, and so many that may take their place.

    python bench/preemption.py [--nodes 5000] [--each 8] [--preemptors 64] [--profile]

Times are processor seconds of one core, the cycles one after another until every preemptor has its promise.
"""

import argparse
import cProfile
import pstats
import time

from corral.daemon import memory
from corral.engine.engine import Engine
from corral.model.cluster import ClusterConfig, Preemption
from corral.model.gres import GresDevice, GresRequest
from corral.model.job import JobSpec
from corral.model.node import NodeInventory
from corral.protocol import reports as rp
from corral.protocol import requests as rq
from corral.protocol.accounting import Condition, Settings
from corral.scheduler.cycle import schedule

ROOT = rq.Caller(uid=0, gid=0, user="root", group="root", role="administrator")


def qos(engine: Engine, name: str, over: tuple[str, ...] = ()) -> None:
    settings = Settings(
        lists={"preempt": over} if over else {}, numbers={"priority": 10} if over else {"grace_time": 60}
    )
    request = rq.ChangeAccounts(verb="add", kind="qos", where=Condition(names=(name,)), settings=settings)
    engine.handle(request, 1.0, ROOT)


def submit(engine: Engine, count: int, **fields: object) -> None:
    spec = JobSpec(nodes_min=1, nodes_max=1, **fields)  # type: ignore[arg-type]
    for start in range(0, count, 1000):
        jobs = tuple(rq.NewJob(spec=spec) for _ in range(min(1000, count - start)))
        engine.handle(rq.SubmitJobs(jobs=jobs), 2.0, ROOT)


def cycle(engine: Engine, now: float) -> tuple[float, int, int]:
    began = time.process_time()
    plan = schedule(engine.snapshot(now), now)
    engine.commit(plan, now)
    return time.process_time() - began, len(plan.starts), len(plan.preemptions)


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--nodes", type=int, default=5000)
    words.add_argument("--each", type=int, default=8)
    words.add_argument("--preemptors", type=int, default=64)
    words.add_argument("--time", type=int, default=3600)
    words.add_argument("--profile", action="store_true")
    given = words.parse_args()
    engine = Engine(ClusterConfig(preemption=Preemption(type="qos", mode="REQUEUE")), term=1)
    engine.start(0.0)
    nodes = tuple(
        NodeInventory(
            name=f"n{number}", cpus=64, sockets=2, cores_per_socket=32, threads_per_core=1, memory_mb=512_000,
            gres=(GresDevice(name="gpu", type="h100", count=8),),
        )
        for number in range(1, given.nodes + 1)
    )  # fmt: skip
    engine.handle(rp.AgentRegistered(agent="a", instance="1", nodes=nodes), 1.0)
    qos(engine, "low")
    qos(engine, "high", ("=low",))
    gpus = 8 // given.each if given.each <= 8 else 0
    gres = (GresRequest("gpu", "", gpus),) if gpus else ()
    submit(
        engine,
        given.nodes * given.each,
        qos="low",
        cpus_per_task=64 // given.each,
        ntasks=1,
        gres=gres,
        time_limit=86400,
    )
    while cycle(engine, 3.0)[1]:
        pass
    memory.collect_seldom()
    print(f"{len(engine.state.active)} jobs run on {given.nodes} nodes")
    for number in range(given.preemptors):  # between them others that find no place and get a planned start
        submit(
            engine,
            1,
            qos="low",
            cpus_per_task=1 + number % 48,
            ntasks=1,
            gres=(GresRequest("gpu", "", 1),),
            time_limit=given.time,
        )
        gpus = (1, 2, 4, 8)[number % 4]
        submit(
            engine,
            1,
            qos="high",
            cpus_per_task=gpus * 8,
            ntasks=1,
            gres=(GresRequest("gpu", "", gpus),),
            time_limit=given.time,
        )
    profile = cProfile.Profile() if given.profile else None
    made, number, total = 0, 0, 0.0
    while made < given.preemptors and number < 100:
        if profile:
            profile.enable()
        seconds, _, preemptions = cycle(engine, 100.0 + number)
        if profile:
            profile.disable()
        made, number, total = made + preemptions, number + 1, total + seconds
        print(f"cycle {number}: {seconds * 1000:8.1f} ms, room made for {preemptions}")
        if not preemptions:
            break
    print(f"{made} in {number} cycles, {total:.2f} s; {total / max(1, made) * 1000:.1f} ms each")
    if profile:
        pstats.Stats(profile).sort_stats("cumulative").print_stats(35)


if __name__ == "__main__":
    main()
