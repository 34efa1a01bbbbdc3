"""What happens to a job when its srun or salloc is killed, as with the real one; and what does not happen when only the controller is."""

import os
import signal
import subprocess
import time
from pathlib import Path

from tests.cluster.live import LiveCluster, wait_until


def started(cluster: LiveCluster, *command: str) -> tuple[subprocess.Popen[bytes], str]:
    """A command in the background, and its job, whose task says that it runs."""
    sign = cluster.work / f"runs-{os.urandom(4).hex()}"
    script = f"echo $SLURM_JOB_ID > {sign}.new; mv {sign}.new {sign}; exec sleep 300"
    process = subprocess.Popen(
        [*command, "sh", "-c", script], env=cluster.environment, cwd=cluster.work, stdin=subprocess.DEVNULL
    )
    wait_until(sign.exists, what="the job runs")
    return process, sign.read_text().strip()


def kill(process: subprocess.Popen[bytes]) -> None:
    """When it has somebody beside it: its watch, or the command that it runs."""
    wait_until(Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text)
    process.send_signal(signal.SIGKILL)
    process.wait()


def test_the_job_of_a_killed_srun_is_cancelled(cluster: LiveCluster) -> None:
    process, job = started(cluster, "srun", "-n2")
    kill(process)
    cluster.wait_for(job, "CANCELLED")


def test_a_killed_srun_inside_a_job_ends_its_step_only(cluster: LiveCluster) -> None:
    outer = cluster.submit("-n2", "--wrap", "sleep 300")
    cluster.wait_for(outer, "RUNNING")
    process, job = started(cluster, "srun", f"--jobid={outer}", "--overlap")
    assert job == outer
    kill(process)
    wait_until(lambda: f"{outer}.0" not in cluster.text("squeue", "-h", "-s", "-o%i", "-j", outer).split())
    assert cluster.text("squeue", "-h", "-o%T", "-j", outer) == "RUNNING"
    cluster.run("scancel", outer)


def test_the_job_of_a_killed_salloc_stays(cluster: LiveCluster) -> None:
    process, job = started(cluster, "salloc", "-Q")
    kill(process)
    assert cluster.text("squeue", "-h", "-o%T", "-j", job) == "RUNNING"
    cluster.run("scancel", job)


def test_an_srun_whose_controller_is_killed_goes_on(cluster: LiveCluster) -> None:
    process, job = started(cluster, "srun")
    cluster.kill("controller.lock")
    cluster.up()
    assert cluster.text("squeue", "-h", "-o%T", "-j", job) == "RUNNING"
    assert process.poll() is None
    cluster.run("scancel", job)
    process.wait(60)


def test_an_srun_killed_while_there_is_no_controller_is_cancelled_by_the_next(cluster: LiveCluster) -> None:
    process, job = started(cluster, "srun")
    cluster.kill("controller.lock")
    kill(process)
    cluster.up()
    cluster.wait_for(job, "CANCELLED")


def told_to_go_at_any_moment(cluster: LiveCluster, *command: str) -> None:
    """Sooner and later after its start, before and behind everything that it does until it runs."""
    clients = []
    for delay in range(30):
        client = subprocess.Popen(
            command, env=cluster.environment, cwd=cluster.work, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        time.sleep(delay * 0.01)  # the moment is what is tried; whichever it is, the end must be the same
        client.send_signal(signal.SIGTERM)
        clients.append(client)
    for client in clients:
        client.wait(60)


def test_an_srun_told_to_go_at_any_moment_leaves_no_job(cluster: LiveCluster) -> None:
    told_to_go_at_any_moment(cluster, "srun", "-n2", "-Jmoment", "sleep", "300")
    wait_until(lambda: not cluster.text("squeue", "-h", "-nmoment"))


def test_an_salloc_told_to_go_at_any_moment_leaves_no_job(cluster: LiveCluster) -> None:
    told_to_go_at_any_moment(cluster, "salloc", "-Janytime", "sleep", "300")
    wait_until(lambda: not cluster.text("squeue", "-h", "-nanytime"))


def test_an_srun_in_a_job_told_to_go_at_any_moment_leaves_no_step(cluster: LiveCluster) -> None:
    outer = cluster.submit("-n2", "--wrap", "sleep 300")
    cluster.wait_for(outer, "RUNNING")
    told_to_go_at_any_moment(cluster, "srun", f"--jobid={outer}", "--overlap", "sleep", "300")
    wait_until(lambda: cluster.text("squeue", "-h", "-s", "-o%i", "-j", outer).split() == [f"{outer}.batch"])
    cluster.run("scancel", outer)
