"""seff: the report, as the script of that name writes it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.unit.cli.fakecluster import FakeCluster


def row(step: int | None = None, mem: tuple[int, int, int] | None = None, **given: Any) -> dict[str, Any]:
    usage = {"mem": {"total": mem[0], "max": mem[1], "ave": mem[2]}} if mem else None
    return {
        "job_id": 42, "array_job_id": None, "array_task_id": None, "step": step, "cluster": "oracle", "user": "ann",
        "group": "lab", "state": "COMPLETED", "exit_code": [0, 0], "cpus": 8, "node_count": 2, "memory_per_cpu": False,
        "tres_alloc": "cpu=8,mem=64G,node=2,billing=8", "elapsed": 3661.0, "user_seconds": 0.0, "system_seconds": 0.0, "usage": usage,
    } | given  # fmt: skip


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[FakeCluster]:
    with FakeCluster().serving(tmp_path) as fake:
        yield fake


def test_a_job_with_steps(cluster: FakeCluster) -> None:
    cluster.history = [
        row(),
        row(-5, (1 << 20, 1 << 20, 1 << 20), user_seconds=1.2),
        row(0, (16 << 30, 5 << 30, 4 << 30), user_seconds=14000.4, system_seconds=644.0),
    ]
    done = cluster.run("seff", "42")
    assert (done.returncode, done.stdout) == (
        0,
        "Job ID: 42\nCluster: oracle\nUser/Group: ann/lab\nState: COMPLETED (exit code 0)\nNodes: 2\nCores per node: 4\n"
        "CPU Utilized: 04:04:06\nCPU Efficiency: 50.01% of 08:08:08 core-walltime\nJob Wall-clock time: 01:01:01\n"
        "Memory Utilized: 16.00 GB\nMemory Efficiency: 25.00% of 64.00 GB (32.00 GB/node)\n"
        "The task which had the largest memory consumption differs by 125.00% from the average task max memory consumption\n",
    )


def test_an_element_with_one_core_and_memory_by_core(cluster: FakeCluster) -> None:
    cluster.history = [
        row(array_job_id=40, array_task_id=3, cpus=1, node_count=1, memory_per_cpu=True, tres_alloc="cpu=1,mem=100M,node=1",
            elapsed=90000.0, state="FAILED", exit_code=[3, 0]),
    ]  # fmt: skip
    assert cluster.run("seff", "40_3").stdout == (
        "Job ID: 42\nArray Job ID: 40_3\nCluster: oracle\nUser/Group: ann/lab\nState: FAILED (exit code 3)\nCores: 1\n"
        "CPU Utilized: 00:00:00\nCPU Efficiency: 0.00% of 1-01:00:00 core-walltime\nJob Wall-clock time: 1-01:00:00\n"
        "Memory Utilized: 0.00 MB\nMemory Efficiency: 0.00% of 100.00 MB (100.00 MB/core)\n"
    )


def test_a_running_and_a_waiting_job(cluster: FakeCluster) -> None:
    cluster.history = [row(state="RUNNING")]
    assert cluster.run("seff", "42").stdout.splitlines()[-1].startswith("WARNING: Efficiency statistics can only be")
    cluster.history = [row(state="PENDING", cpus=0, node_count=0)]
    lines = cluster.run("seff", "42").stdout.splitlines()
    assert lines[-2:] == ["Cores: 1", "Efficiency not available for jobs in the PENDING state."]


def test_what_is_no_job(cluster: FakeCluster) -> None:
    for word in ("43", "nonsense"):
        done = cluster.run("seff", word)
        assert (done.returncode, done.stderr) == (2, "Job not found.\n")
    assert cluster.run("seff").returncode == 1
    assert cluster.run("seff", "-v").stdout == "seff Version 2.1\n"
