"""Where do the usual GPU jobs lose least?"""

import subprocess
import sys

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from corral.model.gres import GresDevice, GresRequest
from corral.model.node import NodeInventory
from corral.scheduler.demand import Demand
from corral.scheduler.fragmentation import growth
from corral.scheduler.nodetable import NodeTable
from corral.scheduler.placement import place
from corral.scheduler.popular import FILLING, LEAST_SHARE, Popular, Shape, need_of

SHAPES = st.builds(
    Shape, st.integers(1, 16), st.integers(0, 64), st.integers(1, 3), st.sampled_from([1000, 1000, 500, 330, 50])
).map(lambda shape: shape if shape.milli == 1000 else Shape(shape.cpus, shape.memory_mb, 1, shape.milli))
STATES = st.tuples(
    st.integers(0, 32), st.integers(0, 128), st.lists(st.sampled_from([0, 190, 500, 670, 1000]), min_size=4, max_size=4)
)


def fragments(counts: dict[Shape, int], cpus: int, memory: int, gpus: list[int]) -> float:
    """The definition, word by word."""
    lost, weights = 0.0, 0.0
    shares = sum(count for shape, count in counts.items() if shape.milli < 1000)
    least = Shape(1, 0, 1)
    lacking = max(0, 2 * shares - sum(counts.values()))
    counts = counts | {least: counts.get(least, 0) + lacking}
    for shape, count in counts.items():
        weight = count / max(LEAST_SHARE, shape.milli * shape.gpus)
        total = sum(gpus)
        copies = sum(free // shape.milli for free in gpus) // shape.gpus
        room = min(cpus // max(1, shape.cpus), memory // max(1, shape.memory_mb))
        one = sum(free for free in gpus if free < shape.milli) if room >= 1 and copies >= 1 else total
        filled = total - min(room, copies) * shape.gpus * shape.milli
        lost += weight * ((1 - FILLING) * one + FILLING * filled)
        weights += weight
    return lost / weights


@settings(max_examples=60)
@given(st.dictionaries(SHAPES, st.integers(1, 50), min_size=1, max_size=12), st.lists(STATES, min_size=1, max_size=70))
def test_the_columns_say_what_the_definition_says(
    counts: dict[Shape, int], states: list[tuple[int, int, list[int]]]
) -> None:
    found = Popular(counts.items()).fragments(
        *(np.array([state[part] for state in states], np.int64) for part in (0, 1, 2))
    )
    wanted = [fragments(counts, cpus, memory, gpus) for cpus, memory, gpus in states]
    assert np.allclose(found, wanted)


def table(*gpus: int, cpus: int = 16) -> NodeTable:
    found = NodeTable()
    found.set_nodes(
        (
            NodeInventory(
                name=f"n{i}", cpus=cpus, cores_per_socket=cpus, memory_mb=1000,
                gres=(GresDevice(name="gpu", count=count),) if count else (),
            ),
            True,
            1,
        )
        for i, count in enumerate(gpus, start=1)
    )  # fmt: skip
    return found


def demand(gpus: int = 0, milli: int = 0, cpus: int = 1, owner: int = -1) -> Demand:
    return Demand(
        partition="p", nodes_min=1, nodes_max=1, ntasks=1, cpus_per_task=cpus, owner=owner,
        gres_per_node=(GresRequest("gpu", "", gpus),) if gpus else (),
        share=GresRequest("gpu", "", 1, milli) if milli else None,
    )  # fmt: skip


def put(nodes: NodeTable, job: int, wanted: Demand, strategy: str = "fragmentation") -> tuple[str, tuple[int, ...]]:
    found = place(nodes, wanted, np.ones(len(nodes), np.bool_), strategy)
    assert found is not None
    nodes.take(job, found)
    (share,) = found.nodes
    return share.node, tuple(unit for one in share.gres for unit in one.indices)


def test_a_share_goes_where_the_rest_is_of_no_use_to_the_usual_jobs() -> None:
    nodes = table(2, 2)
    nodes.popular = Popular([(Shape(1, 0, 1, 500), 10), (Shape(1, 0, 1, 1000), 10)])
    assert put(nodes, 1, demand(milli=600)) == ("n1", (0,))
    assert put(nodes, 2, demand(milli=300)) == ("n1", (0,)), "400 are left, which fit none of them"
    assert put(nodes, 3, demand(milli=500)) == ("n1", (1,))
    assert put(nodes, 4, demand(milli=500)) == ("n1", (1,))
    assert put(nodes, 5, demand(gpus=2)) == ("n2", (0, 1))


def test_shares_go_together_also_where_nobody_asks_for_whole_gpus() -> None:
    nodes = table(4)
    nodes.popular = Popular([(Shape(1, 0, 1, 400), 1)])
    assert [put(nodes, job, demand(milli=400))[1] for job in range(1, 5)] == [(0,), (0,), (1,), (1,)]


def test_a_whole_gpu_goes_where_no_larger_job_would_have_room_anyway() -> None:
    nodes = table(4, 4, 4)
    nodes.popular = Popular([(Shape(1, 0, 4), 10), (Shape(1, 0, 1), 10)])
    assert put(nodes, 1, demand(gpus=1))[0] == "n1"
    assert [put(nodes, 2 + i, demand(gpus=1))[0] for i in range(3)] == ["n1"] * 3
    assert put(nodes, 9, demand(gpus=4))[0] == "n2"


def test_a_job_without_gpus_leaves_the_cpus_that_gpus_need() -> None:
    nodes = table(2, 2, 0, cpus=16)
    nodes.popular = Popular([(Shape(8, 0, 1), 10)])
    assert put(nodes, 1, demand(cpus=10))[0] == "n3", "there are no GPUs"
    put(nodes, 2, demand(gpus=1, cpus=1))
    assert put(nodes, 3, demand(cpus=7))[0] == "n1", "15 CPUs for one GPU are more than it needs"
    assert put(nodes, 4, demand(cpus=8))[0] == "n1", "all of them are fewer than both of n2 need"


def test_growth_is_kept_up_when_a_node_changes() -> None:
    nodes = table(2, 2, 2)
    nodes.popular = Popular([(Shape(2, 0, 1, 500), 3), (Shape(4, 0, 2), 1)])
    wanted = demand(milli=300)
    need = need_of(wanted)
    assert need is not None
    rows = np.arange(3)
    for job in range(1, 5):
        put(nodes, job, wanted)
        fresh = nodes.copy()
        assert np.array_equal(growth(nodes, need, rows), growth(fresh, need, rows))


def test_a_weight_comes_first() -> None:
    nodes = table(2, 2)
    nodes.weight[:] = [5, 1]
    nodes.popular = Popular([(Shape(1, 0, 1, 500), 1)])
    assert put(nodes, 1, demand(milli=500))[0] == "n2"


HASHED = """
from tests.unit.scheduler.test_fragmentation import *
nodes = table(4, 4, 2, 2, 0)
nodes.popular = Popular((Shape(1 + i % 3, i, 1 + i % 2), i) for i in range(1, 30))
print([put(nodes, i, demand(gpus=i % 3 == 0, milli=(i % 3 == 1) * 170 * (1 + i % 5))) for i in range(1, 14)])
"""


def test_the_same_places_whatever_the_hash_seed() -> None:
    found = {
        subprocess.run(
            [sys.executable, "-c", HASHED], env={"PYTHONHASHSEED": seed, "PYTHONPATH": "."}, capture_output=True, text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert len(found) == 1
