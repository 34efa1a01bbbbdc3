"""Nodes come, go, fail, and are drained; and what becomes of their jobs."""

import msgspec
import pytest
from tests.builders import ANN, OPERATOR, ROOT, Cluster, cluster, job, node, nodes, srun

from corral.model.cluster import GresConfig, NodeConfig
from corral.model.gres import GresDevice, GresRequest
from corral.model.job import JobKind, JobState
from corral.model.node import DrainOwner
from corral.model.reason import Reason
from corral.model.step import BATCH, EndCause, StepKey
from corral.protocol import reports as rp
from corral.protocol import requests as rq
from corral.protocol.orders import EndJob, LaunchStep, SendInventory, SignalTasks
from corral.protocol.replies import Done, Rejected


@pytest.fixture
def c() -> Cluster:
    return cluster(nodes("n[1-2]", cpus=4))


def silence(c: Cluster, *names: str) -> None:
    """Unheard from now on, and so long that it shows."""
    c.silent |= set(names)
    c.tick().at(c.now - 1000 + 31)


def test_a_node_that_registers_is_there(c: Cluster) -> None:
    assert c.node("n1").is_usable
    assert c.node("n1").agent == "agent"
    assert c.state.ledger.names == ["n1", "n2"]


def test_to_register_again_records_nothing_new(c: Cluster) -> None:
    before = len(c.events)
    c.register()
    assert len(c.events) == before


def test_a_configured_cluster_knows_only_its_nodes() -> None:
    from corral.model.cluster import NodeConfig

    c = cluster(nodes("n[1-3]", cpus=4), node=(NodeConfig(name="n[1-2]", cpus=2, features=("big",)),))
    assert sorted(c.state.nodes) == ["n1", "n2"]
    assert (c.node("n1").inventory.cpus, c.node("n1").inventory.features) == (2, ("big",))


def test_an_unheard_node_is_down(c: Cluster) -> None:
    silence(c, "n2")
    assert (c.node("n2").up, c.node("n2").down_reason) == (False, "Not responding")
    assert c.node("n1").is_usable
    assert list(c.where(c.run(job()))) == ["n1"]
    c.check()


def test_the_clock_goes_on_however_often_it_is_asked(c: Cluster) -> None:
    """`next_wake` is no moving target: a busy controller still notices a silent node."""
    heartbeat = c.engine.config.timeouts.heartbeat
    c.tick()
    for step in range(1, 10):
        assert c.engine.next_wake(c.now + step * heartbeat / 10) == c.now + heartbeat


def test_a_node_that_is_heard_again_is_back(c: Cluster) -> None:
    silence(c, "n2")
    c.silent.clear()
    c.beat("n2")
    assert c.node("n2").is_usable
    c.check()


def test_a_job_on_a_lost_node_is_requeued(c: Cluster) -> None:
    number = c.run(job(4, nodes=2))
    silence(c, "n2")
    assert (c.job(number).state, c.job(number).restarts) == (JobState.PENDING, 1)
    assert [o.node for o in c.orders(EndJob)] == ["n1"]
    c.check()


def test_or_it_fails_when_it_must_not_be(c: Cluster) -> None:
    number = c.run(job(4, nodes=2, requeue=False))
    silence(c, "n2")
    assert (c.job(number).state, c.reason(number), c.job(number).failed_node) == (
        JobState.NODE_FAIL, Reason.NODE_DOWN, "n2",
    )  # fmt: skip
    assert c.step(number).state is JobState.NODE_FAIL
    c.check()


def test_no_kill_lets_a_job_go_on_without_the_node(c: Cluster) -> None:
    number = c.run(job(4, nodes=2, no_kill=True))
    c.ask(rq.CreateStep(job=str(number), spec=srun(8)))
    c.ask(rq.CreateStep(job=str(number), spec=srun(1, nodelist="n2", overlap=True)))
    silence(c, "n2")
    assert c.job(number).state is JobState.RUNNING
    assert (c.step(number, 1).state, c.step(number, 1).cause) == (JobState.NODE_FAIL, EndCause.LOST)
    assert c.step(number, 0).state is JobState.RUNNING
    c.finish(number, step=0, node="n1").finish(number)
    assert c.job(number).state is JobState.COMPLETED
    c.check()


