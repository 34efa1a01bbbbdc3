"""A machine that boots runs nothing of what it ran before."""

import msgspec
from tests.builders import Cluster, cluster, job, node

from corral.model.job import JobState


def booting(name: str, boot: str) -> Cluster:
    return cluster([node(name, cpus=4, boot_id=boot)])


def boot(c: Cluster, name: str, boot_id: str) -> None:
    c.inventories[name] = msgspec.structs.replace(c.inventories[name], boot_id=boot_id)
    c.register(instance="2")


def test_a_job_that_may_be_requeued_runs_again_after_its_node_has_booted() -> None:
    c = booting("n1", "first")
    number = c.run(job(requeue=True))
    boot(c, "n1", "second")
    assert c.job(number).state is JobState.PENDING
    assert c.job(number).restarts == 1
    c.check()


def test_a_job_that_may_not_be_requeued_has_failed_with_its_node() -> None:
    c = booting("n1", "first")
    number = c.run(job(requeue=False))
    boot(c, "n1", "second")
    assert c.job(number).state is JobState.NODE_FAIL
    c.check()


def test_an_agent_that_only_starts_again_disturbs_nothing() -> None:
    c = booting("n1", "first")
    number = c.run(job(requeue=False))
    boot(c, "n1", "first")
    assert c.job(number).state is JobState.RUNNING
    c.check()
