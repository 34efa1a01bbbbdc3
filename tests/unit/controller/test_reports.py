"""What became of all that the cluster had?"""

from corral.controller.api.reports import Span, cluster_time
from corral.controller.nodetimes import NodeTimes
from corral.model.node import Drain, DrainOwner, Node, NodeInventory
from corral.protocol.events import NodeChanged, NodeRemoved
from corral.store.rollup import HOUR, PLANNED, NodeChange, add_run
from corral.store.rows import Run

DAY = Span(24 * HOUR, 48 * HOUR)
START = float(DAY.since)


def test_time_is_in_use_down_waited_for_or_idle() -> None:
    changes = [
        NodeChange("n1", 0.0, "up", "cpu=4,mem=1000M"),
        NodeChange("n1", START + 12 * HOUR, "down", "cpu=4,mem=1000M"),
        NodeChange("n2", START + 20 * HOUR, "up", "cpu=2"),
        NodeChange("n2", START + 22 * HOUR, "gone", ""),
    ]
    used = {("a", "ann", "", "cpu"): 8.0 * HOUR}
    by_hour = {
        (DAY.since, "cpu"): 4.0 * HOUR,
        (DAY.since, PLANNED): 3.0 * HOUR,
        (DAY.since + HOUR, PLANNED): 6.0 * HOUR,
    }
    found = cluster_time(changes, used, by_hour, DAY, float(DAY.until))
    cpu = {name: value / HOUR for name, value in found["cpu"].items() if name != "count"}
    assert (cpu["total"], cpu["down"], cpu["allocated"]) == (4 * 24 + 2 * 2, 4 * 12, 8)
    assert (cpu["planned"], cpu["over"]) == (4, 3 + 2)  # in the first hour nothing was idle, in the second four CPUs
    assert cpu["idle"] == cpu["total"] - cpu["down"] - cpu["allocated"] - cpu["planned"]
    assert found["cpu"]["count"] == 4
    assert found["mem"]["total"] == 1000.0 * 24 * HOUR


def test_a_long_wait_is_looked_at_within_the_window_alone() -> None:
    usage: dict = {}
    add_run(usage, Run(job=1, eligible=1.0, req_cpus=2), 1e9, (START, START + 2 * HOUR))
    assert sum(usage.values()) == 4 * HOUR
    assert len(usage) == 2


def node(cpus: int = 4, **fields: object) -> Node:
    return Node(inventory=NodeInventory(name="n1", cpus=cpus, memory_mb=100), up=True, **fields)  # type: ignore[arg-type]


def test_a_change_is_noted_when_something_has_changed() -> None:
    times = NodeTimes([])
    first = times.seen(NodeChanged(time=5.0, node=node()))
    assert first is not None
    assert (first.time, first.kind) == (5.0, "up")
    assert times.seen(NodeChanged(time=6.0, node=node(load=3.0))) is None
    drained = node(drains=(Drain(owner=DrainOwner.ADMIN, reason="x", since=7.0),))
    assert times.seen(NodeChanged(time=7.0, node=drained)).kind == "down"  # type: ignore[union-attr]
    back = times.seen(NodeChanged(time=3.0, node=node()))  # the clock was set back
    assert back is not None
    assert back.time > 7.0
    assert times.seen(NodeRemoved(time=9.0, name="n1")).kind == "gone"  # type: ignore[union-attr]
    assert times.seen(NodeRemoved(time=9.0, name="n9")) is None
