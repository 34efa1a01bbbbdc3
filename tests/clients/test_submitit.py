"""submitit: functions as jobs, arrays of them, errors, and a checkpoint when a job is told to yield."""

import sys
import time
from pathlib import Path
from typing import Any

import cloudpickle
import pytest
import submitit
from tests.clients.live import said, wait_until

# What runs here is not importable where the jobs run.
cloudpickle.register_pickle_by_value(sys.modules[__name__])


@pytest.fixture
def executor() -> submitit.AutoExecutor:
    chosen = submitit.AutoExecutor(folder="logs/%j")
    assert isinstance(chosen._executor, submitit.SlurmExecutor)
    chosen.update_parameters(timeout_min=5, slurm_partition="batch", mem_gb=1, name="client")
    return chosen


def add(a: int, b: int) -> int:
    return a + b


def fail() -> None:
    raise ValueError("it did not work")


def rank() -> tuple[int, int, str]:
    here = submitit.JobEnvironment()
    return here.global_rank, here.num_tasks, here.hostname


def test_a_function_gives_its_result(executor: submitit.AutoExecutor) -> None:
    job = executor.submit(add, 1, 2)
    assert job.result() == 3
    assert job.job_id.isdigit()


def test_an_array_gives_all_of_them(executor: submitit.AutoExecutor) -> None:
    executor.update_parameters(slurm_array_parallelism=3)
    jobs = executor.map_array(add, range(6), range(6))
    assert len({job.job_id.split("_")[0] for job in jobs}) == 1
    assert [job.result() for job in jobs] == [0, 2, 4, 6, 8, 10]


def test_every_task_knows_its_place(executor: submitit.AutoExecutor) -> None:
    executor.update_parameters(nodes=2, tasks_per_node=2)
    found = executor.submit(rank).results()
    assert sorted(place[0] for place in found) == [0, 1, 2, 3]
    assert {place[1] for place in found} == {4}


def test_an_exception_comes_back(executor: submitit.AutoExecutor) -> None:
    job = executor.submit(fail)
    with pytest.raises(submitit.core.utils.FailedJobError, match="it did not work"):
        job.result()


class Counting:
    """Counts to a hundred, and goes on from where it was when it is started again."""

    def __call__(self, path: str, count: int = 0) -> tuple[int, int]:
        began = count
        self.path, self.count = path, count
        while self.count < 100:
            time.sleep(0.05)
            self.count += 1
            Path(path).write_text(str(self.count))
        return began, self.count

    def checkpoint(self, path: str, count: int = 0) -> Any:
        return submitit.helpers.DelayedSubmission(self, self.path, self.count)


def submitted(executor: submitit.AutoExecutor, counted: Path) -> Any:
    """A job that has counted a little."""
    job = executor.submit(Counting(), str(counted))
    wait_until(lambda: counted.exists() and int(counted.read_text() or 0) >= 5)
    return job


def test_a_job_that_is_preempted_goes_on_from_its_checkpoint(executor: submitit.AutoExecutor, work: Path) -> None:
    executor.update_parameters(slurm_qos="low", slurm_signal_delay_s=60)  # USR2 as soon as its grace begins
    job = submitted(executor, work / "count")
    urgent = said("sbatch", "--parsable", "-q", "high", "-N4", "--exclusive", "-o", "urgent", "--wrap=true").strip()
    began, ended = job.result()
    assert began >= 5
    assert ended == 100
    assert said("squeue", "-h", "-t", "all", "-j", urgent, "-o", "%T") == "COMPLETED\n"


def test_a_job_that_is_interrupted_goes_on_from_its_checkpoint(executor: submitit.AutoExecutor, work: Path) -> None:
    job = submitted(executor, work / "count")
    job._interrupt(timeout=False)
    began, ended = job.result()
    assert began >= 5
    assert ended == 100
