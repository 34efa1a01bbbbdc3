"""Triggers: which programs are to be run when something happens."""

import pytest
from tests.builders import ANN, BOB, ROOT, Cluster, cluster, job, nodes

from corral.engine.engine import Engine
from corral.engine.state import ClusterState
from corral.model.trigger import TriggerResource
from corral.protocol import requests as rq
from corral.protocol.events import TriggerFired
from corral.protocol.replies import Done, Rejected


@pytest.fixture
def c() -> Cluster:
    return cluster(nodes("n[1-3]", cpus=4))


def set_trigger(c: Cluster, event: str, target: object = "", by: rq.Caller = ROOT, **fields: object) -> str:
    """What was wrong; "" = nothing."""
    resource = TriggerResource.JOB if isinstance(target, int) else TriggerResource.NODE
    resource = TriggerResource(fields.pop("resource", resource))
    request = rq.SetTrigger(resource=resource, event=event, target=str(target), program="/bin/p", **fields)  # type: ignore[arg-type]
    reply = c.ask(request, by)
    return reply.error if isinstance(reply, Rejected) else ""


def fired(c: Cluster) -> list[tuple[str, ...]]:
    return [event.words for event in c.events if isinstance(event, TriggerFired)]


def test_the_end_of_a_job(c: Cluster) -> None:
    number = c.run(job())
    assert set_trigger(c, "fini", number, ANN) == ""
    c.finish(number)
    assert fired(c) == [(str(number),)]
    assert c.state.triggers == {}


def test_the_end_of_a_waiting_one_and_some_time_after(c: Cluster) -> None:
    number = c.add(job(hold=True))
    set_trigger(c, "fini", number, offset=60)
    c.cancel(number)
    assert c.at(59).state.triggers
    assert fired(c) == []
    c.at(61)
    assert fired(c) == [(str(number),)]


def test_before_the_time_limit(c: Cluster) -> None:
    number = c.run(job(time=1000))
    set_trigger(c, "time", number, offset=-300)
    c.at(699)
    assert fired(c) == []
    c.at(701)
    assert fired(c) == [(str(number),)]


def test_a_job_that_ends_before_its_limit_has_nothing_to_tell(c: Cluster) -> None:
    number = c.run(job(time=1000))
    set_trigger(c, "time", number)
    c.finish(number)
    assert (fired(c), c.state.triggers) == ([], {})


def test_the_whole_array(c: Cluster) -> None:
    array = c.add(job(array="1-2"))
    set_trigger(c, "fini", array)
    c.cycle().finish(c.element(array, 1).id)
    assert fired(c) == []
    c.finish(c.element(array, 2).id)
    assert fired(c) == [(str(array),)]


def test_nodes_go_and_come_back(c: Cluster) -> None:
    set_trigger(c, "down", permanent=True)
    set_trigger(c, "up", "n[1-2]")
    set_trigger(c, "down", "n3")
    c.ask(rq.UpdateNodes(nodes="n1", state="down", reason="x"), ROOT)
    assert fired(c) == [("n1",)]
    c.ask(rq.UpdateNodes(nodes="n1", state="resume"), ROOT)
    c.ask(rq.UpdateNodes(nodes="n2", state="down", reason="x"), ROOT)
    assert fired(c) == [("n1",), ("n1",), ("n2",)]
    assert [trigger.event for trigger in c.state.triggers.values()] == ["down", "down"]


def test_the_nodes_of_a_job(c: Cluster) -> None:
    number = c.run(job(nodelist="n2"))
    set_trigger(c, "down", number)
    c.ask(rq.UpdateNodes(nodes="n1", state="down", reason="x"), ROOT)
    assert fired(c) == []


def test_drained_is_when_nothing_runs_there_any_more(c: Cluster) -> None:
    number = c.run(job(nodelist="n2"))
    set_trigger(c, "drained")
    c.at(1).ask(rq.UpdateNodes(nodes="n2", state="drain", reason="x"), ROOT)
    c.at(6)
    assert fired(c) == []
    c.finish(number).at(11)
    assert fired(c) == [("n2",)]
    assert c.at(20).state.triggers == {}


def test_idle_for_some_time(c: Cluster) -> None:
    c.run(job(nodelist="n2"))
    set_trigger(c, "idle", offset=100, permanent=True)
    c.at(1).at(99)
    assert fired(c) == []
    c.at(102).at(110)
    assert fired(c) == [("n[1,3]",)]


def test_a_new_controller_does_not_tell_again_of_nodes_that_have_been_idle_all_the_time(c: Cluster) -> None:
    set_trigger(c, "idle", permanent=True)
    c.at(1)
    assert fired(c) == [("n[1-3]",)]
    c.engine = Engine(c.engine.config, ClusterState.load(c.state.dump()), c.engine.ctx.term + 1)
    c.at(2)
    assert fired(c) == [("n[1-3]",)]
    number = c.run(job(4, nodelist="n2"))
    c.at(3).finish(number)
    c.at(4)
    assert fired(c) == [("n[1-3]",), ("n2",)]


def test_the_controller_begins_again_or_reads_its_configuration(c: Cluster) -> None:
    set_trigger(c, "primary_slurmctld_resumed_operation", resource="slurmctld")
    set_trigger(c, "reconfig")
    loaded = ClusterState.load(c.state.dump())
    assert loaded.triggers == c.state.triggers
    effects = c.engine.start(c.now)
    assert [event.trigger.event for event in effects.records if isinstance(event, TriggerFired)] == [
        "primary_slurmctld_resumed_operation"
    ]
    effects.records.clear()
    c.engine.configure(c.engine.config, c.now, effects)
    assert [event.words for event in effects.records if isinstance(event, TriggerFired)] == [()]


def test_what_is_refused(c: Cluster) -> None:
    number = c.run(job())
    assert set_trigger(c, "fini", 99) == "Invalid job id specified"
    assert set_trigger(c, "fini", number, BOB) == "Access/permission denied"
    assert set_trigger(c, "down", "n9") == "Invalid node name specified"
    assert set_trigger(c, "nosuch") == "Requested operation not supported on this system"
    assert set_trigger(c, "down") == ""
    assert set_trigger(c, "down") == "Duplicate event trigger"
    assert set_trigger(c, "down", by=ANN) == ""


def test_clearing(c: Cluster) -> None:
    number = c.run(job())
    set_trigger(c, "fini", number, ANN)
    set_trigger(c, "down")
    reply = c.ask(rq.ClearTriggers(id=2), ANN)
    assert isinstance(reply, Rejected)
    assert reply.error == "Access/permission denied"
    assert c.ask(rq.ClearTriggers(job=str(number)), ANN) == Done()
    reply = c.ask(rq.ClearTriggers(id=1), ANN)
    assert isinstance(reply, Rejected)
    assert reply.error == "No such process"
    assert c.ask(rq.ClearTriggers(user="root"), ROOT) == Done()
    assert c.state.triggers == {}
