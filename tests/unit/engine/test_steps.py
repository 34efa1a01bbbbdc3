"""Steps inside an allocation: their share of it, the places of their tasks, their end."""

from typing import Any

import pytest
from tests.builders import BOB, OPERATOR, Cluster, cluster, gpus, job, nodes, srun

from corral.controller.runs import step_run_of
from corral.model.job import UNLIMITED, JobKind, JobState, StepSpec
from corral.model.step import EndCause
from corral.model.usage import Amount, of_task
from corral.protocol import requests as rq
from corral.protocol.orders import LaunchStep, SignalTasks
from corral.protocol.replies import Rejected, StepCreated


@pytest.fixture
def c() -> Cluster:
    """A running job of two nodes, 4 CPUs and 4 GPUs each."""
    c = cluster(nodes("n[1-2]", cpus=4, gpus=4))
    c.run(job(ntasks=8, nodes=2, gres=gpus(4)))
    return c


def make(c: Cluster, spec: StepSpec, job: int = 1) -> Any:
    reply = c.ask(rq.CreateStep(job=str(job), spec=spec))
    return reply.step if isinstance(reply, StepCreated) else reply


def ranks(step: Any) -> dict[str, list[int]]:
    return {node.share.node: [place.rank for place in node.tasks] for node in step.nodes}


def test_a_step_takes_the_whole_allocation(c: Cluster) -> None:
    step = make(c, srun(8))
    assert ranks(step) == {"n1": [0, 1, 2, 3], "n2": [4, 5, 6, 7]}
    assert [len(node.share.cpus) for node in step.nodes] == [4, 4]
    assert sorted((o.node, o.tasks_per_node) for o in c.orders(LaunchStep)[-2:]) == [("n1", (4, 4)), ("n2", (4, 4))]


def test_steps_are_numbered(c: Cluster) -> None:
    assert [make(c, srun(1, exact=True, gres=())).key.step for _ in range(3)] == [0, 1, 2]
    c.check()


@pytest.mark.parametrize(
    ("distribution", "places"),
    [
        ("", {"n1": [0, 1, 2], "n2": [3, 4, 5]}),
        ("block", {"n1": [0, 1, 2], "n2": [3, 4, 5]}),
        ("pack", {"n1": [0, 1, 2, 3], "n2": [4, 5]}),
        ("cyclic", {"n1": [0, 2, 4], "n2": [1, 3, 5]}),
        ("plane=2", {"n1": [0, 1, 4, 5], "n2": [2, 3]}),
    ],
)
def test_where_the_ranks_go(c: Cluster, distribution: str, places: dict[str, list[int]]) -> None:
    assert ranks(make(c, srun(6, distribution=distribution))) == places
    c.check()


def test_each_node_has_a_task(c: Cluster) -> None:
    assert ranks(make(c, srun(3))) == {"n1": [0, 1], "n2": [2]}


def test_exact_steps_run_side_by_side_on_their_own_cpus(c: Cluster) -> None:
    one, two = (
        make(c, srun(4, exact=True, nodes_min=1, nodes_max=1)),
        make(c, srun(4, exact=True, nodes_min=1, nodes_max=1)),
    )
    assert [list(ranks(step)) for step in (one, two)] == [["n1"], ["n2"]]
    assert isinstance(make(c, srun(1, exact=True)), Rejected)
    c.check()


def test_a_step_without_exact_waits_until_its_nodes_are_free(c: Cluster) -> None:
    make(c, srun(2))
    refused = make(c, srun(2))
    assert (refused.code, refused.error) == ("busy", "Requested nodes are busy")
    c.finish(1, step=0)
    assert ranks(make(c, srun(2))) == {"n1": [0], "n2": [1]}


def test_overlap_shares_with_all(c: Cluster) -> None:
    make(c, srun(8))
    assert ranks(make(c, srun(8, overlap=True))) == {"n1": [0, 1, 2, 3], "n2": [4, 5, 6, 7]}
    c.check()


def test_too_many_tasks_never_fit(c: Cluster) -> None:
    refused = make(c, srun(9))
    assert (refused.code, refused.error) == ("invalid", "More processors requested than permitted")


