"""A preemption is booked in the timetable as if it had been made anew from the table."""

import msgspec
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.builders import node

from corral.model.allocation import Allocation, NodeShare
from corral.model.gres import GresDevice, GresShare
from corral.scheduler.backfill import Planner
from corral.scheduler.nodetable import NodeTable
from corral.scheduler.preemption import hold
from corral.scheduler.reservations import NOTHING
from corral.scheduler.running import RunningJob

CPUS, GPUS, NAMES = 8, 4, ("n1", "n2")


def table_of(jobs: list[tuple[int, int, int]]) -> tuple[NodeTable, list[RunningJob]]:
    """Each holds (node, CPUs and GPUs in a row from the first that is free) until its end."""
    table = NodeTable()
    gpus = (GresDevice(name="gpu", type="", count=GPUS),)
    table.set_nodes(
        (msgspec.structs.replace(node(name, cpus=CPUS), gres=gpus, memory_mb=1000), True, 1) for name in NAMES
    )
    running, next_cpu, next_gpu = [], [0, 0], [0, 0]
    for number, (where, size, ends) in enumerate(jobs, start=1):
        cpus = tuple(range(next_cpu[where], next_cpu[where] + size))
        units = tuple(range(next_gpu[where], next_gpu[where] + min(size, 1)))
        if next_cpu[where] + size > CPUS or next_gpu[where] + len(units) > GPUS:
            continue
        next_cpu[where] += size
        next_gpu[where] += len(units)
        gres = (GresShare("gpu", "", units),) if units else ()
        share = NodeShare(node=NAMES[where], cpus=cpus, memory_mb=10 * size, gres=gres, tasks=1)
        table.take(number, Allocation(nodes=(share,), partition="batch", ntasks=1))
        running.append(RunningJob(float(ends), number))
    return table, sorted(running)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 1), st.integers(1, 4), st.integers(5, 90)), min_size=1, max_size=8),
    st.lists(st.integers(0, 1), min_size=1, max_size=3), st.integers(1, 6), st.booleans(),
)  # fmt: skip
def test_a_preemption_is_booked_as_if_all_were_made_anew(
    jobs: list[tuple[int, int, int]], wanted: list[int], size: int, asks_first: bool
) -> None:
    table, running = table_of(jobs)
    planner = Planner(table, running, 0.0, NOTHING, "pack")
    everywhere = np.arange(len(NAMES))
    if asks_first:
        planner.times.at(30.0, 60.0, everywhere).gres_masks[0]
    key = -5
    for where in wanted:
        held = {job: one for job, one in table.holders.items() if job > 0 and one.node_names == (NAMES[where],)}
        share = NodeShare(
            node=NAMES[where], cpus=tuple(range(size)), memory_mb=15, gres=(GresShare("gpu", "", (0,)),), tasks=1
        )
        promised = Allocation(nodes=(share,), partition="batch", ntasks=1)
        if not hold(table, key, promised, held):
            continue
        assert planner.on_room(held, key, promised, 40.0)
        running.append(RunningJob(40.0, key))
        key -= 1
    anew = Planner(table, running, 0.0, NOTHING, "pack")
    for start in (0.0, 5.0, 20.0, 40.0, 91.0):
        one, two = (times.at(start, start + 7.0, everywhere) for times in (planner.times, anew.times))
        for name in ("free_cpus", "free_memory", "jobs"):
            assert getattr(one, name).tolist() == getattr(two, name).tolist()
        for row in range(len(NAMES)):
            assert one.cpu_masks[row] == two.cpu_masks[row]
            assert one.gres_masks[row] == two.gres_masks[row]
