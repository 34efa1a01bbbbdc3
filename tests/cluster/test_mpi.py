"""Programs of real MPI libraries, started on a real cluster."""

import shutil
import subprocess
from pathlib import Path

import pytest
from tests.cluster.live import LiveCluster, wait_until

needs_mpich = pytest.mark.skipif(shutil.which("mpicc.mpich") is None, reason="needs MPICH: apt-get install mpich")

needs_open_mpi = pytest.mark.skipif(
    shutil.which("mpicc.openmpi") is None, reason="needs Open MPI: apt-get install openmpi-bin libopenmpi-dev"
)
#: Open MPI would use every network that it sees; those of Pods and containers come and go, and lead nowhere.
ONE_NETWORK = {f"OMPI_MCA_{name}_tcp_if_include": "127.0.0.0/8" for name in ("btl", "oob")}
MPIRUN = """#!/bin/bash
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
mpirun.openmpi "$@"
"""

SUM_OF_RANKS = r"""
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
int main(int argc, char **argv) {
    int rank, size, sum;
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    MPI_Allreduce(&rank, &sum, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
    printf("%d of %d on %s: %d\n", rank, size, getenv("SLURMD_NODENAME"), sum);
    fflush(stdout);
    if (argc > 1 && rank == 3) MPI_Abort(MPI_COMM_WORLD, 7);
    if (argc > 1) MPI_Barrier(MPI_COMM_WORLD);
    MPI_Finalize();
    return 0;
}
"""


def compiled(directory: Path, compiler: str) -> str:
    (directory / "sum.c").write_text(SUM_OF_RANKS)
    subprocess.run([compiler, "-o", "sum", "sum.c"], cwd=directory, check=True)
    return str(directory / "sum")


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> str:
    return compiled(tmp_path_factory.mktemp("mpich"), "mpicc.mpich")


@pytest.fixture(autouse=True)
def _one_network(cluster: LiveCluster) -> None:
    cluster.environment |= ONE_NETWORK


@needs_mpich
def test_eight_ranks_of_mpich_on_two_nodes_add_up(cluster: LiveCluster, program: str) -> None:
    lines = cluster.text("srun", "--mpi=pmi2", "-N2", "-n8", "--ntasks-per-node=4", program).splitlines()
    nodes = ["dgx0180"] * 4 + ["dgx0181"] * 4
    assert sorted(lines) == [f"{rank} of 8 on {node}: 28" for rank, node in enumerate(nodes)]


@needs_mpich
def test_without_a_server_each_rank_is_alone(cluster: LiveCluster, program: str) -> None:
    assert cluster.text("srun", "-n2", program).splitlines() == ["0 of 1 on dgx0180: 0"] * 2


@needs_mpich
def test_an_abort_ends_the_step_on_all_nodes(cluster: LiveCluster, program: str) -> None:
    argv = ("--mpi=pmi2", "-J", "aborts", "-N2", "-n8", "--ntasks-per-node=4", program, "abort")
    done = cluster.run("srun", *argv, check=False)
    assert done.returncode == 137
    assert "application called MPI_Abort(MPI_COMM_WORLD, 7) - process 3" in done.stderr
    assert "srun: Job step aborted: Waiting up to 3 seconds for job step to finish." in done.stderr
    assert "CANCELLED AT" in done.stderr
    wait_until(lambda: cluster.text("squeue", "-h") == "")
    history = cluster.text("sacct", "-n", "-P", "--name=aborts", "-X", "-o", "state,exitcode")
    assert history == "FAILED|0:9"


@needs_open_mpi
def test_mpirun_of_open_mpi_starts_its_daemons_as_a_step(cluster: LiveCluster, tmp_path: Path) -> None:
    program = compiled(tmp_path, "mpicc.openmpi")
    (cluster.work / "mpirun.sh").write_text(MPIRUN)
    job = cluster.submit("-N2", "--ntasks-per-node=4", "-o", "mpirun.out", "mpirun.sh", program)
    cluster.wait_for(job, "COMPLETED")
    nodes = ["dgx0180"] * 4 + ["dgx0181"] * 4
    lines = (cluster.work / "mpirun.out").read_text().splitlines()
    assert sorted(lines) == [f"{rank} of 8 on {node}: 28" for rank, node in enumerate(nodes)]
    steps = cluster.text("sacct", "-n", "-P", "-o", "JobID,JobName,State", "-j", job).splitlines()
    assert f"{job}.0|orted|COMPLETED" in steps


@needs_open_mpi
def test_mpirun_in_salloc_starts_them_on_all_nodes(cluster: LiveCluster, tmp_path: Path) -> None:
    program = compiled(tmp_path, "mpicc.openmpi")
    (cluster.work / "mpirun.sh").write_text(MPIRUN)
    lines = cluster.text("salloc", "-Q", "-N2", "--ntasks-per-node=4", "bash", "mpirun.sh", program).splitlines()
    assert len(lines) == 8
    assert {line.partition(": ")[2] for line in lines} == {"28"}


@needs_open_mpi
def test_eight_ranks_of_open_mpi_meet_by_pmix(cluster: LiveCluster, tmp_path: Path) -> None:
    if "pmix" not in cluster.text("srun", "--mpi=list"):
        pytest.skip("needs libpmix: apt-get install libpmix2")
    program = compiled(tmp_path, "mpicc.openmpi")
    step = ("srun", "--mpi=pmix", "-N2", "-n8", "--ntasks-per-node=4", program)
    nodes = ["dgx0180"] * 4 + ["dgx0181"] * 4
    lines = cluster.text(*step).splitlines()
    assert sorted(lines) == [f"{rank} of 8 on {node}: 28" for rank, node in enumerate(nodes)]
    done = cluster.run(*step, "abort", check=False)
    assert done.returncode  # which one depends on how far the others are
    assert "CANCELLED AT" in done.stderr
    wait_until(lambda: cluster.text("squeue", "-h") == "")


def test_the_kinds_of_mpi_are_listed(cluster: LiveCluster) -> None:
    assert cluster.text("srun", "--mpi=list").splitlines()[:3] == ["MPI plugin types are...", "\tnone", "\tpmi2"]