def test_a_node_with_too_few_cpus_for_a_task_has_one_if_there_are_enough_in_all() -> None:
    c = cluster([*nodes("n1", cpus=7), *nodes("n2", cpus=1)])
    c.run(job(ntasks=8, nodes=2))
    assert ranks(make(c, srun(4, cpus_per_task=2, exact=True))) == {"n1": [0, 1, 2], "n2": [3]}
    c.finish(1, step=0)
    assert ranks(make(c, srun(2, nodes_min=2, cpus_per_task=2, exact=True))) == {"n1": [0], "n2": [1]}
    c.finish(1, step=1)
    assert make(c, srun(5, cpus_per_task=2)).error == "More processors requested than permitted"
    c.check()


def test_gpus_of_a_job_without_any_are_refused() -> None:
    c = cluster(nodes("n1", cpus=4, gpus=4))
    c.run(job(ntasks=2))
    refused = make(c, srun(2, gpus_per_task=gpus(1)))
    assert (refused.code, refused.detail) == ("invalid", "Step requested GRES but job doesn't have GRES")


def test_unless_they_share_cpus(c: Cluster) -> None:
    assert ranks(make(c, srun(10, overcommit=True))) == {"n1": [0, 1, 2, 3, 4], "n2": [5, 6, 7, 8, 9]}


def test_named_nodes(c: Cluster) -> None:
    assert list(ranks(make(c, srun(1, nodelist="n2")))) == ["n2"]
    assert make(c, srun(1, nodelist="n3")).error == "Requested node configuration is not available"


def test_counted_from_the_first_node(c: Cluster) -> None:
    assert list(ranks(make(c, srun(1, relative=1)))) == ["n2"]


def test_more_nodes_than_there_are(c: Cluster) -> None:
    refused = make(c, srun(3, nodes_min=3))
    assert refused.detail == "Only allocated 2 nodes asked for 3"


def test_gpus_of_each_task(c: Cluster) -> None:
    step = make(c, srun(4, gpus_per_task=gpus(2), exact=True))
    assert [[place.gpus for place in node.tasks] for node in step.nodes] == [[(0, 1), (2, 3)], [(0, 1), (2, 3)]]
    c.check()


def test_two_steps_have_different_gpus(c: Cluster) -> None:
    one = make(c, srun(1, gres=gpus(2), exact=True, nodelist="n1"))
    two = make(c, srun(1, gres=gpus(2), exact=True, nodelist="n1"))
    assert [step.nodes[0].share.gres[0].indices for step in (one, two)] == [(0, 1), (2, 3)]
    assert make(c, srun(1, gres=gpus(1), exact=True, nodelist="n1")).code == "busy"
    c.check()


def test_gpus_of_a_step_count_over_its_nodes() -> None:
    c = cluster(nodes("n[1-3]", cpus=4, gpus=4))
    number = c.run(job(ntasks=3, nodes=3, gres=gpus(2)))
    step = make(c, srun(3, gpus=gpus(4)), number)
    assert [[list(held.indices) for held in node.share.gres] for node in step.nodes] == [[[0, 1]], [[0]], [[0]]]
    assert make(c, srun(1, gpus=gpus(1), exact=True, nodelist="n1"), number).code == "busy"
    c.check()


def test_more_gpus_than_the_nodes_of_the_step_have(c: Cluster) -> None:
    assert make(c, srun(2, gpus=gpus(9), nodes_min=2)).error == "Invalid generic resource (gres) specification"


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        ({"gpus": gpus(1), "gpus_per_node": gpus(2)}, [2, 2]),
        ({"gpus": gpus(4), "gpus_per_task": gpus(1)}, [1, 1]),
        ({"gpus_per_task": gpus(1), "gpus_per_node": gpus(2)}, [2, 2]),
        ({"gres": gpus(1), "gpus_per_node": gpus(2)}, [2, 2]),
        ({"gres": gpus(3), "gpus_per_node": gpus(2)}, [3, 3]),
    ],
)
def test_of_several_counts_of_gpus_one_holds(c: Cluster, asked: dict[str, Any], given: list[int]) -> None:
    step = make(c, srun(2, nodes_min=2, **asked))
    assert [sum(len(held.indices) for held in node.share.gres) for node in step.nodes] == given


@pytest.mark.parametrize("more", [{}, {"gres": gpus(2)}, {"gres": (), "memory_per_node_mb": 500}])
def test_steps_of_one_node_go_where_gpus_and_memory_are_free(more: dict[str, Any]) -> None:
    c = cluster(nodes("n[1-2]", cpus=4, memory=1000, gpus=4))
    number = c.run(job(ntasks=8, nodes=2, gres=gpus(2), memory_per_node_mb=500))
    steps = [make(c, srun(1, exact=True, nodes_min=1, nodes_max=1, **more), number) for _ in range(2)]
    assert [step.node_names for step in steps] == [("n1",), ("n2",)]


