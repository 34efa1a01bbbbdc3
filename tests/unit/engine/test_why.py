"""What does `corral why` say of the main cases?"""

from typing import Any

from tests import accounts
from tests.builders import ANN, BOB, OPERATOR, ROOT, Cluster, cluster, gpus, job, nodes

from corral.engine.explaining import inquiry
from corral.engine.explanation import explanation
from corral.engine.idle_nodes import explained, node_inquiry
from corral.engine.rivals import everybody
from corral.model.cluster import Accounting, Preemption, PriorityWeights
from corral.model.partition import Partition
from corral.protocol import requests as rq
from corral.protocol.explanations import Why, WhyNode


def why(live: Cluster, number: int, element: int | None = None, sees: Any = everybody) -> Why:
    return explanation(inquiry(live.engine.pending, live.job(number), element, live.now, sees))


def why_node(live: Cluster, name: str) -> WhyNode:
    return explained(node_inquiry(live.engine.pending, name, live.now, everybody))


def texts(answer: Why | WhyNode) -> list[str]:
    return [cause.text for cause in answer.causes]


def waiting(live: Cluster, *args: Any, **fields: Any) -> int:
    number = live.add(job(*args, **fields))
    live.cycle()
    return number


def test_each_demand_is_counted_by_itself_and_what_the_nodes_lack():
    live = cluster(nodes("n[1-4]", cpus=8, gpus=4, memory=8000), nodes("c[1-2]", cpus=8, memory=4000))
    live.run(job(cpus=8, nodelist="n1", gpus=gpus(1)))
    live.run(job(cpus=2, nodelist="n2", gpus=gpus(3)))
    live.ask(rq.UpdateNodes(nodes="n3", state="drain", reason="fan"), ROOT)
    number = waiting(live, cpus=4, gpus_per_node=gpus(2), memory_per_node_mb=6000, nodes=3)
    [place] = why(live, number).places
    assert (place.total, place.needed, place.fit, place.ever) == (6, 3, 1, 4)
    assert [(one.name, one.free, one.ever) for one in place.each] == [
        ("cpus", 5, 6),
        ("memory", 4, 4),
        ("gres/gpu", 3, 4),
    ]
    assert {(lack.kind, lack.nodes, lack.text) for lack in place.lacks} == {
        ("busy", "n1", "lack 4 CPUs (none is free)"),
        ("busy", "n2", "lack 2 GPUs (1 is free)"),
        ("state", "n3", "drained by root: fan"),
        ("never", "c[1-2]", "lack 5.9 GiB of memory, 2 GPUs"),
    }


def test_all_reasons_are_told_at_once():
    live = cluster(nodes("n1"), partition=(Partition(name="batch", default=True), Partition(name="off", state="DOWN")))
    first = live.run(job(cpus=4))
    number = live.add(job(hold=True, begin_time=live.now + 500, dependency=f"afterok:{first}", partition="off"))
    answer = why(live, number)
    assert [(cause.kind, cause.reason) for cause in answer.causes] == [
        ("held", "JobHeldUser"), ("dependency", "Dependency"), ("begin", "BeginTime"), ("partition", "PartitionDown"),
    ]  # fmt: skip
    assert answer.causes[1].awaited[0].state == "RUNNING"
    assert answer.causes[2].until == live.now + 500


def test_a_dependency_that_can_not_come_true_any_more_is_told_as_such():
    live = cluster(nodes("n1"))
    first = live.run(job())
    number = live.add(job(dependency=f"afterok:{first}"))
    live.finish(first, code=1).cycle()
    assert texts(why(live, number)) == [f"What it depends on can not come true any more: afterok:{first} (FAILED)."]


def limited() -> Cluster:
    live = cluster(nodes("n[1-2]", cpus=8), accounting=Accounting(enforce=("associations", "limits")))
    accounts.account(live, "chem", grp_tres={"cpu": 6})
    accounts.user(live, "ann", "chem", max_jobs=1)
    accounts.user(live, "bob", "chem")
    live.run(job(cpus=4), by=BOB)
    live.run(job(cpus=2))
    return live


