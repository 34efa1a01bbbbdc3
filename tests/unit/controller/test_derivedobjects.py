"""Objects that are read from other records: do they have versions, and is what changes told?"""

from corral.controller.derivedobjects import DerivedObjects
from corral.controller.kubenodes import Node, NodeSpec
from corral.model.kube.meta import KubeObject, ObjectMeta


class Cluster:
    def __init__(self) -> None:
        self.drained: dict[str, bool] = {"n1": False, "n2": False}
        self.nodes = DerivedObjects(self.work_out, 1000.0)

    def work_out(self) -> list[KubeObject]:
        found = self.drained.items()
        return [Node(metadata=ObjectMeta(name=name), spec=NodeSpec(unschedulable=off)) for name, off in found]

    def versions(self) -> list[tuple[str, int]]:
        return [(one.metadata.name, int(one.metadata.resource_version)) for one in self.nodes.listed("")]


def test_what_has_not_changed_keeps_its_version() -> None:
    one = Cluster()
    first = one.versions()
    assert one.versions() == first
    one.drained["n2"] = True
    assert one.versions() == [first[0], ("n2", first[1][1] + 1)]


def test_who_watches_is_told_of_what_is_new_changed_and_gone() -> None:
    one = Cluster()
    one.nodes.refresh()
    begin = one.nodes.history.version
    one.drained = {"n1": True, "n3": False}
    one.nodes.refresh()
    told = [
        (change.old.metadata.name if change.old else "", change.new.metadata.name if change.new else "")
        for change in one.nodes.history.since(begin)
    ]
    assert told == [("n1", "n1"), ("", "n3"), ("n2", "")]


def test_versions_begin_above_those_of_a_controller_before() -> None:
    one = Cluster()
    one.nodes.refresh()
    assert 1_000_000 < one.nodes.history.version < 1_001_000
    assert not one.nodes.history.knows(999_999)