def test_no_gpus(c: Cluster) -> None:
    assert make(c, srun(1, gres=(), nodelist="n1")).nodes[0].share.gres == ()


def test_steps_of_an_exclusive_job_have_the_gpus_that_they_ask_for() -> None:
    c = cluster(nodes("n1", cpus=4, gpus=4))
    c.run(job(ntasks=1, exclusive=True))
    assert make(c, srun(1, exact=True)).nodes[0].share.gres == ()
    assert make(c, srun(1, exact=True, gres=gpus(2))).nodes[0].share.gres[0].indices == (0, 1)


def test_more_gpus_than_the_job_has(c: Cluster) -> None:
    refused = make(c, srun(1, gres=gpus(5)))
    assert refused.error == "Invalid generic resource (gres) specification"


def test_memory_is_shared_out() -> None:
    c = cluster(nodes("n1", cpus=4, memory=1000))
    number = c.run(job(ntasks=4, memory_per_node_mb=800))
    one = make(c, srun(1, exact=True, memory_per_node_mb=500), number)
    assert one.nodes[0].share.memory_mb == 500
    assert make(c, srun(1, exact=True, memory_per_node_mb=500), number).code == "busy"
    assert make(c, srun(1, exact=True, memory_per_node_mb=900), number).code == "invalid"


def test_a_step_that_fails_does_not_end_a_batch_job(c: Cluster) -> None:
    make(c, srun(2))
    c.finish(1, 7, step=0)
    assert c.step(1, 0).state is JobState.FAILED
    assert c.job(1).state is JobState.RUNNING
    c.finish(1)
    assert (c.job(1).state, str(c.job(1).exit_status), str(c.job(1).derived_exit_status)) == (
        JobState.COMPLETED, "0:0", "7:0",
    )  # fmt: skip
    c.check()


def test_the_highest_exit_code_counts(c: Cluster) -> None:
    make(c, srun(2))
    c.finish(1, 3, step=0, node="n1").finish(1, 2, step=0, node="n2")
    assert str(c.step(1, 0).exit_status) == "3:0"


def test_usage_is_summed_up(c: Cluster) -> None:
    make(c, srun(2))
    for name, rank, cpu, mem in (("n1", 0, 1000, 30), ("n2", 1, 2000, 20)):
        c.finish(1, step=0, node=name, used=of_task(rank, cpu, 7, (cpu, mem)))
    used = c.step(1, 0).used
    assert (used.tasks, used.user_us, used.system_us) == (2, 3000, 14)
    assert used.of("cpu") == Amount(3000, most=2000, most_rank=1, least=1000, least_rank=0)
    assert used.of("mem") == Amount(50, most=30, most_rank=0, least=20, least_rank=1)


def test_a_step_is_cancelled_by_itself(c: Cluster) -> None:
    make(c, srun(2))
    c.cancel("1.0")
    assert sorted(o.node for o in c.orders(SignalTasks)) == ["n1", "n2"]
    c.finish(1, signal=15, step=0, cause=EndCause.CANCELLED)
    assert c.step(1, 0).state is JobState.CANCELLED
    assert c.job(1).state is JobState.RUNNING
    c.check()


def test_the_accounting_says_who_cancelled_a_step_and_not_that_its_own_srun_ended_it(c: Cluster) -> None:
    for _ in range(2):
        make(c, srun(1, exact=True))
    c.cancel("1.0")
    c.ask(rq.SignalStep(job=1, step=1, kill=True))
    assert [step_run_of(c.step(1, i), None).cancelled_by for i in (0, 1)] == [1000, None]


def test_the_batch_step_too(c: Cluster) -> None:
    c.cancel("1.batch")
    (order,) = c.orders(SignalTasks)
    assert (order.step, order.batch_too) == (-5, True)


def test_steps_of_jobs_that_do_not_run(c: Cluster) -> None:
    waiting = c.add(job(hold=True))
    assert isinstance(make(c, srun(), waiting), Rejected)
    assert make(c, srun(), 77).code == "not_found"
    c.finish(1)
    assert make(c, srun()).error == "Job/step already completing or completed"


