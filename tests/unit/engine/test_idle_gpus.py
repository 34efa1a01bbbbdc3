"""Jobs whose GPUs do nothing: their users are told, then they end. GPUs are as busy as the heartbeats say."""

from typing import Any

import pytest
from tests.builders import ROOT, Cluster, cluster, gpus, job, node, srun

from corral.config.checks import BadValue, check
from corral.model.cluster import ClusterConfig, Gpus
from corral.model.job import JobKind, JobSpec, JobState
from corral.model.reason import Reason
from corral.protocol import reports as rp
from corral.protocol import requests as rq
from corral.protocol.events import JobChanged
from corral.protocol.orders import NotifyStep


class Lab:
    """One node with four GPUs."""

    def __init__(self, **policy: Any) -> None:
        policy.setdefault("idle_warn", 300)
        policy.setdefault("idle_end", 600)
        self.c: Cluster = cluster(node("n1", cpus=16, gpus=4), gpus=Gpus(**policy))
        self.busy = [0, 0, 0, 0]
        self.until(0)

    def until(self, when: float, step: float = 20.0) -> "Lab":
        """With a heartbeat every so often."""
        while self.now < when:
            self.c.at(min(when, self.now + step))
            self.beat()
        return self

    def beat(self, *busy: int) -> None:
        self.c.report(rp.Heartbeat(agent="agent", nodes=("n1",), gpus=busy or tuple(self.busy), steps=()))
        self.c.tick()

    @property
    def now(self) -> float:
        """Seconds since the start."""
        return self.c.now - 1000


def interactive(count: int = 1, **fields: Any) -> JobSpec:
    return job(gres=gpus(count), time=100_000, kind=JobKind.SRUN, ntasks=1, step=srun(1, pty=True), **fields)


def test_the_user_is_told_once_and_then_the_job_ends() -> None:
    lab = Lab()
    number = lab.c.run(interactive())
    lab.until(290)
    assert lab.c.orders(NotifyStep) == []
    lab.until(590)
    (said,) = lab.c.orders(NotifyStep)
    assert said.message.startswith(f"The GPUs of job {number} have done nothing for 00:05:")
    assert "It will be ended in 00:04:" in said.message
    assert lab.c.job(number).state is JobState.RUNNING
    lab.until(640)
    ended = lab.c.job(number)
    assert (ended.state, ended.reason) == (JobState.TIMEOUT, Reason.INACTIVE_LIMIT)
    assert ended.reason_text.startswith("its GPUs did nothing for 00:10:")
    assert [e.what for e in lab.c.events if isinstance(e, JobChanged) and e.job.id == number].count("GPUs idle") == 1
    lab.c.check()


def test_a_gpu_that_works_begins_the_time_anew() -> None:
    lab = Lab()
    number = lab.c.run(interactive(2))
    lab.until(400)
    assert len(lab.c.orders(NotifyStep)) == 1
    lab.beat(0, 80, 0, 0)
    lab.until(980)
    assert lab.c.job(number).state is JobState.RUNNING
    assert len(lab.c.orders(NotifyStep)) == 1, "of the second time that they did nothing"
    lab.until(1040)
    assert lab.c.job(number).reason is Reason.INACTIVE_LIMIT


def test_another_jobs_gpus_do_not_count() -> None:
    lab = Lab()
    lab.busy = [0, 0, 90, 90]
    number = lab.c.run(interactive(2))
    lab.until(700)
    assert lab.c.job(number).reason is Reason.INACTIVE_LIMIT


def test_what_is_not_known_is_not_idle() -> None:
    lab = Lab()
    number = lab.c.run(interactive())
    lab.busy = [-1, -1, -1, -1]
    lab.until(2000)
    lab.busy = []
    lab.until(3000)
    assert lab.c.job(number).state is JobState.RUNNING


def test_silence_is_not_held_against_a_job() -> None:
    lab = Lab()
    number = lab.c.run(interactive())
    lab.until(500)
    for when in (600, 700, 800):  # alive, and nothing is heard of the GPUs
        lab.c.at(when - 80).beat()
        lab.c.at(when - 60).beat()
        lab.c.at(when - 40).beat()
        lab.c.at(when - 20).beat()
        lab.c.at(when).beat()
    lab.until(900)
    assert lab.c.job(number).state is JobState.RUNNING


def test_a_suspended_job_cannot_work_and_has_its_time_afterwards() -> None:
    lab = Lab()
    number = lab.c.run(interactive())
    lab.until(500)
    lab.c.ask(rq.SuspendJobs(ids=(str(number),)), ROOT)
    lab.until(1500)
    lab.c.ask(rq.ResumeJobs(ids=(str(number),)), ROOT)
    lab.until(2000)
    assert lab.c.job(number).state is JobState.RUNNING
    lab.until(2140)
    assert lab.c.job(number).reason is Reason.INACTIVE_LIMIT


@pytest.mark.parametrize(
    ("spec", "interactively", "at_all"),
    [
        (job(gres=gpus(1), time=100_000, kind=JobKind.SALLOC), True, True),
        (job(gres=gpus(1), time=100_000, name="notebook"), True, True),
        (job(gres=gpus(1), time=100_000), False, True),
        (job(gres=gpus(1), time=100_000, kind=JobKind.SRUN, ntasks=1, step=srun(1)), False, True),
        (job(2, time=100_000, kind=JobKind.SALLOC), False, False),
    ],
)  # fmt: skip
def test_whose_jobs_are_meant(spec: JobSpec, interactively: bool, at_all: bool) -> None:
    for jobs, is_meant in (("interactive", interactively), ("all", at_all)):
        lab = Lab(idle_jobs=jobs)
        number = lab.c.run(spec)
        lab.until(700)
        assert (lab.c.job(number).reason is Reason.INACTIVE_LIMIT) is is_meant, jobs


def test_a_little_work_may_count_as_none() -> None:
    lab = Lab(idle_percent=5)
    lab.busy = [5, 0, 0, 0]
    number = lab.c.run(interactive())
    lab.until(700)
    assert lab.c.job(number).reason is Reason.INACTIVE_LIMIT


def test_it_is_off_unless_it_is_wanted() -> None:
    lab = Lab(idle_warn=0, idle_end=0)
    number = lab.c.run(interactive())
    lab.until(5000)
    assert lab.c.job(number).state is JobState.RUNNING
    assert lab.c.orders(NotifyStep) == []


def test_only_telling_is_a_policy_too() -> None:
    lab = Lab(idle_end=0)
    number = lab.c.run(interactive())
    lab.until(5000)
    assert lab.c.job(number).state is JobState.RUNNING
    (said,) = lab.c.orders(NotifyStep)
    assert f"scancel {number}" in said.message


@pytest.mark.parametrize(
    ("fields", "said"),
    [({"idle_warn": 600, "idle_end": 600}, "must be less than idle_end"), ({"idle_percent": 100}, "from 0 to 99")],
)
def test_a_policy_that_makes_no_sense_is_refused(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(BadValue, match=said):
        check(ClusterConfig(gpus=Gpus(**fields)), {})
