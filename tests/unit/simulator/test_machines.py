"""The machine of a simulation, and what is changed about it."""

import pytest

from corral.config.cluster import parse
from corral.simulator import machines
from corral.simulator.machines import BadMachine

TEXT = """
[[node]]
name = "dgx[08-09]"
cpus = 64
memory_mb = 512000
gres = "gpu:h100:8"
features = ["ib"]
[[node]]
name = "c1"
sockets = 2
cores_per_socket = 8
threads_per_core = 2
[[partition]]
name = "gpu"
nodes = "dgx[08-09]"
default = true
[[partition]]
name = "cpu"
nodes = "c1"
"""
CONFIG = parse(TEXT)


def names(nodes: tuple[machines.NodeInventory, ...]) -> list[str]:
    return [node.name for node in nodes]


def test_the_nodes_of_a_configuration() -> None:
    dgx, _, c1 = machines.configured(CONFIG)
    assert (dgx.name, dgx.cpus, dgx.memory_mb, dgx.gres[0].count, dgx.features) == ("dgx08", 64, 512000, 8, ("ib",))
    assert (c1.name, c1.cpus) == ("c1", 32)


def test_nodes_of_which_nobody_knows_the_size_are_refused() -> None:
    with pytest.raises(BadMachine, match=r"\[\[node\]\] a needs cpus"):
        machines.configured(parse('[[node]]\nname = "a"'))
    with pytest.raises(BadMachine, match="has no"):
        machines.configured(parse(""))


def test_more_nodes_are_like_those_there_and_in_their_partitions() -> None:
    nodes, config = machines.with_more(machines.configured(CONFIG), CONFIG, "dgx:2")
    assert names(nodes) == ["dgx08", "dgx09", "c1", "dgx10", "dgx11"]
    assert nodes[3].gres == nodes[0].gres
    assert [partition.nodes for partition in config.partition] == ["dgx[08-09],dgx[10-11]", "c1"]
    assert config.node[0].name == "dgx[08-09],dgx[10-11]"


@pytest.mark.parametrize("text", ["dgx", "dgx:", "dgx:0", "dgx:-1", "dgx:x", "v100:2"])
def test_what_cannot_be_added_is_refused(text: str) -> None:
    with pytest.raises(BadMachine, match=f"--add {text}"):
        machines.with_more(machines.configured(CONFIG), CONFIG, text)


def test_a_partition_goes_with_its_own_nodes() -> None:
    nodes, config = machines.without_partition(machines.configured(CONFIG), CONFIG, "gpu")
    assert names(nodes) == ["c1"]
    assert [(partition.name, partition.default) for partition in config.partition] == [("cpu", True)]


def test_a_partition_that_is_not_there_or_the_last_is_refused() -> None:
    nodes = machines.configured(CONFIG)
    with pytest.raises(BadMachine, match="there is no such partition, but gpu, cpu"):
        machines.without_partition(nodes, CONFIG, "x")
    _, left = machines.without_partition(nodes, CONFIG, "gpu")
    with pytest.raises(BadMachine, match="it is the only one"):
        machines.without_partition(nodes, left, "cpu")
