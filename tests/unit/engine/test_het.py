"""Heterogeneous jobs: components that start and end together, and steps over several of them."""

from typing import Any

import msgspec
import pytest
from tests.accounts import account, limit, user
from tests.builders import ANN, OPERATOR, Cluster, cluster, gpus, job, node, nodes, srun

from corral.model.cluster import Accounting, Programs
from corral.model.job import JobId, JobKind, JobSpec
from corral.model.reason import Reason
from corral.protocol import orders as od
from corral.protocol import requests as rq
from corral.protocol.replies import Done, HetStepCreated, Rejected, Submitted


def ask(c: Cluster, *specs: JobSpec, by: rq.Caller = ANN) -> Any:
    return c.ask(rq.SubmitJobs(jobs=tuple(rq.NewJob(spec=spec) for spec in specs), het=True), by)


def add(c: Cluster, *specs: JobSpec) -> list[int]:
    reply = ask(c, *specs)
    assert isinstance(reply, Submitted), reply
    return list(reply.ids)


def two() -> Cluster:
    return cluster(nodes("n[1-2]", cpus=4))


def test_components_have_ids_that_follow_one_another() -> None:
    c = two()
    c.add(job(1))
    ids = add(c, job(1), job(2), job(3))
    assert ids == [2, 3, 4]
    assert [(c.job(i).het_job_id, c.job(i).het_offset, c.job(i).het_size) for i in ids] == [
        (2, 0, 3),
        (2, 1, 3),
        (2, 2, 3),
    ]


def test_one_component_is_an_ordinary_job() -> None:
    c = two()
    assert c.job(add(c, job(1))[0]).het_job_id is None


def test_all_start_at_once_and_the_script_on_the_first() -> None:
    c = cluster(node("n1", cpus=4), node("n2", cpus=4, gpus=2))
    ids = add(c, job(3), job(2, gres=gpus(1)))
    c.cycle()
    assert c.states(*ids) == ["RUNNING", "RUNNING"]
    launches = c.orders(od.LaunchStep)
    assert [order.key.job for order in launches] == [ids[0]]
    assert [group.job_id for group in launches[0].job.het] == ids
    c.check()


def test_or_none_starts() -> None:
    c = two()
    c.run(job(4, time=300))
    ids = add(c, job(4), job(1))
    waits = add(c, job(4), job(4))
    c.cycle()
    assert c.states(*ids) == ["PENDING", "PENDING"]
    assert [c.reason(i) for i in ids] == [Reason.RESOURCES] * 2
    assert c.states(*waits) == ["PENDING", "PENDING"]
    assert [c.job(i).expected_start for i in ids] == [1300, 1300]
    c.finish(1).cycle()
    assert c.states(*ids) == ["RUNNING", "RUNNING"]
    c.check()


def test_they_may_share_a_node() -> None:
    c = cluster(node("n1", cpus=4))
    ids = add(c, job(1), job(3))
    c.cycle()
    assert c.states(*ids) == ["RUNNING", "RUNNING"]


def test_nobody_backfills_before_their_planned_start() -> None:
    c = two()
    c.run(job(4, time=100))
    ids = add(c, job(4, time=50), job(4, time=50))
    long, short = c.add(job(4, time=101)), c.add(job(4, time=100))
    c.cycle()
    assert c.running() == [1, short]
    assert [c.job(i).expected_start for i in ids] == [1100, 1100]
    assert c.job(long).is_pending


def test_all_end_with_the_first() -> None:
    c = two()
    ids = add(c, job(1), job(1), job(1))
    c.cycle().finish(ids[0], code=2)
    assert c.states(*ids) == ["FAILED"] * 3
    assert [str(c.job(i).exit_status) for i in ids] == ["2:0"] * 3
    c.check()


def test_the_first_ones_time_limit_ends_all_and_anothers_that_one() -> None:
    c = two()
    ids = add(c, job(1, time=200), job(1, time=100))
    c.cycle().at(100)
    assert c.states(*ids) == ["RUNNING", "TIMEOUT"]
    c.at(200)
    assert c.states(*ids) == ["TIMEOUT", "TIMEOUT"]
    c.check()


def test_cancelling_the_first_cancels_all() -> None:
    c = two()
    ids = add(c, job(1), job(1))
    c.cycle().cancel(ids[0])
    assert c.states(*ids) == ["CANCELLED"] * 2
    waiting = add(c, job(1, hold=True), job(1, hold=True))
    c.cancel(waiting[0])
    assert c.states(*waiting) == ["CANCELLED"] * 2