def test_no_kill_does_not_help_without_the_node_of_the_script(c: Cluster) -> None:
    number = c.run(job(4, nodes=2, no_kill=True, requeue=False))
    silence(c, "n1")
    assert c.job(number).state is JobState.NODE_FAIL


def test_a_node_that_returns_is_told_to_end_what_was_replaced(c: Cluster) -> None:
    number = c.run(job(4, nodelist="n2"))
    key = c.step(number).key
    silence(c, "n2")
    c.silent.clear()
    c.orders(EndJob)
    c.register("n2", steps=(rp.KnownStep("n2", key, False),))
    (order,) = c.orders(EndJob)
    assert (order.node, order.job, order.restart, order.kill_after) == ("n2", number, 0, 0.0)


def test_a_step_that_the_job_has_gone_on_without_is_ended_when_its_node_returns(c: Cluster) -> None:
    number = c.run(job(4, nodes=2, no_kill=True))
    c.ask(rq.CreateStep(job=str(number), spec=srun(1, nodelist="n2")))
    key = c.step(number, 0).key
    silence(c, "n2")
    c.silent.clear()
    c.orders(SignalTasks)
    c.register("n2", steps=(rp.KnownStep("n2", key, False),))
    (order,) = c.orders(SignalTasks)
    assert (order.node, order.step, order.kill_after) == ("n2", 0, 30.0)


def test_a_launch_that_its_agent_does_not_know_is_sent_again(c: Cluster) -> None:
    number = c.run(job())
    c.orders(LaunchStep)
    c.at(1).beat()
    assert not c.orders(LaunchStep)
    c.at(6).beat()
    (again,) = c.orders(LaunchStep)
    assert again.key == StepKey(c.job(number).id, BATCH, 0)
    c.at(12).beat(steps=(rp.KnownStep("n1", again.key, False),))
    assert not c.orders(LaunchStep)
    c.check()


def test_an_order_to_end_a_step_that_was_lost_is_said_again(c: Cluster) -> None:
    number = c.run(job())
    c.ask(rq.CreateStep(job=str(number), spec=srun()))
    c.ask(rq.SignalStep(job=c.job(number).id, step=0, kill=True))
    c.orders(SignalTasks)
    known = tuple(rp.KnownStep("n1", c.step(number, step).key, False) for step in (BATCH, 0))
    c.at(30).beat(steps=known)
    assert not c.orders(SignalTasks)
    c.at(61).beat(steps=known)
    assert [(o.step, o.kill_after) for o in c.orders(SignalTasks)] == [(0, 30.0)]


def test_an_agent_that_this_controller_has_not_seen_is_asked_what_it_has(c: Cluster) -> None:
    c.engine.ctx.agents.clear()
    c.beat()
    assert [o.node for o in c.orders(SendInventory)] == ["agent"]


def test_a_node_with_fewer_gpus_than_its_job_holds_gives_back_only_what_it_has() -> None:
    c = cluster(node("n1", gpus=8))
    number = c.run(job(gpus=8))
    c.inventories["n1"] = node("n1", gpus=4)
    c.register()
    c.finish(number)
    assert c.state.ledger.gres_column("gpu").tolist() == [4]
    c.check()


# -- drain, down, resume


def test_a_drained_node_finishes_what_it_runs(c: Cluster) -> None:
    number = c.run(job())
    assert c.ask(rq.UpdateNodes(nodes="n1", state="drain", reason="disk"), OPERATOR) == Done()
    assert c.job(number).state is JobState.RUNNING
    assert list(c.where(c.run(job()))) == ["n2"]
    c.finish(number)
    (drain,) = c.node("n1").drains
    assert (drain.owner, drain.reason, drain.by) == (DrainOwner.ADMIN, "disk", "olga")
    c.ask(rq.UpdateNodes(nodes="n1", state="resume"), OPERATOR)
    assert c.node("n1").is_usable
    c.check()