def test_steps_of_an_array_element() -> None:
    c = cluster(nodes("n1"))
    c.submit(job(2, array="3-4")).cycle()
    reply = c.ask(rq.CreateStep(job="1_4", spec=srun()))
    assert isinstance(reply, StepCreated)
    assert reply.step.key.job == c.element(1, 4).id


def test_many_steps_one_after_another() -> None:
    c = cluster(nodes("n1"))
    number = c.run(job(kind=JobKind.SALLOC))
    for step in range(20):
        assert make(c, srun(), number).key.step == step
        c.finish(number, step=step)
    c.ask(rq.CompleteJob(job=c.job(number).id))
    assert c.job(number).state is JobState.COMPLETED
    c.check()


def test_an_srun_that_asks_is_told_what_the_cluster_wants_run_beside_its_step() -> None:
    from corral.engine.steps import asked_for_programs
    from corral.model.cluster import ClusterConfig, Programs

    class Context:
        config = ClusterConfig(programs=Programs(srun_prolog="/before"))

    told = asked_for_programs(Context(), StepSpec(asks_programs=True))  # type: ignore[arg-type]
    assert told is not None
    assert (told.code, told.detail) == ("srun_programs", "/before\n")
    assert asked_for_programs(Context(), StepSpec()) is None  # type: ignore[arg-type]
    Context.config = ClusterConfig()
    assert asked_for_programs(Context(), StepSpec(asks_programs=True)) is None  # type: ignore[arg-type]


@pytest.fixture
def long() -> Cluster:
    c = cluster(nodes("n[1-2]", cpus=4, gpus=4))
    c.run(job(ntasks=8, nodes=2, time=100_000))
    return c


def later(c: Cluster, seconds: float) -> None:
    c.at(c.now - 1000 + seconds)


def limited(c: Cluster, **fields: Any) -> Any:
    return make(c, srun(1, exact=True, gres=(), **fields))


def test_a_steps_own_limit_ends_the_step_and_not_the_job(long: Cluster) -> None:
    c = long
    step = limited(c, time_limit=60)
    other = limited(c)
    later(c, 59)
    assert not c.orders(SignalTasks)
    later(c, 2)
    assert [(o.step, o.reason, o.signal) for o in c.orders(SignalTasks)] == [(step.key.step, "time_limit", 15)]
    c.finish(1, step=step.key.step, signal=15, cause=EndCause.CANCELLED)
    assert c.state.steps_of(1)[step.key.step].state is JobState.TIMEOUT
    assert step_run_of(c.state.steps_of(1)[step.key.step], None).cancelled_by is None
    assert c.state.steps_of(1)[other.key.step].state is c.job(1).state is JobState.RUNNING
    c.check()


def test_a_suspended_job_does_not_use_up_the_limits_of_its_steps(long: Cluster) -> None:
    c = long
    limited(c, time_limit=60)
    c.ask(rq.SuspendJobs(ids=("1",)), OPERATOR)
    later(c, 1000)
    c.ask(rq.ResumeJobs(ids=("1",)), OPERATOR)
    later(c, 59)
    assert not c.orders(SignalTasks)
    later(c, 62)
    assert c.orders(SignalTasks)


def test_the_limit_of_a_step_can_be_changed(long: Cluster) -> None:
    c = long
    step = limited(c, time_limit=60)

    def limit() -> int | None:
        return c.state.steps_of(1)[step.key.step].spec.time_limit

    for text, seconds in (("+3", 240), ("-1", 180), ("-5", 60), ("5", 300), ("UNLIMITED", UNLIMITED), ("2", 120)):
        c.ask(rq.UpdateStep(id=f"1.{step.key.step}", time_limit=text))
        assert limit() == seconds
    assert limit() == 120
    assert c.ask(rq.UpdateStep(id="1.7", time_limit="1")).error == "Invalid job id specified"
    assert c.ask(rq.UpdateStep(id="1+1.0", time_limit="1")).error == "Invalid job id specified"
    assert c.ask(rq.UpdateStep(id="1", time_limit="x")).error == "Invalid TimeLimit value"
    assert c.ask(rq.UpdateStep(id="1", time_limit="3"), BOB).error == "Invalid user id"
    c.ask(rq.UpdateStep(id="1", time_limit="3"))
    assert {one.spec.time_limit for one in c.state.live_steps_of(1)} == {180}
    later(c, 121)
    assert not c.orders(SignalTasks)
    later(c, 60)
    assert c.orders(SignalTasks)