@pytest.mark.parametrize("text", ["1+1", "2"])
def test_a_component_that_waits_is_not_cancelled_alone(text: str) -> None:
    c = two()
    ids = add(c, job(1), job(1))
    reply = c.cancel(text)
    assert isinstance(reply, Done)
    assert "Operation not permitted on individual component" in reply.errors[0]
    assert c.states(*ids) == ["PENDING"] * 2


def test_a_component_that_runs_may_be() -> None:
    c = two()
    ids = add(c, job(1), job(1))
    c.cycle().cancel("1+1")
    assert c.states(*ids) == ["RUNNING", "CANCELLED"]
    c.finish(ids[0])
    assert c.states(*ids) == ["COMPLETED", "CANCELLED"]
    c.check()


def test_all_are_queued_again_together() -> None:
    c = two()
    ids = add(c, job(1), job(1))
    c.cycle().ask(rq.RequeueJobs(ids=(str(ids[0]),)))
    assert c.states(*ids) == ["PENDING"] * 2
    c.cycle()
    assert c.states(*ids) == ["RUNNING"] * 2
    assert [c.job(i).restarts for i in ids] == [1, 1]
    c.check()


def test_one_that_was_cancelled_alone_stays_so_and_the_others_run_again() -> None:
    c = two()
    ids = add(c, job(1), job(1), job(1))
    c.cycle().cancel("1+1")
    c.ask(rq.RequeueJobs(ids=(str(ids[0]),)))
    c.cycle()
    assert c.states(*ids) == ["RUNNING", "CANCELLED", "RUNNING"]
    assert [group.offset for group in c.orders(od.LaunchStep)[-1].job.het] == [0, 2]
    c.check()


def test_one_that_had_failed_alone_comes_back_with_the_others() -> None:
    c = two()
    ids = add(c, job(1, time=1000), job(1, time=100))
    c.cycle().at(100)
    assert c.states(*ids) == ["RUNNING", "TIMEOUT"]
    c.ask(rq.RequeueJobs(ids=(str(ids[0]),)))
    c.cycle()
    assert c.states(*ids) == ["RUNNING", "RUNNING"]
    c.check()


def test_a_lost_node_ends_all() -> None:
    c = two()
    ids = add(c, job(4, requeue=False), job(4, requeue=False))
    c.cycle()
    c.ask(rq.UpdateNodes(nodes=next(iter(c.where(ids[1]))), state="down", reason="x"), OPERATOR)
    assert c.states(*ids) == ["NODE_FAIL"] * 2
    c.check()


def test_they_are_held_and_released_together() -> None:
    c = two()
    ids = add(c, job(1), job(1))
    c.ask(rq.HoldJobs(ids=(str(ids[0]),)))
    c.cycle()
    assert [c.reason(i) for i in ids] == [Reason.HELD_USER] * 2
    c.ask(rq.ReleaseJobs(ids=(f"{ids[0]}+1",)))
    c.cycle()
    assert c.states(*ids) == ["PENDING"] * 2
    c.ask(rq.ReleaseJobs(ids=(str(ids[0]),)))
    c.cycle()
    assert c.states(*ids) == ["RUNNING"] * 2


def test_an_array_is_no_component() -> None:
    reply = ask(two(), job(1), job(1, array="0-1"))
    assert isinstance(reply, Rejected)
    assert reply.error == "Invalid job array specification"


def test_components_share_the_licences_that_there_are() -> None:
    c = cluster(nodes("n[1-2]", cpus=4), licenses={"a": 2})
    reply = ask(c, job(1, licenses="a:2"), job(1, licenses="a"))
    assert isinstance(reply, Rejected)
    assert reply.error == "Invalid license specification"
    add(c, job(1, licenses="a"), job(1, licenses="a"))
    c.cycle()
    assert c.running() == [1, 2]
    c.check()


def test_a_step_over_several_is_told_of_the_programs_of_srun() -> None:
    c = two()
    ids = add(c, job(1, kind=JobKind.SALLOC), job(1, kind=JobKind.SALLOC))
    c.cycle()
    c.engine.ctx.config = msgspec.structs.replace(c.engine.config, programs=Programs(srun_prolog="/before"))
    told = c.ask(
        rq.CreateHetStep(job=str(ids[0]), parts=(rq.HetPart(group=1, spec=srun(1, overlap=True, asks_programs=True)),))
    )
    assert (told.code, told.detail) == ("srun_programs", "/before\n")


