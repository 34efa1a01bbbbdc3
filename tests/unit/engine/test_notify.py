"""scontrol notify: who hears it?"""

import pytest
from tests.builders import BOB, OPERATOR, Cluster, cluster, job, nodes, srun

from corral.model.job import JobKind
from corral.model.step import BATCH
from corral.protocol import requests as rq
from corral.protocol.orders import NotifyStep
from corral.protocol.replies import Rejected


def said(c: Cluster, number: int | str, message: str = "hello", by: rq.Caller = OPERATOR) -> str:
    reply = c.ask(rq.NotifyJob(id=str(number), message=message), by)
    return reply.error if isinstance(reply, Rejected) else ""


def test_the_script_of_a_batch_job_and_the_step_of_an_srun_hear_it() -> None:
    c = cluster(nodes("n[1-2]", cpus=4))
    batch = c.run(job(2, ntasks=2, nodes=2))
    assert said(c, batch) == ""
    assert [(o.node, o.step, o.message) for o in c.orders(NotifyStep)] == [("n1", BATCH, "hello")]
    c.finish(batch)
    interactive = c.run(job(kind=JobKind.SRUN, ntasks=2, step=srun(2)))
    assert said(c, interactive) == ""
    assert [(o.job, o.step) for o in c.orders(NotifyStep)][-1] == (interactive, 0)


def test_who_does_not_hear_it() -> None:
    c = cluster(nodes("n1", cpus=4))
    alone = c.run(job(kind=JobKind.SALLOC))
    waits, done = c.add(job(4)), c.run(job(1))
    c.finish(done)
    assert said(c, alone) == "An salloc hears no messages: only jobs of sbatch and srun do"
    assert said(c, waits) == "Requested operation is presently disabled"
    assert said(c, done) == "Job/step already completing or completed"
    assert said(c, 99) == said(c, "x") == "Invalid job id specified"
    assert not c.orders(NotifyStep)


@pytest.mark.parametrize(
    ("message", "by", "refused"),
    [
        ("x" * 4097, OPERATOR, "The message is longer than 4096 bytes"),
        ("x", BOB, "Invalid user id"),
    ],
)
def test_what_is_refused(message: str, by: rq.Caller, refused: str) -> None:
    c = cluster(nodes("n1", cpus=4))
    assert said(c, c.run(job(1)), message, by) == refused
