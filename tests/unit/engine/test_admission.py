"""What can never run, and what means nothing, is refused at the door; what may run some day waits."""

import pytest
from tests.builders import ANN, BOB, ROOT, cluster, gpus, job, node, nodes

from corral.engine.admission import UNAVAILABLE
from corral.model.job import JobSpec, JobState, StepSpec
from corral.model.partition import Partition
from corral.protocol import requests as rq
from corral.protocol.replies import Done, Rejected, Submitted


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        (job(gpus=9), UNAVAILABLE),
        (job(gpus=5, nodes=1), UNAVAILABLE),
        (job(gpus_per_task=gpus(1), ntasks=9), UNAVAILABLE),
        (job(constraint="nosuch*2"), "Invalid feature specification"),
        (job(constraint="fast|nosuch"), "Invalid feature specification"),
        (job(nodelist="n1", exclude="n1"), "Invalid node name specified"),
        (job(deadline=999.0), "Requested time limit is invalid (missing or exceeds some limit)"),
        (job(nice=-5), "Invalid --nice value"),
        (job(ntasks=0), 'Invalid numeric value "0" for --ntasks.'),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_can_never_be_is_refused(spec: JobSpec, said: str) -> None:
    c = cluster(*nodes("n[1-2]", gpus=4, features=("fast",)))
    c.ask(rq.SubmitJobs(jobs=(rq.NewJob(spec=spec),)), ANN)
    assert isinstance(c.reply, Rejected)
    assert c.reply.error == said


@pytest.mark.parametrize("spec", [job(gpus=8), job(gpus=4, nodes=1), job(constraint="fast*2"), job(nodes=3)], ids=str)
def test_what_the_cluster_may_do_is_taken(spec: JobSpec) -> None:
    c = cluster(*nodes("n[1-2]", gpus=4, features=("fast",)))
    c.ask(rq.SubmitJobs(jobs=(rq.NewJob(spec=spec),)), ANN)
    assert isinstance(c.reply, Submitted)


def test_a_step_on_no_node_is_refused() -> None:
    c = cluster(*nodes("n[1-2]"))
    c.run(job(2))
    c.ask(rq.CreateStep(job="1", spec=StepSpec(argv=("true",), exclude="n[1-2]")), ANN)
    assert isinstance(c.reply, Rejected)
    assert c.reply.error == UNAVAILABLE


def test_others_jobs_meant_by_their_user_are_not_cancelled_in_silence() -> None:
    c = cluster(*nodes("n[1-2]"))
    c.run(job(1))
    c.ask(rq.CancelJobs(selection=rq.JobSelection(users=("ann",))), BOB)
    assert c.reply == Done(errors=("Kill job error on job id 1: Access/permission denied",))
    assert c.engine.state.jobs[1].state is JobState.RUNNING


def test_a_step_that_there_is_not_cannot_be_cancelled() -> None:
    c = cluster(*nodes("n[1-2]"))
    c.run(job(1))
    c.ask(rq.CancelJobs(selection=rq.JobSelection(ids=("1.7",))), ANN)
    assert c.reply == Done(errors=("Kill job error on job step id 1.7: Invalid job id specified",))


def test_who_asks_for_no_memory_gets_that_of_his_partition_and_it_is_known() -> None:
    c = cluster(
        node("n1", cpus=4, memory=8000), scheduling={"default_memory_per_cpu_mb": 100},
        partition=(Partition(name="batch", default=True), Partition(name="big", default_memory_per_node_mb=4000)),
    )  # fmt: skip
    number = c.add(job(hold=True))
    assert c.state.spec(c.job(number)).memory_per_cpu_mb == 100
    c.ask(rq.UpdateJob(id=str(number), changes={"partition": "big"}), ROOT)
    moved = c.state.spec(c.job(number))
    assert (moved.memory_per_cpu_mb, moved.memory_per_node_mb) == (None, 4000)
    asked = c.add(job(hold=True, memory_per_node_mb=10))
    c.ask(rq.UpdateJob(id=str(asked), changes={"partition": "big"}), ROOT)
    assert c.state.spec(c.job(asked)).memory_per_node_mb == 10
