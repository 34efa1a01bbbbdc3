"""Everyday commands on a real cluster, from end to end."""

import re

from tests.cluster.live import LiveCluster, wait_until


def test_a_batch_job_runs_and_is_recorded(cluster: LiveCluster) -> None:
    job = cluster.submit("-J", "hello", "--wrap", "echo hello from $SLURMD_NODENAME")
    cluster.wait_for(job, "COMPLETED")
    assert (cluster.work / f"slurm-{job}.out").read_text() == "hello from dgx0180\n"
    rows = cluster.text("sacct", "-n", "-P", "-o", "JobID,JobName,State,ExitCode", "-j", job).splitlines()
    assert rows == [f"{job}|hello|COMPLETED|0:0", f"{job}.batch|batch|COMPLETED|0:0"]


def test_a_job_that_fails_shows_its_exit_code(cluster: LiveCluster) -> None:
    job = cluster.submit("--wrap", "exit 3")
    cluster.wait_for(job, "FAILED")
    assert cluster.text("sacct", "-n", "-X", "-P", "-o", "ExitCode", "-j", job) == "3:0"


def test_a_running_job_is_shown_and_can_be_cancelled(cluster: LiveCluster) -> None:
    job = cluster.submit("-N2", "--wrap", "sleep 300")
    wait_until(lambda: cluster.text("squeue", "-h", "-j", job, "-o%t %D") == "R 2")
    assert re.search(r"2\s+mix\s+dgx\[0180-0181\]", cluster.text("sinfo"))
    cluster.run("scancel", job)
    cluster.wait_for(job, "CANCELLED")
    assert cluster.text("squeue", "-h", "-j", job) == ""


def test_a_time_limit_ends_a_job(cluster: LiveCluster) -> None:
    job = cluster.submit("-t", "0:01", "--wrap", "sleep 300")
    cluster.wait_for(job, "TIMEOUT")
    assert "DUE TO TIME LIMIT" in (cluster.work / f"slurm-{job}.out").read_text()


def test_an_array_runs_every_element_once(cluster: LiveCluster) -> None:
    job = cluster.submit("-a", "0-9%3", "-o", "array-%a", "--wrap", "echo $SLURM_ARRAY_TASK_ID")
    wait_until(lambda: not cluster.text("squeue", "-h", "-j", job))
    assert [(cluster.work / f"array-{number}").read_text() for number in range(10)] == [f"{n}\n" for n in range(10)]


def test_srun_brings_the_output_of_all_tasks_and_the_highest_exit_code(cluster: LiveCluster) -> None:
    done = cluster.run("srun", "-N2", "-n4", "-l", "sh", "-c", "echo $SLURM_PROCID; exit $SLURM_PROCID", check=False)
    assert sorted(done.stdout.splitlines()) == ["0: 0", "1: 1", "2: 2", "3: 3"]
    assert done.returncode == 3


def test_a_job_sees_its_own_gpus_only(cluster: LiveCluster) -> None:
    assert len(cluster.text("srun", "--gres=gpu:3", "printenv", "CUDA_VISIBLE_DEVICES").split(",")) == 3
    assert cluster.run("srun", "printenv", "CUDA_VISIBLE_DEVICES", check=False).stdout == ""


def test_a_job_that_does_not_fit_now_waits_and_says_why(cluster: LiveCluster) -> None:
    first = cluster.submit("-N10", "--exclusive", "--wrap", "sleep 300")
    wait_until(lambda: cluster.text("squeue", "-h", "-j", first, "-o%T") == "RUNNING")
    second = cluster.submit("--wrap", "true")
    wait_until(lambda: cluster.text("squeue", "-h", "-j", second, "-o%r") == "Resources")
    cluster.run("scancel", first)
    cluster.wait_for(second, "COMPLETED")


def test_a_drained_node_takes_no_jobs(cluster: LiveCluster) -> None:
    cluster.run("scontrol", "update", "nodename=dgx0180", "state=drain", "reason=a fan is loud")
    try:
        assert cluster.text("srun", "printenv", "SLURMD_NODENAME") == "dgx0181"
        assert "a fan is loud" in cluster.text("sinfo", "-R")
    finally:
        cluster.run("scontrol", "update", "nodename=dgx0180", "state=resume")
    assert cluster.text("srun", "printenv", "SLURMD_NODENAME") == "dgx0180"


def test_a_job_without_the_submitters_environment_has_the_users_own(cluster: LiveCluster) -> None:
    job = cluster.submit("--export=NONE", "-o", "none.out", "--wrap", "env")
    cluster.wait_for(job, "COMPLETED")
    text = (cluster.work / "none.out").read_text()
    assert {line.partition("=")[0] for line in text.splitlines()} >= {
        "HOME",
        "PATH",
        "USER",
        "SHELL",
        "CORRAL_ENDPOINT",
    }


def test_fewer_tasks_per_node_than_the_jobs_are_ignored_with_a_warning(cluster: LiveCluster) -> None:
    script = "srun --ntasks-per-node=1 echo a; srun -n3 --ntasks-per-node=1 echo d"
    job = cluster.submit("-N2", "-n4", "-o", "per-node.out", "--wrap", script)
    cluster.wait_for(job, "COMPLETED")
    assert (cluster.work / "per-node.out").read_text().splitlines() == [
        "srun: Warning: can't honor --ntasks-per-node set to 1 which doesn't match the requested tasks 4 "
        "with the number of requested nodes 2. Ignoring --ntasks-per-node.",
        *("a" * 4), *("d" * 3),
    ]  # fmt: skip


def test_a_step_from_outside_has_one_task_on_each_node(cluster: LiveCluster) -> None:
    job = cluster.submit("-N2", "-n4", "--wrap", "sleep 60")
    wait_until(lambda: cluster.text("squeue", "-h", "-j", job, "-o%t") == "R")
    assert sorted(cluster.text("srun", f"--jobid={job}", "-l", "echo", "x").splitlines()) == ["0: x", "1: x"]
    cluster.run("scancel", job)


def test_a_held_job_stays_held_when_it_is_changed(cluster: LiveCluster) -> None:
    job = cluster.submit("-H", "--wrap", "true")
    done = cluster.run("scontrol", "update", f"jobid={job}", "priority=77", check=False)
    assert (done.returncode, done.stderr) == (1, f"Job is in held state, pending scheduler release for job {job}\n")
    assert cluster.text("squeue", "-h", "-j", job, "-o%t %r") == "PD JobHeldUser"
    cluster.run("scancel", job)


def test_sacct_shows_the_throttle_of_the_elements_that_wait(cluster: LiveCluster) -> None:
    job = cluster.submit("-H", "-a", "0-4%2", "--wrap", "true")
    line = cluster.text("sacct", "-n", "-X", "-P", "-o", "JobID,State", "-j", job)
    assert line == f"{job}_[0-4%2]|PENDING"
    cluster.run("scancel", job)


def test_cpus_per_gpu_makes_no_more_tasks(cluster: LiveCluster) -> None:
    assert cluster.text("srun", "--gres=gpu:1", "--cpus-per-gpu=3", "printenv", "SLURM_CPUS_ON_NODE") == "3"


def test_a_task_that_fails_ends_its_step_and_it_is_said_also_when_it_was_the_last(cluster: LiveCluster) -> None:
    done = cluster.run("srun", "-K", "sh", "-c", "exit 3", check=False)
    first, second = done.stderr.splitlines()
    assert done.returncode == 3
    assert re.fullmatch(r"srun: error: dgx018\d: task 0: Exited with exit code 3", first)
    assert second.startswith("srun: launch/slurm: _step_signal: Terminating StepId=")
