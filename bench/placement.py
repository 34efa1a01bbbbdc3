"""How long does one scheduling cycle take on 5,000 nodes with 10,000 waiting jobs of 50 shapes? No daemons: the pure scheduler.

.venv/bin/python bench/placement.py [--nodes 5000] [--jobs 10000]
"""

import argparse
import time

import numpy as np

from corral.model.cluster import Scheduling
from corral.model.gres import GresDevice, GresRequest
from corral.model.job import JobSpec
from corral.model.node import NodeInventory
from corral.model.topology import Switch, Topology
from corral.scheduler.cycle import schedule
from corral.scheduler.demand import demand_of
from corral.scheduler.nodetable import NodeTable
from corral.scheduler.snapshot import PendingGroup, Snapshot

#: Each is asked for in ten sizes.
SHAPES = {
    "plain": {},
    "sockets": {"ntasks_per_socket": 4},
    "threads": {"threads_per_core": 1, "distribution": "block:block"},
    "gpus": {"gpus_per_node": (GresRequest("gpu", "", 2),)},
    "contiguous": {"contiguous": True},
    "switches": {"switches": 2},
    "counted": {"constraint": "big*1"},
    "either": {"constraint": "[rack1|rack2]"},
    "spread": {"spread_job": True},
    "tmp": {"tmp_disk_mb": 500, "mincpus": 8},
}


def cluster(nodes: int) -> NodeTable:
    table = NodeTable()
    table.set_nodes(
        (
            NodeInventory(
                name=f"n{number}", cpus=64, sockets=2, cores_per_socket=16, threads_per_core=2, memory_mb=256_000,
                tmp_disk_mb=1000, gres=(GresDevice(name="gpu", type="h100", count=8),) if number % 4 == 0 else (),
                features=(f"rack{number % 10}", *(("big",) if number % 7 == 0 else ())),
            ),
            True,
            1,
        )
        for number in range(1, nodes + 1)
    )  # fmt: skip
    leaves = [
        Switch(name=f"leaf{i}", nodes=f"n[{i * 40 + 1}-{min(nodes, i * 40 + 40)}]") for i in range(-(-nodes // 40))
    ]
    table.topology = Topology([*leaves, Switch(name="top", switches=f"leaf[0-{len(leaves) - 1}]")])
    return table


def groups(jobs: int, kinds: list[str]) -> tuple[PendingGroup, ...]:
    found = []
    for number in range(50):
        kind, size = kinds[number % len(kinds)], number // len(kinds) + 1
        spec = JobSpec(nodes_min=4 * size, nodes_max=4 * size, ntasks=32 * size, cpus_per_task=2, **SHAPES[kind])
        queue = tuple((-1, float(i), i) for i in range(number + 1, jobs + 1, 50))
        found.append(PendingGroup(demands=(demand_of(spec, "batch"),), time_limit=3600, queue=queue))
    return tuple(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=5000)
    parser.add_argument("--jobs", type=int, default=10_000)
    given = parser.parse_args()
    table = cluster(given.nodes)
    rows = {"batch": np.ones(len(table), np.bool_)}
    for kinds in [*([kind] for kind in SHAPES), list(SHAPES)]:
        snapshot = Snapshot(
            nodes=table.copy(), pending=groups(given.jobs, kinds), running=(), partition_rows=rows, policy=Scheduling()
        )
        began = time.process_time()
        plan = schedule(snapshot, 0.0)
        took = time.process_time() - began
        name = kinds[0] if len(kinds) == 1 else "all"
        print(
            f"{name:<12} {took * 1000:8.0f} ms  {len(plan.starts):5} starts  {took / max(1, len(plan.starts)) * 1e6:6.0f} us each"
        )
        full = Snapshot(
            nodes=snapshot.nodes,
            pending=groups(given.jobs, kinds),
            running=(),
            partition_rows=rows,
            policy=Scheduling(),
        )
        began = time.process_time()
        schedule(full, 1.0)
        print(f"{'':<12} {(time.process_time() - began) * 1000:8.0f} ms  when all is taken")


if __name__ == "__main__":
    main()
