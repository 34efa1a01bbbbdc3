"""Heterogeneous jobs on a real cluster, by the commands."""

import pytest
from tests.cluster.live import LiveCluster, wait_until

SCRIPT = """#!/bin/bash
#SBATCH -n1 -J coupled -o out
#SBATCH hetjob
#SBATCH -n2
srun -l --het-group=0,1 sh -c 'echo $SLURM_JOB_ID $SLURM_PROCID/$SLURM_NTASKS $SLURM_NODEID $SLURM_JOB_NODELIST' | sort
srun --het-group=1 sh -c 'echo only $SLURM_PROCID/$SLURM_NTASKS $SLURM_JOB_NODELIST' | sort
srun sh -c 'echo plain $SLURM_PROCID/$SLURM_NTASKS'
srun -l --het-group=0 sh -c 'exit 3' : --het-group=1 true
echo status $?
echo $SLURM_HET_SIZE $SLURM_JOB_ID_HET_GROUP_1 $SLURM_NTASKS_HET_GROUP_1 $SLURM_JOB_NODELIST_HET_GROUP_1
"""


def test_a_script_runs_steps_over_its_components(cluster: LiveCluster) -> None:
    (cluster.work / "het.sh").write_text(SCRIPT)
    job = cluster.submit("het.sh")
    wait_until(lambda: not cluster.text("squeue", "-h", "-j", job))
    nodes = cluster.text("sacct", "-n", "-P", "-X", "-o", "JobID,State,NodeList", "-j", job).splitlines()
    first, second = (line.split("|")[2] for line in nodes)
    assert [line.split("|")[:2] for line in nodes] == [[f"{job}+0", "COMPLETED"], [f"{job}+1", "COMPLETED"]]
    both = f"dgx[{first.removeprefix('dgx')}-{second.removeprefix('dgx')}]"
    assert first != second
    lines = (cluster.work / "out").read_text().splitlines()
    lines = [line for line in lines if not line.startswith(("srun: error", "slurmstepd"))]
    assert lines == [
        f"0: {job} 0/3 0 {both}",
        f"1: {job} 1/3 1 {both}",
        f"2: {job} 2/3 1 {both}",
        f"only 0/2 {second}",
        f"only 1/2 {second}",
        "plain 0/1",
        "status 3",
        f"2 {int(job) + 1} 2 {second}",
    ]
    steps = cluster.text("sacct", "-n", "-P", "-o", "JobID", "-j", job).splitlines()
    assert f"{job}+1.0" in steps
    assert f"{job}+1.1" in steps
    assert f"{job}+0.2" in steps


def test_srun_and_salloc_make_one_of_their_own(cluster: LiveCluster) -> None:
    done = cluster.run("srun", "-l", "-n1", "sh", "-c", "echo a; exit 4", ":", "-n2", "echo", "b", check=False)
    assert (sorted(done.stdout.splitlines()), done.returncode) == (["0: a", "1: b", "2: b"], 4)
    script = "srun -l hostname | wc -l; srun -l --het-group=0,1 hostname | wc -l; squeue -h -o %i -j $SLURM_JOB_ID"
    lines = cluster.text("salloc", "-Q", "-n1", ":", "-n2", "sh", "-c", script).splitlines()
    assert lines[:2] == ["1", "3"]
    assert [line.partition("+")[2] for line in lines[2:]] == ["0", "1"]


def test_components_wait_and_are_cancelled_together(cluster: LiveCluster) -> None:
    job = cluster.submit("-H", "-n1", ":", "-n2", "--wrap", "sleep 300")
    alone = cluster.run("scancel", f"{job}+1", check=False)
    assert (alone.stderr.strip(), alone.returncode) == (
        f"scancel: error: Kill job error on job id {job}+1: Operation not permitted on individual component of heterogeneous job",
        60,
    )
    assert cluster.text("squeue", "-h", "-o", "%i %t", "-j", job).splitlines() == [f"{job}+0 PD", f"{job}+1 PD"]
    cluster.run("scontrol", "release", job)
    wait_until(lambda: cluster.text("squeue", "-h", "-o", "%t", "-j", job).split() == ["R", "R"])
    assert f"HetJobIdSet={job}-{int(job) + 1}" in cluster.text("scontrol", "show", "job", f"{job}+1")
    cluster.run("scancel", job)
    wait_until(lambda: not cluster.text("squeue", "-h", "-j", job))


@pytest.mark.parametrize(
    ("argv", "error"),
    [
        (["-a", "0-1", "-n1", ":", "-n1"], "Invalid job array specification"),
        (["-n1", ":", "-n1", "-p", "nosuch"], "Invalid partition name specified"),
    ],
)
def test_a_component_that_cannot_be_refuses_all(cluster: LiveCluster, argv: list[str], error: str) -> None:
    done = cluster.run("sbatch", *argv, "--wrap", "true", check=False)
    assert done.stderr.splitlines()[-1] == f"sbatch: error: Batch job submission failed: {error}"
