"""Which rank runs on which node, in the words of PMI_process_mapping: (vector,(0,2,4),(2,1,3))?

Each triple is (first node, how many nodes, ranks on each): ranks are dealt to the nodes in that order. MPI libraries learn from
it which of their peers share memory with them.
"""

from collections.abc import Sequence


def process_mapping(ranks_of_nodes: Sequence[Sequence[int]]) -> str:
    """The mapping of a step whose nodes run these ranks; all ranks from 0 on are there."""
    node_of = sorted((rank, node) for node, ranks in enumerate(ranks_of_nodes) for rank in ranks)
    runs: list[tuple[int, int]] = []  # node, and how many ranks in a row
    for _, node in node_of:
        if runs and runs[-1][0] == node:
            runs[-1] = node, runs[-1][1] + 1
        else:
            runs.append((node, 1))
    triples: list[tuple[int, int, int]] = []
    for node, count in runs:
        if triples and triples[-1][2] == count and triples[-1][0] + triples[-1][1] == node:
            first, nodes, _ = triples[-1]
            triples[-1] = first, nodes + 1, count
        else:
            triples.append((node, 1, count))
    return "(vector," + ",".join(f"({first},{nodes},{count})" for first, nodes, count in triples) + ")"