def test_a_drain_needs_a_reason(c: Cluster) -> None:
    reply = c.ask(rq.UpdateNodes(nodes="n1", state="drain"), OPERATOR)
    assert isinstance(reply, Rejected)
    assert "You must specify a reason when DRAINING a node" in reply.error


def test_a_node_set_down_loses_its_jobs_and_stays_down(c: Cluster) -> None:
    number = c.run(job(requeue=False, nodelist="n1"))
    c.ask(rq.UpdateNodes(nodes="n1", state="down", reason="fire"), OPERATOR)
    assert c.job(number).state is JobState.NODE_FAIL
    c.register()
    assert (c.node("n1").down_reason, c.node("n1").is_usable) == ("fire", False)
    c.ask(rq.UpdateNodes(nodes="n1", state="resume"), OPERATOR)
    assert c.node("n1").is_usable
    c.check()


def test_a_node_that_says_it_is_not_fit_is_drained_by_the_health_check(c: Cluster) -> None:
    c.report(rp.NodeFailed(agent="agent", node="n1", reason="Prolog error"))
    (drain,) = c.node("n1").drains
    assert (drain.owner, drain.reason) == (DrainOwner.HEALTH, "Prolog error")


def test_a_node_with_fewer_gpus_than_configured_is_drained_until_it_has_them() -> None:
    c = cluster(node("n1", gpus=3), node=(NodeConfig(name="n1", gres="gpu:v100:4"),))
    (drain,) = c.node("n1").drains
    assert drain.owner is DrainOwner.HEALTH
    assert drain.reason == "gres/gpu count reported lower than configured (3 < 4)"
    c.ask(rq.UpdateNodes(nodes="n1", state="resume"), OPERATOR)
    assert c.node("n1").is_usable
    c.register()
    assert not c.node("n1").is_usable
    c.inventories["n1"] = node("n1", gpus=4)
    c.ask(rq.UpdateNodes(nodes="n1", state="resume"), OPERATOR)
    assert c.register().node("n1").is_usable


def test_a_gpu_that_has_gone_is_named() -> None:
    c = cluster(node("n1", gpus=2))
    four = GresDevice(name="gpu", count=4, uuids=("GPU-a", "GPU-b", "GPU-c", "GPU-d"))
    c.inventories["n1"] = msgspec.structs.replace(node("n1"), gres=(four,))
    c.register()
    number = c.run(job(gpus=1))
    c.inventories["n1"] = msgspec.structs.replace(
        node("n1"), gres=(msgspec.structs.replace(four, count=3, uuids=("GPU-a", "GPU-b", "GPU-d")),)
    )
    c.register()
    (drain,) = c.node("n1").drains
    assert drain.reason.endswith("(3 < 4): GPU-c gone")
    assert c.job(number).state is JobState.RUNNING


def test_devices_that_the_operator_tells_of_are_given_out() -> None:
    table = GresConfig(name="fpga", nodes="n1", files=("/dev/fpga[0-1]",))
    c = cluster(*nodes("n[1-2]"), gres_types=("gpu", "fpga"), gres=(table,))
    number = c.run(job(gres=(GresRequest("fpga", "", 2),)))
    assert list(c.where(number)) == ["n1"]
    c.check()


def test_a_prolog_that_fails_sends_the_job_elsewhere(c: Cluster) -> None:
    number = c.run(job())
    c.report(rp.NodeFailed(agent="agent", node="n1", reason="Prolog error"))
    c.finish(number, 1, cause=EndCause.LAUNCH_FAILED, message="prolog failed")
    c.cycle()
    assert list(c.where(number)) == ["n2"]
    c.check()


def test_several_nodes_at_once_or_none(c: Cluster) -> None:
    assert c.ask(rq.UpdateNodes(nodes="n[1-2]", state="drain", reason="x"), OPERATOR) == Done()
    before = c.state.dump()
    assert isinstance(c.ask(rq.UpdateNodes(nodes="n[2-3]", state="resume"), OPERATOR), Rejected)
    assert c.state.dump() == before


