"""What a node tells libpmix of a step; the library itself is tried with Open MPI's programs (tests/cluster/test_mpi.py)."""

import ctypes.util

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.agent.test_pmi import Node

from corral.agent.pmix import _cut, _packed, ranks_by_node
from corral.syntax.procmapping import process_mapping


@settings(deadline=None)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=40))
def test_the_ranks_of_each_node_come_back_from_the_mapping(node_of: list[int]) -> None:
    ranks = [[rank for rank, node in enumerate(node_of) if node == one] for one in range(5)]
    node = Node()
    try:
        order = msgspec.structs.replace(
            node.server._order, step_nodes=("a", "b", "c", "d", "e"), process_mapping=process_mapping(ranks)
        )
        assert ranks_by_node(order) == ranks
    finally:
        node.server.close()
        node.reactor.close()


def test_messages_come_back_in_whatever_pieces_they_come() -> None:
    data, held, found = _packed("fence", b"x" * 300) + _packed("abort", "words"), bytearray(), []
    for byte in data:
        held.append(byte)
        while (message := _cut(held)) is not None:
            found.append(message)
    assert found == [("fence", b"x" * 300), ("abort", "words")]


@pytest.mark.skipif(ctypes.util.find_library("pmix") is None, reason="needs libpmix: apt-get install libpmix2")
def test_the_layouts_are_those_of_the_headers() -> None:
    from corral.agent import libpmix

    assert ctypes.sizeof(libpmix._Info) == 552
    assert ctypes.sizeof(libpmix.Proc) == 260
    assert ctypes.sizeof(libpmix._Value) == 32
