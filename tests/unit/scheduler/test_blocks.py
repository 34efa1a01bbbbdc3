"""Nodes in blocks, as topology/block of newer Slurm has them: a job is in one if it can be, else in neighbouring ones."""

import pytest
from tests.builders import Cluster, cluster, job, nodes

from corral.config.checks import BadValue, check
from corral.model.cluster import ClusterConfig
from corral.model.topology import Block, Topology

BLOCKS = (
    Block(name="b1", nodes="n[1-4]"),
    Block(name="b2", nodes="n[5-8]"),
    Block(name="b3", nodes="n[9-12]"),
    Block(name="b4", nodes="n[13-16]"),
)


def racks() -> Cluster:
    return cluster(nodes("n[1-16]", cpus=4), block=BLOCKS, block_sizes=(4, 8))


def names(c: Cluster, number: int) -> list[str]:
    return list(c.where(number))


def test_a_job_is_in_one_block_if_it_fits_there() -> None:
    c = racks()
    c.run(job(4, nodes=2))
    assert names(c, c.run(job(4, nodes=3))) == ["n5", "n6", "n7"]
    assert names(c, c.run(job(4, nodes=2))) == ["n3", "n4"], "the smallest that has enough"


def test_a_larger_one_is_in_neighbouring_blocks() -> None:
    c = racks()
    c.run(job(4, nodes=1))
    assert names(c, c.run(job(4, nodes=8))) == [f"n{i}" for i in range(9, 17)], "b1 and b2 have 7 together"


def test_the_largest_is_anywhere_on_as_few_blocks_as_possible() -> None:
    c = racks()
    assert len(names(c, c.run(job(4, nodes=16)))) == 16


def test_switches_counts_blocks() -> None:
    c = racks()
    for _ in range(4):
        c.run(job(4, nodes=3))
    wide = c.add(job(4, nodes=2, switches=1, switches_wait=60))
    c.cycle()
    assert c.states(wide) == ["PENDING"]
    c.at(c.now + 61).cycle()
    assert c.states(wide) == ["RUNNING"], "it has waited long enough"


def test_where_a_node_is() -> None:
    assert Topology((), BLOCKS, (4, 8)).address("n6") == ("b2.n6", "block.node")


@pytest.mark.parametrize(
    ("fields", "path", "said"),
    [
        ({"block": (BLOCKS[0], BLOCKS[0])}, ("block", 1, "name"), "a block needs a name of its own"),
        ({"block": (BLOCKS[0], Block(name="b9", nodes="n4"))}, ("block", 1, "nodes"), "node n4 is in b1 and b9"),
        ({"block": BLOCKS, "block_sizes": (4, 12)}, ("block_sizes",), "12 is not 4 times a power of two"),
        (
            {"block": BLOCKS, "block_sizes": (5,)},
            ("block", 0, "nodes"),
            "block b1 has 4 nodes, fewer than the first of",
        ),
        ({"block_sizes": (4,)}, ("block_sizes",), "there are no"),
    ],
)
def test_blocks_that_cannot_be_are_refused(fields: dict, path: tuple, said: str) -> None:  # type: ignore[type-arg]
    with pytest.raises(BadValue, match=said) as error:
        check(ClusterConfig(**fields), {})
    assert error.value.path == path
