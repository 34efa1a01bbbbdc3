"""Where other Pods are is counted by way of their labels and owners: the counts are those of looking at each."""

from hypothesis import given
from hypothesis import strategies as st

from corral.model.allocation import Allocation, NodeShare
from corral.model.node import NodeInventory
from corral.model.podplace import PodTerm, PodWords, Requirement
from corral.scheduler.nodetable import NodeTable
from corral.scheduler.podplaces import Placed, Pods

NODES = ("n1", "n2", "n3")
_SOME = st.sampled_from(("a", "b", "c"))
_REQUIREMENTS = st.builds(
    Requirement,
    key=st.sampled_from(("app", "tier")),
    operator=st.sampled_from(("In", "NotIn", "Exists", "DoesNotExist")),
    values=st.lists(_SOME, min_size=1, max_size=2).map(tuple),
)
_TERMS = st.builds(
    PodTerm,
    topology=st.just("kubernetes.io/hostname"),
    selector=st.none() | st.lists(_REQUIREMENTS, max_size=2).map(tuple),
    namespaces=st.lists(_SOME, min_size=1, max_size=2, unique=True).map(tuple),
)
_WORDS = st.builds(
    PodWords,
    namespace=_SOME,
    labels=st.dictionaries(st.sampled_from(("app", "tier")), _SOME).map(lambda found: tuple(sorted(found.items()))),
    owner=st.sampled_from(("", "x", "y")),
    apart=st.lists(_TERMS, max_size=1).map(tuple),
)
_PLACED = st.builds(Placed, node=st.sampled_from(NODES), words=_WORDS)


def _table() -> NodeTable:
    table = NodeTable()
    table.set_nodes([(NodeInventory(name=name, cpus=8, memory_mb=1000), True, 1) for name in NODES])
    return table


@given(st.lists(_PLACED), st.lists(_PLACED | _TERMS | st.sampled_from(("x", "y"))), _WORDS)
def test_the_counts_are_those_of_looking_at_each(before: list[Placed], deeds: list[object], new: PodWords) -> None:
    table = _table()
    pods, there, asked = Pods(table, before), list(before), []
    for deed in deeds:
        if isinstance(deed, Placed):
            pods.add(Allocation(nodes=(NodeShare(node=deed.node, cpus=(), memory_mb=0),)), deed.words)
            there.append(deed)
        else:
            asked.append(deed)
        for one in asked:
            found = pods.count(one) if isinstance(one, PodTerm) else pods.of_owner(str(one))
            meant = [
                placed.node for placed in there
                if (one.means(placed.words) if isinstance(one, PodTerm) else placed.words.owner == one)
            ]  # fmt: skip
            assert list(found) == [meant.count(name) for name in NODES]
    kept_away = {placed.node for placed in there if any(term.means(new) for term in placed.words.apart)}
    kept_away |= {placed.node for placed in there if any(term.means(placed.words) for term in new.apart)}
    left = pods.refusals(new, table.usable.copy()).open
    assert [name for name, is_open in zip(NODES, left, strict=True) if not is_open] == sorted(kept_away)