def test_limits_are_told_with_their_value_and_who_uses_them_up():
    live = limited()
    answer = why(live, waiting(live, cpus=1))
    assert texts(answer)[:2] == [
        "MaxJobs=1 of user ann of account chem: 1 used (ann 1), 1 asked for.",
        "GrpTRES=cpu=6 of account chem: 6 used (bob 4, ann 2), 1 asked for.",
    ]


def test_who_may_not_see_others_is_told_how_much_they_have_only():
    live = limited()
    number = waiting(live, cpus=1)
    answer = why(live, number, sees=lambda one: one.owner.uid == ANN.uid)
    assert texts(answer)[1] == "GrpTRES=cpu=6 of account chem: 6 used (ann 2, others 4), 1 asked for."
    assert "bob" not in str(answer)


def test_those_ahead_stand_beside_it_with_their_terms():
    live = cluster(nodes("n1", cpus=4), priority=PriorityWeights(job_size=1000, age=100))
    live.run(job(cpus=4))
    large, small = live.add(job(cpus=4), by=BOB), live.add(job(cpus=1, nice=5))
    live.cycle()
    ahead = why(live, small).ahead
    assert ahead is not None
    assert (ahead.count, [row.job for row in ahead.first], ahead.own.job) == (1, [str(large)], str(small))
    assert ahead.first[0].terms == {"age": 0, "job_size": 1000}
    assert ahead.own.terms == {"age": 0, "job_size": 625, "nice": -5}


def test_a_shorter_time_that_fits_a_hole_is_suggested():
    live = cluster(nodes("n[1-2]", cpus=4))
    live.run(job(cpus=4, time=7200, nodelist="n1"))
    live.add(job(nodes=2, cpus=4, time=600))
    number = waiting(live, cpus=4, time=20_000)
    answer = why(live, number)
    [one] = answer.suggestions
    assert (one.change, one.now, one.nodes) == ("--time=1:55:00", True, "n2")
    assert "kept for them" in texts(answer)[0]
    [place] = answer.places
    assert {lack.kind for lack in place.lacks} == {"busy", "kept"}


def test_fewer_gpus_and_another_partition_are_suggested():
    live = cluster(
        nodes("n[1-2]", cpus=8, gpus=4), nodes("x1", cpus=8, gpus=8),
        partition=(Partition(name="batch", default=True, nodes="n[1-2]"), Partition(name="extra", nodes="x1")),
    )  # fmt: skip
    live.run(job(cpus=1, gpus_per_node=gpus(2), nodes=2, time=5000))
    number = waiting(live, cpus=1, gpus_per_node=gpus(4), nodes=1)
    found = {one.change: one for one in why(live, number).suggestions}
    assert found["--partition=extra"].nodes == "x1"
    assert found["--gpus-per-node=2"].now
    assert found["--gpus-per-node=2"].text == "with 2 GPUs a node instead of 4"


def test_what_it_waits_for_is_told():
    live = cluster(nodes("n[1-2]", cpus=4))
    live.run(job(cpus=4, time=300, nodelist="n1"), by=BOB)
    live.run(job(cpus=4, time=500, nodelist="n2"), by=BOB)
    planned = why(live, waiting(live, cpus=4, nodes=2)).planned
    assert planned is not None
    assert (planned.start, planned.nodes) == (live.now + 500, "n[1-2]")
    assert [(one.job, one.user, one.ends - live.now, one.nodes) for one in planned.awaits] == [
        ("2", "bob", 500, "n2"), ("1", "bob", 300, "n1"),
    ]  # fmt: skip


def test_beyond_the_jobs_that_are_planned_there_is_an_estimate():
    live = cluster(nodes("n1", cpus=4), scheduling={"backfill_max_jobs": 1})
    live.run(job(cpus=4, time=300))
    live.add(job(cpus=4, time=1000))
    number = waiting(live, cpus=4, time=1001)
    planned = why(live, number).planned
    assert planned is not None
    assert (planned.start, planned.is_firm) == (live.now + 1300, False)


