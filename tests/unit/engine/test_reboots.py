"""scontrol reboot: nodes boot when nothing runs on them, and come back, or do not."""

from typing import Any

import msgspec
import pytest
from tests.builders import ANN, ROOT, Cluster, cluster, job, node

from corral.model.cluster import Programs
from corral.model.job import JobState
from corral.model.trigger import TriggerResource
from corral.protocol import requests as rq
from corral.protocol.events import TriggerFired
from corral.protocol.orders import RebootNode
from corral.protocol.replies import Rejected
from corral.protocol.reports import NodeFailed


@pytest.fixture
def c() -> Cluster:
    boots: list[Any] = [node(name, cpus=4, boot_id="first") for name in ("n1", "n2")]
    return cluster(boots, programs=Programs(reboot="/sbin/reboot"))


def reboot(c: Cluster, nodes: str = "n1", by: rq.Caller = ROOT, **fields: Any) -> str:
    """What was wrong; "" = nothing."""
    reply = c.ask(rq.RebootNodes(nodes=nodes, **fields), by)
    return reply.error if isinstance(reply, Rejected) else ""


def told(c: Cluster) -> list[str]:
    return [order.node for order in c.orders(RebootNode)]


def come_back(c: Cluster, name: str = "n1") -> None:
    c.inventories[name] = msgspec.structs.replace(c.inventories[name], boot_id="second")
    c.register(instance="2")


def test_an_idle_node_boots_at_once_and_is_used_again_when_it_is_back(c: Cluster) -> None:
    assert reboot(c) == ""
    assert told(c) == ["n1"]
    assert c.node("n1").is_booting
    waiting = c.add(job(nodelist="n1"))
    assert c.cycle().job(waiting).is_pending
    come_back(c)
    assert c.node("n1").reboot is None
    assert c.cycle().job(waiting).state is JobState.RUNNING


def test_what_runs_comes_first_and_so_may_what_comes_later(c: Cluster) -> None:
    number = c.run(job(nodelist="n1"))
    reboot(c)
    assert told(c) == []
    later = c.run(job(nodelist="n1"))
    c.finish(number).clean(number, "n1")
    assert c.tick().node("n1").reboot is not None
    assert told(c) == []
    c.finish(later).clean(later, "n1")
    c.tick()
    assert told(c) == ["n1"]


def test_asap_takes_nothing_new(c: Cluster) -> None:
    c.run(job(nodelist="n1"))
    reboot(c, asap=True)
    later = c.add(job(nodelist="n1"))
    assert c.cycle().job(later).is_pending
    c.ask(rq.UpdateNodes(nodes="n1", state="cancel_reboot"), ROOT)
    assert c.node("n1").reboot is None
    assert c.cycle().job(later).state is JobState.RUNNING


def test_it_is_told_again_while_it_is_still_heard(c: Cluster) -> None:
    reboot(c)
    (first,) = c.orders(RebootNode)
    c.at(3).beat("n1", "n2")
    assert told(c) == []
    c.at(6).beat("n1", "n2")
    assert c.orders(RebootNode) == [first]


def test_an_agent_that_starts_again_has_not_booted_its_machine(c: Cluster) -> None:
    reboot(c)
    c.register(instance="2")
    assert c.node("n1").is_booting


def test_a_virtual_node_has_booted_when_its_agent_has_started_again() -> None:
    c = cluster([node("n1", virtual=True, agent_start_time=1.0)], programs=Programs(reboot="/bin/x"))
    reboot(c)
    c.inventories["n1"] = msgspec.structs.replace(c.inventories["n1"], agent_start_time=2.0)
    c.register(instance="2")
    assert c.node("n1").is_usable


def test_one_that_does_not_come_back_in_time_is_down_until_it_does(c: Cluster) -> None:
    reboot(c, reason="kernel")
    c.at(61)
    assert c.node("n1").down_reason == "kernel : reboot issued : reboot timed out"
    come_back(c)
    assert c.node("n1").is_usable


def test_after_it_a_node_is_as_it_was_or_as_it_was_said(c: Cluster) -> None:
    c.ask(rq.UpdateNodes(nodes="n[1-2]", state="drain", reason="bad"), ROOT)
    reboot(c, "n1")
    reboot(c, "n2", next_state="resume")
    come_back(c, "n1")
    come_back(c, "n2")
    assert [drain.reason for drain in c.node("n1").drains] == ["bad : reboot issued"]
    assert c.node("n2").is_usable
    reboot(c, "n2", next_state="down", reason="disk")
    c.inventories["n2"] = msgspec.structs.replace(c.inventories["n2"], boot_id="third")
    c.register(instance="3")
    assert c.node("n2").down_reason == "disk : reboot issued : reboot complete"


def test_a_program_that_fails_drains_the_node(c: Cluster) -> None:
    reboot(c)
    c.report(NodeFailed(agent="n1", node="n1", reason="RebootProgram failed: /sbin/reboot: Permission denied"))
    assert (c.node("n1").reboot, c.node("n1").drains[0].reason[:13]) == (None, "RebootProgram")


def test_what_is_refused(c: Cluster) -> None:
    assert reboot(c, by=ANN) == "Permission denied"
    assert reboot(c, "nosuch") == reboot(c, "n[") == "Invalid node name specified"
    reply = c.ask(rq.UpdateNodes(nodes="n1", state="cancel_reboot"), ROOT)
    assert isinstance(reply, Rejected)
    assert reply.error == "Invalid node state specified"
    assert reboot(cluster([node("n1")])) == "RebootProgram isn't defined"


def test_a_node_that_fails_takes_nothing_and_is_told_of(c: Cluster) -> None:
    c.ask(rq.SetTrigger(resource=TriggerResource.NODE, event="fail", program="/bin/p"), ROOT)
    c.ask(rq.UpdateNodes(nodes="n1", state="fail", reason="ECC"), ROOT)
    assert [event.words for event in c.events if isinstance(event, TriggerFired)] == [("n1",)]
    assert not c.node("n1").is_usable
    c.ask(rq.UpdateNodes(nodes="n1", state="resume"), ROOT)
    assert c.node("n1").is_usable
