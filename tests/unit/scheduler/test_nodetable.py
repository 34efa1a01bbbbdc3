"""The columns follow the nodes, however these come."""

import msgspec
from tests.builders import allocation_of, node, nodes

from corral.scheduler.nodetable import NodeTable


def test_nodes_that_come_one_by_one_become_rows_together() -> None:
    one, all_at_once = NodeTable(), NodeTable()
    found = nodes("n[1-12]", cpus=4, gpus=2)
    for inventory in reversed(found):
        one.set_node(inventory, True)
    assert len(one) == 0
    one.settle()
    all_at_once.set_nodes((inventory, True, 1) for inventory in found)
    assert one.names == all_at_once.names
    assert one.free_cpus.tolist() == all_at_once.free_cpus.tolist()
    assert one.gres_masks == all_at_once.gres_masks


def test_what_jobs_hold_stays_held_when_a_node_comes() -> None:
    table = NodeTable()
    table.set_nodes([(node("n2"), True, 1)])
    table.take(1, allocation_of("n2:0-1"))
    table.set_node(node("n1"), True)
    table.settle()
    assert table.names == ["n1", "n2"]
    assert table.free_cpus.tolist() == [4, 2]


def test_a_node_that_has_booted_is_no_other_one() -> None:
    table = NodeTable()
    table.set_nodes([(node("n1"), True, 1)])
    empty = table.emptied()
    table.set_node(msgspec.structs.replace(node("n1"), boot_id="other"), False, 1)
    assert not table.unsettled
    assert table.inventories[0].boot_id == "other"
    assert table.usable.tolist() == [False]
    assert table.emptied() is empty
