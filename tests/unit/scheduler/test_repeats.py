"""Many equal jobs go where each would have gone by itself."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from corral.model.gres import GresDevice, GresRequest
from corral.model.node import NodeInventory
from corral.scheduler.demand import Demand
from corral.scheduler.nodetable import NodeTable
from corral.scheduler.popular import Popular, Shape
from corral.scheduler.repeats import Repeats
from corral.scheduler.resources import place

NODES = st.lists(
    st.tuples(st.integers(1, 9), st.integers(1, 2), st.integers(0, 40), st.integers(0, 3), st.integers(1, 2)),
    min_size=1, max_size=9,
)  # fmt: skip
JOBS = st.builds(
    Demand,
    partition=st.just("batch"),
    nodes_min=st.just(1),
    nodes_max=st.sampled_from([None, 1]),
    ntasks=st.sampled_from([None, 1, 2, 5]),
    cpus_per_task=st.integers(1, 3),
    memory_per_node_mb=st.sampled_from([0, 0, 3]),
    memory_per_cpu_mb=st.sampled_from([0, 0, 2]),
    gres_per_node=st.sampled_from([(), (), (GresRequest("gpu", "", 1),)]),
)


def table_of(nodes: list[tuple[int, int, int, int, int]], *, popular: bool) -> NodeTable:
    table = NodeTable()
    inventories = [
        NodeInventory(
            name=f"n{number}", cpus=cores * threads, sockets=1, cores_per_socket=cores, threads_per_core=threads, memory_mb=memory,
            gres=(GresDevice(name="gpu", type="", count=gpus),) if gpus else (),
        )
        for number, (cores, threads, memory, gpus, _) in enumerate(nodes)
    ]  # fmt: skip
    table.set_nodes((one, True, weight) for one, (*_, weight) in zip(inventories, nodes, strict=True))
    if popular and table.gpus is not None:
        table.popular = Popular([(Shape(2, 4, 1), 3), (Shape(1, 0, 1, 500), 1)])
    return table


@settings(max_examples=200)
@given(
    NODES,
    st.lists(st.tuples(JOBS, st.integers(1, 12)), max_size=4),
    st.sampled_from(["pack", "spread", "fragmentation"]),
    st.booleans(),
)
def test_each_gets_what_it_would_get_by_itself(
    nodes: list[tuple[int, int, int, int, int]], runs: list[tuple[Demand, int]], strategy: str, popular: bool
) -> None:
    table = table_of(nodes, popular=popular)
    repeats = Repeats(table, strategy)
    rows = np.ones(len(nodes), np.bool_)
    rows[0] = len(nodes) == 1
    number = 0
    for demand, count in runs:
        for _ in range(count):
            alone = place(table, demand, rows, strategy)
            assert repeats.place(demand, rows) == alone
            if alone is None:
                break
            number += 1
            if number % 7:  # sometimes a limit stands against it in the end
                table.hold(number, alone)
            if number % 11 == 0:
                table.give_back(number - 3)
