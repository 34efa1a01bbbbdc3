"""Nodes as Kubernetes' objects: what they show, and what a patch of one asks for."""

from typing import Any

import pytest
from tests.builders import ROOT, cluster, nodes, partitions

from corral.controller import kubenodes
from corral.controller.api.kube import objects, patches, tables
from corral.controller.api.kube.nodes import changes
from corral.controller.api.kube.resources import NODE, Address
from corral.controller.api.kube.status import KubeError
from corral.model.partition import Partition
from corral.model.podplace import taint_of
from corral.protocol.requests import UpdateNodes

WHERE = Address(NODE, "", "n1")


def shown(**update: Any) -> dict[str, Any]:
    c = cluster(
        nodes("n[1-2]", cpus=8, gpus=2),
        **partitions(Partition(name="a", default=True), Partition(name="b", nodes="n1")),
    )
    if update:
        c.ask(UpdateNodes(nodes="n1", **update), ROOT)
    one = next((one for one in kubenodes.all_nodes(c.state) if one.metadata.name == "n1"), None)
    assert one is not None
    return objects.shown(NODE, one)


def test_it_shows_what_it_has_and_whether_it_takes_work() -> None:
    one = shown(state="drain", reason="disks", labels={"zone": "a"}, taints=(taint_of("gpu=yes:NoExecute"),))
    assert one["status"]["capacity"] == {
        "cpu": "8",
        "memory": one["status"]["capacity"]["memory"],
        "nvidia.com/gpu": "2",
    }
    assert one["spec"] == {"unschedulable": True, "taints": [{"key": "gpu", "value": "yes", "effect": "NoExecute"}]}
    assert one["metadata"]["labels"] | {"zone": "a", "partition.corral.dev/b": "true"} == one["metadata"]["labels"]
    assert one["status"]["conditions"][0]["status"] == "True"


def test_the_columns_are_kubectls() -> None:
    c = cluster(nodes("n[1-2]"))
    c.ask(UpdateNodes(nodes="n2", state="down", reason="x"), ROOT)
    table = tables.table(NODE, list(kubenodes.all_nodes(c.state)), c.now, "None", {})
    names = [one["name"] for one in table["columnDefinitions"]][:5]
    assert names == ["Name", "Status", "Roles", "Age", "Version"]
    assert [row["cells"][:3] for row in table["rows"]] == [["n1", "Ready", "batch"], ["n2", "NotReady", "batch"]]


def patched(given: dict[str, Any], **update: Any) -> list[UpdateNodes]:
    old = shown(**update)
    return changes(WHERE, old, patches.patched(WHERE, "strategic", old, given))


def test_labels_taints_and_cordon_become_updates() -> None:
    (one,) = patched({"metadata": {"labels": {"zone": "b", "disk": None}}}, labels={"disk": "ssd"})
    assert one.labels == {"zone": "b", "disk": None}
    (one,) = patched({"spec": {"taints": [{"key": "a", "effect": "NoSchedule"}]}})
    assert one.taints == (taint_of("a:NoSchedule"),)
    assert [one.state for one in patched({"spec": {"unschedulable": True}})] == ["drain"]
    assert [one.state for one in patched({"spec": {"unschedulable": None}}, state="drain", reason="x")] == ["undrain"]
    assert patched({"spec": {}}) == []


@pytest.mark.parametrize(
    "given",
    [
        {"status": {"capacity": {"cpu": "999"}}}, {"metadata": {"labels": {"kubernetes.io/hostname": "x"}}},
        {"metadata": {"labels": {"a b": "x"}}}, {"spec": {"taints": [{"key": "a", "effect": "Sometimes"}]}},
        {"spec": {"taints": [7]}}, {"spec": {"podCIDR": "10.0.0.0/8"}},
    ],
)  # fmt: skip
def test_nothing_else_of_a_node_can_be_changed(given: dict[str, Any]) -> None:
    with pytest.raises(KubeError) as found:
        patched(given)
    assert found.value.code == 422