def test_a_future_node_is_known_before_its_agent(c: Cluster) -> None:
    assert c.ask(rq.NewClusterNodes(nodes=(node("n3"),)), ROOT) == Done()
    assert not c.node("n3").is_usable
    c.inventories["n3"] = node("n3")
    assert c.register("n3").node("n3").is_usable
    c.check()


# -- a controller starts anew


def restarted(c: Cluster) -> Cluster:
    from corral.engine.engine import Engine
    from corral.engine.state import ClusterState

    c.engine = Engine(c.engine.config, ClusterState.load(c.state.dump()), c.engine.ctx.term + 1)
    c._take(c.engine.start(c.now))
    return c


def test_nothing_is_started_until_the_nodes_have_said_what_they_run(c: Cluster) -> None:
    c.add(job())
    restarted(c)
    assert not c.engine.wants_cycle
    c.register(instance="2")
    assert c.engine.wants_cycle


def test_nodes_that_say_nothing_are_not_waited_for_long(c: Cluster) -> None:
    c.add(job())
    restarted(c).at(1)
    assert not c.engine.wants_cycle
    assert c.engine.next_wake(c.now) == 1002
    assert c.at(2).engine.wants_cycle


def test_a_record_older_than_its_nodes_gives_no_id_again(c: Cluster) -> None:
    number = c.run(job())
    restarted(c).register(steps=(rp.KnownStep("n1", c.step(number).key, False),), instance="2", highest_job=number + 5)
    assert c.add(job()) == number + 6
    assert restarted(c).register(instance="3").add(job()) == number + 7


def test_a_job_with_the_id_of_a_forgotten_one_is_another_run_of_it(c: Cluster) -> None:
    """Else the node would take its launch for the one that it has behind it."""
    restarted(c)
    number = c.add(job())
    old = StepKey(number, BATCH, 0)
    c.register(steps=(rp.KnownStep("n1", old, False),), instance="2", highest_job=number)
    assert [order.job for order in c.orders(EndJob)] == [number]
    c.cycle()
    assert [order.key for order in c.orders(LaunchStep)] == [StepKey(number, BATCH, 1)]


def test_a_node_that_claims_an_id_beyond_all_is_not_believed(c: Cluster) -> None:
    number = c.add(job())
    c.register(highest_job=1 << 40)
    assert c.add(job()) == number + 1


def test_running_jobs_are_not_disturbed_by_a_new_controller(c: Cluster) -> None:
    number = c.run(job())
    key = c.step(number).key
    restarted(c).register(steps=(rp.KnownStep("n1", key, False),), instance="2")
    assert c.job(number).state is JobState.RUNNING
    assert not c.orders(EndJob)
    c.finish(number)
    assert c.job(number).state is JobState.COMPLETED


def test_a_launch_that_never_went_out_goes_out(c: Cluster) -> None:
    c.run(job())
    c.orders(LaunchStep)
    restarted(c).register(instance="2")
    (order,) = c.orders(LaunchStep)
    assert order.term == 2


def test_a_job_that_was_being_cleared_away_is_told_again(c: Cluster) -> None:
    c.cleans = False
    number = c.run(job())
    c.cancel(number)
    c.orders(EndJob)
    c.at(10)
    restarted(c).register(instance="2")
    (order,) = c.orders(EndJob)
    assert order.kill_after == 20.0
    c.clean(number)
    assert c.job(number).state is JobState.CANCELLED


def test_limits_and_dependencies_hold_after_a_restart(c: Cluster) -> None:
    first = c.run(job(time=100))
    second = c.add(job(dependency=f"afterany:{first}", begin_time=1200.0))
    held = c.add(job(hold=True))
    restarted(c).register(instance="2", steps=(rp.KnownStep("n1", c.step(first).key, False),))
    c.at(100).cycle()
    assert c.job(first).state is JobState.TIMEOUT
    assert c.reason(second) is Reason.BEGIN_TIME
    c.at(200).cycle()
    assert c.job(second).state is JobState.RUNNING
    assert c.reason(held) is Reason.HELD_USER


