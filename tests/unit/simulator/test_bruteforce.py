"""The engine and the scheduler decide as the plain algorithms do: job by job."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.builders import nodes
from tests.unit.simulator import bruteforce
from tests.unit.simulator.bruteforce import BruteJob, Conservative

from corral.model.cluster import ClusterConfig
from corral.model.job import JobSpec
from corral.simulator.policies import BUILT_IN
from corral.simulator.replay import Replay
from corral.simulator.workloads import swf
from corral.simulator.workloads.work import Work

LUBLIN = Path(__file__).parents[2] / "data" / "lublin_256_2000.swf.gz"


def decider(policy: str) -> bruteforce.Decide:
    return {"fcfs": bruteforce.fcfs, "easy": bruteforce.easy, "conservative": Conservative()}[policy]


def plain(jobs: Sequence[Work]) -> list[BruteJob]:
    return [
        BruteJob(job.number, int(job.submit), job.spec.ntasks or 1, job.spec.time_limit or 1, int(job.seconds))
        for job in jobs
    ]


def work(job: BruteJob) -> Work:
    spec = JobSpec(ntasks=job.size, time_limit=job.estimate)
    return Work(number=job.number, submit=job.submit, seconds=job.seconds, spec=spec)


@pytest.mark.parametrize("policy", ["easy", "conservative"])
def test_two_thousand_jobs_of_the_lublin_model_start_when_they_should(policy: str) -> None:
    workload = swf.read(LUBLIN)
    outcome = Replay(ClusterConfig(scheduling=BUILT_IN[policy]), workload.nodes, workload.jobs).run()
    assert len(workload.jobs) == 2000
    expected = bruteforce.simulate(plain(workload.jobs), 256, decider(policy))
    assert {run.number: run.start for run in outcome.runs} == expected


@st.composite
def worklists(draw: st.DrawFn) -> list[BruteJob]:
    """Small numbers, so that much happens at one moment; estimates are often too long, and sometimes too short."""
    found = []
    for number in range(draw(st.integers(1, 14))):
        estimate = draw(st.integers(1, 12))
        seconds = draw(st.integers(0, estimate + 1))
        found.append(BruteJob(number, draw(st.integers(0, 15)), draw(st.integers(1, 8)), estimate, seconds))
    return sorted(found, key=lambda job: job.submit)


@pytest.mark.parametrize("policy", ["fcfs", "easy", "conservative"])
@pytest.mark.parametrize("machine", [("n1", 8), ("n[1-4]", 2), ("n[1-8]", 1)], ids=["1x8", "4x2", "8x1"])
@settings(max_examples=40, deadline=None)
@given(jobs=worklists())
def test_whatever_comes_each_job_starts_when_it_should(
    machine: tuple[str, int], policy: str, jobs: list[BruteJob]
) -> None:
    outcome = Replay(
        ClusterConfig(scheduling=BUILT_IN[policy]), nodes(machine[0], cpus=machine[1]), map(work, jobs)
    ).run()
    expected = bruteforce.simulate(jobs, 8, decider(policy))
    assert {run.number: run.start for run in outcome.runs} == expected