def test_a_step_over_several_numbers_its_tasks_through() -> None:
    c = two()
    ids = add(c, job(1, ntasks=2, kind=JobKind.SALLOC), job(1, ntasks=3, kind=JobKind.SALLOC))
    c.cycle()
    parts = (rq.HetPart(group=0, spec=srun(2)), rq.HetPart(group=1, spec=srun(3)))
    reply = c.ask(rq.CreateHetStep(job=str(ids[0]), parts=parts))
    assert isinstance(reply, HetStepCreated)
    assert [(one.step.key.job, one.step.key.step) for one in reply.steps] == [
        (1, 0),
        (2, 0),
    ]
    ranks = [[task.rank for found in one.step.nodes for task in found.tasks] for one in reply.steps]
    assert ranks == [[0, 1], [2, 3, 4]]
    launches = c.orders(od.LaunchStep)
    assert {order.het.ntasks for order in launches} == {5}
    assert [order.het.nodes for order in launches] == [("n1", "n2")] * 2
    again = c.ask(rq.CreateHetStep(job=str(ids[0]), parts=(rq.HetPart(group=1, spec=srun(1, overlap=True)),)))
    assert isinstance(again, HetStepCreated)
    assert (again.steps[0].step.key.job, again.steps[0].step.key.step) == (2, 1)
    plain = c.ask(rq.CreateStep(job=str(ids[0]), spec=srun(1, overlap=True)))
    assert plain.step.key.step == 2  # type: ignore[union-attr]
    c.check()


def test_a_step_over_groups_that_there_are_not_is_refused() -> None:
    c = two()
    ids = add(c, job(1, kind=JobKind.SALLOC), job(1, kind=JobKind.SALLOC))
    c.cycle()
    reply = c.ask(rq.CreateHetStep(job=str(ids[0]), parts=(rq.HetPart(group=5, spec=srun(1)),)))
    assert isinstance(reply, Rejected)
    assert reply.error == "Requested het-group offset exceeds highest hetjob index (5 > 1)"


def test_either_all_parts_of_a_step_start_or_none() -> None:
    c = two()
    ids = add(c, job(1, kind=JobKind.SALLOC), job(1, kind=JobKind.SALLOC))
    c.cycle()
    parts = (rq.HetPart(group=0, spec=srun(1)), rq.HetPart(group=1, spec=srun(2)))
    assert isinstance(c.ask(rq.CreateHetStep(job=str(ids[0]), parts=parts)), Rejected)
    assert not c.state.steps_of(JobId(ids[0]))


def test_a_restart_finds_them_again() -> None:
    c = two()
    c.run(job(4))
    ids = add(c, job(4), job(2))
    c.cycle()
    state = type(c.state).load(c.state.dump())
    assert [one.id for one in state.het_members(state.jobs[JobId(ids[1])])] == ids
    c.check()


# -- limits count all components


def limited(**fields: Any) -> Cluster:
    c = cluster(nodes("n[1-2]", cpus=4), accounting=Accounting(enforce=("limits",)))
    account(c, "chem")
    user(c, "ann", "chem")
    limit(c, "account", "chem", **fields)
    return c


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"grp_tres": {"cpu": 5}}, "AssocGrpCpuLimit"),
        ({"grp_jobs": 1}, "AssocGrpJobsLimit"),
        ({"max_jobs": 1}, "AssocMaxJobsLimit"),
        ({"grp_tres_run_mins": {"cpu": 9}}, "AssocGrpCPURunMinutesLimit"),
    ],
)
def test_a_limit_counts_all_components_together(fields: dict[str, Any], reason: str) -> None:
    c = limited(**fields)
    ids = add(c, job(3), job(3))
    assert [c.cycle().job(one).reason for one in ids] == [reason, reason]
    assert not c.engine.wants_cycle
    c.check()


def test_a_limit_that_all_keep_holds_up_none() -> None:
    c = limited(grp_tres={"cpu": 6}, grp_jobs=2)
    ids = add(c, job(3), job(3))
    assert c.cycle().states(*ids) == ["RUNNING", "RUNNING"]


def test_what_whole_nodes_bring_along_counts_too() -> None:
    """Each asks for one CPU, and gets four."""
    c = limited(grp_tres={"cpu": 5})
    ids = add(c, job(1, exclusive=True), job(1, exclusive=True))
    assert [c.cycle().job(one).reason for one in ids] == ["AssocGrpCpuLimit"] * 2
    assert not c.engine.wants_cycle
