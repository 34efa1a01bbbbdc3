"""Shares of GPUs and whole ones, given and given back in any order: nothing is given twice."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from corral.model.gres import GresDevice, GresRequest
from corral.model.node import NodeInventory
from corral.scheduler.demand import Demand
from corral.scheduler.nodetable import NodeTable
from corral.scheduler.placement import place
from corral.scheduler.popular import Popular, Shape

WISHES = st.tuples(
    st.sampled_from(["whole", "share", "shard", "none", "end"]),
    st.integers(1, 3),
    st.sampled_from([1, 100, 250, 333, 500, 999]),
    st.integers(0, 2),
    st.integers(0, 30),
)


def table(gpus: list[int]) -> NodeTable:
    found = NodeTable()
    found.set_nodes(
        (
            NodeInventory(
                name=f"n{i}", cpus=8, cores_per_socket=8, memory_mb=100,
                gres=(GresDevice(name="gpu", type="ab"[i % 2], count=count), GresDevice(name="shard", count=3 * count))
                if count else (),
            ),
            True,
            1,
        )
        for i, count in enumerate(gpus)
    )  # fmt: skip
    found.popular = Popular([(Shape(1, 0, 1, 333), 3), (Shape(2, 0, 2), 2), (Shape(1, 0, 1), 1)])
    return found


def demand(kind: str, count: int, milli: int, owner: int) -> Demand:
    share = {"share": GresRequest("gpu", "", 1, milli), "shard": GresRequest("shard", "", count)}.get(kind)
    whole = (GresRequest("gpu", "ab"[count % 2] if milli == 1 else "", count),) if kind == "whole" else ()
    return Demand(
        partition="p",
        nodes_min=1,
        nodes_max=1,
        ntasks=1,
        gres_per_node=whole,
        share=share,
        owner=owner if share else -1,
    )


@settings(max_examples=60)
@given(
    st.lists(st.integers(0, 3), min_size=1, max_size=4),
    st.lists(WISHES, max_size=30),
    st.sampled_from(["fragmentation", "pack", "spread"]),
)
def test_nothing_is_given_twice(gpus: list[int], wishes: list[tuple[str, int, int, int, int]], strategy: str) -> None:
    nodes, rows = table(gpus), np.ones(len(gpus), np.bool_)
    for number, (kind, count, milli, owner, which) in enumerate(wishes, start=1):
        if kind == "end":
            if nodes.holders:
                nodes.give_back(sorted(nodes.holders)[which % len(nodes.holders)])
        else:
            found = place(nodes, demand(kind, count, milli, owner), rows, strategy)
            if found is not None:
                nodes.take(number, found)
        check(nodes, gpus)
    for job in list(nodes.holders):
        nodes.give_back(job)
    fresh = table(gpus)
    assert nodes.gres_masks == fresh.gres_masks
    assert nodes.free_cpus.tolist() == fresh.free_cpus.tolist()
    if nodes.gpus is not None and fresh.gpus is not None:
        assert np.array_equal(nodes.gpus.free, fresh.gpus.free)
        assert np.array_equal(nodes.gpus.owner, fresh.gpus.owner)


def check(nodes: NodeTable, gpus: list[int]) -> None:
    """Added up from what the jobs hold."""
    held: dict[tuple[str, int], list[tuple[int, int]]] = {}
    for allocation in nodes.holders.values():
        for share in allocation.nodes:
            for gres in share.gres:
                for unit in gres.indices:
                    held.setdefault((share.node, unit), []).append((gres.milli or 1000, allocation.owner))
    for (name, unit), parts in held.items():
        assert sum(milli for milli, _ in parts) <= 1000, "no more than there is of a GPU"
        assert len({owner for _, owner in parts}) == 1, "of one user"
        assert nodes.gpus is not None
        assert nodes.gpus.free[nodes.index[name], unit] == 1000 - sum(milli for milli, _ in parts)
    free = sum(mask.bit_count() for masks in nodes.gres_masks for (name, _), mask in masks.items() if name == "gpu")
    assert free == sum(gpus) - len(held), "whole ones are those of which nobody has anything"
