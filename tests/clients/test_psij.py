"""PSI/J: jobs described portably, and what becomes of them."""

from datetime import timedelta
from pathlib import Path

import psij
import pytest

PATIENCE = timedelta(seconds=120)


@pytest.fixture
def executor() -> psij.JobExecutor:
    chosen = psij.JobExecutor.get_instance("slurm")
    chosen.config.initial_queue_polling_delay = 1
    chosen.config.queue_polling_interval = 1
    return chosen


def job(program: str, *arguments: str, output: Path | None = None) -> psij.Job:
    resources = psij.ResourceSpecV1(node_count=2, processes_per_node=2, cpu_cores_per_process=1)
    attributes = psij.JobAttributes(queue_name="batch", duration=timedelta(minutes=5))
    spec = psij.JobSpec(
        executable=program, arguments=list(arguments), stdout_path=output, resources=resources, attributes=attributes, launcher="srun"
    )  # fmt: skip
    return psij.Job(spec)


def test_four_processes_on_two_nodes(executor: psij.JobExecutor, work: Path) -> None:
    hosts = job("/bin/sh", "-c", "echo $SLURMD_NODENAME", output=work / "out")
    executor.submit(hosts)
    assert hosts.wait(timeout=PATIENCE).state is psij.JobState.COMPLETED
    found = (work / "out").read_text().split()
    assert len(found) == 4
    assert len(set(found)) == 2


def test_a_failure_has_its_exit_code(executor: psij.JobExecutor) -> None:
    failing = job("/bin/false")
    executor.submit(failing)
    status = failing.wait(timeout=PATIENCE)
    assert (status.state, status.exit_code) == (psij.JobState.FAILED, 1)


def test_a_job_can_be_cancelled(executor: psij.JobExecutor) -> None:
    sleeping = job("/bin/sleep", "1000")
    executor.submit(sleeping)
    sleeping.wait(target_states=[psij.JobState.ACTIVE], timeout=PATIENCE)
    sleeping.cancel()
    assert sleeping.wait(timeout=PATIENCE).state is psij.JobState.CANCELED