def test_why_jobs_wait_is_found_again(c: Cluster) -> None:
    c.submit(*(job(4, nodes=2) for _ in range(4))).cycle()
    before = [c.job(i) for i in (2, 3, 4)]
    restarted(c)
    assert [c.reason(i) for i in (2, 3, 4)] == [j.reason for j in before]
    c.cycle()
    assert [c.job(i) for i in (2, 3, 4)] == before


def test_the_record_is_in_the_states_own_words(c: Cluster) -> None:
    """Nothing of a job is lost on the way to the disk and back."""
    number = c.run(job(kind=JobKind.SRUN, ntasks=2, step=srun(2, gres=())))
    state = msgspec.msgpack.decode(c.state.dump())
    assert [entry["id"] for entry in state["jobs"]] == [number]
    c.check()


def test_a_node_is_taken_out_for_good_and_comes_again_as_a_new_one(c: Cluster) -> None:
    c.ask(rq.UpdateNodes(nodes="n1", state="drain", reason="old"), OPERATOR)
    silence(c, "n1")
    assert isinstance(c.ask(rq.DeleteNodes(nodes="n1"), OPERATOR), Done)
    assert list(c.state.nodes) == c.state.ledger.names == ["n2"]
    first, second = c.add(job(cpus=4)), c.add(job(cpus=4))
    c.cycle()
    assert (c.where(first), c.states(second)) == ({"n2": 1}, ["PENDING"])
    c.silent.clear()
    c.register()
    assert c.node("n1").drains == ()
    c.cycle()
    assert c.where(second) == {"n1": 1}
    c.check()


@pytest.mark.parametrize(
    ("names", "by", "error", "detail"),
    [
        ("n1", ANN, "Invalid user id", ""),
        ("n[2-3]", OPERATOR, "Invalid node name specified", ""),
        ("", OPERATOR, "Invalid node name specified", ""),
        ("n[1", OPERATOR, "Invalid node name specified", ""),
        ("n[1-2]", OPERATOR, "Requested nodes are busy", "the agent of n1 answers: end it first"),
    ],
)
def test_nodes_that_are_not_taken_out(c: Cluster, names: str, by: rq.Caller, error: str, detail: str) -> None:
    refusal = c.ask(rq.DeleteNodes(nodes=names), by)
    assert isinstance(refusal, Rejected)
    assert refusal.error == error
    assert detail in refusal.detail
    assert c.state.ledger.names == ["n1", "n2"]


def test_a_node_with_jobs_is_not_taken_out(c: Cluster) -> None:
    c.run(job(4))
    c.engine.ctx.agents.clear()
    refusal = c.ask(rq.DeleteNodes(nodes="n[1-2]"), OPERATOR)
    assert isinstance(refusal, Rejected)
    assert (refusal.error, refusal.detail) == ("Requested nodes are busy", "n1 has jobs")


def test_a_reserved_node_is_not_taken_out(c: Cluster) -> None:
    found = rq.ReservationFields(start_time=c.now, duration=3600, users=rq.Names(names=("ann",)), nodes="n1")
    reserved = rq.CreateReservation(name="r", fields=found)
    assert not isinstance(c.ask(reserved, ROOT), Rejected)
    c.engine.ctx.agents.clear()
    refusal = c.ask(rq.DeleteNodes(nodes="n1"), OPERATOR)
    assert isinstance(refusal, Rejected)
    assert refusal.detail == "n1 is reserved (r)"


def test_agents_without_nodes_are_not_waited_for(c: Cluster) -> None:
    c.engine.ctx.awaited = {"agent"}
    c.engine.ctx.agents.clear()
    c.ask(rq.DeleteNodes(nodes="n[1-2]"), OPERATOR)
    assert not c.engine.ctx.awaited