def test_an_element_that_the_array_holds_back():
    live = cluster(nodes("n1", cpus=4))
    number = live.add(job(array="0-5%2"))
    live.cycle()
    answer = why(live, number, 4)
    assert answer.job == f"{number}_4"
    assert texts(answer) == ["2 elements of the array run, and it lets 2 run at once (ArrayTaskThrottle)."]


def test_a_component_of_a_heterogeneous_job():
    live = cluster(nodes("n1", cpus=4))
    live.run(job(cpus=2, time=500))
    specs = (job(cpus=1), job(cpus=4))
    live.ask(rq.SubmitJobs(jobs=tuple(rq.NewJob(spec=spec) for spec in specs), het=True))
    live.cycle()
    answer = why(live, 3)
    assert answer.job == "2+1"
    assert answer.places[0].fit == 0
    assert [cause.reason for cause in answer.causes] == ["Resources"]


def test_a_drained_node_says_by_whom_and_why():
    live = cluster(nodes("n[1-2]", cpus=4))
    live.ask(rq.UpdateNodes(nodes="n1", state="drain", reason="fan"), OPERATOR)
    answer = why_node(live, "n1")
    assert answer.state == "IDLE+DRAIN"
    assert texts(answer) == ["It is drained by olga: fan."]


def test_an_idle_node_that_nobody_asks_for():
    live = cluster(nodes("n[1-2]", cpus=4))
    assert texts(why_node(live, "n1")) == ["No job of its partitions waits."]


def test_cpus_that_are_left_over_without_memory():
    live = cluster(nodes("n1", cpus=8, memory=8000))
    live.run(job(cpus=2, memory_per_node_mb=7000))
    waiting(live, cpus=1, memory_per_node_mb=4000)
    answer = why_node(live, "n1")
    assert texts(answer)[1] == "1 waiting job lacks memory here (6 CPUs, 1000 MiB free)."
    assert answer.causes[0].kind == "planned"


def by_tier(**fields: Any) -> Cluster:
    return cluster(
        nodes("n1", cpus=4), preemption=Preemption(type="partition_prio", mode="REQUEUE"),
        partition=(Partition(name="lo", default=True, **fields), Partition(name="hi", priority_tier=10)),
    )  # fmt: skip


def test_whom_the_next_cycle_preempts_for_it_is_told():
    live = by_tier()
    live.run(job(cpus=4))
    number = live.add(job(cpus=2, partition="hi"))
    assert why(live, number).summary == "The next cycle makes room for it on n1: 1 job (1) must go."


def test_for_whom_others_make_room_is_told_when_they_are_gone():
    live = by_tier(grace_time=60)
    live.run(job(cpus=4))
    number = waiting(live, cpus=2, partition="hi")
    answer = why(live, number)
    [cause] = answer.causes
    assert (cause.kind, cause.text) == ("preempting", "Room is being made for it on n1: 1 job (1) must go first.")
    assert answer.planned is not None
    assert answer.planned.start == cause.until == live.now + 60


def test_elements_that_start_before_it_in_the_same_cycle_are_no_hindrance_to_saying_whom_it_preempts():
    live = by_tier()
    live.add(job(array="0-1", partition="hi"))
    number = live.add(job(array="0-1", partition="hi"))
    assert why(live, number).summary == "It can start now, on n1: the next cycle starts it."


def test_more_nodes_than_its_partition_has():
    live = cluster(nodes("n[1-2]", cpus=4))
    answer = why(live, waiting(live, nodes=5))
    [cause] = answer.causes
    assert (cause.kind, cause.reason) == ("nodes", str(live.reason(1)))
    assert cause.text == "Partition batch has 2 such nodes in all, and it needs 5."
    assert answer.suggestions[0].change == "--nodes=2"
